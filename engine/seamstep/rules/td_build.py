"""Protects TDs that are being built or migrated, whose attestation an update can corrupt."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Release, Step, Verdict
from seamstep.rules.base import Rule


def safe_while_tds_are_created(source: Release, target: Release) -> bool | None:
    """Whether the target's strict_compat_versions lists the source; None where the mapping file lacks the field for the
    target. Intel does not document the field; this meaning is our reading of it."""
    return None if target.strict_compat is None else source.version in target.strict_compat


class TdBuild(Rule):
    """Reads the number of TDs, the policy's promise about their creation, and the target's strict_compat_versions."""

    name = "td-build"
    summary = "No TD can be in the making: none runs, the policy holds creation back, or the target lists the source."
    source = (
        "Intel mapping_file.json, strict_compat_versions (not documented; our reading); Linux mailing list on "
        "AVOID_COMPAT_SENSITIVE, which mainline does not pass"
    )
    why = (
        "An update while a TD is being built or migrated may leave that TD with a corrupted hash in its attestation "
        "report: the module hands over a hashing context whose layout may differ between releases. The mainline "
        "kernel does not prevent it. Running TDs are not affected."
    )
    fix = (
        "Hold the creation of TDs back while hops are performed (cordon the node, or let the policy's commands "
        "`before` and `after` do it) and say so in the policy with `td_creation: held`; or update while no TD runs; or "
        "go by way of releases that list their source in strict_compat_versions."
    )

    def __init__(self, held: bool = False) -> None:
        """``held``: whether the policy says that no TD is created while hops are performed."""
        self.held = held

    def strictness(self) -> tuple[int, ...]:
        return (0 if self.held else 1,)

    def check(self, step: Step, host: HostFacts) -> Verdict:
        source, target, running = step.source.version, step.target.version, host.running_tds
        safe = safe_while_tds_are_created(step.source, step.target)
        if safe:
            return self.passed(f"safe while TDs are created: {target} lists {source} in strict_compat_versions")
        if self.held:
            return self.passed("the policy says that the creation of TDs is held back")
        if running == 0:
            return self.passed("no TD runs, so none is in the making", running_tds=0)
        if safe is None:
            return self.unknown(f"the mapping file has no strict_compat_versions for {target}")
        if running is None:
            return self.lacks(host, "running_tds")
        runs = "1 TD runs" if running == 1 else f"{running} TDs run"
        return self.blocked(
            f"{runs}, so one may be in the making, and {target} does not list {source} in strict_compat_versions",
            running_tds=running,
        )
