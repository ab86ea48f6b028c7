#!/usr/bin/env python3
"""A lab of hosts with TDX on one machine: see docs/fleet-lab.md, and ``lab.py --help``."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # the modules are those of the package fleet
    from fleet.commands import main

    sys.exit(main())
