"""Hold shutdown and sleep off while an update is under way, where logind is there to ask.

``systemd-inhibit`` holds a lock for as long as the command it runs: here ``cat`` on a pipe of ours, so that the lock
ends when we close the pipe, and also when we die. Two locks are taken, one inside the other. The blocking one refuses a
shutdown; root may pass over it before systemd 257. The delaying one nobody passes over, and it lasts for the few
seconds that logind grants (InhibitDelayMaxSec=, 5 s), far longer than an update takes.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

_LOGIND = "/run/systemd/seats"  # the folder by which systemd itself tells whether logind runs
_TAKING = 5.0  # seconds that logind may take to grant the locks
_LEAVING = 2.0  # seconds that the locks' holder may take to leave
_READY = b"held"


@contextlib.contextmanager
def inhibited(
    why: str = "a TDX module update is under way", *, path: str | None = None, logind: str = _LOGIND
) -> Iterator[bool]:
    """Hold the locks; yields whether they are held. That they can't be had is no reason not to update.

    ``path`` is where to look for systemd-inhibit and cat, ``logind`` the folder that shows that logind runs.
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
        # A session of its own: what a terminal sends to the foreground (Ctrl-C) must not end the locks.
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
    """Whether ``cat`` runs, which it does once all locks are held: it gives back what it is given."""
    assert holder.stdin is not None and holder.stdout is not None  # noqa: PT018, S101 - both are pipes
    with contextlib.suppress(OSError):
        os.write(holder.stdin.fileno(), _READY)
        readable, _, _ = select.select([holder.stdout], [], [], _TAKING)
        return bool(readable) and os.read(holder.stdout.fileno(), len(_READY)) == _READY
    return False


def _release(holder: subprocess.Popen[bytes]) -> None:
    """Close the pipe, and see that nothing stays behind."""
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
