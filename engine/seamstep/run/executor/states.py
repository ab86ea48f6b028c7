"""The states of a hop, the moves it may make, and what a run ends in."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from seamstep.base.errors import ExitCode
from seamstep.base.versions import ModuleVersion
from seamstep.plan.document import Hop


class State(StrEnum):
    """Where a hop is."""

    PREFLIGHT = "preflight"
    STAGED = "staged"
    COMMITTED = "committed"
    APPLIED = "applied"
    BUSY = "busy"
    FAILED = "failed"
    LOST = "lost"
    UNKNOWN = "unknown"


#: The moves a hop may make; :class:`Machine` raises on any other. APPLIED → PREFLIGHT begins the next hop,
#: BUSY → PREFLIGHT tries the same one again.
MOVES: dict[State, frozenset[State]] = {
    State.PREFLIGHT: frozenset({State.STAGED, State.FAILED, State.LOST, State.UNKNOWN}),
    State.STAGED: frozenset({State.COMMITTED, State.FAILED, State.LOST, State.UNKNOWN}),
    State.COMMITTED: frozenset({State.APPLIED, State.BUSY, State.FAILED, State.LOST, State.UNKNOWN}),
    State.APPLIED: frozenset({State.PREFLIGHT}),
    State.BUSY: frozenset({State.PREFLIGHT}),
    State.FAILED: frozenset(),
    State.LOST: frozenset(),
    State.UNKNOWN: frozenset(),
}


class Machine:
    """The state of the current hop; ``moved`` hears of every move."""

    def __init__(self, moved: Callable[[State], None]) -> None:
        self.state = State.PREFLIGHT
        self._moved = moved

    def move(self, state: State) -> None:
        """Go to ``state``. Raises AssertionError for a move that is not in :data:`MOVES`."""
        if state not in MOVES[self.state]:
            raise AssertionError(f"a hop must not go from {self.state} to {state}")
        self.state = state
        self._moved(state)


class Stop(StrEnum):
    """Why a run stopped though its last hop is in a state that allows to go on."""

    STALE = "stale"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"
    NOT_NOW = "not-now"
    DRY_RUN = "dry-run"


_STOPS = {
    Stop.STALE: ExitCode.STALE,
    Stop.REFUSED: ExitCode.NO,
    Stop.INTERRUPTED: ExitCode.INTERRUPTED,
    Stop.NOT_NOW: ExitCode.BUSY,
    Stop.DRY_RUN: ExitCode.DONE,
}
_STATES = {
    State.PREFLIGHT: ExitCode.STALE,
    State.APPLIED: ExitCode.DONE,
    State.BUSY: ExitCode.BUSY,
    State.FAILED: ExitCode.FAILED,
    State.LOST: ExitCode.LOST,
    State.UNKNOWN: ExitCode.UNKNOWN,
}


class RunResult(NamedTuple):
    """How a run ended: the last hop's ``state``, the ``version`` that runs (None if none does or it can't be read),
    the hops that were ``applied``, a sentence for people, why it was ``stopped`` early (None if it was not), and
    ``warnings`` that change nothing."""

    state: State
    version: ModuleVersion | None
    applied: tuple[Hop, ...]
    message: str
    stopped: Stop | None = None
    warnings: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """What the command ends in. Nothing hides that TDX is lost, or that the outcome is not known."""
        if self.stopped and self.state not in {State.LOST, State.UNKNOWN}:
            return _STOPS[self.stopped]
        return _STATES[self.state]
