"""Blocks debug-signed modules, which production platforms refuse."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule, Scope


class DebugModule(Rule):
    """Reads the debug bit of ``module_type`` in the target's sigstruct."""

    name = "debug-module"
    summary = "The target is not debug-signed."
    source = "P-SEAMLDR source: EBADSIG for module_type bit 31 where the platform is not debug-unlocked (MSR 0x503)"
    why = (
        "P-SEAMLDR refuses a debug-signed module on a platform that is not debug-unlocked, after the old module was "
        "shut down: TDX and every TD are lost. No fact tells whether a platform is unlocked."
    )
    fix = "Use the production image of the release."
    scope = Scope.TARGET
    needs_image = True

    def check(self, step: Step, host: HostFacts) -> Verdict:
        image = step.target.image
        if image is None:
            return self.unknown(f"can't tell the type of {step.target.version}: {step.target.image_problem}")
        if image.sigstruct.debug:
            return self.blocked(f"{step.target.version} is a debug module", module_type=image.sigstruct.module_type)
        return self.passed(f"{step.target.version} is a production module")
