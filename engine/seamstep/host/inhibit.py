"""Inhibit shutdown and sleep while an update is under way, on hosts with systemd-logind.

``systemd-inhibit`` holds a lock until the command that it runs exits. The command is ``cat``, which reads a pipe of
this process: the lock ends when the pipe is closed, and also when the process is killed.

Two locks are taken, one inside the other:

- mode ``block`` refuses a shutdown. Before systemd 257 root can override it.
- mode ``delay`` can't be overridden. It lasts for as long as logind grants (InhibitDelayMaxSec=, default 5 s), far
  longer than an update takes.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

_LOGIND = "/run/systemd/seats"  # exists while logind runs; systemd's logind_running() tests it too
_TAKING = 5.0  # seconds that logind may take to grant the locks
_LEAVING = 2.0  # seconds that systemd-inhibit may take to exit
_READY = b"held"


@contextlib.contextmanager
def inhibited(
    why: str = "a TDX module update is under way", *, path: str | None = None, logind: str = _LOGIND
) -> Iterator[bool]:
    """Context manager that holds the locks; yields whether they are held. An update goes on without them.

    Args:
        why: the reason that logind shows to users.
        path: the search path for systemd-inhibit and cat; None for ``PATH``.
        logind: a folder that exists while logind runs.
    """
    holder = _hold(why, path, logind)
    try:
        yield holder is not None
    finally:
        if holder is not None:
            _release(holder)


def _hold(why: str, path: str | None, logind: str) -> subprocess.Popen[bytes] | None:
    inhibit, cat = shutil.which("systemd-inhibit", path=path), shutil.which("cat", path=path)
    if inhibit is None or cat is None or not Path(logind).is_dir():
        return None
    lock = [inhibit, "--who=seamstep", f"--why={why}"]
    block = [*lock, "--mode=block", "--what=shutdown:sleep:handle-power-key:handle-suspend-key", cat]
    try:
        # A new session, so that signals of the terminal (Ctrl-C) do not end the locks.
        holder = subprocess.Popen(  # noqa: S603
            [*lock, "--mode=delay", "--what=shutdown:sleep", *block],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None
    held = False
    try:
        held = _answers(holder)
    finally:
        if not held:
            _release(holder)
    return holder if held else None


def _answers(holder: subprocess.Popen[bytes]) -> bool:
    """Whether ``cat`` echoes a message. systemd-inhibit starts it only once all locks are held."""
    assert holder.stdin is not None and holder.stdout is not None  # noqa: PT018, S101 - both are pipes
    with contextlib.suppress(OSError):
        os.write(holder.stdin.fileno(), _READY)
        readable, _, _ = select.select([holder.stdout], [], [], _TAKING)
        return bool(readable) and os.read(holder.stdout.fileno(), len(_READY)) == _READY
    return False


def _release(holder: subprocess.Popen[bytes]) -> None:
    """Close the pipe, wait for the processes to exit, and kill them after a time-out."""
    with contextlib.suppress(OSError):
        if holder.stdin is not None:
            holder.stdin.close()
    try:
        holder.wait(_LEAVING)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(holder.pid, 9)
        with contextlib.suppress(subprocess.TimeoutExpired):
            holder.wait(_LEAVING)
    if holder.stdout is not None:
        holder.stdout.close()
