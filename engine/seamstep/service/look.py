"""Asking the enabled service to look at the catalog again (``seamstep service look``).

Package managers call this when a package changed the catalog. Nothing is applied here: systemd is asked to start
``seamstep-look.service``, which has ``seamstep.service`` run once, after a run that is under way. Further requests
until then are the same one. A failure is printed and the exit code stays 0, since the installation of a package must
not fail for it.
"""

from __future__ import annotations

import os
import shutil
import time
from typing import NamedTuple

from seamstep.run.hooks import run_hook

#: The folder that is there while systemd runs; see sd_booted(3).
BOOTED = "/run/systemd/system"
UNIT = "seamstep-look.service"
_FIRST = "/proc/1/root/"
_ENABLED = ("seamstep.service", "seamstep.timer")
_TIMEOUT = 30.0  # seconds for all calls of systemctl, since a package manager waits
_YES = {"1", "yes", "y", "true", "t", "on"}  # as systemd reads its variables


class Look(NamedTuple):
    """The result: whether the service was asked to look, and the reason or the result as a sentence."""

    asked: bool
    message: str


def look() -> Look:
    """Ask the service to look, if one of its units is enabled and systemd runs."""
    if not os.path.isdir(BOOTED) or os.environ.get("SYSTEMD_OFFLINE", "").lower() in _YES:
        return Look(False, "systemd does not run here, so there is no service to ask")
    if _in_chroot():
        return Look(False, "this is not the root folder of the running system, so its service is not asked")
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return Look(False, "there is no systemctl, so the service is not asked")
    end = time.monotonic() + _TIMEOUT
    for unit in _ENABLED:  # one by one: of several, one that is missing hides the others
        enabled = run_hook([systemctl, "is-enabled", "--quiet", unit], {}, timeout=_left(end))
        if enabled.code is None or enabled.code < 0:  # no answer, which is neither yes nor no
            return Look(False, f"systemctl {enabled.problem}; the service is not asked")
        if not enabled.code:
            break
    else:
        return Look(False, "neither seamstep.service nor seamstep.timer is enabled, so the service is not asked")
    done = run_hook([systemctl, "start", "--no-block", UNIT], {}, timeout=_left(end))
    if done.problem:
        told = f": {done.output.strip()}" if done.output.strip() else ""
        return Look(False, f"systemctl start {UNIT} {done.problem}{told}; the service looks at its next start")
    return Look(True, "seamstep.service was asked to look at the catalog, within the policy's windows and the hold")


def _left(end: float) -> float:
    return max(end - time.monotonic(), 0.1)


def _in_chroot() -> bool:
    """Whether the root folder is another than that of the first process. A container's is the same, a root folder
    without /proc is that of no running system, and a process that may not compare them is no package manager."""
    try:
        ours, theirs = os.stat("/"), os.stat(_FIRST)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino)
