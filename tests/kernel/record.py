#!/usr/bin/env python3
"""Replay the interactions on the real kernel, and keep what it gave."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import machine
import scripts
from guest import BUSYBOX, Guest

OBSERVATIONS = machine.HERE / "observations.json"


def observe(guest: Guest) -> dict[str, Any]:
    """What the kernel gives, script by script."""
    guest.unload()
    program = [sys.executable, Path(scripts.__file__)]
    modules = [f"{BUSYBOX} insmod {machine.DOUBLE}", f"{BUSYBOX} rmmod tdx_host_double"]
    setpriv = ["setpriv", "--bounding-set=-sys_rawio"]
    most: dict[str, Any] = guest.must(*program, *modules, seconds=300).json
    rest: dict[str, Any] = guest.must(*setpriv, *program, *modules, "--without-rawio").json
    return most | rest


def main() -> None:
    guest = Guest(machine.prepared())
    try:
        observed = observe(guest)
    finally:
        guest.close()
    rows = [f"{json.dumps(name)}: {json.dumps(observed[name])}" for name in scripts.SCRIPTS]
    OBSERVATIONS.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    main()
