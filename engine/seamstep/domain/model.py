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


class Sigstruct(NamedTuple):
    """What an image's sigstruct says.

    ``build_date`` is yyyymmdd; ``mrseam`` the SEAMHASH in hex, the MRSEAM of attestation; ``seamsvn`` the raw 16-bit
    field; ``module_hv`` and ``min_update_hv`` the handoff versions; ``cpuid`` the CPU signatures that the module is
    for; ``signer`` the SHA-256 of the modulus in hex. Source: P-SEAMLDR source, ``seam_sigstruct_t``.
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

    @property
    def debug(self) -> bool:
        """Whether this is a debug module."""
        return bool(self.module_type & DEBUG_BIT)

    @property
    def svn_major(self) -> int:
        """The high byte of seamsvn: TEE_TCB_SVN[1]. P-SEAMLDR refuses an update that changes it."""
        return self.seamsvn >> 8

    @property
    def svn_minor(self) -> int:
        """The low byte of seamsvn: TEE_TCB_SVN[0], isvsvn in Intel's TCB Info."""
        return self.seamsvn & 0xFF

    @property
    def identity(self) -> str:
        """The id of the TDX module identity in Intel's TCB Info, such as TDX_01."""
        return f"TDX_{self.svn_major:02X}"


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
