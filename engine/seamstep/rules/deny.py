"""Blocks releases, and steps between releases, that a policy forbids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from seamstep.base.versions import ModuleVersion, Specifier
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule, Scope


class Denial(NamedTuple):
    """Steps that a policy forbids.

    Attributes:
        versions: their targets.
        reason: why the policy forbids them.
        link: a page with the details, if there is one.
        until: the last day on which the denial is in force, as ISO 8601; None for one without end.
        sources: their sources; None for every step to ``versions``.
    """

    versions: Specifier
    reason: str
    link: str | None = None
    until: str | None = None
    sources: Specifier | None = None

    def __str__(self) -> str:
        until = f", until {self.until}" if self.until else ""
        return self.reason + (f" ({self.link}{until})" if self.link else f" ({until[2:]})" if until else "")

    @property
    def steps(self) -> str:
        """The steps in words: ``1.5.28``, or ``1.5.24 to 1.5.28`` for a denial with sources."""
        return f"{self.sources} to {self.versions}" if self.sources else self.versions.text

    def forbids(self, source: ModuleVersion, target: ModuleVersion) -> bool:
        """Whether the step from ``source`` to ``target`` is one of them."""
        return target in self.versions and (self.sources is None or source in self.sources)


class Deny(Rule):
    """Looks the step up in the policy's denials.

    Denials with sources make the answer depend on both releases of a step; without any, it depends on the target alone.
    """

    name = "deny"
    summary = "The policy does not list the target, or the step, under `deny`."
    source = "the policy"
    why = (
        "Whoever wrote the policy knows something against the release, or against the way to it, that Intel's data "
        "does not say; the reason quotes it."
    )
    fix = (
        "Choose another target, or another path to it where the denial has `from`, or have the policy's authors remove "
        "the denial, narrow its `versions` or its `from`, or limit it with `until`. A waiver does not lift a denial."
    )
    scope = Scope.STEP

    def __init__(self, denials: Sequence[Denial]) -> None:
        """``denials``: those of the policy that are in force."""
        self._denials = tuple(denials)
        if not any(denial.sources for denial in self._denials):
            self.scope = Scope.TARGET

    def check(self, step: Step, host: HostFacts) -> Verdict:
        source, target = step.source.version, step.target.version
        found = [denial for denial in self._denials if denial.forbids(source, target)]
        whole = self.scope is Scope.TARGET or any(denial.sources is None for denial in found)
        name = str(target) if whole else f"{source} → {target}"
        if found:
            reasons = "; ".join(map(str, found))
            return self.blocked(f"{name} is denied: {reasons}", denied_by=[denial.steps for denial in found])
        return self.passed(f"{name} is not denied")
