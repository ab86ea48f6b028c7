"""The state folder and the files of the journal in it. Reading never fails over what a file holds."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from seamstep.base.errors import RefusedError
from seamstep.run.journal.record import Lines, Record, scan

NAME = "journal.jsonl"
KEPT = 8  # files that were put away, the newest with the lowest number
ASIDE = f"{NAME}.corrupt-"
_READ_MAX = 1 << 20  # bytes of one file; ours never get there
_ASIDE_READ = 4  # of the files that were moved aside, how many are still read


class History(NamedTuple):
    """All ``records``, oldest first, and the ``problems`` met on the way, a sentence each."""

    records: tuple[Record, ...]
    problems: tuple[str, ...]


def open_folder(path: str, *, create: bool) -> int:
    """A descriptor of the state folder.

    Raises:
        OSError: it can't be opened or made.
        RefusedError: with ``create``, others may write to it.
    """
    if create and not os.path.isdir(path):  # must not raise
        os.makedirs(path, mode=0o700, exist_ok=True)  # what is open is looked at, not what is named
        _sync(os.path.dirname(os.path.abspath(path)))
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    found = os.fstat(descriptor)
    if create and (found.st_mode & 0o022 or found.st_uid not in {0, os.geteuid()}):
        os.close(descriptor)
        raise RefusedError(f"others may write to the state folder {path}, so what stands in it proves nothing; fix it")
    return descriptor


def read(folder: int) -> History:
    """Everything that the journal in the folder open as ``folder`` holds."""
    found: dict[tuple[int, str, str], Record] = {}
    problems = []
    for name in _names(folder):
        try:
            file = read_file(folder, name)
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(f"{name} can't be read: {error.strerror or error}")
            continue
        if file.corrupt:
            problems.append(f"{name}: {file.corrupt}")
        elif file.torn:
            problems.append(f"{name}: its last line is torn ({file.torn} bytes); a run was killed while it wrote")
        for record in file.records:
            found.setdefault((record.seq, record.transaction, record.event), record)
    records = sorted(found.values(), key=lambda record: record.seq)
    return History(tuple(records), (*problems, *_gaps(records)))


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _names(folder: int) -> Iterator[str]:
    """The files of the journal, oldest first as far as their names tell."""
    aside = sorted(name for name in listed(folder) if name.startswith(ASIDE))
    yield from aside[-_ASIDE_READ:]
    yield from (f"{NAME}.{number}" for number in range(KEPT, 0, -1))
    yield NAME


def listed(folder: int) -> list[str]:
    """The names in a folder that is open."""
    return os.listdir(folder)


def read_file(folder: int, name: str) -> Lines:
    """What one file holds. Raises OSError."""
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return Lines(corrupt="it is not a regular file")
        content = file.read(_READ_MAX + 1)
    found = scan(content[:_READ_MAX])
    if len(content) > _READ_MAX:
        return Lines(found.records, corrupt=f"it is larger than {_READ_MAX} bytes; the rest was not read")
    return found


def _gaps(records: list[Record]) -> Iterator[str]:
    for before, after in pairwise(records):
        if after.seq > before.seq + 1:
            yield f"records {before.seq + 1} to {after.seq - 1} are missing"
            return
