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

from seamstep.errors import BusyError, RefusedError

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


def _holder(descriptor: int) -> str:
    found = re.match(rb"([0-9]{1,10})\n", os.pread(descriptor, 32, 0))
    return f" (process {int(found[1])})" if found else ""
