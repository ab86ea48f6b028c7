"""Blocks targets whose security version P-SEAMLDR refuses after that of the running module."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule


class Svn(Rule):
    """Compares the security versions in the sigstructs of source and target."""

    name = "svn"
    summary = "The target's SVN has the major byte of the source's, which is not 0, and a minor byte that is not lower."
    source = "P-SEAMLDR source, seamldr_install(): EUNSUPPORTED for another or no major, EBADSIG for a lower minor"
    why = (
        "P-SEAMLDR refuses such an image after the old module was shut down, so the update loses TDX and every TD. "
        "The SVN is the sigstruct's seamsvn: the major byte is TEE_TCB_SVN[1], the minor byte TEE_TCB_SVN[0]."
    )
    fix = "Choose a target whose SVN is not lower than the running module's; `seamstep measurements` lists them."
    needs_image = True

    def check(self, step: Step, host: HostFacts) -> Verdict:
        images = self.both_images(step)
        if isinstance(images, Verdict):
            return images
        source, target = (image.sigstruct for image in images)
        change = f"from 0x{source.seamsvn:x} ({step.source.version}) to 0x{target.seamsvn:x} ({step.target.version})"
        evidence = {"source": source.seamsvn, "target": target.seamsvn}
        if target.svn_major == 0:
            return self.blocked(
                f"{step.target.version} has SVN 0x{target.seamsvn:x}, whose major byte is 0", **evidence
            )
        if target.svn_major != source.svn_major:
            return self.blocked(f"the SVN's major byte changes, {change}", **evidence)
        if target.svn_minor < source.svn_minor:
            return self.blocked(f"the SVN goes down, {change}", **evidence)
        return self.passed(f"the SVN goes {change}", **evidence)
