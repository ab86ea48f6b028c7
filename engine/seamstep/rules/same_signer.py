"""``same-signer``."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Level, Rule


class SameSigner(Rule):
    """Source and target are signed by the same key."""

    name = "same-signer"
    summary = "Source and target are signed by the same key; otherwise MRSIGNERSEAM changes for verifiers."
    source = "Intel TDX module sigstruct, modulus; TDX quote, MRSIGNERSEAM"
    why = (
        "All modules that Intel has published so far have one signer, and verifiers check it: TCB Info names the "
        "MRSIGNER. A change of it can make attestation fail."
    )
    fix = (
        "Make sure whose key it is (`seamstep image inspect`) and that verifiers accept it, then accept the "
        "release in the policy; or choose a target with the old signer."
    )
    default_level = Level.WARN
    needs_image = True

    def check(self, step: Step, host: HostFacts) -> Verdict:
        images = self.both_images(step)
        if isinstance(images, Verdict):
            return images
        source, target = (image.sigstruct.signer for image in images)
        if source != target:
            return self.blocked(f"the signer changes from {source} to {target}", source=source, target=target)
        return self.passed(f"{step.source.version} and {step.target.version} have the same signer", signer=source)
