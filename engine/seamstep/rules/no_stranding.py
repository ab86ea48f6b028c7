"""Prevents steps after which a newer release is out of reach."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule


class NoStranding(Rule):
    """Asks the outlook which newer releases the step cuts off."""

    name = "no-stranding"
    summary = "Every newer release that can be reached before the step can still be reached after it."
    source = "seamstep: a step that looks good by itself can be the wrong one"
    why = (
        "A series is not one ladder: CPUs, P-SEAMLDR, minimum modules and handoff versions decide which release "
        "leads to which. A step that is permitted can be one after which a newer release is out of reach."
    )
    fix = (
        "Choose a path that keeps the newer release in reach. If it is not wanted, list it under `deny`: then the "
        "rule does not count it."
    )
    looks_ahead = True

    def check(self, step: Step, host: HostFacts) -> Verdict:
        if step.outlook is None:
            return self.unknown("there is no graph to look ahead in")
        lost = step.outlook.cut_off(step.source.version, step.target.version)
        if lost:
            names = ", ".join(map(str, lost))
            return self.blocked(
                f"{names} can be reached from {step.source.version} and no longer from {step.target.version}",
                cut_off=[str(version) for version in lost],
            )
        return self.passed("no newer release is cut off")
