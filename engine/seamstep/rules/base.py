"""What a rule is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum, StrEnum, auto
from typing import Any, ClassVar

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Image, Outcome, Release, Step, Verdict


class Level(StrEnum):
    """How a policy applies a rule that is not met: REQUIRE blocks the step, PREFER makes it cost more, WARN is shown.
    A rule that is OFF is not asked."""

    REQUIRE = "require"
    PREFER = "prefer"
    WARN = "warn"
    OFF = "off"


class Scope(Enum):
    """What a rule's answer depends on.

    HOST: the host's facts. TURN: also how many updates were used before; the answer may only get stricter with them,
    and so limits the number of hops. SOURCE and TARGET: the host and that release. STEP: the host and both. Only rules
    of scope STEP may read the host's ``module_version``, only those of TURN and STEP its ``remaining_updates``. Reason
    and evidence depend on no more than that either: all steps of a scope share them.
    """

    HOST = auto()
    TURN = auto()
    SOURCE = auto()
    TARGET = auto()
    STEP = auto()

    def key(self, step: Step, used: int) -> str | int:
        """The cache key for answers of this scope on one host."""
        if self is Scope.TARGET:
            return step.target.version.text
        if self is Scope.SOURCE:
            return step.source.version.text
        return used if self is Scope.TURN else "" if self is Scope.HOST else str(step)

    def releases(self, step: Step) -> tuple[Release, ...]:
        """The releases of a step that the answer depends on."""
        if self is Scope.STEP:
            return step.source, step.target
        return (step.source,) if self is Scope.SOURCE else (step.target,) if self is Scope.TARGET else ()


class Rule(ABC):
    """One constraint on one step. A rule does no I/O and always answers; a fact it lacks makes the answer unknown.

    ``source`` says where the fact behind the rule comes from, ``why`` what happens where the rule is not kept, ``fix``
    what to do when it blocks; the reference pages show all three, and a plug-in may leave out the last two. ``scope``
    says what the answer depends on; the rule is asked once for that. A rule with ``needs_image`` can't answer for a
    release without an image. A rule with ``looks_ahead`` uses the step's outlook, in which its own verdicts don't
    count, and sees the host before its first update. ``default_level`` is the level of a policy rule that the policy
    does not name. ``parameters`` are JSON Schemas, with title and description, of what the policy passes to the
    constructor by name; all of them are required unless the level is off.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    why: ClassVar[str] = ""
    fix: ClassVar[str] = ""
    needs_image: ClassVar[bool] = False
    scope: ClassVar[Scope] = Scope.STEP
    looks_ahead: ClassVar[bool] = False
    default_level: ClassVar[Level] = Level.REQUIRE
    parameters: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def check(self, step: Step, host: HostFacts) -> Verdict:
        """Judge a step. ``host`` is what the host will be when the step's turn comes: its module version is the
        step's source and its remaining updates are those left by then."""

    def strictness(self) -> tuple[int, ...]:
        """How strict the parameters are, for choosing among layers of policies; more is stricter."""
        return ()

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
