"""One run at a time: an flock(2) on a file in the state folder.

The kernel releases the lock when its holder exits or is killed. The file is never removed: otherwise two runs could
hold locks on two files of the same name.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator

from seamstep.base.documents import check_kind
from seamstep.base.errors import BusyError, RefusedError

NAME = "lock"


@contextlib.contextmanager
def locked(folder: int, shown: str) -> Iterator[None]:
    """Context manager that holds the lock of the state folder.

    Args:
        folder: a descriptor of the state folder.
        shown: the folder's path, for messages.

    Raises:
        BusyError: another run holds the lock; the message names its process.
        RefusedError: the lock file can't be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        with contextlib.suppress(FileNotFoundError):
            check_kind(os.stat(NAME, dir_fd=folder, follow_symlinks=False))
        descriptor = os.open(NAME, flags, 0o600, dir_fd=folder)
    except OSError as error:
        raise RefusedError(f"can't open {shown}/{NAME}: {error.strerror}; nothing was changed") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"another run of seamstep{_holder(descriptor)} holds {shown}/{NAME}; try later") from None
        with contextlib.suppress(OSError):  # the pid is for messages only; the lock holds without it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(descriptor)


def holder(folder: int) -> int | None:
    """The process that holds the lock of the state folder, from /proc/locks; None if the lock is free or its holder
    is not known.

    ``folder`` is a descriptor of the state folder. The lock itself is not tried, because that would make a run that
    begins at the same moment fail. Only the inode is compared: on some file systems (btrfs) the device in /proc/locks
    differs from that of stat(2). A caller therefore compares the result with the process that it expects.
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
