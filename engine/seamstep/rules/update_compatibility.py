"""``update-compatibility``."""

from __future__ import annotations

from seamstep.base import features
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule, Scope


class UpdateCompatibility(Rule):
    """On mainline, the running module takes part in the check for update-sensitive operations."""

    name = "update-compatibility"
    summary = "On a mainline kernel the source module has UPDATE_COMPATIBILITY (features0 bit 47); else it refuses."
    source = "Linux arch/x86/virt/vmx/tdx/tdx.c, tdx_module_shutdown(): AVOID_COMPAT_SENSITIVE is always passed"
    why = (
        "The mainline kernel always passes AVOID_COMPAT_SENSITIVE, which a module without this feature rejects: "
        "nothing is lost, but no update can succeed. 1.5.24 and 2.0.14 are the first that have it."
    )
    fix = "Start from a module that has the feature; it has to come with the BIOS. No policy and no other target helps."
    scope = Scope.SOURCE

    def check(self, step: Step, host: HostFacts) -> Verdict:
        if host.profile is None:
            return self.lacks(host, "profile")
        if host.profile == "legacy":
            return self.passed("a legacy-profile kernel asks for the check only where the module has it")
        source = step.source
        if source.features0 is None:
            return self.unknown(f"the mapping file does not list {source.version}, so its features are not known")
        if not features.has(source.features0, features.UPDATE_COMPATIBILITY):
            return self.blocked(
                f"{source.version.text} lacks UPDATE_COMPATIBILITY, so it refuses every update that a mainline kernel"
                " asks for; a newer module has to come with the BIOS or at boot",
                features0=hex(source.features0),
            )
        return self.passed(f"{source.version} has UPDATE_COMPATIBILITY")
