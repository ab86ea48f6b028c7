"""The values that rules, graph and planner work on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from seamstep.base.errors import InputError, Problem
from seamstep.base.versions import ModuleVersion, SeamldrVersion

if TYPE_CHECKING:
    from seamstep.domain.tcb import Standing

#: SHA-256 of the modulus of the key that signed all TDX modules Intel published; measured on the images.
INTEL_SIGNER = "c821f41f83e0dc73e272852ffc176bcd9ae1e93a4fccec88772c9b4ff2eaa75f"

#: The bit of module_type that marks a debug module.
DEBUG_BIT = 1 << 31

NO_IMAGE = "there is no image of it at hand"


#: The unit of the SEAM range and of a module, in bytes.
_PAGE = 4096
#: Pages of the SEAM range that every module takes: the system information table, and 2 MiB for the module's own pages,
#: however few it has.
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
        keyhole: for each logical processor, addresses at which to map other memory. They need page tables only.
        data: global data and handoff data, once.
    """

    stack: int
    tls: int
    keyhole: int
    data: int

    def larger_than(self, other: SeamRegions) -> tuple[str, ...]:
        """The names of the regions that are larger than those of ``other``.

        If there are none, the module needs no more of the SEAM range than the other, on any number of processors:
        P-SEAMLDR's page tables grow with these regions and with nothing else that differs between modules.
        """
        return tuple(name for name, mine, its in zip(self._fields, self, other, strict=True) if mine > its)


class Sigstruct(NamedTuple):
    """The fields of an image's sigstruct, unverified.

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
        cpuid: ``cpuid_table``, the signatures of the CPUs that the module is for; empty if its size is out of range.
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
        num_keyhole_pages: addresses at which each logical processor maps other memory; raw.
        num_global_data_pages: data that all logical processors share; raw.
        max_tdmrs: the largest number of TD memory regions.
        max_rsvd_per_tdmr: the largest number of reserved areas in one region.
        pamt_entry_size_4k: bytes of metadata for a page of 4 KiB.
        pamt_entry_size_2m: bytes of metadata for a page of 2 MiB.
        pamt_entry_size_1g: bytes of metadata for a page of 1 GiB.
        gdt_idt_offset: the page with the module's descriptor tables; 0 where it has none.
        fault_wrapper_offset: the module's exception handlers; 0 where it has no descriptor tables.
        reserved: bytes 1000 to 1023 in hex. Images of series 2.0 use some of them; the version of P-SEAMLDR decides
            which have to be zero.
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
        """The high byte of seamsvn: TEE_TCB_SVN[1]. P-SEAMLDR refuses 0, and updates that change it."""
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
                rounded up to a power of two, times the sockets. The host may have fewer.
        """
        regions = self.seam_regions
        once = _SYSTEM_PAGES + _CODE_PAGES + regions.data
        return _PAGE * (once + processors * (_VMCS_PAGES + regions.stack + regions.tls))


class Check(NamedTuple):
    """One check of an image.

    Attributes:
        name: the name of the check.
        ok: the result; None if the check could not be made.
        message: the fault, or the reason why the check could not be made.
    """

    name: str
    ok: bool | None
    message: str = ""


class Verification:
    """The outcome of verifying an image.

    Attributes:
        checks: all checks.
        problems: a text for each check that is not ok; the image must not be used if there are any.
        sha256: the SHA-256 of the image's file in hex.
    """

    __slots__ = ("checks", "problems", "sha256")

    def __init__(self, checks: tuple[Check, ...], sha256: str) -> None:
        self.checks = checks
        self.problems = tuple(f"{check.name}: {check.message}" for check in checks if not check.ok)
        self.sha256 = sha256


class ImageContent(Protocol):
    """The bytes of an image, which are read only when a method is called."""

    def verification(self) -> Verification:
        """The outcome of all checks; computed once."""
        ...

    def sha256_as(self, format_: str) -> str:
        """The SHA-256 in hex of the image in the format ``2.0`` or ``1.0``."""
        ...


class Image(NamedTuple):
    """A TDX module image.

    Attributes:
        path: the file of the image, or of the module if the sigstruct is in a file of its own.
        sigstruct_path: the file of the sigstruct, if it has one of its own.
        format: ``2.0``, ``1.0`` or ``separate``.
        size: the size of all files in bytes.
        module_size: the size of the module in bytes.
        sigstruct: the fields of the sigstruct.
        content: the bytes, for verification and conversion.
    """

    path: str
    sigstruct_path: str | None
    format: str
    size: int
    module_size: int
    sigstruct: Sigstruct
    content: ImageContent


class Release(NamedTuple):
    """A TDX module release as the mapping file describes it, with its image where there is one.

    A running module that the mapping file lacks is a release of which only the version is known.

    Attributes:
        version: the release's version.
        minimum_module: the oldest module that can be updated to the release.
        minimum_seamldrs: the oldest P-SEAMLDR of each major.minor that can load the release.
        features0: the bits of TDX_FEATURES0.
        strict_compat: ``strict_compat_versions``; None in mapping files from before that field existed.
        image: the image, if there is one.
        image_problem: the reason why ``image`` is None.
        extra: the keys of the release that seamstep does not know, with their values.
        tcb: what each TCB Info document says of the release; None if there is none at hand.
    """

    version: ModuleVersion
    minimum_module: ModuleVersion | None = None
    minimum_seamldrs: tuple[SeamldrVersion, ...] = ()
    features0: int | None = None
    strict_compat: tuple[ModuleVersion, ...] | None = None
    image: Image | None = None
    image_problem: str = NO_IMAGE
    extra: Mapping[str, Any] = MappingProxyType({})
    tcb: tuple[Standing, ...] | None = None

    def __hash__(self) -> int:
        return hash(self.version)  # a mapping, such as ``extra``, has no hash

    def usable_image(self) -> Image | None:
        """The image, if there is one and all its checks are ok."""
        return self.image if self.image and not self.image.content.verification().problems else None

    def why_no_image(self) -> str:
        """The reason why there is no usable image."""
        problems = self.image.content.verification().problems if self.image else ()
        return "; ".join(problems) or self.image_problem


#: The most releases of one series that are judged. Intel's longest series has twelve. The number of steps to judge
#: grows with the square of the releases.
LADDER_MAX = 500


def ladders(releases: Iterable[Release]) -> dict[str, list[Release]]:
    """The releases of each series, ascending; the last of several with the same version counts.

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
    """The part of a graph that rules may use to look beyond their step."""

    def cut_off(self, source: ModuleVersion, target: ModuleVersion) -> tuple[ModuleVersion, ...]:
        """The releases newer than ``target`` that can be reached from ``source`` and no longer from ``target``."""
        ...


class Step(NamedTuple):
    """One possible update, from ``source`` to ``target``. ``outlook`` is None for a step outside a graph."""

    source: Release
    target: Release
    outlook: Outlook | None = None

    def __str__(self) -> str:
        return f"{self.source.version} → {self.target.version}"


class Outcome(StrEnum):
    """A rule's answer on a step. UNKNOWN blocks, so that a missing fact never permits an update."""

    PASS = "pass"  # noqa: S105 - not a password
    BLOCK = "block"
    UNKNOWN = "unknown"


class Verdict(NamedTuple):
    """A rule's answer on one step, with its grounds.

    Attributes:
        rule: the rule's name.
        outcome: the answer.
        reason: the grounds for people.
        evidence: the grounds for programs, JSON-able.
    """

    rule: str
    outcome: Outcome
    reason: str
    evidence: Mapping[str, Any] = MappingProxyType({})

    def to_document(self) -> dict[str, Any]:
        """The verdict as plans have it."""
        return {
            "rule": self.rule,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "evidence": dict(self.evidence or {}),
        }
