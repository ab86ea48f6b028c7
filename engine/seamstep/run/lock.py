"""One run at a time: an flock(2) on a file in the state folder.

The kernel drops the lock when its holder ends, however it ends. The file stays: removing it would let two runs hold
locks on two files of one name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator

from seamstep.base.errors import BusyError, RefusedError

NAME = "lock"


@contextlib.contextmanager
def locked(folder: int, shown: str) -> Iterator[None]:
    """Hold the lock in the folder that is open as ``folder``; ``shown`` names it in messages.

    Raises:
        BusyError: another run holds it; names its process.
        RefusedError: the file can't be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(NAME, flags, 0o600, dir_fd=folder)
    except OSError as error:
        raise RefusedError(f"can't open {shown}/{NAME}: {error.strerror}; nothing was changed") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"another run of seamstep{_holder(descriptor)} holds {shown}/{NAME}; try later") from None
        with contextlib.suppress(OSError):  # the pid is for people; the lock holds without it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(folder: int) -> int | None:
    """The process that holds the lock in the folder that is open as ``folder``, as /proc/locks tells; None if none
    does, or that can't be told.

    Taking the lock to find out would be in the way of a run that begins. The file's device is not compared, because
    some file systems (btrfs) show another one there than stat(2) does: ask whether the process is the one you expect.
    """
    try:
        inode = os.stat(NAME, dir_fd=folder, follow_symlinks=False).st_ino
        with open("/proc/locks", encoding="ascii", errors="replace") as file:
            locks = file.read()
    except OSError:
        return None
    found = re.search(rf"^\d+: FLOCK +ADVISORY +WRITE (\d+) [0-9a-f]+:[0-9a-f]+:{inode} ", locks, re.MULTILINE)
    return int(found[1]) if found else None


def _holder(descriptor: int) -> str:
    found = re.match(rb"([0-9]{1,10})\n", os.pread(descriptor, 32, 0))
    return f" (process {int(found[1])})" if found else ""
