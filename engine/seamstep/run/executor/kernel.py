"""The steps of one upload, and what the host says after it. Nothing here decides."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable

from seamstep.base.versions import ModuleVersion
from seamstep.host.base import Host, Profile
from seamstep.host.read_facts import module_version, remaining_updates
from seamstep.host.upload import IDLE, UploadPort
from seamstep.run.executor.outcome import IDLE_TIMEOUT, ReadBack

_POLL_FIRST, _POLL_LONGEST = 0.001, 0.010  # seconds
_SLICE = 1.0  # seconds; how long a wait may overlook that it was interrupted


def stage(port: UploadPort, image: bytes, progress: Callable[[int], None]) -> None:
    """Stage ``image`` and read back what the kernel holds. On any trouble nothing stays staged.

    Raises:
        OSError: as the kernel does, or EIO if it does not hold the image.
        KeyboardInterrupt: from ``progress``.
    """
    port.start()
    try:
        port.stage(image, progress)
        _compare(port, image)
    except BaseException:
        abandon(port)
        raise


def _compare(port: UploadPort, image: bytes) -> None:
    if port.staged(len(image) + 1) != image:
        raise OSError(errno.EIO, "the kernel does not hold the bytes that were written")


def commit(port: UploadPort) -> None:
    """Commit what was staged. That the kernel gives an error is taken for a no only where it is idle: otherwise its
    worker has something to do, and what comes of that has to be seen. Raises OSError."""
    try:
        port.commit()
    except OSError:
        if is_idle(port):
            raise


def is_idle(port: UploadPort) -> bool:
    """Whether the kernel's worker is known to have nothing to do."""
    try:
        return port.status() == IDLE
    except OSError:
        return False


def abandon(port: UploadPort) -> None:
    """Drop what was staged, if that can be done."""
    with contextlib.suppress(OSError):
        port.abandon()


def version_now(host: Host) -> tuple[ModuleVersion | None, bool, str]:
    """The running version, whether TDX is lost, and why the version can't be read."""
    try:
        return module_version(host), False, ""
    except OSError as error:
        return None, error.errno == errno.ENXIO, error.strerror or str(error)
    except ValueError as error:
        return None, False, str(error)


def wait_until_idle(host: Host, port: UploadPort, tell: Callable[[str], None]) -> bool:
    """Whether the kernel's worker came to its end. Only ``status`` is read: it is cheap, and can't be polled."""
    slept, pause, last = 0.0, _POLL_FIRST, ""
    while slept < IDLE_TIMEOUT:
        with contextlib.suppress(OSError):
            status = port.status()
            if status != last:
                tell(status)
                last = status
            if status == IDLE:
                return True
        host.sleep(pause)
        slept += pause
        pause = min(pause * 2, _POLL_LONGEST)
    return False


def read_back(host: Host, port: UploadPort, profile: Profile, *, idle: bool) -> ReadBack:
    """What the host says after a commit."""
    version, lost, unreadable = version_now(host)
    reported: str | None = None
    unreported = ""
    try:
        reported = port.error()
    except OSError as error:
        unreported = error.strerror or str(error)
    remaining = None if version is None else remaining_updates(host, profile)
    return ReadBack(version, lost, unreadable, reported, unreported, idle, remaining)


def wait(host: Host, seconds: float, interrupted: Callable[[], bool]) -> bool:
    """Sleep for ``seconds``; whether nobody interrupted that."""
    while seconds > 0 and not interrupted():
        nap = min(seconds, _SLICE)
        host.sleep(nap)
        seconds -= nap
    return not interrupted()


def reason(error: Exception) -> str:
    """An error in a few words."""
    if isinstance(error, OSError) and error.errno == errno.EPERM:
        return f"{error.strerror} (writing it needs CAP_SYS_RAWIO)"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
