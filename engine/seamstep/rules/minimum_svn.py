"""``minimum-svn``."""

from __future__ import annotations

from seamstep.facts import HostFacts
from seamstep.model import Step, Verdict
from seamstep.rules.base import Rule


class MinimumSvn(Rule):
    """The target's security version is at least the policy's."""

    name = "minimum-svn"
    summary = "The target's seamsvn is at least the policy's `svn` (the raw 16-bit field)."
    source = "Intel TDX module sigstruct, seamsvn; Intel's TCB Info tells which advisories an SVN closes"
    needs_image = True

    def __init__(self, svn: int) -> None:
        """``svn``: the lowest raw seamsvn that is allowed."""
        self._svn = svn

    def check(self, step: Step, host: HostFacts) -> Verdict:
        image = step.target.image
        if image is None:
            return self.unknown(f"can't tell the SVN of {step.target.version}: {step.target.image_problem}")
        svn = image.sigstruct.seamsvn
        if svn < self._svn:
            return self.blocked(f"{step.target.version} has SVN 0x{svn:x}, below 0x{self._svn:x}", svn=svn)
        return self.passed(f"{step.target.version} has SVN 0x{svn:x}, at least 0x{self._svn:x}", svn=svn)
