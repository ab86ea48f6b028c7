"""Prevents downgrades, and updates that would change nothing."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule


class ForwardOnly(Rule):
    """Compares the versions of source and target."""

    name = "forward-only"
    summary = "The target is newer than the source; the running module is never installed again."
    source = "Intel confidential-computing.tdx.tdx-module.binaries, README"
    why = (
        "The updates that remain until the next reboot are limited, and installing the running module again would "
        "spend one of them and change nothing."
    )
    fix = (
        "Choose a newer target. To leave a release without one, reboot: a module that the kernel loaded does not "
        "survive it."
    )

    def check(self, step: Step, host: HostFacts) -> Verdict:
        source, target = step.source.version, step.target.version
        if target <= source:
            return self.blocked(f"{target} is not newer than {source}")
        return self.passed(f"{target} is newer than {source}")
