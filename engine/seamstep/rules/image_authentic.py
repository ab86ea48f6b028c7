"""Finds damaged and forged images before the running module is shut down."""

from __future__ import annotations

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import INTEL_SIGNER, Step, Verdict
from seamstep.rules.base import Rule, Scope


class ImageAuthentic(Rule):
    """Verifies the target's image and its signer.

    A simulated host also takes the signers that the policy trusts.
    """

    name = "image-authentic"
    summary = "The target's image has a sound structure, checksum, hash and signature, and Intel signed it."
    source = "P-SEAMLDR source (EBADSIG, EBADHASH): the kernel finds out only after it shut the old module down"
    why = (
        "P-SEAMLDR refuses an image with a wrong signature or hash (EBADSIG, EBADHASH), and the kernel ignores "
        "the checksum: what is wrong with an image has to be found before an update starts. Intel's key is built into "
        "P-SEAMLDR; there is no other. Only hosts that are made up take another signer."
    )
    fix = "Fetch the image again from Intel's repository; `seamstep image verify` shows every check."
    scope = Scope.TARGET
    needs_image = True

    def check(self, step: Step, host: HostFacts) -> Verdict:
        image = step.target.image
        if image is None:
            return self.unknown(f"can't verify {step.target.version}: {step.target.image_problem}")
        verification = image.content.verification()
        if verification.problems:
            return self.blocked(
                f"the image {image.path} must not be used: {'; '.join(verification.problems)}",
                problems=list(verification.problems),
            )
        signer = image.sigstruct.signer
        if signer != INTEL_SIGNER and not host.simulated:
            reason = f"{signer} signed the image of {step.target.version}; a real host takes Intel's key alone"
            return self.blocked(reason, signer=signer)
        return self.passed(f"signed by {signer}", sha256=verification.sha256, signer=signer)
