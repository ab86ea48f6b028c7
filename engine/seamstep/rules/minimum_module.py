"""Keeps to the oldest module from which Intel lets a TD-preserving update to the target start."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule


class MinimumModule(Rule):
    """Compares the source's version with the target's minimum.

    A minimum of another series is a mistake in the mapping file and makes the answer unknown.
    """

    name = "minimum-module"
    summary = "The source is not older than the target's min_module_version_for_td_preserving."
    source = "Intel mapping_file.json, min_module_version_for_td_preserving"
    why = (
        "For each release Intel names the oldest module that a TD-preserving update to it may start from. An "
        "update that fails can kill every TD."
    )
    fix = (
        "Go by way of a release in between: allow enough hops (`max_hops`) and updates (`keep_updates`) for it. "
        "If there is none, a newer module has to come with the BIOS."
    )

    def check(self, step: Step, host: HostFacts) -> Verdict:
        source, target = step.source.version, step.target
        minimum = target.minimum_module
        if minimum is None:
            return self.unknown(f"the mapping file does not list {target.version}")
        if minimum.series != target.version.series:
            return self.unknown(
                f"the minimum module of {target.version} is {minimum}, of another series: the mapping file is wrong"
            )
        if source < minimum:
            return self.blocked(
                f"{target.version} can be reached from {minimum} or newer, and {source} is older",
                minimum=minimum.text,
            )
        return self.passed(f"{source} is not older than {minimum}", minimum=minimum.text)
