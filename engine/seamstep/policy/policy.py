"""Policies as values: the target, the choice of path, the limits and the rules."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from seamstep.base.errors import Problem
from seamstep.base.versions import ModuleVersion, Specifier
from seamstep.rules import HARD_RULES, AppliedRule, Denial, Deny, TcbStatusRule, Waypoint

if TYPE_CHECKING:
    from seamstep.domain.model import Release
    from seamstep.domain.tcb import TcbView

NEWEST = "newest"
_CLOSES = "closes "
_ADVISORY = re.compile(r"[A-Z0-9][A-Z0-9-]{0,63}", re.ASCII)


class PathChoice(StrEnum):
    """The measure by which a policy chooses among the permitted paths."""

    FEWEST_HOPS = "fewest-hops"
    SHORTEST_PATH = "shortest-path"


class Target(NamedTuple):
    """The releases that a policy wants: those in each of ``specifiers``, any if it is empty, that close each of the
    advisories in ``closes`` by TCB Info. Preferably the newest, or the nearest if there are advisories."""

    specifiers: tuple[Specifier, ...] = ()
    closes: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Target:
        """The target for ``newest``, a version, a specifier, or ``closes`` with advisories. Raises ValueError for any
        other text."""
        if text.startswith(_CLOSES):
            return cls(closes=_advisories(text.removeprefix(_CLOSES)))
        return cls() if text == NEWEST else cls((Specifier(text),))

    @property
    def text(self) -> str:
        """The target as the policy has it."""
        closing = [f"{_CLOSES}{', '.join(self.closes)}"] if self.closes else []
        return " and ".join([*(specifier.text for specifier in self.specifiers), *closing]) or NEWEST

    @property
    def version(self) -> ModuleVersion | None:
        """The version, if the target is a single release."""
        return next((specifier.version for specifier in self.specifiers if specifier.version), None)

    def names(self, version: ModuleVersion) -> bool:
        """Whether the policy wants ``version``."""
        return all(version in specifier for specifier in self.specifiers)

    def wants(self, release: Release) -> bool:
        """Whether the policy wants ``release``: its version, and what it closes."""
        return self.names(release.version) and (not self.closes or _closes_all(release, self.closes))


def _closes_all(release: Release, advisories: Iterable[str]) -> bool:
    from seamstep.domain.tcb import closes

    return all(closes(release.tcb, advisory) for advisory in advisories)


def _advisories(text: str) -> tuple[str, ...]:
    found = [part.strip() for part in text.split(",")]
    for advisory in found:
        if not _ADVISORY.fullmatch(advisory):
            raise ValueError(f"{advisory!r} is not an advisory such as INTEL-SA-01099")
    return tuple(dict.fromkeys(found))


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
        tcb_stale_until: the last day on which TCB Info that has expired still counts; None if it never does.
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
    tcb_stale_until: date | None = None

    @property
    def uses_tcb(self) -> bool:
        """Whether TCB Info decides what the policy permits or wants."""
        return bool(self.target.closes) or any(isinstance(one.rule, TcbStatusRule) for one in self.rules)

    def valid_until_with(self, tcb: TcbView | None) -> str | None:
        """The last day, as ISO 8601, until which policy and TCB Info decide alike; None for ever."""
        ends = tcb.valid_until if tcb and self.uses_tcb else None
        days = [self.valid_until, ends.isoformat() if ends else None]
        return min((day for day in days if day), default=None)

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
