"""Blocks releases below the security version that the policy demands."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Level, Rule, Scope


class MinimumSvn(Rule):
    """Compares the SVN in the target's sigstruct with the policy's ``svn``."""

    name = "minimum-svn"
    summary = "The target's seamsvn is at least the policy's `svn` (the raw 16-bit field)."
    source = "Intel TDX module sigstruct, seamsvn; Intel's TCB Info tells which advisories an SVN closes"
    why = (
        "The SVN's low byte is the isvsvn by which Intel's TCB Info finds a module's TCB status and advisories. A "
        "floor keeps hosts off releases below the level that the policy demands."
    )
    fix = (
        "Choose a target whose SVN is high enough; `seamstep measurements` lists them. Every hop has to meet it. "
        "Lower `svn` only if verifiers accept the lower level."
    )
    default_level = Level.OFF
    scope = Scope.TARGET
    needs_image = True
    parameters = {  # noqa: RUF012 - the base class declares it a ClassVar
        "svn": {
            "title": "a number from 0 to 0xffff",
            "description": "The lowest raw seamsvn that is allowed, such as 0x10d.",
            "type": "integer",
            "minimum": 0,
            "maximum": 65535,
        }
    }

    def __init__(self, svn: int) -> None:
        """``svn``: the lowest raw seamsvn that is allowed."""
        self._svn = svn

    def strictness(self) -> tuple[int, ...]:
        return (self._svn,)

    def check(self, step: Step, host: HostFacts) -> Verdict:
        image = step.target.image
        if image is None:
            return self.unknown(f"can't tell the SVN of {step.target.version}: {step.target.image_problem}")
        svn = image.sigstruct.seamsvn
        if svn < self._svn:
            return self.blocked(f"{step.target.version} has SVN 0x{svn:x}, below 0x{self._svn:x}", svn=svn)
        return self.passed(f"{step.target.version} has SVN 0x{svn:x}, at least 0x{self._svn:x}", svn=svn)
