"""Made-up values for tests of rules and planning: images without files, hosts and ladders that are good by default."""

from __future__ import annotations

from typing import Any

from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.domain.facts import HostFacts, UploadNode
from seamstep.domain.model import Check, Image, Release, Sigstruct, Verification

GOOD_FEATURES = 1 << 47 | 1 << 18 | 1 << 1
SPR, SRF = 0x806F8, 0xA06F0


class Content:
    """Image content that is what the test says."""

    def __init__(self, problem: str | None = None) -> None:
        self.problem = problem

    def verification(self) -> Verification:
        return Verification((Check("signature", self.problem is None, self.problem or ""),), "00" * 32)

    def sha256_as(self, format_: str) -> str:
        return "11" * 32


def made_image(
    cpuid: tuple[int, ...] = (SPR,),
    svn: int = 0x105,
    module_hv: int = 1,
    min_hv: int = 0,
    problem: str | None = None,
    **fields: Any,
) -> Image:
    """An image; ``fields`` are further fields of its sigstruct."""
    says = Sigstruct(0, 0x8086, "20260101", "00" * 48, svn, 0, module_hv, min_hv, True, 13, cpuid, "22" * 32)
    return Image("x.blob", None, "2.0", 12288, 4096, says._replace(**fields), Content(problem))


def made_release(version: str | ModuleVersion, **changes: Any) -> Release:
    values: dict[str, Any] = {
        "minimum_module": ModuleVersion("1.5.00"),
        "minimum_seamldrs": (SeamldrVersion("1.5.00"),),
        "features0": GOOD_FEATURES,
        "strict_compat": (),
        "image": made_image(),
    }
    return Release(ModuleVersion(str(version)), **values | changes)


def made_host(module: str | ModuleVersion = "1.5.01", **changes: Any) -> HostFacts:
    values: dict[str, Any] = {
        "profile": "mainline",
        "module_version": ModuleVersion(str(module)),
        "seamldr_version": SeamldrVersion("1.5.02"),
        "remaining_updates": 9,
        "cpu_signatures": (SPR,),
        "cpus_online": "0-3",
        "cpus_present": "0-3",
        "cpu_limits": (),
        "running_tds": 0,
        "simulated": True,
        "upload": UploadNode("tdx_module", "idle"),
        "cpu_bugs": (),
    }
    return HostFacts(**values | changes)
