"""``svn-major``."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule


class SvnMajor(Rule):
    """Source and target have the same SVN major byte."""

    name = "svn-major"
    summary = "Source and target have the same major byte of seamsvn (TEE_TCB_SVN[1])."
    source = "P-SEAMLDR source: an image whose SVN major differs is refused (EUNSUPPORTED)"
    why = "P-SEAMLDR refuses an image whose SVN major differs from the running module's (EUNSUPPORTED)."
    fix = "Choose a target with the SVN major of the running module; no update changes it."
    needs_image = True

    def check(self, step: Step, host: HostFacts) -> Verdict:
        images = self.both_images(step)
        if isinstance(images, Verdict):
            return images
        source, target = images[0].sigstruct.svn_major, images[1].sigstruct.svn_major
        if source != target:
            return self.blocked(f"the SVN major changes from {source} to {target}", source=source, target=target)
        return self.passed(f"{step.source.version} and {step.target.version} have SVN major {source}", major=source)
