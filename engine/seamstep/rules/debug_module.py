"""``debug-module``."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule, Scope


class DebugModule(Rule):
    """The target is a production module."""

    name = "debug-module"
    summary = "The target is not a debug module, which keeps no secret of its TDs."
    source = "Intel TDX module sigstruct, module_type bit 31"
    why = (
        "A debug module is not built for production (bit 31 of module_type in its sigstruct), and its TDs keep no "
        "secret."
    )
    fix = (
        "Use the production image of the release. For a lab machine a policy can accept the release until a day "
        "that it names."
    )
    scope = Scope.TARGET
    needs_image = True

    def check(self, step: Step, host: HostFacts) -> Verdict:
        image = step.target.image
        if image is None:
            return self.unknown(f"can't tell the type of {step.target.version}: {step.target.image_problem}")
        if image.sigstruct.debug:
            return self.blocked(f"{step.target.version} is a debug module", module_type=image.sigstruct.module_type)
        return self.passed(f"{step.target.version} is a production module")
