"""The states of a hop, the moves between them, and the result of a run."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from seamstep.base.errors import ExitCode
from seamstep.base.versions import ModuleVersion
from seamstep.plan.document import Hop


class State(StrEnum):
    """A state of a hop; docs/executor.md describes each."""

    PREFLIGHT = "preflight"
    STAGED = "staged"
    COMMITTED = "committed"
    APPLIED = "applied"
    BUSY = "busy"
    FAILED = "failed"
    LOST = "lost"
    UNKNOWN = "unknown"


#: The permitted moves; :class:`Machine` raises on any other. APPLIED → PREFLIGHT begins the next hop,
#: BUSY → PREFLIGHT retries the same one.
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
    """The state machine of the current hop.

    Args:
        moved: called with each new state.

    Attributes:
        state: the present state.
    """

    def __init__(self, moved: Callable[[State], None]) -> None:
        self.state = State.PREFLIGHT
        self._moved = moved

    def move(self, state: State) -> None:
        """Enter ``state``. Raises AssertionError for a move that is not in :data:`MOVES`."""
        if state not in MOVES[self.state]:
            raise AssertionError(f"a hop must not go from {self.state} to {state}")
        self.state = state
        self._moved(state)


class Stop(StrEnum):
    """The reason why a run stopped although the state of its last hop permits going on."""

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
    """The result of a run.

    Attributes:
        state: the state of the last hop.
        version: the version that runs; None if TDX is lost or the version can't be read.
        applied: the hops that were applied, in order.
        message: the result as a sentence.
        stopped: the reason to stop early; None if there was none.
        warnings: sentences that don't change the result.
    """

    state: State
    version: ModuleVersion | None
    applied: tuple[Hop, ...]
    message: str
    stopped: Stop | None = None
    warnings: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the run. Lost TDX and an unknown outcome take precedence over the reason to stop early."""
        if self.stopped and self.state not in {State.LOST, State.UNKNOWN}:
            return _STOPS[self.stopped]
        return _STATES[self.state]
