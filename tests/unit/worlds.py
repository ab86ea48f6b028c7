"""Made-up worlds: releases whose images differ in every field that P-SEAMLDR looks at, a host with a P-SEAMLDR, TDs, and
policies. Images are real ones, with real signatures, made once for each way they look."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from hypothesis import strategies as st
from made import GOOD_FEATURES, made_host

from conftest import SIGNER
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
    content = _damaged(pack(_signed(version, look), _module(version, look), "2.0"), look.damage)
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
def _signed(version: ModuleVersion, look: Look) -> bytes:
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
#: Raw. None is below the one before it: see test_a_target_with_less_room_for_what_is_handed_over.
HANDOFF_PAGES = ((13,) * 6, (13, 13, 14, 14, 24, 24))
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
USES_RESERVED = {"fields": (("reserved", b"\2".ljust(24, b"\0")),)}
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
#: Running TDs as the facts have them, and how many are in the making.
TDS: tuple[tuple[int | None, int], ...] = ((0, 0), (0, 0), (0, 0), (3, 0), (3, 1), (1, 1), (None, 0), (None, 2))


# -- worlds


class World(NamedTuple):
    """Releases, and a host.

    ``unfinished`` TDs are in the making from the start; ``creating``: one more is begun before each hop. Where a policy
    says that creation is held back, there are none. ``busy`` is the hop at which TDH.SYS.SHUTDOWN finds the module busy.
    """

    releases: tuple[Release, ...]
    facts: HostFacts
    platform: Platform
    running: bytes
    remaining_updates: int
    layouts: Mapping[ModuleVersion, int]
    unfinished: int = 0
    creating: bool = False
    busy: int | None = None

    def host(self, *, held: bool, kind: type[SimulatedHost] = SimulatedHost) -> SimulatedHost:
        """A fresh host."""
        format_ = IMAGE_FORMATS[self.facts.profile or "mainline"]
        images = {release.version: release.image for release in self.releases if release.image}
        made = kind(
            self.facts,
            {MADE[one.path].sha256_as(format_): version for version, one in images.items()},
            seamldr=Seamldr(self.platform, self.running, self.remaining_updates),
            faults=[None] * self.busy + [Fault(error="firmware-invalid")] if self.busy is not None else (),
            layouts=self.layouts,
            phase_seconds=0,
            epoch=0,
        )
        if not held:
            made.running_tds -= self.unfinished if self.facts.running_tds else 0  # it counts them already
            for _ in range(self.unfinished):
                made.begin_td()
        return made


def ladder(series: str) -> tuple[ModuleVersion, ...]:
    return tuple(ModuleVersion(f"{series}.{update:02}") for update in _UPDATES)


LADDERS = {series: ladder(series) for series in SERIES}
_EVERY = SERIES["1.5"], LADDERS["1.5"]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A ladder with few obstacles and a host with few oddities, so that most worlds permit something."""
    series = draw(st.sampled_from(("1.5",) * 7 + ("2.0",)))
    versions = LADDERS[series][: draw(st.integers(3, 6))]
    looks = _looks(draw, series, len(versions))
    strange = draw(st.sampled_from((0, 0, 0, 1, 1, 2)))
    for _ in range(strange):
        at = draw(st.integers(0, len(versions) - 1))
        looks[at] = looks[at]._replace(**draw(st.sampled_from(IMAGE_ODDITIES)))
    layouts = dict(zip(versions, draw(st.sampled_from(LAYOUTS)), strict=False))
    listed = _mapping(draw, versions, layouts)
    if draw(st.integers(0, 5)) == 0:
        at = draw(st.integers(0, len(versions) - 1))
        looks[at] = looks[at]._replace(**USES_RESERVED)
        listed[at]["minimum_seamldrs"] = (NEW_SEAMLDR,)
    releases = tuple(
        Release(**{"version": version, "image": image(version, look), **values})
        for version, look, values in zip(versions, looks, listed, strict=True)
    )
    start = draw(st.sampled_from((0, 0, 0, 1)))
    return _on_a_host(draw, releases, looks[start], versions[start], layouts)


@functools.cache
def _mostly_first(rows: tuple[T, ...]) -> tuple[T, ...]:
    return rows[:1] * len(rows) + rows


def _looks(draw: st.DrawFn, series: str, count: int) -> list[Look]:
    rows = zip(
        *(draw(st.sampled_from(_mostly_first(rows)))[:count] for rows in (SVNS, HANDOFF_VERSIONS, SIZES, HANDOFF_PAGES)),
        strict=True,
    )
    return [Look(SERIES[series] | svn, *versions, *sizes, handoff=room) for svn, versions, sizes, room in rows]


def _mapping(
    draw: st.DrawFn, versions: tuple[ModuleVersion, ...], layouts: Mapping[ModuleVersion, int]
) -> list[dict[str, Any]]:
    """What the mapping file says of each release. strict_compat_versions lists no source of another layout."""
    back = draw(st.sampled_from((6, 6, 6, 2, 1)))
    how_many = draw(st.sampled_from((6, 6, 1, 0)))
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
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)))):
        listed[draw(st.integers(0, len(versions) - 1))] |= draw(st.sampled_from(MAPPING_ODDITIES))
    return listed


def _on_a_host(
    draw: st.DrawFn,
    releases: tuple[Release, ...],
    running: Look,
    version: ModuleVersion,
    layouts: Mapping[ModuleVersion, int],
) -> World:
    sockets = draw(st.sampled_from((*SOCKETS[:2] * 8, *SOCKETS)))
    online, present, limits = draw(st.sampled_from((GOOD_CPUS,) * 80 + CPU_ODDITIES))
    running_tds, unfinished = draw(st.sampled_from(TDS))
    remaining = draw(st.sampled_from((9, 9, 9, 9, 9, 9, 9, 5, 3, 2, 1, 0)))
    seamldr = draw(st.sampled_from((OLD_SEAMLDR, NEW_SEAMLDR)))
    values = {
        "seamldr_version": seamldr,
        "remaining_updates": remaining,
        "cpu_signatures": tuple(sorted({*sockets})),
        "cpus_online": online,
        "cpus_present": present,
        "cpu_limits": limits,
        "running_tds": running_tds,
        "profile": draw(st.sampled_from(("mainline", "mainline", "mainline", "legacy"))),
        "simulated": False,
        **draw(st.sampled_from(({},) * 90 + HOST_ODDITIES)),
    }
    if values["profile"] == "legacy" and values.get("upload", True):
        values["upload"] = UploadNode("seamldr_upload", "idle")
    addressable = draw(st.sampled_from((PROCESSORS, PROCESSORS, 8)))
    signed = _signed(version, running)
    needed = seam_memory(sigstruct.unpack(signed), addressable, running.module_pages)
    return World(
        releases=releases,
        facts=made_host(version, **values),
        platform=Platform(
            processors=PROCESSORS,
            sockets=sockets,
            seam_range=needed + draw(st.sampled_from((0, 0, PAGE, 8 * PAGE, 1 << 30))),
            addressable=addressable,
            signer=SIGNER.fingerprint,
            debug_unlocked=draw(st.sampled_from((False, False, True))),
            reserved=RESERVED[seamldr],
        ),
        running=signed,
        remaining_updates=remaining,
        layouts=MappingProxyType(dict(layouts)),
        unfinished=unfinished,
        creating=draw(st.booleans()),
        busy=draw(st.sampled_from((None,) * 9 + (0, 1))),
    )


# -- policies

_LEVELS = tuple(Level)
_COSTS = {Level.PREFER: 7}
_SPECIFIERS = tuple(map(Specifier, (">=1.5.3", "1.5.4", "<=1.5.3", "2.0.*")))
_WAIVERS = {name: [Waiver(name, one, "", "", "2099-01-01") for one in _SPECIFIERS] for name in ("td-build", "seam-memory")}
_TARGETS = tuple(map(Target.parse, ("newest",) * 6 + (">=1.5.2", "<=1.5.4", "~=1.5.3")))
_SOURCE = (Source("p", "00" * 32, None),)


def _rules(held: bool, levels: Mapping[str, Level], waived: Mapping[str, tuple[tuple[Waiver, ...], ...]]) -> tuple[AppliedRule, ...]:
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
            rule, levels[rule.name], _COSTS.get(levels[rule.name], 0), waived.get(rule.name, ())
        )
        for rule in rules
        if levels[rule.name] is not Level.OFF
    )


_STRICTLY = tuple(product(_LEVELS, repeat=4))  # the levels of the rules that guard nothing
_GUARDS = (*((Level.REQUIRE, Level.REQUIRE),) * 6, *product(_LEVELS, repeat=2))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """A policy. Every rule has any level, and the two that guard TDX and TDs are mostly required."""
    held = draw(st.sampled_from((False, False, True)))
    td_build, seam_memory_ = draw(st.sampled_from(_GUARDS))
    others = draw(st.sampled_from(_STRICTLY))
    names = ("feature-loss", "minimum-svn", "preproduction", "no-stranding")
    levels = {"td-build": td_build, "seam-memory": seam_memory_, **dict(zip(names, others, strict=True))}
    waived = {}
    if draw(st.integers(0, 5)) == 0:
        name = draw(st.sampled_from(tuple(_WAIVERS)))
        waived[name] = ((draw(st.sampled_from(_WAIVERS[name])),),)
    denied = draw(st.sampled_from((None,) * 9 + _SPECIFIERS[1:]))
    return Policy(
        sources=_SOURCE,
        target=draw(st.sampled_from(_TARGETS)),
        choice=draw(st.sampled_from(tuple(PathChoice))),
        max_hops=draw(st.sampled_from((None, None, None, 1, 2, 3))),
        keep_updates=draw(st.sampled_from((0, 0, 0, 1))),
        rules=_rules(held, levels, waived),
        denials=(Denial(denied, "no"),) if denied else (),
        waypoints=draw(st.sampled_from(((), (), (), (), (), LADDERS["1.5"][2:3]))),
        creation_held=held,
    )
