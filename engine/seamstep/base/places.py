"""Where a host has its configuration, and where its catalog is unless that says otherwise."""

from __future__ import annotations

#: The configuration; it need not exist.
CONFIG = "/etc/seamstep/config.yaml"
#: Where packages put the vendor's mapping file and images.
CATALOG = "/usr/lib/firmware/intel/tdx-module"
#: The policy where none is named.
POLICY = "fewest-hops"
