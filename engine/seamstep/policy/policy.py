"""Policies as values: where to go, in which steps, and which rules to apply."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from seamstep.base.errors import Problem
from seamstep.base.versions import ModuleVersion, Specifier
from seamstep.rules import HARD_RULES, AppliedRule, Denial, Deny, Waypoint

NEWEST = "newest"


class PathChoice(StrEnum):
    """How a policy chooses among the permitted paths."""

    FEWEST_HOPS = "fewest-hops"
    SHORTEST_PATH = "shortest-path"


class Target(NamedTuple):
    """The releases a policy wants to run, the newest of them first: those in every one of ``specifiers``."""

    specifiers: tuple[Specifier, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Target:
        """``newest``, a version, or a specifier. Raises ValueError for anything else."""
        return cls() if text == NEWEST else cls((Specifier(text),))

    @property
    def text(self) -> str:
        """As it was written."""
        return " and ".join(specifier.text for specifier in self.specifiers) or NEWEST

    @property
    def version(self) -> ModuleVersion | None:
        """The one release meant, if it is one."""
        return next((specifier.version for specifier in self.specifiers if specifier.version), None)

    def names(self, version: ModuleVersion) -> bool:
        """Whether ``version`` is among the releases wanted."""
        return all(version in specifier for specifier in self.specifiers)


class Source(NamedTuple):
    """What a policy was read from: its name, its file's SHA-256 in hex, and the file as an absolute path (None for one
    that ships with seamstep)."""

    name: str
    sha256: str
    file: str | None


class Policy(NamedTuple):
    """A policy.

    ``sources`` are what it was read from, one for each layer; ``max_hops`` is None where nothing limits it; ``rules``
    are the policy rules in force, ``denials`` and the waivers in ``rules`` those that have not expired; ``expired``
    tells of the others; ``signers`` are the fingerprints (SHA-256 of the modulus in hex) trusted besides Intel's;
    ``apply`` are the executor's settings, as they stand in plans; ``creation_held`` is the policy's word that no TD is
    created while hops are performed.
    """

    sources: tuple[Source, ...]
    target: Target = Target()
    choice: PathChoice = PathChoice.FEWEST_HOPS
    max_hops: int | None = None
    keep_updates: int = 0
    rules: tuple[AppliedRule, ...] = ()
    denials: tuple[Denial, ...] = ()
    waypoints: tuple[ModuleVersion, ...] = ()
    signers: frozenset[str] = frozenset()
    apply: Mapping[str, Any] = MappingProxyType({})
    creation_held: bool = False
    expired: tuple[Problem, ...] = ()
    description: str = ""

    @property
    def name(self) -> str:
        """The names of all layers."""
        return " + ".join(source.name for source in self.sources)

    @property
    def sha256(self) -> str:
        """The digest of the file, or of all layers' digests in their order, in hex."""
        digests = [source.sha256 for source in self.sources]
        return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()

    def applied_rules(self) -> tuple[AppliedRule, ...]:
        """Every rule in force: the hard ones, the policy's, its denials and its waypoints."""
        hard = tuple(AppliedRule(rule()) for rule in HARD_RULES.values())
        deny = (AppliedRule(Deny(self.denials)),) if self.denials else ()
        waypoint = (AppliedRule(Waypoint(self.waypoints)),) if self.waypoints else ()
        return (*hard, *self.rules, *deny, *waypoint)

    def with_target(self, target: Target) -> Policy:
        """The same policy with another target."""
        return self._replace(target=target)

    def with_signers(self, signers: frozenset[str]) -> Policy:
        """The same policy, trusting these signers too."""
        return self._replace(signers=self.signers | signers)
