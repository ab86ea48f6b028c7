"""Makes paths stop at the releases that a policy lists as waypoints."""

from __future__ import annotations

from collections.abc import Sequence

from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules.base import Rule


class Waypoint(Rule):
    """Looks for waypoints of the series between source and target."""

    name = "waypoint"
    summary = "The step does not pass over a release that the policy lists under `waypoints`."
    source = "the policy"
    why = "Whoever wrote the policy wants the release installed on the way; a step over it would skip it."
    fix = (
        "Nothing, if the planner finds a path that stops there. Otherwise make the stop possible: allow enough "
        "hops (`max_hops`), see which rule refuses the release, or take it off the list."
    )

    def __init__(self, waypoints: Sequence[ModuleVersion]) -> None:
        """``waypoints``: the releases at which a path that leads past them has to stop."""
        self._waypoints = tuple(waypoints)

    def check(self, step: Step, host: HostFacts) -> Verdict:
        source, target = step.source.version, step.target.version
        passed = [w for w in self._waypoints if w.series == source.series and source < w < target]
        if passed:
            names = ", ".join(map(str, passed))
            return self.blocked(f"the step passes over {names}, where every path has to stop", passes_over=names)
        return self.passed("no waypoint is passed over")
