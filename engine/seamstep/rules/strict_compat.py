"""``strict-compat``."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Level, Rule


class StrictCompat(Rule):
    """The update is safe even while a TD is being built."""

    name = "strict-compat"
    summary = "The target's strict_compat_versions names the source: safe even while a TD is being built."
    source = "Intel mapping_file.json, strict_compat_versions; Intel does not document it, this is our reading"
    why = (
        "From a source that is not listed, the update may not be safe while a TD is being built. Intel does not "
        "document the field; this reading of it is inferred."
    )
    fix = (
        "See to it that no TD is being built during the update, or choose a target that lists the source. A "
        "policy can set a lower level, or accept the release until a day that it names."
    )
    default_level = Level.WARN

    def check(self, step: Step, host: HostFacts) -> Verdict:
        source, target = step.source.version, step.target
        if target.strict_compat is None:
            return self.unknown(f"the mapping file has no strict_compat_versions for {target.version}")
        if source not in target.strict_compat:
            return self.blocked(
                f"{target.version} does not list {source} in strict_compat_versions; no TD should be in the making",
                strict_compat_versions=[str(version) for version in target.strict_compat],
            )
        return self.passed(f"{target.version} lists {source} in strict_compat_versions")
