"""The values that rules, graph and planner work on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from seamstep.base.errors import InputError, Problem
from seamstep.base.versions import ModuleVersion, SeamldrVersion

#: SHA-256 of the modulus that signed all TDX modules which Intel published; measured on the images.
INTEL_SIGNER = "c821f41f83e0dc73e272852ffc176bcd9ae1e93a4fccec88772c9b4ff2eaa75f"

#: The bit of module_type that marks a debug module.
DEBUG_BIT = 1 << 31

NO_IMAGE = "there is no image of it at hand"


#: The unit of the SEAM range and of a module, in bytes.
_PAGE = 4096
#: Pages of the SEAM range that every module takes: the system information table, and 2 MiB for the module's own pages
#: however many there are.
_SYSTEM_PAGES = 1
_CODE_PAGES = 512
#: The page that holds a logical processor's VMCS.
_VMCS_PAGES = 1


class SeamRegions(NamedTuple):
    """The pages of 4 KiB in the regions of the SEAM range whose size depends on the module.

    Source: P-SEAMLDR source, ``initialize_memory_constants()``.

    Attributes:
        stack: for each logical processor, stack and shadow stack.
        tls: for each logical processor, its local data.
        keyhole: for each logical processor, addresses to map other memory at. They take no memory but page tables.
        data: global data and handoff data, once.
    """

    stack: int
    tls: int
    keyhole: int
    data: int

    def larger_than(self, other: SeamRegions) -> tuple[str, ...]:
        """The names of the regions that are larger than those of ``other``.

        With none, the module needs no more of the SEAM range than the other, on any number of processors: P-SEAMLDR's
        page tables grow with these regions and with nothing else that differs between modules.
        """
        return tuple(name for name, mine, its in zip(self._fields, self, other, strict=True) if mine > its)


class Sigstruct(NamedTuple):
    """The fields of an image's sigstruct, as they stand there; none has been verified.

    Page counts are raw: a module has one page more than each says. Sizes of header and key are in words of 4 bytes,
    offsets in bytes from the start of the module. The defaults are the values of Intel's images of series 1.5, or 0.
    Source: P-SEAMLDR source, ``seam_sigstruct_t``.

    Attributes:
        module_type: bit 31 marks a debug module; the other bits are zero.
        vendor: ``module_vendor``, a PCI vendor id.
        build_date: ``date`` as yyyymmdd.
        mrseam: ``seamhash`` in hex, the SHA-384 of the module: the MRSEAM of attestation.
        seamsvn: the security version; see ``svn_minor`` and ``svn_major``.
        attributes: zero.
        module_hv: the handoff version that the module writes.
        min_update_hv: the lowest handoff version that the module reads.
        no_downgrade: whether the module declares downgrades forbidden.
        handoff_pages: ``num_handoff_pages``, room for the data that is handed to the next module; raw.
        cpuid: ``cpuid_table``, the signatures of the CPUs that the module is for; empty if it claims too many.
        signer: SHA-256 of the modulus in hex.
        header_type: the type of a firmware header, 6.
        header_length: the words before the signed body.
        header_version: 0x10000.
        size: the size of the sigstruct.
        key_size: the size of the key.
        modulus_size: the size of the modulus.
        exponent_size: the size of the exponent.
        exponent: the public exponent.
        rip_offset: the entry point of the module.
        num_stack_pages: stack for each logical processor; raw.
        num_tls_pages: local data for each logical processor; raw.
        num_keyhole_pages: addresses for each logical processor to map other memory at; raw.
        num_global_data_pages: data that all logical processors share; raw.
        max_tdmrs: the most TD memory regions that the module takes.
        max_rsvd_per_tdmr: the most reserved areas in each of these.
        pamt_entry_size_4k: bytes of metadata for a page of 4 KiB.
        pamt_entry_size_2m: bytes of metadata for a page of 2 MiB.
        pamt_entry_size_1g: bytes of metadata for a page of 1 GiB.
        gdt_idt_offset: the page with the module's descriptor tables; 0 where it has none.
        fault_wrapper_offset: its exception handlers; 0 where it has no descriptor tables.
        reserved: bytes 1000 to 1023 in hex. Images of series 2.0 use some; which ones have to be zero depends on
            P-SEAMLDR's version.
    """

    module_type: int
    vendor: int
    build_date: str
    mrseam: str
    seamsvn: int
    attributes: int
    module_hv: int
    min_update_hv: int
    no_downgrade: bool
    handoff_pages: int
    cpuid: tuple[int, ...]
    signer: str
    header_type: int = 6
    header_length: int = 0xE1
    header_version: int = 0x10000
    size: int = 0x200
    key_size: int = 0x60
    modulus_size: int = 0x60
    exponent_size: int = 1
    exponent: int = 65537
    rip_offset: int = 0
    num_stack_pages: int = 1
    num_tls_pages: int = 1
    num_keyhole_pages: int = 127
    num_global_data_pages: int = 21
    max_tdmrs: int = 64
    max_rsvd_per_tdmr: int = 16
    pamt_entry_size_4k: int = 16
    pamt_entry_size_2m: int = 16
    pamt_entry_size_1g: int = 16
    gdt_idt_offset: int = 0
    fault_wrapper_offset: int = 0
    reserved: str = "00" * 24

    @property
    def debug(self) -> bool:
        """Whether this is a debug module."""
        return bool(self.module_type & DEBUG_BIT)

    @property
    def svn_major(self) -> int:
        """The high byte of seamsvn: TEE_TCB_SVN[1]. P-SEAMLDR refuses 0, and an update that changes it."""
        return self.seamsvn >> 8

    @property
    def svn_minor(self) -> int:
        """The low byte of seamsvn: TEE_TCB_SVN[0], isvsvn in Intel's TCB Info."""
        return self.seamsvn & 0xFF

    @property
    def identity(self) -> str:
        """The id of the TDX module identity in Intel's TCB Info, such as TDX_01."""
        return f"TDX_{self.svn_major:02X}"

    @property
    def seam_regions(self) -> SeamRegions:
        """The regions of the SEAM range that the page counts describe, in real pages."""
        return SeamRegions(
            stack=self.num_stack_pages + 2,
            tls=self.num_tls_pages + 1,
            keyhole=self.num_keyhole_pages + 1,
            data=self.num_global_data_pages + 1 + self.handoff_pages + 1,
        )

    def seam_memory(self, processors: int) -> int:
        """The bytes of the SEAM range that the module needs, without page tables.

        Page tables come on top, less than 5 % with Intel's values. To compare modules, use ``SeamRegions.larger_than``,
        which covers them.

        Args:
            processors: addressable logical processors, as P-SEAMLDR counts them: those of a socket by CPUID leaf 4,
                rounded up to a power of two, times the sockets. There may be fewer real ones.
        """
        regions = self.seam_regions
        once = _SYSTEM_PAGES + _CODE_PAGES + regions.data
        return _PAGE * (once + processors * (_VMCS_PAGES + regions.stack + regions.tls))


class Check(NamedTuple):
    """One check of an image: ``ok`` is None where it could not be made; ``message`` says what is wrong or missing."""

    name: str
    ok: bool | None
    message: str = ""


class Verification:
    """The outcome of verifying an image: every check, what of it stands against using the image, and the SHA-256 of its
    file in hex."""

    __slots__ = ("checks", "problems", "sha256")

    def __init__(self, checks: tuple[Check, ...], sha256: str) -> None:
        self.checks = checks
        self.problems = tuple(f"{check.name}: {check.message}" for check in checks if not check.ok)
        self.sha256 = sha256


class ImageContent(Protocol):
    """The bytes behind an image, asked only when they matter."""

    def verification(self) -> Verification:
        """All checks; computed once."""
        ...

    def sha256_as(self, format_: str) -> str:
        """The SHA-256 in hex of the image in the format ``2.0`` or ``1.0``."""
        ...


class Image(NamedTuple):
    """A TDX module image. ``format`` is ``2.0``, ``1.0`` or ``separate`` (``path`` is the module then, and
    ``sigstruct_path`` its sigstruct); sizes are in bytes."""

    path: str
    sigstruct_path: str | None
    format: str
    size: int
    module_size: int
    sigstruct: Sigstruct
    content: ImageContent


class Release(NamedTuple):
    """A TDX module release as the mapping file describes it, with its image where there is one.

    A running module that the mapping file lacks is a release of which only the version is known. ``strict_compat`` is
    None in mapping files from before that field existed. ``image_problem`` tells why ``image`` is None.
    """

    version: ModuleVersion
    minimum_module: ModuleVersion | None = None
    minimum_seamldrs: tuple[SeamldrVersion, ...] = ()
    features0: int | None = None
    strict_compat: tuple[ModuleVersion, ...] | None = None
    image: Image | None = None
    image_problem: str = NO_IMAGE
    extra: Mapping[str, Any] = MappingProxyType({})

    def __hash__(self) -> int:
        return hash(self.version)  # what is extra has no hash

    def usable_image(self) -> Image | None:
        """The image, if there is one and nothing stands against it."""
        return self.image if self.image and not self.image.content.verification().problems else None

    def why_no_image(self) -> str:
        """Why there is no usable image."""
        problems = self.image.content.verification().problems if self.image else ()
        return "; ".join(problems) or self.image_problem


#: The most releases of one series that are judged. Intel's longest series has twelve; each more takes as many steps as
#: there are releases.
LADDER_MAX = 500


def ladders(releases: Iterable[Release]) -> dict[str, list[Release]]:
    """The releases of each series, ascending; of several with one version the last counts.

    Raises:
        InputError: a series has more than ``LADDER_MAX`` releases.
    """
    known = {release.version: release for release in releases}
    found: dict[str, list[Release]] = {}
    for version in sorted(known):
        found.setdefault(version.series, []).append(known[version])
    for series, ladder in found.items():
        if len(ladder) > LADDER_MAX:
            message = f"series {series} has {len(ladder)} releases; at most {LADDER_MAX} are judged: take some out"
            raise InputError(Problem("the mapping file", message))
    return found


class Outlook(Protocol):
    """What a graph can tell a rule about the steps after this one."""

    def cut_off(self, source: ModuleVersion, target: ModuleVersion) -> tuple[ModuleVersion, ...]:
        """The releases newer than ``target`` that can be reached from ``source`` and no longer from ``target``."""
        ...


class Step(NamedTuple):
    """One possible update, from one release to another; ``outlook`` is None where no graph stands behind it."""

    source: Release
    target: Release
    outlook: Outlook | None = None

    def __str__(self) -> str:
        return f"{self.source.version} → {self.target.version}"


class Outcome(StrEnum):
    """What a rule says of a step. UNKNOWN blocks: a fact that is missing never lets an update through."""

    PASS = "pass"  # noqa: S105 - not a password
    BLOCK = "block"
    UNKNOWN = "unknown"


class Verdict(NamedTuple):
    """A rule's answer on one step: ``reason`` for people, ``evidence`` (JSON-able) for programs."""

    rule: str
    outcome: Outcome
    reason: str
    evidence: Mapping[str, Any] = MappingProxyType({})

    def to_document(self) -> dict[str, Any]:
        """As it stands in a plan."""
        return {
            "rule": self.rule,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "evidence": dict(self.evidence or {}),
        }
