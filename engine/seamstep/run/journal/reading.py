"""Reading the journal's files in the state folder. Reading never fails over a file's content."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from seamstep.base.errors import RefusedError
from seamstep.run.journal.record import Lines, Record, scan
from seamstep.run.journal.recorded_host import RecordedHost

NAME = "journal.jsonl"
KEPT = 8  # rotated files; the newest has the lowest number
ASIDE = f"{NAME}.corrupt-"
_READ_MAX = 1 << 20  # bytes of one file; four times the size at which a file is rotated
_ASIDE_READ = 4  # files moved aside that are still read, the newest


class History(NamedTuple):
    """The content of the journal.

    Attributes:
        records: all records, in the order of their numbers.
        problems: the problems met while reading, a sentence each.
    """

    records: tuple[Record, ...]
    problems: tuple[str, ...]

    def of(self, host: RecordedHost) -> History:
        """The history with the records about ``host`` alone."""
        return self._replace(records=tuple(record for record in self.records if not host.other(record)))


def open_folder(path: str, *, create: bool) -> int:
    """A descriptor of the state folder ``path``; the caller closes it.

    ``create`` opens the folder for a run: it is created with mode 0700 if missing, and checked.

    Raises:
        OSError: the folder can't be opened or created.
        RefusedError: with ``create``, other users may write to the folder.
    """
    if create and not os.path.isdir(path):  # unlike Path.is_dir(), false rather than an error
        os.makedirs(path, mode=0o700, exist_ok=True)  # may exist by now; the checks below use the descriptor
        _sync(os.path.dirname(os.path.abspath(path)))
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    found = os.fstat(descriptor)
    if create and (found.st_mode & 0o022 or found.st_uid not in {0, os.geteuid()}):
        os.close(descriptor)
        raise RefusedError(
            f"others may write to the state folder {path}, so its content proves nothing; fix its owner and mode"
        )
    return descriptor


def read(folder: int) -> History:
    """Read all records of the journal; ``folder`` is a descriptor of the state folder."""
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
    """The names of the journal's files, oldest first: files moved aside, rotated files, the present file."""
    aside = sorted(name for name in listed(folder) if name.startswith(ASIDE))
    yield from aside[-_ASIDE_READ:]
    yield from (f"{NAME}.{number}" for number in range(KEPT, 0, -1))
    yield NAME


def listed(folder: int) -> list[str]:
    """The names in the folder open as ``folder``."""
    return os.listdir(folder)


def read_file(folder: int, name: str) -> Lines:
    """Read one file of the journal in the folder open as ``folder``. Raises OSError if it can't be read."""
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
