"""``svn-rollback``."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule


class SvnRollback(Rule):
    """The target's security version is not lower than the source's."""

    name = "svn-rollback"
    summary = "The target's seamsvn is not lower than the source's."
    source = "Intel TDX module sigstruct, seamsvn; a lower one brings back what an advisory closed"
    why = (
        "The SVN's low byte is the isvsvn by which Intel's TCB Info finds a module's TCB status and advisories. "
        "With a lower one the host may fall back to a worse level."
    )
    fix = (
        "Choose a target whose SVN is not lower; `seamstep measurements` lists them. A policy can accept the "
        "release until a day that it names."
    )
    needs_image = True

    def check(self, step: Step, host: HostFacts) -> Verdict:
        images = self.both_images(step)
        if isinstance(images, Verdict):
            return images
        source, target = (image.sigstruct.seamsvn for image in images)
        if target < source:
            return self.blocked(f"the SVN goes down from 0x{source:x} to 0x{target:x}", source=source, target=target)
        return self.passed(f"the SVN goes from 0x{source:x} to 0x{target:x}", source=source, target=target)
