"""The values that rules, graph and planner work on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from seamstep.versions import ModuleVersion, SeamldrVersion


@dataclass(frozen=True, slots=True)
class Image:
    """What a TDX module image says of itself.

    ``format`` is the header's version field (0x200); ``cpuid`` the CPU signatures of the sigstruct's table;
    ``mrseam`` the sigstruct's SEAMHASH in hex, the MRSEAM of attestation; ``seamsvn`` the raw 16-bit field, low byte
    TEE_TCB_SVN[0], high byte TEE_TCB_SVN[1]; ``sha256`` the digest of the whole file in hex.
    """

    path: str
    format: int
    size: int
    sha256: str
    mrseam: str
    seamsvn: int
    cpuid: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Release:
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
    image_problem: str = "there is no image of it at hand"
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Step:
    """One possible update, from one release to another."""

    source: Release
    target: Release

    def __str__(self) -> str:
        return f"{self.source.version} → {self.target.version}"


class Outcome(StrEnum):
    """What a rule says of a step. UNKNOWN blocks: a fact that is missing never lets an update through."""

    PASS = "pass"  # noqa: S105 - not a password
    BLOCK = "block"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A rule's answer on one step: ``reason`` for people, ``evidence`` (JSON-able) for programs."""

    rule: str
    outcome: Outcome
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def to_document(self) -> dict[str, Any]:
        """As it stands in a plan."""
        return {
            "rule": self.rule,
            "outcome": self.outcome.value,
            "reason": self.reason,
            "evidence": dict(self.evidence),
        }
