"""One run at a time on a host, whichever state folders the runs use. The locks are flock(2):

- on the file ``lock`` in the state folder, which guards the journal; a simulated host has no other;
- on the host's attribute with the remaining updates, which only root can open; it is in sysfs, so it needs no new file
  and is common to all that share this sysfs, also below ``--sysroot``;
- on ``/run/seamstep/lock``, where there is ``/run``: each network namespace may have a sysfs with inodes, and so locks,
  of its own, as in a service with PrivateNetwork=.

The kernel releases a lock when its holder exits or is killed. No file is ever removed: otherwise two runs could hold
locks on two files of the same name.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterator

from seamstep.base.documents import check_kind
from seamstep.base.errors import BusyError, RefusedError
from seamstep.host.base import PROFILES, Host, Profile
from seamstep.run.journal import open_folder

NAME = "lock"
_RUN = "/run"
_RUN_FOLDER = f"{_RUN}/seamstep"
_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


@contextlib.contextmanager
def locked(folder: int, shown: str) -> Iterator[None]:
    """Context manager that holds the lock of a folder.

    Args:
        folder: a descriptor of the folder.
        shown: the folder's path, for messages.

    Raises:
        BusyError: another run holds the lock; the message names its process.
        RefusedError: the lock file can't be opened.
    """
    try:
        descriptor = _open(folder)
    except OSError as error:
        raise RefusedError(f"can't open {shown}/{NAME}: {error.strerror}; nothing was changed") from None
    with _held(descriptor, f"{shown}/{NAME}"):
        with contextlib.suppress(OSError):  # the pid is for messages only; the lock holds without it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        yield


@contextlib.contextmanager
def host_locked(host: Host, profile: str | None) -> Iterator[None]:
    """Context manager that holds the locks of a host, which do not depend on the state folder.

    Args:
        host: the host; a simulated one has no lock.
        profile: the host's sysfs layout; None if there is no interface for updates, and so nothing to lock.

    Raises:
        BusyError: another run holds a lock; the message names its process.
    """
    with contextlib.ExitStack() as stack:
        if host.sysroot is not None and profile is not None:
            root = host.sysroot.rstrip("/")
            stack.enter_context(_interface_locked(root, PROFILES[profile]))
            stack.enter_context(_run_locked(root))
        yield


@contextlib.contextmanager
def _interface_locked(root: str, profile: Profile) -> Iterator[None]:
    """Hold the lock of the interface for updates: of the attribute that only root can open, so that no other user can
    hold updates up. The upload node stands in where there is none; a host without both can't be updated."""
    for path in (root + profile.remaining_updates, root + profile.upload_path):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            break
    else:
        yield
        return
    with _held(descriptor, path):
        yield


@contextlib.contextmanager
def _run_locked(root: str) -> Iterator[None]:
    """Hold the lock in /run below ``root``. There is none where that folder is missing or can't be written to."""
    folder = None
    try:
        if os.path.isdir(f"{root}{_RUN}"):
            folder = open_folder(f"{root}{_RUN_FOLDER}", create=True)
        descriptor = None if folder is None else _open(folder)
    except OSError:
        descriptor = None
    finally:
        if folder is not None:
            os.close(folder)
    with contextlib.nullcontext() if descriptor is None else _held(descriptor, f"{root}{_RUN_FOLDER}/{NAME}"):
        yield


def _open(folder: int) -> int:
    """A descriptor of the lock file in a folder, which is created if missing."""
    try:
        with contextlib.suppress(FileNotFoundError):
            check_kind(os.stat(NAME, dir_fd=folder, follow_symlinks=False))
        return os.open(NAME, _FLAGS | os.O_RDWR | os.O_CREAT, 0o600, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        return os.open(NAME, _FLAGS | os.O_RDONLY, dir_fd=folder)  # flock(2) does not write


@contextlib.contextmanager
def _held(descriptor: int, shown: str) -> Iterator[None]:
    """Lock the file that is open as ``descriptor``, and close it in the end."""
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            process = _holder_of(os.fstat(descriptor).st_ino)
            named = "" if process is None else f" (process {process})"
            raise BusyError(f"another run of seamstep{named} holds {shown}; try later") from None
        yield
    finally:
        os.close(descriptor)


def holder(folder: int) -> int | None:
    """The process that holds the lock of the state folder; None if the lock is free or its holder is not known.

    ``folder`` is a descriptor of the state folder. The lock itself is not tried, because that would make a run that
    begins at the same moment fail. A caller compares the result with the process that it expects.
    """
    try:
        return _holder_of(os.stat(NAME, dir_fd=folder, follow_symlinks=False).st_ino)
    except OSError:
        return None


def _holder_of(inode: int) -> int | None:
    """The process that holds a lock on ``inode``, from /proc/locks. Only the inode is compared: on some file systems
    (btrfs) the device in /proc/locks differs from that of stat(2)."""
    try:
        with open("/proc/locks", encoding="ascii", errors="replace") as file:
            locks = file.read()
    except OSError:
        return None
    found = re.search(rf"^\d+: FLOCK +ADVISORY +WRITE (\d+) [0-9a-f]+:[0-9a-f]+:{inode} ", locks, re.MULTILINE)
    return int(found[1]) if found else None
