"""What is measured: the real mapping file with made-up images of real sizes, hosts, and ladders of any length."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from conftest import DAY, FACTS, LATEST, PUBLISHED, SIGNER, TRUSTED, plan_for, published_image
from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.cli.output import to_json
from seamstep.demo.synthetic import Parts, synthetic_module
from seamstep.domain import facts
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Image, Release, Sigstruct, Verification
from seamstep.image import catalog
from seamstep.image.layout import PAGE
from seamstep.image.pack import pack
from seamstep.policy import policy_file
from seamstep.policy.policy import Policy

_PAGES = 140  # the newer half of the published modules have 109 to 146
_CPUS = {"1.5": (0x806F8, 0xC06F0, 0xA06F0), "2.0": (0xA06D0, 0xA06E0)}
_SVN = {"1.5": 0x10D, "2.0": 0x310}
_FEATURES0 = 1 << 47 | 1 << 18 | 1 << 1


class Verified:
    """The content of an image that is known to be sound; verifying is measured on its own."""

    def verification(self) -> Verification:
        return Verification((), "00" * 32)

    def sha256_as(self, format_: str) -> str:
        return "11" * 32


@functools.cache
def images() -> Mapping[str, bytes]:
    """By version an image of each release in the real mapping file: fields and sizes are those of the published ones
    where they are known."""
    published = {release["version"]: release for release in PUBLISHED["releases"]}
    found = {}
    for release in catalog.load(str(LATEST)).releases:
        version, series = str(release.version), release.version.series
        if version in published:
            found[version] = pack(*published_image(published[version]), "2.0")
        else:
            module = synthetic_module(version, _PAGES)
            found[version] = pack(SIGNER.sigstruct(module, Parts(_CPUS[series], _SVN[series])), module, "2.0")
    return found


def write_catalog(folder: Path) -> Path:
    """The real mapping file and the images, laid out as Intel's repository."""
    folder.mkdir()
    (folder / catalog.MAPPING_FILE).write_bytes(LATEST.read_bytes())
    for version, image in images().items():
        (folder / f"tdx_module_{version}.blob").write_bytes(image)
    return folder


def write_plan(folder: Path, path: Path) -> Path:
    """A plan of two hops that can be applied."""
    plan = plan_for(hosts()["SPR"], folder)
    assert len(plan.hops) == 2, plan.document
    path.write_text(to_json(plan.document))
    return path


def write_host(root: Path) -> Path:
    """The files of a Sapphire Rapids host, for ``--sysroot``: two CPUs as the kernel describes them."""
    cpu = "processor\t: {}\ncpu family\t: 6\nmodel\t\t: 143\nstepping\t: 8\nbugs\t\t: spectre_v1\n\n"
    files = {
        "proc/sys/kernel/hostname": "host-a\n",
        "proc/sys/kernel/random/boot_id": "0b6f3c1e-6f0b-4c55-9d5e-3f1f0a4f7c11\n",
        "proc/sys/kernel/osrelease": "7.2.0\n",
        "proc/cpuinfo": cpu.format(0) + cpu.format(1),
        "sys/devices/system/cpu/online": "0-1\n",
        "sys/devices/system/cpu/present": "0-1\n",
        "sys/devices/faux/tdx_host/version": "1.5.24\n",
        "sys/devices/faux/tdx_host/seamldr_version": "1.5.02\n",
        "sys/devices/faux/tdx_host/num_remaining_updates": "5\n",
        "sys/class/firmware/tdx_module/status": "idle\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def hosts() -> dict[str, HostFacts]:
    """Hosts of two series, and some that no update may start on."""
    spr = facts.load(str(FACTS))
    newer = spr._replace(module_version=ModuleVersion("2.0.08"), seamldr_version=SeamldrVersion("2.0.00"))
    return {
        "SPR": spr,
        "GNR": newer._replace(cpu_signatures=(0xA06D1,)),
        "old P-SEAMLDR": spr._replace(seamldr_version=SeamldrVersion("1.5.00")),
        "offline CPU": spr._replace(cpus_online="0-1", cpus_present="0-2"),
        "hidden CPUs": spr._replace(cpu_limits=("nr_cpus=8",)),
        "little known": spr._replace(seamldr_version=None, cpus_online=None, cpu_limits=None),
    }


def real_releases(folder: Path) -> tuple[Release, ...]:
    """The releases of a catalog, their images verified before."""
    loaded = catalog.load(str(folder / catalog.MAPPING_FILE), str(folder), TRUSTED).releases
    assert all(release.usable_image() for release in loaded)
    return tuple(r._replace(image=r.image._replace(content=Verified())) for r in loaded if r.image)


def ladder(length: int) -> tuple[Release, ...]:
    """A series of so many releases, from 1.5.00 on; each can be reached from all before it."""
    says = Sigstruct(0, 0x8086, "20260101", "00" * 48, 0x105, 0, 1, 0, True, 13, _CPUS["1.5"], "22" * 32)
    image = Image("x.blob", None, "2.0", 3 * PAGE, PAGE, says, Verified())
    versions = [ModuleVersion(f"1.5.{number:02}") for number in range(length)]
    like = Release(versions[0], versions[0], (SeamldrVersion("1.5.00"),), _FEATURES0, strict_compat=(), image=image)
    return tuple(like._replace(version=version) for version in versions)


def climber() -> HostFacts:
    """A host at the foot of such a ladder. Real P-SEAMLDRs permit few updates until the next reboot."""
    return hosts()["SPR"]._replace(module_version=ModuleVersion("1.5.00"), remaining_updates=9, running_tds=0)


def shipped() -> Policy:
    """The shipped policy whose paths are the longest."""
    return policy_file.load("shortest-path", DAY)
