"""What can go wrong, and the exit code each thing ends in.

Every error a user can cause is a :class:`SeamstepError`; anything else that escapes is a bug and ends in
:attr:`ExitCode.INTERNAL`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple


class ExitCode(IntEnum):
    """The command's exit codes; scripts rely on them."""

    DONE = 0
    NO = 1
    INVALID = 2
    NOT_UPDATABLE = 3
    BUSY = 4
    STALE = 5
    FAILED = 6
    LOST = 7
    UNKNOWN = 8
    UPDATE_AVAILABLE = 10
    INTERNAL = 70
    INTERRUPTED = 130


#: How many problems of one input are told; a thousand more would help nobody.
PROBLEMS_MAX = 100
KeyPath = tuple[str | int, ...]


def dotted(path: KeyPath) -> str:
    """A key path as people write it: ``tdx_module_releases[3].version``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


class Problem(NamedTuple):
    """One mistake in an input: where it is, what is wrong and what was expected.

    ``line`` and ``column`` count from 1; both are None where the input has no lines (a whole file, an option).
    """

    source: str
    message: str
    path: KeyPath = ()
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}:{self.column}"
        key = f"{dotted(self.path)}: " if self.path else ""
        return f"{place}: {key}{self.message}"

    def to_document(self) -> dict[str, object]:
        """The problem as JSON-able data, for ``--json``."""
        return {
            "source": self.source,
            "line": self.line,
            "column": self.column,
            "path": dotted(self.path),
            "message": self.message,
        }


def in_reading_order(problems: Iterable[Problem]) -> list[Problem]:
    """Problems of one source as their reader meets them."""
    return sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0, problem.message))


class SeamstepError(Exception):
    """An error the user can understand and act on."""

    exit_code = ExitCode.NO


class InputError(SeamstepError):
    """Something given to seamstep can't be read or is invalid; carries every problem found, not the first."""

    exit_code = ExitCode.INVALID

    def __init__(self, problems: Problem | Iterable[Problem]) -> None:
        found = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.problems = found[:PROBLEMS_MAX]
        if len(found) > PROBLEMS_MAX:
            self.problems += (Problem(found[0].source, f"and {len(found) - PROBLEMS_MAX} problems more"),)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class NotUpdatableError(SeamstepError):
    """This host can't be updated at run time."""

    exit_code = ExitCode.NOT_UPDATABLE


class StalePlanError(SeamstepError):
    """The world moved on since the plan was made."""

    exit_code = ExitCode.STALE


class TdxLostError(SeamstepError):
    """TDX is lost: no module runs, every TD is dead, only a reboot helps."""

    exit_code = ExitCode.LOST


class BusyError(SeamstepError):
    """Somebody else is at it; try later."""

    exit_code = ExitCode.BUSY


class UnknownOutcomeError(SeamstepError):
    """Nobody can tell what came of an update; look at the host."""

    exit_code = ExitCode.UNKNOWN


class RefusedError(SeamstepError):
    """The command could be carried out but must not be."""

    exit_code = ExitCode.NO


def described(error: BaseException) -> str:
    """An exception of anybody's code in a few words; such an exception may fail to say what it is."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def log_failure(message: str, *values: object) -> None:
    """Tell the log of the exception that is being handled; SEAMSTEP_DEBUG=1 shows it. A log that nobody reads costs no
    import."""
    import logging

    logging.getLogger("seamstep").debug(message, *values, exc_info=True)
