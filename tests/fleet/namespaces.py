"""System calls for namespaces and mounts that Python 3.11 lacks. All raise OSError."""

from __future__ import annotations

import ctypes
import os
import signal

NEW_MOUNTS, NEW_NAMES, NEW_PROCESSES = 0x20000, 0x4000000, 0x20000000  # CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWPID
BIND, PRIVATE = 0x1000, 0x40000 | 0x4000  # MS_BIND, MS_PRIVATE | MS_REC
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Put this process into new namespaces; a new one of processes begins with its next child."""
    _checked(_libc.unshare(flags), "unshare")


def enter(descriptor: int) -> None:
    """Put this process into the namespace that is open as ``descriptor``."""
    _checked(_libc.setns(descriptor, 0), "setns")


def mount(source: str, target: str, kind: str = "none", flags: int = 0, data: str = "") -> None:
    """mount(8)."""
    words = [word.encode() for word in (source, target, kind)]
    _checked(_libc.mount(*words, ctypes.c_ulong(flags), data.encode() or None), target)


def bind(source: str, target: str) -> None:
    """Let ``source`` be seen at ``target``, which exists."""
    mount(source, target, flags=BIND)


def set_host_name(name: str) -> None:
    """sethostname(2)."""
    _checked(_libc.sethostname(name.encode(), len(name.encode())), "sethostname")


def die_with_parent() -> None:
    """Be killed when the process ends that this one was forked by."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
