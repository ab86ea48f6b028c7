"""``seamstep fleet status``, ``halt`` and ``resume``: the commands of a rollout for people."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from seamstep.base.errors import ExitCode, InputError, Problem, RefusedError
from seamstep.cli import options as shared
from seamstep.cli.fleet_command import command, show
from seamstep.cli.output import deliver

if TYPE_CHECKING:
    from seamstep.fleet.ledger import Ledger


def add(actions: Any) -> None:
    """Add the commands."""
    status = command(
        actions, "status", _status, "Show what stands still and why, since when, and who can do what about it."
    )
    forms = ("text", "json", "html", "prometheus")
    status.add_argument("--format", choices=forms, help="default: text; prometheus: metrics")
    for name, run, what in (("halt", _halt, "Halt"), ("resume", _resume, "Take back the halts of")):
        parser = command(actions, name, run, f"{what} the whole fleet, or one class.")
        parser.add_argument("--by", metavar="NAME", type=shared.given, required=True, help="who does it")
        parser.add_argument("--reason", metavar="TEXT", type=shared.given, required=True, help="why")
        parser.add_argument("--class", dest="of", metavar="CLASS", type=shared.given, help="one class, such as c0001")


def _status(options: argparse.Namespace) -> ExitCode:
    from seamstep.fleet import ledger, status
    from seamstep.show import fleet_status

    shared.check_output(options)
    with ledger.opened(options.ledger) as book:
        state, asked = book.now(), book.asked()
    document = status.status(state, options.ledger, time.time(), asked)
    code = ExitCode.NO if document["state"] == status.HALTED else ExitCode.DONE
    if options.format == "html":
        deliver(fleet_status.fleet_status_page(document), options.output, replace=options.force)
        return ExitCode.DONE
    if options.format == "prometheus":
        return _metrics(fleet_status.fleet_exposition(document), options)
    options.json = options.json or options.format == "json"
    show(document, fleet_status.fleet_status_text(document), options, code)
    return code


def _metrics(text: str, options: argparse.Namespace) -> ExitCode:
    """Metrics are readable by all, for node_exporter."""
    from pathlib import Path

    from seamstep.base.writing import write_atomic
    from seamstep.cli.output import say

    if options.output:
        write_atomic(Path(options.output), text.encode(), replace=options.force, mode=0o644)
    else:
        say(text)
    return ExitCode.DONE


def _halt(options: argparse.Namespace) -> ExitCode:
    from seamstep.fleet.messages import Stop

    with _operated(options) as book:
        group = _group(book, options)
        book.step([Stop(options.by, options.reason, group)])
    show(_operation(options, group), f"halted: {group or 'the fleet'}", options)
    return ExitCode.DONE


def _resume(options: argparse.Namespace) -> ExitCode:
    from seamstep.fleet.messages import Resume, Resumed

    with _operated(options) as book:
        group = _group(book, options)
        actions = book.step([Resume(options.by, options.reason, group)])
    count = next(action.halts for action in actions if isinstance(action, Resumed))
    document = {**_operation(options, group), "halts": count}
    show(document, f"{count} halts of {group or 'the fleet and its classes'} are taken back", options)
    return ExitCode.DONE


def _operated(options: argparse.Namespace) -> Any:
    from seamstep.fleet import ledger

    shared.check_output(options)
    return ledger.opened(options.ledger)


def _group(book: Ledger, options: argparse.Namespace) -> str:
    """The group that ``--class`` names; empty for the fleet. Raises RefusedError unless ``--by`` may do this."""
    operators = book.state.rollout.operators
    if operators and options.by not in operators:
        told = f"the rollout names who may do this, and {options.by} is not among them"
        raise RefusedError(f"{told}: {', '.join(operators)}")
    if not options.of:
        return ""
    for class_ in book.state.classes.values():
        if options.of in {class_.name, class_.group}:
            return class_.group
    raise InputError(Problem("--class", f"this rollout has no class {options.of!r}"))


def _operation(options: argparse.Namespace, group: str) -> dict[str, Any]:
    return {
        "schema": "seamstep/fleet-operation/v1",
        "scope": group or "fleet",
        "by": options.by,
        "reason": options.reason,
    }
