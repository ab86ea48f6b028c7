"""Whether the user who runs ``seamstep apply`` can update the host."""

from __future__ import annotations

import argparse
import os
import re

from seamstep.base.errors import RefusedError
from seamstep.cli import options as shared


def refuse_user(options: argparse.Namespace) -> None:
    """Raise RefusedError on the real host unless the process is root and has CAP_SYS_RAWIO."""
    if options.simulate or not shared.is_real(options):
        return
    if os.geteuid() != 0:
        raise RefusedError(
            "an update needs root: the P-SEAMLDR's version is readable by root only, and staging an image takes"
            " CAP_SYS_RAWIO; use sudo, or --simulate to rehearse a saved plan"
        )
    if not _has_rawio():
        raise RefusedError(
            "this root lacks CAP_SYS_RAWIO, which staging an image takes: a container or a service's"
            " CapabilityBoundingSet= took it away"
        )


def _has_rawio() -> bool:
    """Whether the effective capabilities hold CAP_SYS_RAWIO, 17 in linux/capability.h. True if they can't be read: the
    kernel decides then."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            status = file.read()
    except OSError:
        return True
    found = re.search(r"^CapEff:\t([0-9a-f]+)$", status, re.MULTILINE)
    return not found or bool(int(found[1], 16) >> 17 & 1)
