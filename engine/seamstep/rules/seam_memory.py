"""Blocks modules that may not fit into the SEAM range, whose size can't be read."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule


class SeamMemory(Rule):
    """Compares the regions that source and target need in the SEAM range, by the page counts of their sigstructs."""

    name = "seam-memory"
    summary = "The target needs no more memory of the SEAM range than the source, which fits."
    source = "P-SEAMLDR source, seamldr_install(): ENOMEM where code, stacks, TLS, global and handoff pages don't fit"
    why = (
        "P-SEAMLDR lays the new module out in the SEAM range after the old one was shut down; what does not fit loses "
        "TDX and every TD. The size of the range can't be read. A target that needs no more than the running module "
        "fits; one that needs more may not."
    )
    fix = (
        "Choose a target that needs no more. Where the vendor says that a release fits the platform, a policy can "
        "accept it under `accept`, with the reason and a last day."
    )
    needs_image = True

    def check(self, step: Step, host: HostFacts) -> Verdict:
        images = self.both_images(step)
        if isinstance(images, Verdict):
            return images
        source, target = (image.sigstruct.seam_regions for image in images)
        larger = target.larger_than(source)
        if larger:
            return self.blocked(
                f"{step.target.version} needs more of the SEAM range than {step.source.version}"
                f" ({', '.join(larger)}), and may not fit",
                larger=list(larger),
            )
        return self.passed(f"{step.target.version} needs no more of the SEAM range than {step.source.version}")
