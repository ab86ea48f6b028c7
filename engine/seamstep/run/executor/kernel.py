"""The steps of one upload, and reading the host back after it. Judging the outcome is left to ``outcome``."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable

from seamstep.base.versions import ModuleVersion
from seamstep.host.base import Host, Profile
from seamstep.host.bounded import LIMIT
from seamstep.host.read_facts import module_version, remaining_updates
from seamstep.host.upload import IDLE, UploadPort
from seamstep.run.executor.outcome import IDLE_TIMEOUT, ReadBack

_POLL_FIRST, _POLL_LONGEST = 0.001, 0.010  # seconds
_SLICE = 1.0  # seconds; the longest delay until a wait notices an interrupt


def stage(port: UploadPort, image: bytes, progress: Callable[[int], None]) -> None:
    """Stage ``image``, and compare the bytes that the kernel then holds. On any error the upload is abandoned.

    Args:
        port: the upload node.
        image: the bytes to upload.
        progress: takes the number of staged bytes after each write; its exceptions propagate.

    Raises:
        OSError: an error of the kernel, or EIO if the staged bytes differ from ``image``.
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
    """Commit the staged image.

    Raises:
        OSError: the kernel refused. An error counts as a refusal only while the upload status is idle: otherwise the
            kernel's worker has begun the update, and its outcome has to be read back. A write that does not return in
            time is none: it may still take effect.
    """
    try:
        port.commit()
    except TimeoutError:
        return
    except OSError:
        if is_idle(port):
            raise


def is_idle(port: UploadPort) -> bool:
    """Whether the upload status reads idle; false if it can't be read."""
    try:
        return port.status() == IDLE
    except OSError:
        return False


def is_open(port: UploadPort) -> bool:
    """Whether an upload is open, neither committed nor abandoned; false if that can't be read."""
    try:
        return port.loading()
    except OSError:
        return False


def under_way(port: UploadPort) -> str:
    """The phase of the update that the kernel performs; empty if there is none, or if the upload status can't be
    read."""
    try:
        status = port.status()
    except OSError:
        return ""
    return "" if status == IDLE else status


def abandon(port: UploadPort) -> None:
    """Abandon the upload. Errors are ignored: starting the next upload discards staged bytes as well."""
    with contextlib.suppress(OSError):
        port.abandon()


def version_now(host: Host) -> tuple[ModuleVersion | None, bool, str]:
    """Read the running version.

    Returns:
        The version (None if it can't be read), whether TDX is lost (ENXIO), and the reason why the version can't be
        read (empty if it can).
    """
    try:
        return module_version(host), False, ""
    except OSError as error:
        return None, error.errno == errno.ENXIO, error.strerror or str(error)
    except ValueError as error:
        return None, False, str(error)


def wait_until_idle(host: Host, port: UploadPort, tell: Callable[[str], None]) -> bool:
    """Wait until the upload status reads idle; false after :data:`IDLE_TIMEOUT` seconds.

    ``tell`` takes each new status. Only ``status`` is read, because it is cheap. It is read in intervals, because sysfs
    offers no poll(2) for it.
    """
    slept, pause, last = 0.0, _POLL_FIRST, ""
    while slept < IDLE_TIMEOUT:
        try:
            status = port.status()
            if status != last:
                tell(status)
                last = status
            if status == IDLE:
                return True
        except TimeoutError:
            slept += LIMIT
        except OSError:
            pass
        host.sleep(pause)
        slept += pause
        pause = min(pause * 2, _POLL_LONGEST)
    return False


def read_back(host: Host, port: UploadPort, profile: Profile, *, idle: bool) -> ReadBack:
    """Read version, reported error and remaining updates after a commit; ``idle`` is the result of the wait."""
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
    """Sleep for ``seconds``, or until ``interrupted()``. Returns whether the wait was completed."""
    while seconds > 0 and not interrupted():
        nap = min(seconds, _SLICE)
        host.sleep(nap)
        seconds -= nap
    return not interrupted()


def reason(error: Exception) -> str:
    """The message of ``error``, with a hint for EPERM."""
    if isinstance(error, OSError) and error.errno == errno.EPERM:
        return f"{error.strerror} (writing it needs CAP_SYS_RAWIO)"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
