"""Paths along permitted steps: the newest release within reach, and the best path to it. Pure.

Two ways to choose, by what is compared first: ``fewest-hops`` (hops, cost, versions) and ``shortest-path`` (cost,
hops, versions). A step costs the square of its length in ranks: with plain lengths every path between two releases
would cost the same.
"""

from __future__ import annotations

import heapq
import operator
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain, pairwise, product
from typing import Any, NamedTuple

import networkx as nx

from seamstep.base.versions import ModuleVersion
from seamstep.planning.graph import VersionGraph
from seamstep.policy.policy import PathChoice

#: Paths of one length, each with its cost, its place by versions among all of that length, and its versions.
_Paths = list[tuple[int, int, tuple[ModuleVersion, ...]]]


class Route(NamedTuple):
    """A permitted path: its versions from the first on, and its cost (squared ranks plus prefer costs)."""

    versions: tuple[ModuleVersion, ...]
    cost: int

    @property
    def hops(self) -> int:
        """How many updates it takes."""
        return len(self.versions) - 1

    def key(self, choice: PathChoice) -> tuple[int, int, tuple[ModuleVersion, ...]]:
        """What a way of choosing minimises."""
        first = (self.hops, self.cost) if choice is PathChoice.FEWEST_HOPS else (self.cost, self.hops)
        return *first, self.versions


class Router:
    """Finds routes from a release of a graph, the running one unless ``start`` is given, in at most ``budget`` hops.

    ``wanted`` are the releases to lead to, the most wanted last; ``reached`` all versions within the budget, with the
    fewest hops to each; ``target`` is the last of ``wanted`` among them, None if there is none.
    """

    def __init__(
        self, graph: VersionGraph, wanted: Sequence[ModuleVersion], budget: int, start: ModuleVersion | None = None
    ) -> None:
        self._steps = graph.permitted
        self._start = start or graph.running
        self._most = graph.most_hops(budget)
        self.wanted = wanted
        self.reached: dict[ModuleVersion, int] = nx.single_source_shortest_path_length(
            self._steps, self._start, cutoff=self._most
        )
        self.target = next((version for version in reversed(wanted) if version in self.reached), None)

    def best(self, choice: PathChoice) -> Route | None:
        """The best route to the target; None if there is no target."""
        goal, reached = self.target, self.reached
        if goal is None:
            return None

        def length(source: ModuleVersion, target: ModuleVersion, edge: dict[str, Any]) -> Any:
            if choice is PathChoice.FEWEST_HOPS:  # each hop of such a path raises the hop count by one
                further = reached.get(target) == reached[source] + 1
                if not further or (target != goal and reached[target] >= reached[goal]):
                    return None  # networkx passes the step over
            return _Length((edge["cost"], 1, (target,)))

        versions = nx.dijkstra_path(self._steps, self._start, goal, weight=length)
        route = Route(tuple(versions), sum(self._steps.edges[step]["cost"] for step in pairwise(versions)))
        return route if route.hops <= self._most else self._ranked(goal, choice, 1)[0]

    def runner_up(self, choice: PathChoice) -> Route | None:
        """The second-best route to the target; None if there is no other than the best."""
        found = self._ranked(self.target, choice, 2) if self.target else []
        return found[1] if len(found) > 1 else None

    def _ranked(self, goal: ModuleVersion, choice: PathChoice, count: int) -> list[Route]:
        """The ``count`` best routes within the budget: hop by hop, the best few to each release. networkx can't limit
        hops without a node for each release and number of updates (docs/adr/0021)."""
        steps = {
            v: [(to, edge["cost"]) for to, edge in after.items() if to <= goal] for v, after in self._steps.adj.items()
        }
        within: dict[ModuleVersion, _Paths] = {self._start: [(0, 0, (self._start,))]}
        ends: list[Route] = []
        for _ in range(self._most):
            longer: dict[ModuleVersion, _Paths] = defaultdict(list)
            for source, paths in within.items():
                for (target, step), (cost, place, versions) in product(steps[source], paths):
                    best = longer[target]
                    if len(best) < count or (cost + step, place) < best[-1]:
                        best.append((cost + step, place, (*versions, target)))
                        best.sort()
                        del best[count:]
            ends += [Route(versions, cost) for cost, _, versions in longer.pop(goal, ())]
            found = sorted(chain(*longer.values()), key=lambda path: (path[1], path[2][-1]))
            within = defaultdict(list)
            for place, (cost, _, versions) in enumerate(found):
                within[versions[-1]].append((cost, place, versions))
        return heapq.nsmallest(count, ends, key=lambda route: route.key(choice))


class _Length(tuple[Any, ...]):
    """Cost, hops and versions of a path, as networkx adds and compares them. It starts from the number 0."""

    def __add__(self, other: Any) -> _Length:
        return _Length(map(operator.add, self, other))

    def __radd__(self, start: int) -> _Length:
        return self
