"""The inputs of a report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple

from seamstep.domain.facts import HostFacts
from seamstep.domain.tcb import TcbView
from seamstep.plan.document import Plan
from seamstep.policy.policy import Policy
from seamstep.show.drawing.scene import Scene
from seamstep.show.findings import Linted


class Planned(NamedTuple):
    """A policy and the plan made under it."""

    policy: Policy
    plan: Plan


class Material(NamedTuple):
    """Everything that a report shows.

    ``host`` holds the host's facts. ``plans`` begin with the plan under the policy to go by, which ``scene`` draws; the
    others are for comparison. ``remedies`` are lines on what would open a path, where that plan has none. ``linted``
    holds the findings on the mapping file and its images. ``made`` is the time of writing, ``as_of`` the day that
    decides which waivers have expired, and ``version`` that of seamstep. ``tcb`` is the TCB Info, None for none.
    """

    host: HostFacts
    plans: Sequence[Planned]
    remedies: Sequence[str]
    scene: Scene
    linted: Linted
    made: datetime
    as_of: date
    version: str
    tcb: TcbView | None = None

    @property
    def chosen(self) -> Planned:
        """The policy to go by and its plan."""
        return self.plans[0]
