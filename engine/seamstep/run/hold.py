"""A hold on a host: a small file in the state folder. No update begins while it is there, whatever asks for
one: an operator, the service after a reboot, an engine.

A file that can't be read, or that is not a hold, counts as one: it was put there to hold the host.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import NamedTuple

from seamstep.base.documents import canonical, read_json
from seamstep.base.errors import InputError, RefusedError
from seamstep.base.writing import write_atomic

NAME = "hold"
SCHEMA = "seamstep/hold/v1"
_SIZE_LIMIT = 16 << 10


class Hold(NamedTuple):
    """A hold: its reason, who holds (None if not said), and since when in ISO 8601 (None if that can't be read)."""

    reason: str
    by: str | None = None
    since: str | None = None

    def __str__(self) -> str:
        by = f" by {self.by}" if self.by else ""
        return f"this host is held{by}{f' since {self.since}' if self.since else ''}: {self.reason}"


def read(folder: str) -> Hold | None:
    """The hold in the state folder ``folder``; None if there is none."""
    path = os.path.join(folder, NAME)
    if not os.path.lexists(path) and _can_look(folder):
        return None
    try:
        document = read_json(path, _SIZE_LIMIT, "hold")
        from seamstep.base.validation import require

        require(document, "hold")
    except InputError as error:
        return Hold(f"its hold can't be read, which counts as a hold: {error.problems[0]}")
    return Hold(document.data["reason"], document.data["by"], document.data["since"])


def _can_look(folder: str) -> bool:
    """Whether a file that is not seen in the folder is not there: the folder is missing, or can be searched."""
    try:
        os.stat(os.path.join(folder, NAME))
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def put(folder: str, reason: str, by: str | None) -> Hold:
    """Hold the host; a hold before is replaced. Raises RefusedError if the state folder can't be used."""
    from pathlib import Path

    from seamstep.run.journal import open_folder

    held = Hold(reason, by, datetime.now(UTC).isoformat(timespec="seconds"))
    try:
        os.close(open_folder(folder, create=True))
        write_atomic(Path(folder, NAME), canonical({"schema": SCHEMA, **held._asdict()}) + b"\n", replace=True)
        _sync(folder)
    except (OSError, InputError) as error:
        raise RefusedError(f"can't hold this host: {error}") from None
    return held


def release(folder: str) -> Hold | None:
    """Release the host; returns the hold that there was. Raises RefusedError if it can't be removed."""
    found = read(folder)
    if found is not None:
        try:
            os.unlink(os.path.join(folder, NAME))
            _sync(folder)
        except OSError as error:
            raise RefusedError(f"can't release this host: {error}") from None
    return found


def _sync(folder: str) -> None:
    """Wait until the folder's entries are on disk, so that a hold is there after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
