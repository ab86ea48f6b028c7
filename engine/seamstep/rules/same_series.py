"""Keeps an update inside the series of the running module: other series are for other platforms."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule


class SameSeries(Rule):
    """Compares the series of source and target."""

    name = "same-series"
    summary = "An update stays inside its series: source and target have the same major.minor."
    source = "Intel confidential-computing.tdx.tdx-module.binaries, reference script"
    why = (
        "Series are platform-specific. A module of another series is not compatible with the running one, as "
        "Intel's reference implementation decides it."
    )
    fix = "Choose a target of the running module's series; no update leads to another."

    def check(self, step: Step, host: HostFacts) -> Verdict:
        source, target = step.source.version, step.target.version
        if source.series != target.series:
            return self.blocked(f"{target} is of series {target.series}, {source} of {source.series}")
        return self.passed(f"{source} and {target} are of series {target.series}")
