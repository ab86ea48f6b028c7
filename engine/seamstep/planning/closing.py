"""Which release closes an advisory on a host. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seamstep.planning.graph import VersionGraph
from seamstep.planning.planner import find_way
from seamstep.policy.policy import Policy, Target


def closed_by(graph: VersionGraph, policy: Policy, advisories: Iterable[str]) -> dict[str, dict[str, Any] | None]:
    """For each advisory the nearest release that closes it, as ``version`` and whether it is ``reachable``; None if no
    newer release is known to. One that the policy permits and that can be reached comes first."""
    found: dict[str, dict[str, Any] | None] = {}
    for advisory in advisories:
        answer = find_way(graph, policy.with_target(Target(closes=(advisory,))))
        wanted = answer.router.wanted
        version = answer.best.versions[-1] if answer.best else wanted[-1] if wanted else None
        found[advisory] = {"version": str(version), "reachable": answer.best is not None} if version else None
    return found
