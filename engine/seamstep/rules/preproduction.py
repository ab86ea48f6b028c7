"""``preproduction``."""

from __future__ import annotations

from seamstep.facts import HostFacts
from seamstep.model import Step, Verdict
from seamstep.rules.base import Level, Rule, Scope

_SERIES = "2.0"


class Preproduction(Rule):
    """The target is a production release."""

    name = "preproduction"
    summary = "The target is not of series 2.0, whose modules hold pre-production interfaces."
    source = "Intel confidential-computing.tdx.tdx-module.binaries, README: 2.0 modules are currently not supported"
    default_level = Level.WARN
    scope = Scope.TARGET

    def check(self, step: Step, host: HostFacts) -> Verdict:
        series = step.target.version.series
        if series == _SERIES:
            return self.blocked(f"{step.target.version} holds pre-production interfaces, which Intel does not support")
        return self.passed(f"series {series} is in production")
