"""Telling of the end of a run of the service, as the configuration says.

The same outcome for the same reason is sent once per boot, since the timer starts the service every quarter of an hour.
A notification is bounded in time, and its failure changes nothing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from seamstep.base.documents import canonical, read_regular
from seamstep.base.errors import ExitCode, InputError, SeamstepError
from seamstep.base.writing import write_atomic
from seamstep.run.hooks import run_hook
from seamstep.service.configuration import Notification
from seamstep.show.text import printable

#: The file in the state folder with the digest of what was told last.
NAME = "notified"
_TIMEOUT = 30.0  # seconds
_MESSAGE_MAX = 2000  # characters
_OUTCOMES = {
    ExitCode.NO: "refused",
    ExitCode.INVALID: "input",
    ExitCode.NOT_UPDATABLE: "not-updatable",
    ExitCode.BUSY: "busy",
    ExitCode.STALE: "stale",
    ExitCode.FAILED: "failed",
    ExitCode.LOST: "lost",
    ExitCode.UNKNOWN: "unknown",
    ExitCode.INTERNAL: "internal",
    ExitCode.INTERRUPTED: "interrupted",
}


class End(NamedTuple):
    """The end of a run of the service.

    Attributes:
        exit_code: the exit code.
        message: the result as a sentence.
        applied: the number of hops that were applied.
        version: the version that runs; empty if that is not known.
        transaction: the run in the journal; empty if none began.
        boot_id: the present boot; empty if that is not known.
    """

    exit_code: int
    message: str
    applied: int = 0
    version: str = ""
    transaction: str = ""
    boot_id: str = ""

    @property
    def outcome(self) -> str:
        """The name of the outcome; empty if there was nothing to do."""
        if self.applied and self.exit_code in {ExitCode.DONE, ExitCode.BUSY}:
            return "applied"
        return _OUTCOMES.get(ExitCode(self.exit_code), "") if self.exit_code in set(ExitCode) else "internal"


def notify(wanted: Notification, end: End, folder: str, stop: Callable[[], bool] = lambda: False) -> str:
    """Tell of the end of a run if that is wanted and was not told before.

    Args:
        wanted: the notification, with the outcomes that it is sent for.
        end: the end.
        folder: the state folder.
        stop: whether the process is to end; ends the command that runs.

    Returns:
        The problem as a sentence; empty if there is none.
    """
    if end.outcome not in wanted.on or _told_before(end, folder):
        return ""
    command = wanted.command or _starting(wanted.unit, end.outcome)
    result = run_hook(command, _variables(end), timeout=_TIMEOUT, stop=stop)
    if result.problem:
        last = result.output.strip().rpartition("\n")[2]
        return f"the notification {' '.join(command)} {result.problem}" + (f": {last}" if last else "")
    try:
        write_atomic(Path(folder, NAME), _digest(end), replace=True)
    except SeamstepError as error:
        return f"that the end of this run was told can't be written down, so it is told again: {error}"
    return ""


def _told_before(end: End, folder: str) -> bool:
    try:
        return read_regular(os.path.join(folder, NAME), 1024, "notification record") == _digest(end)
    except InputError:
        return False


def _digest(end: End) -> bytes:
    """What tells this end from others. A run that applied hops is an end of its own."""
    told = [end.boot_id, end.outcome, end.message, end.transaction if end.applied else ""]
    return hashlib.sha256(canonical(told)).hexdigest().encode() + b"\n"


def _starting(unit: str, outcome: str) -> tuple[str, ...]:
    name = unit.replace("@.", f"@{outcome}.")
    return (shutil.which("systemctl") or "systemctl", "start", "--no-block", name)


def _variables(end: End) -> dict[str, str]:
    return {
        "SEAMSTEP_OUTCOME": end.outcome,
        "SEAMSTEP_EXIT_CODE": str(int(end.exit_code)),
        "SEAMSTEP_MESSAGE": printable(end.message)[:_MESSAGE_MAX],
        "SEAMSTEP_VERSION": end.version,
        "SEAMSTEP_TRANSACTION": end.transaction,
    }
