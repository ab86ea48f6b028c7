"""Finds releases of series 2.0, which Intel does not support yet."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Level, Rule, Scope

_SERIES = "2.0"


class Preproduction(Rule):
    """Reads the series of the target, since no other fact marks a pre-production release."""

    name = "preproduction"
    summary = "The target is not of series 2.0, whose modules hold pre-production interfaces."
    source = "Intel confidential-computing.tdx.tdx-module.binaries, README: 2.0 modules are currently not supported"
    why = (
        "Intel says of its releases: 2.0 modules contain pre-production Connect interfaces and are currently not "
        "supported."
    )
    fix = (
        "Stay with the module that runs, or accept the releases in the policy of the machines that may run them, "
        "such as those of a lab."
    )
    default_level = Level.WARN
    scope = Scope.TARGET

    def check(self, step: Step, host: HostFacts) -> Verdict:
        series = step.target.version.series
        if series == _SERIES:
            return self.blocked(f"{step.target.version} holds pre-production interfaces, which Intel does not support")
        return self.passed(f"series {series} is in production")
