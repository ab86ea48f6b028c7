"""Blocks releases that a policy forbids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from seamstep.base.versions import Specifier
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule, Scope


class Denial(NamedTuple):
    """Targets that a policy forbids.

    Attributes:
        versions: the targets.
        reason: why the policy forbids them.
        link: a page with the details, if there is one.
        until: the last day on which the denial is in force, as ISO 8601; None for one without end.
    """

    versions: Specifier
    reason: str
    link: str | None = None
    until: str | None = None

    def __str__(self) -> str:
        until = f", until {self.until}" if self.until else ""
        return self.reason + (f" ({self.link}{until})" if self.link else f" ({until[2:]})" if until else "")


class Deny(Rule):
    """Looks the target up in the policy's denials."""

    name = "deny"
    summary = "The policy does not list the target under `deny`."
    source = "the policy"
    why = (
        "Whoever wrote the policy knows something against the release that Intel's data does not say; the reason "
        "quotes it."
    )
    fix = (
        "Choose another target, or have the policy's authors remove the denial, narrow its `versions` or limit it "
        "with `until`. A waiver does not lift a denial."
    )
    scope = Scope.TARGET

    def __init__(self, denials: Sequence[Denial]) -> None:
        """``denials``: those of the policy that are in force."""
        self._denials = tuple(denials)

    def check(self, step: Step, host: HostFacts) -> Verdict:
        version = step.target.version
        denials = [denial for denial in self._denials if version in denial.versions]
        if denials:
            reasons = "; ".join(map(str, denials))
            return self.blocked(
                f"{version} is denied: {reasons}", denied_by=[denial.versions.text for denial in denials]
            )
        return self.passed(f"{version} is not denied")
