"""Policies as values: the target, the choice of path, the limits and the rules."""

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
    """The measure by which a policy chooses among the permitted paths."""

    FEWEST_HOPS = "fewest-hops"
    SHORTEST_PATH = "shortest-path"


class Target(NamedTuple):
    """The releases that a policy wants, preferably the newest: those in each of ``specifiers``, any if it is empty."""

    specifiers: tuple[Specifier, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Target:
        """The target for ``newest``, a version or a specifier. Raises ValueError for any other text."""
        return cls() if text == NEWEST else cls((Specifier(text),))

    @property
    def text(self) -> str:
        """The target as the policy has it."""
        return " and ".join(specifier.text for specifier in self.specifiers) or NEWEST

    @property
    def version(self) -> ModuleVersion | None:
        """The version, if the target is a single release."""
        return next((specifier.version for specifier in self.specifiers if specifier.version), None)

    def names(self, version: ModuleVersion) -> bool:
        """Whether the policy wants ``version``."""
        return all(version in specifier for specifier in self.specifiers)


class Source(NamedTuple):
    """The origin of a policy.

    Attributes:
        name: the policy's name.
        sha256: the SHA-256 of its file in hex.
        file: the absolute path of its file; None for a policy that ships with seamstep.
    """

    name: str
    sha256: str
    file: str | None


class Expired(NamedTuple):
    """A denial or waiver that has expired.

    Attributes:
        rule: the rule that the waiver was for; ``deny`` for a denial.
        versions: the releases that it named.
        until: the last day on which it was in force, as ISO 8601.
        place: the absolute path of its file, or the name of a file that ships, and its line.
        problem: the problem that it has expired.
    """

    rule: str
    versions: Specifier
    until: str
    place: str
    problem: Problem


class Policy(NamedTuple):
    """A policy, or the merged policy of several layers.

    Attributes:
        sources: the origin of each layer.
        target: the releases wanted.
        choice: the measure for choosing among permitted paths.
        max_hops: the most hops of a path; None for no limit.
        keep_updates: the number of updates that a plan must leave unused.
        rules: the policy rules in force, with waivers that have not expired.
        denials: those that have not expired.
        waypoints: the releases at which paths have to stop, ascending.
        signers: fingerprints (SHA-256 of the modulus in hex) that are trusted besides Intel's.
        apply: the executor's settings, in the form that plans have.
        creation_held: whether the policy says that no TD is created while hops are performed.
        expired: the denials and waivers that have expired.
        description: the text for readers of the policy.
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
    expired: tuple[Expired, ...] = ()
    description: str = ""

    @property
    def name(self) -> str:
        """The names of all layers, joined by ``+``."""
        return " + ".join(source.name for source in self.sources)

    @property
    def sha256(self) -> str:
        """The digest of the file in hex; of several layers, the digest of their digests in order."""
        digests = [source.sha256 for source in self.sources]
        return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()

    @property
    def valid_until(self) -> str | None:
        """The first day, as ISO 8601, on which a denial or waiver in force is in force for the last time; None if all
        are for ever. Until then the policy decides alike."""
        days = {denial.until for denial in self.denials if denial.until}
        days |= {waiver.until for applied in self.rules for group in applied.waivers for waiver in group}
        return min(days, default=None)

    def applied_rules(self) -> tuple[AppliedRule, ...]:
        """Every rule in force: the hard rules, the policy rules, the denials and the waypoints."""
        hard = tuple(AppliedRule(rule()) for rule in HARD_RULES.values())
        deny = (AppliedRule(Deny(self.denials)),) if self.denials else ()
        waypoint = (AppliedRule(Waypoint(self.waypoints)),) if self.waypoints else ()
        return (*hard, *self.rules, *deny, *waypoint)

    def with_target(self, target: Target) -> Policy:
        """The same policy with another target."""
        return self._replace(target=target)

    def with_signers(self, signers: frozenset[str]) -> Policy:
        """The same policy with these signers as well as its own."""
        return self._replace(signers=self.signers | signers)
