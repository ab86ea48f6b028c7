"""What is measured: the real mapping file with made-up images of real sizes, hosts, and ladders of any length."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path

from conftest import DAY, FACTS, LATEST, PUBLISHED, SIGNER, TRUSTED, plan_for, published_image
from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.cli.output import to_json
from seamstep.demo.synthetic import Parts, synthetic_module
from seamstep.domain import facts
from seamstep.domain.facts import HostFacts, UploadNode
from seamstep.domain.model import Check, Image, Release, Sigstruct, Verification
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
    """The content of an image whose verification is known; verifying is measured on its own."""

    def __init__(self, *, authentic: bool = True) -> None:
        check = Check("signature", authentic, "" if authentic else "made up to be wrong")
        self._verification = Verification((check,), "00" * 32)

    def verification(self) -> Verification:
        return self._verification

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
    plan = plan_for(spr(), folder)
    assert len(plan.hops) == 2, plan.document
    path.write_text(to_json(plan.document))
    return path


def write_host(root: Path) -> Path:
    """The files of :func:`spr`, for ``--sysroot``: two CPUs as the kernel describes them."""
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


def spr() -> HostFacts:
    """A Sapphire Rapids host that runs 1.5.24 on a mainline kernel."""
    return facts.load(str(FACTS))


def hosts() -> dict[str, HostFacts]:
    """Hosts of all kinds, good ones and some that no update may start on."""
    base = spr()
    legacy = base._replace(profile="legacy")
    newer = legacy._replace(seamldr_version=SeamldrVersion("2.0.00"))
    return {
        "mainline": base,
        "legacy": legacy,
        "SRF": newer._replace(cpu_signatures=(0xA06F3,)),
        "GNR": newer._replace(cpu_signatures=(0xA06D1,), module_version=ModuleVersion("2.0.08")),
        "mixed CPUs": legacy._replace(cpu_signatures=(0x806F8, 0xA06F0)),
        "old P-SEAMLDR": legacy._replace(seamldr_version=SeamldrVersion("1.5.00")),
        "offline CPU": legacy._replace(cpus_online="0-1", cpus_present="0-2"),
        "no update left": legacy._replace(remaining_updates=0),
        "erratum": legacy._replace(cpu_bugs=("seamret_invd_vmcs",)),
        "busy": legacy._replace(upload=UploadNode("tdx_module", "receiving")),
        "little known": legacy._replace(seamldr_version=None, cpu_signatures=None, unknown={}),
    }


def real_releases(folder: Path) -> tuple[Release, ...]:
    """The releases of a catalog, their images verified before."""
    loaded = catalog.load(str(folder / catalog.MAPPING_FILE), str(folder), TRUSTED).releases
    assert all(release.usable_image() for release in loaded)
    return tuple(r._replace(image=r.image._replace(content=Verified())) for r in loaded if r.image)


def flawed(releases: tuple[Release, ...]) -> tuple[Release, ...]:
    """The same with an image missing, one that is not authentic, and one with other handoff versions."""
    first, second, third, *rest = releases
    assert second.image
    assert third.image
    handoff = third.image.sigstruct._replace(module_hv=2, min_update_hv=1)
    return (
        first._replace(image=None),
        second._replace(image=second.image._replace(content=Verified(authentic=False))),
        third._replace(image=third.image._replace(sigstruct=handoff)),
        *rest,
    )


def ladder(length: int) -> tuple[Release, ...]:
    """A series of so many releases; each can be reached from all before it."""
    says = Sigstruct(0, 0x8086, "20260101", "00" * 48, 0x105, 0, 1, 0, True, 13, _CPUS["1.5"], "22" * 32)
    image = Image("x.blob", None, "2.0", 3 * PAGE, PAGE, says, Verified())
    oldest, seamldr = ModuleVersion("1.5.00"), (SeamldrVersion("1.5.00"),)
    versions = (ModuleVersion(f"1.5.{number:02}") for number in range(length))
    return tuple(Release(version, oldest, seamldr, _FEATURES0, (), image) for version in versions)


def climber(length: int) -> HostFacts:
    """A host at the foot of such a ladder, with updates enough to climb it."""
    return spr()._replace(module_version=ModuleVersion("1.5.00"), remaining_updates=length)


def shipped(name: str, length: int = 3) -> Policy:
    """A shipped policy with room for so many hops."""
    return policy_file.load(name, DAY)._replace(max_hops=length)


def as_text(document: object) -> str:
    """As JSON, as the peers take their inputs."""
    return json.dumps(document)
