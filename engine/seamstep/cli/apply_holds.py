"""What keeps a run of ``seamstep apply`` from beginning: a hold on the host, or a rollout that begins its updates."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from seamstep.base import places
from seamstep.base.errors import HeldError, RefusedError
from seamstep.cli import configuration

if TYPE_CHECKING:
    from seamstep.plan.at_hand import AtHand
    from seamstep.run.hold import Hold
    from seamstep.run.transaction import Transaction
    from seamstep.service.configuration import Configuration


def respect_hold(options: argparse.Namespace, folder: str, begun: Transaction, at_hand: AtHand) -> None:
    """Raise HeldError if the host is held and the plan has an update; with ``--despite-hold`` record that instead."""
    from seamstep.plan.document import PlanOutcome

    found = _held(options, folder) if at_hand.plan.outcome is PlanOutcome.UPDATE else None
    if found is None:
        return
    if not options.despite_hold:
        by_file = found.by in {options.configuration or places.CONFIG, places.CONFIG}
        lifted = "take the key 'hold' out of it" if by_file else "see seamstep hold --release"
        raise HeldError(f"{found}; nothing was changed; {lifted}, or give --despite-hold")
    if begun.journal:
        try:
            begun.journal.append("despite-hold", message=str(found))
        except OSError as error:
            raise RefusedError(f"can't record --despite-hold: {error.strerror}; nothing was changed") from None


def _held(options: argparse.Namespace, folder: str) -> Hold | None:
    """The hold on this host; None if there is none, and in a rehearsal."""
    if options.simulate:
        return None
    return configuration.held(folder, options.configuration)


def reasons(options: argparse.Namespace, folder: str) -> Callable[[], str]:
    """A function that gives the reason why no hop may begin, for the hops of a run; empty if it may."""
    if options.despite_hold:
        return str
    return lambda: str(_held(options, folder) or "")


def respect_rollout(config: Configuration, at_hand: AtHand) -> None:
    """Raise HeldError if there is an update, and the configuration leaves it to a rollout."""
    from seamstep.plan.document import PlanOutcome
    from seamstep.service.configuration import ROLLOUT

    if config.updates == ROLLOUT and at_hand.plan.outcome is PlanOutcome.UPDATE:
        steps = ", ".join(map(str, at_hand.plan.hops))
        message = f"{steps} was left to a rollout, which begins the updates of this host (updates: rollout in "
        raise HeldError(f"{message}{config.file}); nothing was changed, {at_hand.plan.source} runs")
