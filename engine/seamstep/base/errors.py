"""Errors and their exit codes.

Every error that a user can cause is a :class:`SeamstepError`; any other exception that reaches the command line is a
bug and ends in :attr:`ExitCode.INTERNAL`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple


class ExitCode(IntEnum):
    """The exit codes of all commands. They are stable, since scripts rely on them; docs/exit-codes.md explains each."""

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


#: The most problems of one input that are reported; readers don't work through a longer list.
PROBLEMS_MAX = 100
KeyPath = tuple[str | int, ...]


def dotted(path: KeyPath) -> str:
    """A key path as text: ``tdx_module_releases[3].version``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")


class Problem(NamedTuple):
    """One mistake in an input.

    Attributes:
        source: the file or option.
        message: the mistake and the expected form.
        path: the key path of the value; empty for the whole document.
        line: counts from 1; None where the mistake has no place in a text (a whole file, an option).
        column: counts from 1; None where ``line`` is.
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
    """The problems of one source by line and column."""
    return sorted(problems, key=lambda problem: (problem.line or 0, problem.column or 0, problem.message))


class SeamstepError(Exception):
    """An error that the user can understand and act on; ``exit_code`` is the code in which the command ends."""

    exit_code = ExitCode.NO


class InputError(SeamstepError):
    """An input can't be read or is invalid. ``problems`` holds all mistakes found, at most PROBLEMS_MAX and a count of
    the others."""

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
    """The host, the mapping file, the policy or an image changed since the plan was made."""

    exit_code = ExitCode.STALE


class TdxLostError(SeamstepError):
    """TDX is lost: no module runs, every TD is dead, only a reboot helps."""

    exit_code = ExitCode.LOST


class BusyError(SeamstepError):
    """Another run of seamstep holds the lock; try later."""

    exit_code = ExitCode.BUSY


class HeldError(SeamstepError):
    """The host is held: no update begins until the hold is released."""

    exit_code = ExitCode.BUSY


class UnknownOutcomeError(SeamstepError):
    """The outcome of an update is not known; look at the host."""

    exit_code = ExitCode.UNKNOWN


class RefusedError(SeamstepError):
    """The command is possible but not permitted."""

    exit_code = ExitCode.NO


def described(error: BaseException) -> str:
    """An exception in a few words. Exceptions of foreign code may raise when they are converted to text; then the type
    alone is returned."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def log_failure(message: str, *values: object) -> None:
    """Log the exception that is being handled; SEAMSTEP_DEBUG=1 shows it. ``logging`` is imported here because most
    runs log nothing."""
    import logging

    logging.getLogger("seamstep").debug(message, *values, exc_info=True)
