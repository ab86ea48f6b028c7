"""Made-up worlds: releases whose images differ in every field that P-SEAMLDR looks at, a host with a P-SEAMLDR and TDs,
and policies. Images are real ones, with real signatures; each is made once."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, time
from itertools import product
from random import Random
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from made import GOOD_FEATURES, made_host

from conftest import DAY, SIGNER
from seamstep.base.versions import ModuleVersion, SeamldrVersion, Specifier
from seamstep.demo.synthetic import Parts, Signer, synthetic_module
from seamstep.domain.facts import IMAGE_FORMATS, HostFacts, UploadNode
from seamstep.domain.model import Image, Release, Verification
from seamstep.host.seamldr import Platform, Seamldr, seam_memory
from seamstep.host.simulated import Fault, SimulatedHost
from seamstep.image import files, layout, sigstruct, verify
from seamstep.image.layout import MODULE_OFFSET, PAGE
from seamstep.image.pack import pack
from seamstep.policy.policy import PathChoice, Policy, Source, Target
from seamstep.rules import AppliedRule, Denial, Level, Rule, Waiver
from seamstep.rules.feature_loss import FeatureLoss
from seamstep.rules.minimum_svn import MinimumSvn
from seamstep.rules.no_stranding import NoStranding
from seamstep.rules.preproduction import Preproduction
from seamstep.rules.seam_memory import SeamMemory
from seamstep.rules.td_build import TdBuild

T = TypeVar("T")

OTHER_SIGNER = Signer()
#: Image verification trusts both, so that it is left to the rules whose key a host takes.
TRUSTED = frozenset({SIGNER.fingerprint, OTHER_SIGNER.fingerprint})
SPR, EMR, SRF = 0x806F8, 0xC06F2, 0xA06F3
SERIES = {"1.5": 0x100, "2.0": 0x300}
OLD_SEAMLDR, NEW_SEAMLDR = SeamldrVersion("1.5.02"), SeamldrVersion("1.5.03")
#: The newer P-SEAMLDR gives a meaning to bytes of the sigstruct that the older one wants to be zero.
RESERVED = {OLD_SEAMLDR: Platform._field_defaults["reserved"], NEW_SEAMLDR: (slice(40, 128), slice(978, 984))}
PROCESSORS = 4


# -- images


class Look(NamedTuple):
    """What an image looks like. ``fields`` are raw fields of its sigstruct besides those that have a place here;
    ``damage`` is done to it once it is signed."""

    svn: int
    module_hv: int = 1
    min_update_hv: int = 0
    stack: int = 1
    tls: int = 1
    keyhole: int = 127
    data: int = 21
    handoff: int = 13
    cpuid: tuple[int, ...] = (SPR, EMR)
    module_pages: int = 1
    signer: Signer = SIGNER
    fields: tuple[tuple[str, Any], ...] = ()
    damage: str = ""


class Content:
    """The bytes of an image, in memory."""

    def __init__(self, content: bytes) -> None:
        self.bytes = content
        self._verification: Verification | None = None

    def verification(self) -> Verification:
        if self._verification is None:
            checks = verify.all_checks(memoryview(self.bytes), None, TRUSTED)
            self._verification = Verification(checks, self.sha256_as("2.0"))
        return self._verification

    def sha256_as(self, format_: str) -> str:
        return hashlib.sha256(self.upload(format_)).hexdigest()

    @functools.cache  # noqa: B019 - images are kept anyway
    def upload(self, format_: str) -> bytes:
        return files.repack("an image", memoryview(self.bytes), None, format_)


#: Every image that was made, by its path.
MADE: dict[str, Content] = {}


@functools.cache
def image(version: ModuleVersion, look: Look) -> Image | None:
    """The image of a release; None if a catalog would not take it for one."""
    content = _damaged(pack(signed(version, look), _module(version, look), "2.0"), look.damage)
    structure = layout.of(memoryview(content))
    if not structure.sound:
        return None
    path = f"/images/{len(MADE)}/tdx_module_{version}.blob"
    MADE[path] = Content(content)
    return Image(
        path=path,
        sigstruct_path=None,
        format="2.0",
        size=len(content),
        module_size=len(content) - MODULE_OFFSET,
        sigstruct=sigstruct.parse(bytes(structure.sigstruct)),
        content=MADE[path],
    )


@functools.cache
def signed(version: ModuleVersion, look: Look) -> bytes:
    sizes = {
        "num_stack_pages": look.stack,
        "num_tls_pages": look.tls,
        "num_keyhole_pages": look.keyhole,
        "num_global_data_pages": look.data,
    }
    parts = Parts(
        cpuid=look.cpuid,
        seamsvn=look.svn,
        module_hv=look.module_hv,
        min_update_hv=look.min_update_hv,
        handoff_pages=look.handoff,
        fields=sizes | dict(look.fields),
    )
    return look.signer.sigstruct(_module(version, look), parts)


def _module(version: ModuleVersion, look: Look) -> bytes:
    return synthetic_module(str(version), look.module_pages)


#: Where one byte is wrong after the signature was made, by what is wrong then.
DAMAGES = {
    "hash": MODULE_OFFSET + 5,
    "signature": PAGE + 600,
    "signed": PAGE + 964,
    "checksum": 2,
    "length": 12,
    "header": 100,
    "padding": PAGE + 3000,
}


def _damaged(content: bytes, damage: str) -> bytes:
    if not damage:
        return content
    at = DAMAGES[damage]
    wrong = bytearray(content)
    wrong[at] ^= 0x40
    return bytes(wrong)


# -- what there is to draw from: each row has a value for each release in turn

_UPDATES = range(1, 7)
SVNS = ((5, 6, 7, 8, 9, 10), (5, 5, 5, 5, 5, 5), (5, 6, 6, 5, 7, 7), (5, 4, 6, 6, 6, 7))
HANDOFF_VERSIONS = (
    ((1, 0),) * 6,
    ((0, 0), (0, 0), (0, 0), (1, 0), (1, 0), (1, 1)),
    ((1, 0), (1, 1), (2, 1), (2, 2), (3, 2), (3, 3)),
    ((2, 0), (1, 0), (1, 1), (2, 0), (2, 0), (4, 3)),
)
#: Stack, TLS, keyhole, data.
SIZES = (
    ((1, 1, 127, 21),) * 6,
    ((1, 1, 127, 21), (1, 1, 127, 22), (1, 1, 127, 22), (1, 1, 127, 24), (1, 2, 127, 24), (1, 2, 127, 24)),
    ((2, 2, 200, 40), (2, 2, 127, 33), (1, 2, 127, 33), (1, 1, 127, 21), (1, 1, 127, 21), (0, 0, 60, 21)),
    ((1, 1, 127, 21), (1, 1, 127, 20), (1, 2, 127, 21), (2, 1, 127, 21), (1, 1, 700, 21), (1, 1, 127, 21)),
)
#: Raw. None is below the one before it; test_a_target_with_less_room_for_what_is_handed_over says why.
HANDOFF_PAGES = ((13,) * 6, (13, 13, 14, 14, 24, 24), (14, 13, 13, 24, 13, 12))
LAYOUTS = ((0,) * 6, (0, 0, 1, 1, 2, 2), (0, 1, 2, 3, 4, 5), (0, 0, 0, 0, 0, 1), (0, 1, 0, 1, 0, 1))
IMAGE_ODDITIES: tuple[dict[str, Any], ...] = (
    {"svn": 0x104},
    {"svn": 0x004},
    {"svn": 0x209},
    {"svn": 0x1FF},
    {"module_hv": 0, "min_update_hv": 0},
    {"module_hv": 4, "min_update_hv": 2},
    {"module_hv": 1, "min_update_hv": 2},
    {"stack": 3},
    {"tls": 0},
    {"tls": 9},
    {"keyhole": 900},
    {"data": 90},
    {"stack": 0, "tls": 0, "keyhole": 0, "data": 0},
    {"cpuid": (0x806F1,)},
    {"cpuid": (EMR,)},
    {"cpuid": (SRF,)},
    {"cpuid": (SRF, SPR)},
    {"cpuid": ()},
    {"module_pages": 3},
    {"module_pages": 2, "fields": (("fault_wrapper_offset", 2 * PAGE - 512),)},
    {"module_pages": 2, "fields": (("fault_wrapper_offset", 2 * PAGE - 511),)},
    {"module_pages": 2, "fields": (("gdt_idt_offset", 2 * PAGE),)},
    {"module_pages": 2, "fields": (("gdt_idt_offset", 8),)},
    {"module_pages": 2, "fields": (("gdt_idt_offset", 0),)},
    {"signer": OTHER_SIGNER},
    {"fields": (("module_type", 1 << 31),)},
    {"fields": (("module_type", 1 << 31),), "cpuid": ()},
    {"fields": (("module_type", 1),)},
    {"fields": (("module_vendor", 0x1022),)},
    {"fields": (("header_type", 7),)},
    {"fields": (("header_length", 0xE0),)},
    {"fields": (("header_version", 0),)},
    {"fields": (("size", 0x201),)},
    {"fields": (("key_size", 0x40),)},
    {"fields": (("modulus_size", 0x40),)},
    {"fields": (("exponent_size", 2),)},
    {"fields": (("exponent", 3),)},
    {"fields": (("attributes", 1 << 40),)},
    {"fields": (("cpuid_table_size", 256),)},
    {"fields": (("no_downgrade", 0),)},
    {"fields": (("date", 0x2026010A),)},
    *({"damage": damage} for damage in DAMAGES),
)
USES_RESERVED: dict[str, Any] = {"fields": (("reserved", b"\2".ljust(24, b"\0")),)}
MAPPING_ODDITIES: tuple[dict[str, Any], ...] = (
    {"minimum_module": ModuleVersion("1.5.03")},
    {"minimum_module": None},
    {"minimum_seamldrs": (SeamldrVersion("2.0.00"),)},
    {"minimum_seamldrs": (SeamldrVersion("1.5.01"), SeamldrVersion("2.0.00"))},
    {"minimum_seamldrs": ()},
    {"features0": GOOD_FEATURES ^ 1 << 47},
    {"features0": GOOD_FEATURES ^ 1 << 18},
    {"features0": GOOD_FEATURES ^ 1 << 1},
    {"features0": None},
    {"strict_compat": ()},
    {"strict_compat": None},
    {"image": None},
)
#: Each with the online and present CPUs and the words that hide CPUs, as facts say, and the online CPUs that there are.
GOOD_CPUS: tuple[Any, ...] = ("0-3", "0-3", ())
CPU_ODDITIES: tuple[tuple[Any, ...], ...] = (
    ("0-2", "0-3", ()),
    ("0,2-3", "0-3", ("maxcpus=3",)),
    ("0-1", "0-1", ("nr_cpus=2",)),
    ("0-2", "0-2", ("possible_cpus=3",)),
    ("0-3", "0-3", ("nr_cpus=64",)),
    ("0-1", "0-1", None),
    ("0-3", "0-3", None),
    ("0-3", None, ()),
    (None, "0-3", ()),
)
HOST_ODDITIES: tuple[dict[str, Any], ...] = (
    {"remaining_updates": None},
    {"seamldr_version": None},
    {"seamldr_version": SeamldrVersion("1.5.00")},
    {"cpu_signatures": None},
    {"cpu_bugs": ("seamret_invd_vmcs",)},
    {"cpu_bugs": None},
    {"upload": UploadNode("tdx_module", "transferring")},
    {"upload": UploadNode("tdx_module", None)},
    {"upload": None},
    {"profile": "interim"},
    {"profile": None},
)
SOCKETS: tuple[tuple[int, ...], ...] = ((SPR,), (SPR, SPR), (0x806F4, SPR), (SPR, EMR), (EMR,), (SRF,), (SPR, SRF))
HOSTS = (*[dict[str, Any]()] * 90, *HOST_ODDITIES)
#: Running TDs as the facts have them, and how many are in the making.
TDS: tuple[tuple[int | None, int], ...] = ((0, 0), (0, 0), (0, 0), (3, 0), (3, 1), (1, 1), (None, 0), (None, 2))


# -- worlds


class World(NamedTuple):
    """Releases, and a host.

    Attributes:
        releases: ascending.
        looks: what the image of each release looks like, in the same order.
        facts: what can be read of the host.
        platform: what P-SEAMLDR knows of it.
        running: what the running module's image looked like when it was whole.
        remaining_updates: how many there are, whether or not that can be read.
        unfinished: TDs in the making at first; none where a policy says that creation is held back.
        layouts: the layout of each module's hashing contexts.
        creating: one more TD is begun before each hop, unless a policy says that creation is held back.
        busy: the hop at which TDH.SYS.SHUTDOWN finds the module busy.
    """

    releases: tuple[Release, ...]
    looks: tuple[Look, ...]
    facts: HostFacts
    platform: Platform
    running: Look
    remaining_updates: int
    unfinished: int
    layouts: Mapping[ModuleVersion, int]
    creating: bool = False
    busy: int | None = None

    def __repr__(self) -> str:
        """What of it is out of the ordinary."""
        lines = [
            f"{one.version}: {_unlike(Look(0), look)}, {_unlike(Release(one.version), one._replace(image=None))}"
            + ", no image" * (one.image is None)
            for one, look in zip(self.releases, self.looks, strict=True)
        ]
        more = {name: getattr(self, name) for name in World._fields[5:]}
        host = [_unlike(made_host(), self.facts), repr(self.platform), str(more)]
        return "World(\n  " + "\n  ".join(lines + host) + "\n)"

    def host(self, *, held: bool, kind: type[SimulatedHost] = SimulatedHost) -> SimulatedHost:
        """A fresh host."""
        format_ = IMAGE_FORMATS[self.facts.profile or "mainline"]
        images = {release.version: release.image for release in self.releases if release.image}
        made = kind(
            self.facts,
            {MADE[one.path].sha256_as(format_): version for version, one in images.items()},
            seamldr=Seamldr(self.platform, self._sigstruct(), self.remaining_updates),
            faults=[None] * self.busy + [Fault(error="firmware-invalid")] if self.busy is not None else (),
            layouts=self.layouts,
            phase_seconds=0,
            epoch=datetime.combine(DAY, time(12), UTC).timestamp(),
        )
        if not held:
            made.running_tds -= self.unfinished if self.facts.running_tds else 0  # it counts them already
            for _ in range(self.unfinished):
                made.begin_td()
        return made

    def _sigstruct(self) -> bytes:
        assert self.facts.module_version
        return signed(self.facts.module_version, self.running)


def _unlike(usual: Any, this: Any) -> str:
    """The fields of a tuple that are not the usual ones."""
    named = zip(usual._fields, usual, this, strict=True)
    return ", ".join(f"{name}={value!r}" for name, other, value in named if value != other)


def ladder(series: str) -> tuple[ModuleVersion, ...]:
    return tuple(ModuleVersion(f"{series}.{update:02}") for update in _UPDATES)


LADDERS = {series: ladder(series) for series in SERIES}


def make_world(
    rng: Random,
    odd_images: tuple[dict[str, Any], ...] = IMAGE_ODDITIES,
    numbers: tuple[int, ...] = (0, 0, 0, 1, 1, 2),
    cpus: tuple[tuple[Any, ...], ...] = (GOOD_CPUS,) * 80 + CPU_ODDITIES,
    tds: tuple[tuple[int | None, int], ...] = TDS,
) -> World:
    """A ladder with few obstacles and a host with few oddities, so that most worlds permit something.

    Args:
        odd_images: what images may have that others don't.
        numbers: how many may.
        cpus: what the CPUs may be, and ``tds`` the TDs.
    """
    series = rng.choice(("1.5",) * 7 + ("2.0",))
    versions = LADDERS[series][: rng.choice((3, 4, 5, 6))]
    looks = _looks(rng, series, len(versions))
    for _ in range(rng.choice(numbers)):
        at = rng.randrange(len(versions))
        looks[at] = looks[at]._replace(**rng.choice(odd_images))
    layouts = dict(zip(versions, rng.choice(LAYOUTS), strict=False))
    listed = _mapping(rng, versions, layouts)
    if rng.randrange(6) == 0:
        at = rng.randrange(len(versions))
        looks[at] = looks[at]._replace(**USES_RESERVED)
        listed[at]["minimum_seamldrs"] = (NEW_SEAMLDR,)
    releases = tuple(
        Release(**{"version": version, "image": image(version, look), **values})
        for version, look, values in zip(versions, looks, listed, strict=True)
    )
    world = World(releases, tuple(looks), *_host(rng, versions, looks, cpus, tds), layouts=MappingProxyType(layouts))
    return world._replace(creating=rng.choice((False, True)), busy=rng.choice((None,) * 9 + (0, 1)))


@functools.cache
def _mostly_first(rows: tuple[T, ...]) -> tuple[T, ...]:
    return rows[:1] * len(rows) + rows


def _looks(rng: Random, series: str, count: int) -> list[Look]:
    svns, versions = rng.choice(_mostly_first(SVNS)), rng.choice(_mostly_first(HANDOFF_VERSIONS))
    sizes, rooms = rng.choice(_mostly_first(SIZES)), rng.choice(_mostly_first(HANDOFF_PAGES))
    rows = zip(svns[:count], versions, sizes, rooms, strict=False)
    return [
        Look(SERIES[series] | svn, high, low, stack, tls, keyhole, data, room)
        for svn, (high, low), (stack, tls, keyhole, data), room in rows
    ]


def _mapping(
    rng: Random, versions: tuple[ModuleVersion, ...], layouts: Mapping[ModuleVersion, int]
) -> list[dict[str, Any]]:
    """What the mapping file says of each release. strict_compat_versions lists no source of another layout."""
    back = rng.choice((6, 6, 6, 2, 1))
    how_many = rng.choice((6, 6, 1, 0))
    listed = []
    for at, version in enumerate(versions):
        alike = [older for older in versions[:at] if layouts[older] == layouts[version]]
        listed.append(
            {
                "minimum_module": versions[max(at - back, 0)],
                "minimum_seamldrs": (OLD_SEAMLDR,),
                "features0": GOOD_FEATURES,
                "strict_compat": tuple(alike[len(alike) - how_many if how_many < len(alike) else 0 :]),
            }
        )
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        listed[rng.randrange(len(versions))] |= rng.choice(MAPPING_ODDITIES)
    return listed


def _host(
    rng: Random,
    versions: tuple[ModuleVersion, ...],
    looks: list[Look],
    cpus: tuple[tuple[Any, ...], ...],
    tds: tuple[tuple[int | None, int], ...],
) -> tuple[HostFacts, Platform, Look, int, int]:
    """Facts, platform, the running module, updates that remain, and TDs in the making."""
    start = rng.choice((0, 0, 0, 1))
    sockets = rng.choice((*SOCKETS[:2] * 8, *SOCKETS))
    online, present, limits = rng.choice(cpus)
    running_tds, unfinished = rng.choice(tds)
    remaining = rng.choice((9, 9, 9, 9, 9, 9, 9, 5, 3, 2, 1, 0))
    seamldr = rng.choice((OLD_SEAMLDR, NEW_SEAMLDR))
    values = {
        "seamldr_version": seamldr,
        "remaining_updates": remaining,
        "cpu_signatures": tuple(sorted({*sockets})),
        "cpus_online": online,
        "cpus_present": present,
        "cpu_limits": limits,
        "running_tds": running_tds,
        "profile": rng.choice(("mainline", "mainline", "mainline", "legacy")),
        "simulated": False,
        **rng.choice(HOSTS),
    }
    if values["profile"] == "legacy" and values.get("upload", True):
        values["upload"] = UploadNode("seamldr_upload", "idle")
    addressable = rng.choice((PROCESSORS, PROCESSORS, 8))
    needed = seam_memory(
        sigstruct.unpack(signed(versions[start], looks[start])), addressable, looks[start].module_pages
    )
    platform = Platform(
        processors=PROCESSORS,
        sockets=sockets,
        seam_range=needed + rng.choice((0, 0, PAGE, 8 * PAGE, 1 << 30)),
        addressable=addressable,
        signer=SIGNER.fingerprint,
        debug_unlocked=rng.choice((False, False, True)),
        reserved=RESERVED[seamldr],
    )
    return made_host(versions[start], **values), platform, looks[start], remaining, unfinished


# -- policies

_LEVELS = tuple(Level)
_SPECIFIERS = tuple(map(Specifier, (">=1.5.3", "1.5.4", "<=1.5.3", "2.0.*")))
_WAIVERS = {
    name: [Waiver(name, one, "", "", "2099-01-01") for one in _SPECIFIERS] for name in ("td-build", "seam-memory")
}
_TARGETS = tuple(map(Target.parse, ("newest",) * 6 + (">=1.5.2", "<=1.5.4", "~=1.5.3")))
SOURCE = (Source("p", "00" * 32, None),)


def _rules(
    held: bool, levels: Mapping[str, Level], waived: Mapping[str, tuple[tuple[Waiver, ...], ...]]
) -> tuple[AppliedRule, ...]:
    rules: tuple[Rule, ...] = (
        TdBuild(held),
        FeatureLoss(),
        SeamMemory(),
        MinimumSvn(0x106),
        Preproduction(),
        NoStranding(),
    )
    return tuple(
        AppliedRule(
            rule=rule,
            level=levels[rule.name],
            cost=7 if levels[rule.name] is Level.PREFER else 0,
            waivers=waived.get(rule.name, ()),
        )
        for rule in rules
        if levels[rule.name] is not Level.OFF
    )


_STRICTLY = tuple(product(_LEVELS, repeat=4))  # the levels of the rules that guard nothing
GUARDS: tuple[tuple[Level, Level], ...] = (*((Level.REQUIRE, Level.REQUIRE),) * 6, *product(_LEVELS, _LEVELS))


def make_policy(
    rng: Random,
    guards: tuple[tuple[Level, Level], ...] = GUARDS,
    accepted: tuple[str, ...] = ("", "", "", "", "", *_WAIVERS),
) -> Policy:
    """A policy. Every rule has any level, and the two that guard TDX and TDs are mostly required.

    Args:
        guards: the levels that td-build and seam-memory may have.
        accepted: the rules of which some release may be accepted; empty for none.
    """
    held = rng.choice((False, False, True))
    td_build, seam_memory_ = rng.choice(guards)
    others = rng.choice(_STRICTLY)
    names = ("feature-loss", "minimum-svn", "preproduction", "no-stranding")
    levels = {"td-build": td_build, "seam-memory": seam_memory_, **dict(zip(names, others, strict=True))}
    name = rng.choice(accepted)
    waived = {name: ((rng.choice((_WAIVERS[name])),),)} if name else {}
    denied = rng.choice((None,) * 9 + _SPECIFIERS[1:])
    return Policy(
        sources=SOURCE,
        target=rng.choice(_TARGETS),
        choice=rng.choice(tuple(PathChoice)),
        max_hops=rng.choice((None, None, None, 1, 2, 3)),
        keep_updates=rng.choice((0, 0, 0, 1)),
        rules=_rules(held, levels, waived),
        denials=(Denial(denied, "no"),) if denied else (),
        waypoints=rng.choice(((), (), (), (), (), LADDERS["1.5"][2:3])),
        creation_held=held,
    )
