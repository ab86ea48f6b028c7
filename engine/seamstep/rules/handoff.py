"""Makes sure that the target can take over the state of the running module, and so its TDs."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule


class Handoff(Rule):
    """Compares the handoff version that the source writes with those that the target reads."""

    name = "handoff"
    summary = "The source's module_hv lies between the target's min_update_hv and module_hv."
    source = "TDX module source, TDH.SYS.UPDATE: otherwise the install fails after the old module was shut down"
    why = (
        "The old module packs its state in its own handoff version. A target that does not take that version "
        "fails to install after the old module was shut down, which kills every TD."
    )
    fix = (
        "Go by way of a release that takes what the source hands over and hands over what the target takes: allow "
        "enough hops (`max_hops`) for it. `seamstep image inspect` prints an image's handoff versions."
    )
    needs_image = True

    def check(self, step: Step, host: HostFacts) -> Verdict:
        images = self.both_images(step)
        if isinstance(images, Verdict):
            return images
        packed = images[0].sigstruct.module_hv
        lowest, highest = images[1].sigstruct.min_update_hv, images[1].sigstruct.module_hv
        evidence = {"source_module_hv": packed, "target_min_update_hv": lowest, "target_module_hv": highest}
        takes = f"{step.target.version} takes handoff versions {lowest} to {highest}"
        reason = f"{takes}; {step.source.version} hands over version {packed}"
        return self.passed(reason, **evidence) if lowest <= packed <= highest else self.blocked(reason, **evidence)
