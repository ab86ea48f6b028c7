"""What a rule is."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from enum import Enum, StrEnum, auto
from typing import Any, ClassVar

from seamstep.base.values import made
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Image, Outcome, Release, Sigstruct, Step, Verdict

_PASS, _BLOCK = Outcome.PASS, Outcome.BLOCK


class Level(StrEnum):
    """What a verdict does: REQUIRE blocks the step, PREFER makes it cost more, WARN is shown, OFF is not asked."""

    REQUIRE = "require"
    PREFER = "prefer"
    WARN = "warn"
    OFF = "off"


class Scope(Enum):
    """What a rule's answer depends on.

    HOST: the host's constant facts alone. TURN: also how many updates were used before; it may only get stricter with
    them. SOURCE and TARGET: the host and that release. STEP: the host and both releases, or of these only the rule's
    ``facts``.
    """

    HOST = auto()
    TURN = auto()
    SOURCE = auto()
    TARGET = auto()
    STEP = auto()


class Rule(ABC):
    """One constraint on one step. A rule does no I/O and always answers; a fact it lacks makes the answer unknown.

    ``source`` says where the fact behind the rule comes from, ``why`` what happens where the rule is not kept, ``fix``
    what to do when it blocks; the reference pages show all three, and a plug-in may leave out the last two. ``scope``
    says what the answer depends on; the rule is asked once for each. A rule with ``needs_image`` can't answer for a
    release without an image. A rule with ``looks_ahead`` uses the step's outlook, and is itself left out of what others
    see ahead. ``default_level`` is the level of a policy rule that the policy does not name. ``parameters`` are JSON
    Schemas, with title and description, of what the policy passes to the constructor by name; all of them are required
    unless the level is off.
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

    def facts(self, release: Release) -> Hashable:
        """What of each release the outcome depends on, by a rule of scope STEP, and its wording where a step passes:
        releases of which this says the same are alike to the rule, and it is asked about one of them. A rule that does
        not say so is asked about every step."""
        return release.version

    def strictness(self) -> tuple[int, ...]:
        """How strict the parameters are, for choosing among layers of policies; more is stricter."""
        return ()

    def passed(self, reason: str, **evidence: Any) -> Verdict:
        """The step meets the rule."""
        return made(Verdict, (self.name, _PASS, reason, evidence))

    def passed_plainly(self, reason: str) -> Verdict:
        """The step meets the rule, for a reason that many steps meet it for; the verdict is made once."""
        try:
            return self._worded[reason]
        except KeyError:
            return self._worded.setdefault(reason, self.passed(reason))

    @functools.cached_property
    def _worded(self) -> dict[str, Verdict]:
        """What is said of many steps, made once."""
        return {}

    def blocked(self, reason: str, **evidence: Any) -> Verdict:
        """The step does not meet the rule."""
        return made(Verdict, (self.name, _BLOCK, reason, evidence))

    def unknown(self, reason: str, **evidence: Any) -> Verdict:
        """A fact is missing."""
        return Verdict(self.name, Outcome.UNKNOWN, reason, evidence)

    def lacks(self, host: HostFacts, fact: str) -> Verdict:
        """The host's ``fact`` is missing."""
        return self.unknown(f"{fact} is not known ({host.why_unknown(fact)})", missing=fact)

    def image_facts(self, release: Release, of: Callable[[Sigstruct], Hashable]) -> Hashable:
        """``of`` the release's image for ``facts``, or which release it is where no image is to be believed."""
        image = release.usable_image()
        return release.version if image is None else of(image.sigstruct)

    def both_images(self, step: Step) -> tuple[Image, Image] | Verdict:
        """The images of source and target, or the verdict that one is missing. What the source's image says is believed
        of the running module, so it has to be authentic too; the target's is judged by ``image-authentic``."""
        source = step.source.usable_image()
        if source is None:
            return self.unknown(f"can't tell what {step.source.version} is: {step.source.why_no_image()}")
        if step.target.image is None:
            return self.unknown(f"can't tell what {step.target.version} is: {step.target.image_problem}")
        return source, step.target.image
