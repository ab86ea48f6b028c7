"""What a rule is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from seamstep.facts import HostFacts
from seamstep.model import Image, Outcome, Step, Verdict


class Rule(ABC):
    """One constraint on one step. A rule does no I/O and always answers; a fact it lacks makes the answer unknown.

    ``source`` says where the fact behind the rule comes from. A rule with ``needs_image`` can't answer for a target
    without an image. A rule with ``per_hop`` looks at how many updates were used before the step and is asked again
    for each place in a path; any other is asked once for a step.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    needs_image: ClassVar[bool] = False
    per_hop: ClassVar[bool] = False

    @abstractmethod
    def check(self, step: Step, host: HostFacts) -> Verdict:
        """Judge a step. ``host`` is what the host will be when the step's turn comes: its module version is the
        step's source and its remaining updates are those left by then."""

    def passed(self, reason: str, **evidence: Any) -> Verdict:
        """The step meets the rule."""
        return Verdict(self.name, Outcome.PASS, reason, evidence)

    def blocked(self, reason: str, **evidence: Any) -> Verdict:
        """The step does not meet the rule."""
        return Verdict(self.name, Outcome.BLOCK, reason, evidence)

    def unknown(self, reason: str, **evidence: Any) -> Verdict:
        """A fact is missing."""
        return Verdict(self.name, Outcome.UNKNOWN, reason, evidence)

    def lacks(self, host: HostFacts, fact: str) -> Verdict:
        """The host's ``fact`` is missing."""
        return self.unknown(f"{fact} is not known ({host.why_unknown(fact)})", missing=fact)

    def both_images(self, step: Step) -> tuple[Image, Image] | Verdict:
        """The images of source and target, or the verdict that one is missing. What the source's image says is believed
        of the running module, so it has to be authentic too; the target's is judged by ``image-authentic``."""
        source = step.source.usable_image()
        if source is None:
            return self.unknown(f"can't tell what {step.source.version} is: {step.source.why_no_image()}")
        if step.target.image is None:
            return self.unknown(f"can't tell what {step.target.version} is: {step.target.image_problem}")
        return source, step.target.image
