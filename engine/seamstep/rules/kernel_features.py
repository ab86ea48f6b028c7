"""Blocks releases that Linux could not use, or could not update any more."""

from __future__ import annotations

from seamstep.base import features
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule, Scope

_NEEDED = (features.NO_RBP_MOD, features.TD_PRESERVING)
_NEEDED_BITS = sum(1 << bit for bit in _NEEDED)


class KernelFeatures(Rule):
    """Compares the TDX_FEATURES0 bits that the mapping file lists for the target with those that Linux requires."""

    name = "kernel-features"
    summary = (
        "The target has NO_RBP_MOD (without it Linux can't use it) and TD_PRESERVING (without it no update follows)."
    )
    source = "Linux arch/x86/virt/vmx/tdx/tdx.c, check_features(); arch/x86/include/asm/tdx.h"
    why = (
        "The kernel requires NO_RBP_MOD to use a module at all and TD_PRESERVING to offer updates: a target "
        "without them could not be used, or never be left again."
    )
    fix = (
        "Choose a target that has both features. Mapping files have had wrong features that were corrected later: "
        "see whether there is a newer revision."
    )
    scope = Scope.TARGET

    def check(self, step: Step, host: HostFacts) -> Verdict:
        features0 = step.target.features0
        if features0 is None:
            return self.unknown(f"the mapping file does not list {step.target.version}")
        if features0 & _NEEDED_BITS == _NEEDED_BITS:
            return self.passed(f"{step.target.version} has NO_RBP_MOD and TD_PRESERVING")
        missing = [features.name(bit) for bit in _NEEDED if not features.has(features0, bit)]
        return self.blocked(f"{step.target.version} lacks {' and '.join(missing)}", missing=missing)
