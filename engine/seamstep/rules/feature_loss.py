"""Finds features that would be lost, and mapping files with wrong feature bits."""

from __future__ import annotations

from seamstep.base import features
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule

_BITS = 64


class FeatureLoss(Rule):
    """Compares the TDX_FEATURES0 bits that the mapping file lists for source and target."""

    name = "feature-loss"
    summary = "The target has every TDX_FEATURES0 bit of the source."
    source = "Intel mapping_file.json, tdx_feature0; published revisions have had wrong values"
    why = (
        "Either the target really lacks what the source has, or the mapping file is wrong: revisions have dropped "
        "bits from one release to the next and were corrected later."
    )
    fix = (
        "See whether a newer revision of the mapping file has the bits, or choose another target. A policy can "
        "accept the release until a day that it names."
    )

    def check(self, step: Step, host: HostFacts) -> Verdict:
        before, after = step.source.features0, step.target.features0
        if before is None or after is None:
            missing = step.source if before is None else step.target
            return self.unknown(f"the mapping file does not list {missing.version}, so its features are not known")
        if before & ~after:
            lost = [features.name(bit) for bit in range(_BITS) if features.has(before & ~after, bit)]
            return self.blocked(f"{step.target.version} lacks {', '.join(lost)}", lost=lost)
        return self.passed(f"{step.target.version} has every feature of {step.source.version}")
