"""``forward-only``."""

from __future__ import annotations

from seamstep.facts import HostFacts
from seamstep.model import Step, Verdict
from seamstep.rules.base import Rule


class ForwardOnly(Rule):
    """The target is newer than the source."""

    name = "forward-only"
    summary = "The target is newer than the source; the running module is never installed again."
    source = "Intel confidential-computing.tdx.tdx-module.binaries, README"

    def check(self, step: Step, host: HostFacts) -> Verdict:
        source, target = step.source.version, step.target.version
        if not source < target:
            return self.blocked(f"{target} is not newer than {source}")
        return self.passed(f"{target} is newer than {source}")
