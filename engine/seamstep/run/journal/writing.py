"""Writing the journal. A record is on disk when :meth:`Journal.append` returns."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from seamstep.run.journal.reading import ASIDE, KEPT, MOVED_ASIDE, NAME, listed, read, read_file, rotated
from seamstep.run.journal.record import TORN, Lines, Record, count, line
from seamstep.run.journal.recorded_host import SIMULATED, RecordedHost

ROTATE_AT = 256 << 10  # bytes; a file of at least this size is rotated when the next run or hop begins


class Journal:
    """The journal, open for one run to write to. Must be used under the lock.

    Args:
        folder: a descriptor of the state folder; must stay open.
        boot_id: the present boot.
        monotonic: returns seconds on the host's monotonic clock.
        wall: returns seconds since the epoch.
        host: the host, as records name it; None for the real one.

    Attributes:
        transaction: the id of this run, 16 hexadecimal digits.
        boot_id: the present boot.
        notes: remarks for the user, such as that a corrupt file was moved aside.
        history: the records from before this run.

    Raises:
        OSError: the journal can't be opened for writing.
    """

    def __init__(
        self,
        folder: int,
        boot_id: str,
        monotonic: Callable[[], float],
        wall: Callable[[], float],
        host: RecordedHost | None = None,
    ) -> None:
        self.transaction = os.urandom(8).hex()
        self.boot_id = boot_id
        self._host = host or RecordedHost(boot_id)
        self.notes: list[str] = []
        self._folder, self._monotonic, self._wall = folder, monotonic, wall
        self._torn = 0
        self._ended = True
        self.history = read(folder)
        self._seq = max((record.seq for record in self.history.records), default=0)
        aside = self._move_aside()
        self._rotate_if_large()
        self._descriptor = self._open()
        if aside:
            self.append(MOVED_ASIDE, name=aside[0], message=aside[1])

    def append(self, event: str, **details: Any) -> None:
        """Write a record and wait until it is on disk.

        Raises:
            OSError: writing failed; the file may hold the record, a part of it, or nothing of it.
        """
        mend = b"" if self._ended else b"\n"
        if self._torn:
            mend += self._line(self._seq + 1, TORN, {"bytes": self._torn})
        self._write(mend, self._line(self._seq + 1 + bool(self._torn), event, details))

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def put_away_if_large(self) -> None:
        """Rotate the file if it is large. Must not be called between a commit and the record of its outcome.

        Raises:
            OSError: the files can't be renamed, or the new one can't be created.
        """
        if os.fstat(self._descriptor).st_size >= ROTATE_AT:
            before = self._descriptor
            self._rotate_if_large()
            self._descriptor = self._open()
            os.close(before)

    def _line(self, seq: int, event: str, details: Mapping[str, Any]) -> bytes:
        common = {
            "seq": seq,
            "transaction": self.transaction,
            "boot_id": self.boot_id,
            "host": self._host.to_document(),
            "time": datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="milliseconds"),
            "monotonic": round(self._monotonic(), 3),
            "event": event,
        }
        return line(common, details)

    def _write(self, mend: bytes, rest: bytes) -> None:
        data, done = mend + rest, 0
        try:
            while done < len(data):
                taken = os.write(self._descriptor, data[done:])
                if taken <= 0:
                    raise OSError(errno.EIO, "no byte was taken")
                done += taken
        finally:
            self._account(data[:done], mended=done >= len(mend))
        os.fsync(self._descriptor)

    def _account(self, written: bytes, *, mended: bool) -> None:
        """Note how the file ends after ``written`` was appended, so that the next record can end a torn line.

        ``mended`` is whether an earlier torn line is ended by now.
        """
        if not written:
            return
        rest = written.rpartition(b"\n")[2]
        self._seq += count(written)
        self._torn = len(rest) + (0 if mended else self._torn)
        self._ended = not rest

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            return os.open(NAME, flags, dir_fd=self._folder)
        except FileNotFoundError:
            descriptor = os.open(NAME, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=self._folder)
        os.fsync(descriptor)
        os.fsync(self._folder)
        return descriptor

    def _move_aside(self) -> tuple[str, str] | None:
        """Rename a corrupt file to a free name. Returns that name and the defect; None if the file is usable."""
        try:
            file = read_file(self._folder, NAME)
            wrong = file.corrupt
        except FileNotFoundError:
            return None
        except OSError as error:
            wrong, file = f"can't be read: {error.strerror or error}", Lines()
        if not wrong:
            self._torn, self._ended = file.torn, file.ended
            return None
        stamp = datetime.fromtimestamp(self._wall(), UTC).strftime("%Y%m%dT%H%M%S")
        taken = set(listed(self._folder))
        names = (f"{ASIDE}{stamp}Z{suffix}" for suffix in ("", *(f"-{number}" for number in range(1, 1000))))
        name = next(name for name in names if name not in taken)
        os.rename(NAME, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        os.fsync(self._folder)
        self.notes.append(f"the journal was corrupt ({wrong}); it was moved aside to {name}, and a new one begun")
        return name, wrong

    def _may_drop(self, newer: int, number: int) -> bool:
        """Whether the oldest rotated file can go: it is of rehearsals and earlier boots of this host alone, and so is
        the beginning of the ``newer`` one, which then proves that no record of this boot is missing before it."""
        oldest, following = (read_file(self._folder, f"{NAME}.{one}") for one in (number, newer))
        first = next((record for record in following.records if not self._host.other(record)), None)
        return (
            not oldest.damage
            and all(self._is_past(record) or not SIMULATED.other(record) for record in oldest.records)
            and first is not None
            and self._is_past(first)
        )

    def _is_past(self, record: Record) -> bool:
        return not self._host.other(record) and record.boot_id != self.boot_id

    def _rotate_if_large(self) -> None:
        """Rotate the files if the present one is large. Each file up to the first free number gets the next number. Of
        the files beyond :data:`KEPT`, those of earlier boots are dropped, the oldest first."""
        with contextlib.suppress(FileNotFoundError):
            if os.stat(NAME, dir_fd=self._folder, follow_symlinks=False).st_size < ROTATE_AT:
                return
            taken = set(rotated(listed(self._folder)))
            while len(taken) >= KEPT and self._may_drop(*sorted(taken)[-2:]):
                os.unlink(f"{NAME}.{max(taken)}", dir_fd=self._folder)
                taken.remove(max(taken))
            free = next(number for number in itertools.count(1) if number not in taken)
            for number in range(free, 0, -1):
                before = f"{NAME}.{number - 1}" if number > 1 else NAME
                os.rename(before, f"{NAME}.{number}", src_dir_fd=self._folder, dst_dir_fd=self._folder)
            os.fsync(self._folder)
            self._torn, self._ended = 0, True
