"""What a report is made from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from seamstep.domain.facts import HostFacts
from seamstep.plan.document import Plan
from seamstep.policy.policy import Policy
from seamstep.show.drawing.scene import Scene
from seamstep.show.findings import Linted


class Planned(NamedTuple):
    """A policy and the plan under it."""

    policy: Policy
    plan: Plan


class Material(NamedTuple):
    """Everything that is told.

    ``plans`` begin with that of the policy to go by, which the ``scene`` shows; the others are for comparison.
    ``made`` is the moment the report says it was made at, ``as_of`` the day that decided what has expired, ``version``
    that of seamstep.
    """

    host: HostFacts
    plans: Sequence[Planned]
    scene: Scene
    linted: Linted
    made: datetime
    as_of: date
    version: str

    @property
    def chosen(self) -> Planned:
        """The policy to go by and its plan."""
        return self.plans[0]
