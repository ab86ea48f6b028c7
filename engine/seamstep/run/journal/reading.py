"""Reading the journal's files in the state folder. Reading never fails over a file's content."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from seamstep.base.documents import READING
from seamstep.base.errors import RefusedError
from seamstep.run.journal.record import Damage, Lines, Record, scan
from seamstep.run.journal.recorded_host import RecordedHost

NAME = "journal.jsonl"
KEPT = 8  # rotated files, and as many more as have records of the present boot; the newest has the lowest number
ASIDE = f"{NAME}.corrupt-"
MOVED_ASIDE = "moved-aside"  # the event of the record that names a file that was moved aside
_READ_MAX = 16 << 20  # bytes of one file; what one hop adds to a file that was about to be rotated is far smaller
_NUMBERED = re.compile(rf"{re.escape(NAME)}\.([1-9][0-9]{{0,8}})")


class History(NamedTuple):
    """The content of the journal.

    Attributes:
        records: all records, in the order of their numbers.
        problems: the problems met while reading, a sentence each.
        damage: those problems that leave something unknown; a line that was cut short while it was written does not.
    """

    records: tuple[Record, ...]
    problems: tuple[str, ...]
    damage: tuple[Damage, ...] = ()

    def doubt(self, host: RecordedHost) -> str:
        """The reason why records of the present boot of ``host`` may be missing; empty if none can be.

        A damaged place is of no concern if the next record about the host is of an earlier boot, or if its lines name
        earlier boots alone.
        """
        known = {record.boot_id for record in self.records}
        ours = self.of(host).records
        for damage in self.damage:
            after = damage.following and next((one for one in ours if one.seq >= damage.following.seq), None)
            earlier = after is not None and after.boot_id != host.boot_id
            others = damage.boots and host.boot_id not in damage.boots and damage.boots <= known
            if not earlier and not others:
                return damage.what
        return ""

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
    files: dict[str, Lines] = {}
    for name in _names(folder):
        try:
            files[name] = file = read_file(folder, name)
        except FileNotFoundError:
            continue
        except OSError as error:
            files[name] = file = Lines(damage=(Damage(f"it can't be read: {error.strerror or error}"),))
        if file.damage:
            problems.append(f"{name}: {file.corrupt}")
        elif file.torn:
            problems.append(f"{name}: its last line is torn ({file.torn} bytes); a run was killed while it wrote")
        for record in file.records:
            found.setdefault((record.seq, record.transaction, record.event), record)
    records = sorted(found.values(), key=lambda record: record.seq)
    gaps = list(_gaps(records))
    told = [gap.what for gap in gaps if gap.following is not records[0]][:1]
    return History(tuple(records), (*problems, *told), (*_damage(files), *gaps))


def _damage(files: Mapping[str, Lines]) -> Iterator[Damage]:
    """All damage in ``files``, the oldest first. What follows the end of a file is the next one; of one that was moved
    aside, the record that says so."""
    names = list(files)
    everything = [record for file in files.values() for record in file.records]
    for number, name in enumerate(names):
        if name.startswith(ASIDE):
            after = [one for one in everything if one.event == MOVED_ASIDE and one.text("name") == name]
        else:
            after = [record for later in names[number + 1 :] for record in files[later].records[:1]]
        for damage in files[name].damage:
            yield damage._replace(what=f"{name}: {damage.what}", following=damage.following or next(iter(after), None))


def _sync(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _names(folder: int) -> Iterator[str]:
    """The names of the journal's files, oldest first: files moved aside, rotated files, the present file."""
    names = listed(folder)
    yield from sorted(name for name in names if name.startswith(ASIDE))
    yield from (f"{NAME}.{number}" for number in sorted(rotated(names), reverse=True))
    yield NAME


def rotated(names: Iterable[str]) -> list[int]:
    """The numbers of the rotated files among ``names``."""
    return [int(found[1]) for found in map(_NUMBERED.fullmatch, names) if found]


def listed(folder: int) -> list[str]:
    """The names in the folder open as ``folder``."""
    return os.listdir(folder)


def read_file(folder: int, name: str) -> Lines:
    """Read one file of the journal in the folder open as ``folder``. Raises OSError if it can't be read."""
    if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        return Lines(damage=(Damage("it is not a regular file"),))  # opening a FIFO or a device would have effects
    descriptor = os.open(name, READING | os.O_NOFOLLOW, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return Lines(damage=(Damage("it is not a regular file"),))
        content = file.read(_READ_MAX + 1)
    found = scan(content[:_READ_MAX])
    if len(content) > _READ_MAX:
        unread = Damage(f"it is larger than {_READ_MAX} bytes; the rest was not read")
        return Lines(found.records, damage=(*found.damage, unread))
    return found


def _gaps(records: list[Record]) -> Iterator[Damage]:
    """The places where numbers of records are missing. Those before the first are no problem if the record after them
    is of an earlier boot: rotation drops old files."""
    if records and records[0].seq > 1:
        yield Damage(f"records 1 to {records[0].seq - 1} are missing", records[0])
    for before, after in pairwise(records):
        if after.seq > before.seq + 1:
            yield Damage(f"records {before.seq + 1} to {after.seq - 1} are missing", after)
