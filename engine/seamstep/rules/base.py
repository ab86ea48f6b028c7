"""The interface of rules: the class to inherit from, the levels and the scopes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from enum import Enum, StrEnum, auto
from typing import Any, ClassVar

from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Image, Outcome, Release, Step, Verdict


class Level(StrEnum):
    """The effect of a rule on a step that does not meet it.

    REQUIRE blocks the step, PREFER raises its cost, WARN is only shown. A rule that is OFF is not asked.
    """

    REQUIRE = "require"
    PREFER = "prefer"
    WARN = "warn"
    OFF = "off"


class Scope(Enum):
    """The inputs that a rule's answer depends on. A rule is asked once for each set of inputs.

    HOST: the host's facts. TURN: these, and the number of updates used before; with more of them the answer may only
    become stricter, so the rule limits the number of hops. SOURCE and TARGET: the facts and that release. STEP: the
    facts and both releases.

    Only rules of scope STEP may read the host's ``module_version``, only those of TURN and STEP its
    ``remaining_updates``. Reason and evidence depend on the same inputs, since all steps with these inputs share them.
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

    The reference pages show the texts; a plug-in may leave out ``why`` and ``fix``.

    Attributes:
        name: the name in policies and verdicts.
        summary: the constraint in one sentence.
        source: the document or code that the constraint comes from.
        why: the harm of a step that does not meet it.
        fix: the remedy for a step that it blocks.
        needs_image: whether the answer for a release without an image is unknown.
        scope: the inputs of the answer; one object of a class may have a narrower one than the class.
        looks_ahead: whether the rule uses the step's outlook. Its own verdicts don't count in there, and it sees the
            host before its first update.
        default_level: the level of a policy rule that the policy does not name.
        parameters: JSON Schemas, with title and description, of the constructor's arguments by name. The policy gives
            all of them unless the level is off.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]
    why: ClassVar[str] = ""
    fix: ClassVar[str] = ""
    needs_image: ClassVar[bool] = False
    scope: Scope = Scope.STEP
    looks_ahead: ClassVar[bool] = False
    default_level: ClassVar[Level] = Level.REQUIRE
    parameters: ClassVar[Mapping[str, Any]] = {}

    @abstractmethod
    def check(self, step: Step, host: HostFacts) -> Verdict:
        """Judge a step. ``host`` is the host as predicted for the step's turn: its module version is the step's source,
        and its remaining updates are those left by then."""

    def strictness(self) -> tuple[int, ...]:
        """A value that orders the parameters, greater for stricter ones, so that the strictest of several layers of
        policies can be chosen; empty for a rule without an order."""
        return ()

    def passed(self, reason: str, **evidence: Any) -> Verdict:
        """The verdict on a step that meets the rule."""
        return Verdict(self.name, Outcome.PASS, reason, evidence)

    def blocked(self, reason: str, **evidence: Any) -> Verdict:
        """The verdict on a step that does not meet the rule."""
        return Verdict(self.name, Outcome.BLOCK, reason, evidence)

    def unknown(self, reason: str, **evidence: Any) -> Verdict:
        """The verdict where a fact is missing."""
        return Verdict(self.name, Outcome.UNKNOWN, reason, evidence)

    def lacks(self, host: HostFacts, fact: str) -> Verdict:
        """The verdict where the ``fact`` of the host is missing."""
        return self.unknown(f"{fact} is not known ({host.why_unknown(fact)})", missing=fact)

    def both_images(self, step: Step) -> tuple[Image, Image] | Verdict:
        """The images of source and target, or the verdict that one is missing. The source's image stands for the
        running module, so it has to be authentic too; the target's is judged by ``image-authentic``."""
        source = step.source.usable_image()
        if source is None:
            return self.unknown(f"can't tell what {step.source.version} is: {step.source.why_no_image()}")
        if step.target.image is None:
            return self.unknown(f"can't tell what {step.target.version} is: {step.target.image_problem}")
        return source, step.target.image
