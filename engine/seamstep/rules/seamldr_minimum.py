"""Blocks releases that the host's P-SEAMLDR is too old to load."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule, Scope


class SeamldrMinimum(Rule):
    """Compares the host's P-SEAMLDR with the target's minimums, one for each major.minor."""

    name = "seamldr-minimum"
    summary = "Some min_seamldr_versions entry of the target has the P-SEAMLDR's major.minor and is not newer than it."
    source = "Intel mapping_file.json, min_seamldr_versions, as the reference script compares them"
    why = (
        "For each release Intel lists the P-SEAMLDR versions that may load it, one for each major.minor. Any "
        "other is not compatible, as Intel's reference implementation decides it."
    )
    fix = "Raise P-SEAMLDR to a version that the reason names, or choose a target that the running one can load."
    scope = Scope.TARGET

    def check(self, step: Step, host: HostFacts) -> Verdict:
        running, minimums = host.seamldr_version, step.target.minimum_seamldrs
        if running is None:
            return self.lacks(host, "seamldr_version")
        for minimum in minimums:
            if minimum.series == running.series and minimum.numbers <= running.numbers:
                return self.passed(f"P-SEAMLDR {running} is not older than {minimum}", minimum=minimum.text)
        if not minimums:
            return self.blocked(f"the mapping file lists no P-SEAMLDR that can load {step.target.version}")
        needed = " or ".join([f"{minimum.text} (or a later {minimum.series})" for minimum in minimums])
        return self.blocked(
            f"{step.target.version.text} needs P-SEAMLDR {needed}; this host has {running.text}",
            minimums=[minimum.text for minimum in minimums],
            running=running.text,
        )
