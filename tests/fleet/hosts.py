"""The hosts of the lab: what they are called, where they stand, and what they are like at first."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.domain.facts import HostFacts, UploadNode
from seamstep.host.base import MAINLINE

HOSTS_MAX = 200
#: The file of each host, beside its sys and proc, by which the lab changes it.
CONTROL = "control"
RACKS = "abcde"


class Platform(NamedTuple):
    """A kind of hosts: its group in the inventory, and the facts that make it a class of its own."""

    name: str
    signature: int
    module: str
    seamldr: str
    kernel: str


#: Hosts take turns among these. Under the policy shortest-path the first has two steps before it, the others one.
PLATFORMS = (
    Platform("spr", 0x806F8, "1.5.24", "1.5.02", "7.2.0"),
    Platform("emr", 0xC06F2, "1.5.28", "2.0.00", "7.2.0"),
    Platform("gnr", 0xA06D1, "2.0.16", "2.0.00", "7.2.1"),
    Platform("spr", 0x806F8, "1.5.28", "1.5.02", "7.2.0"),
)
_TURNS = (0, 1, 2, 0, 1, 2, 0, 3)


class LabHost(NamedTuple):
    """One host of the lab."""

    name: str
    address: str
    rack: str
    platform: Platform

    def facts(self, boot_id: str) -> HostFacts:
        """What it is like after a boot."""
        return HostFacts(
            hostname=self.name,
            boot_id=boot_id,
            kernel=self.platform.kernel,
            profile=MAINLINE.name,
            module_version=ModuleVersion(self.platform.module),
            seamldr_version=SeamldrVersion(self.platform.seamldr),
            remaining_updates=5,
            cpu_signatures=(self.platform.signature,),
            cpus_online="0-15",
            cpus_present="0-15",
            cpu_limits=(),
            running_tds=0,
            simulated=True,
            upload=UploadNode(MAINLINE.upload_node, "idle"),
            cpu_bugs=(),
        )


def hosts(number: int) -> tuple[LabHost, ...]:
    """The first ``number`` hosts. Racks have the same number of hosts, or nearly, and each platform is in each rack."""
    turns = itertools.cycle(_TURNS)
    return tuple(
        LabHost(f"h{index + 1:02}", f"127.0.1.{index + 1}", RACKS[index * len(RACKS) // number], PLATFORMS[next(turns)])
        for index in range(number)
    )
