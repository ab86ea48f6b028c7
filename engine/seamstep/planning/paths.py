"""Path search on one ladder: releases are ranks 0, 1, 2, ..., steps lead upwards, and a step from i to j costs at least
(j - i) squared. Pure, and lazy: a step's cost is asked only where the search needs it.

Why squares: with plain distances every path from a to b would cost the same. The same convexity gives the search its
bound: no path of k hops over a distance d is cheaper than k steps as equal as possible. A search within a limit asks
only for steps that can still be part of a path within it; the limit starts at the bound and grows until a path is
found, so that on a ladder without obstacles hardly a step is asked that is not on the path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from seamstep.base.values import NamedTuple

#: The cost of the step from a rank to a higher one, taken after so many updates; None if it is not permitted. May only
#: get stricter with the number of updates.
StepCost = Callable[[int, int, int], int | None]


class Found(NamedTuple):
    """A path of ranks, with its cost."""

    cost: int
    hops: int
    ranks: tuple[int, ...]


def least_cost(distance: int, hops: int) -> int | None:
    """The least that ``distance`` can cost in at most ``hops`` steps; None if it can't be done."""
    if distance == 0:
        return 0
    if hops <= 0:
        return None
    hops = min(hops, distance)
    each, longer = divmod(distance, hops)
    return (hops - longer) * each**2 + longer * (each + 1) ** 2


def newest_reachable(
    step: StepCost, start: int, wanted: Sequence[int], size: int, budget: int
) -> tuple[int | None, dict[int, int]]:
    """The highest rank of ``wanted`` that at most ``budget`` hops lead to, and the fewest hops to each rank that was
    seen on the way. If that highest rank is the highest wanted, the search ends there and has not seen all others."""
    fewest = {start: 0}
    frontier = [start]
    highest = max(wanted, default=start)
    for used in range(min(budget, size)):
        if any(step(source, highest, used) is not None for source in frontier if source < highest):
            fewest[highest] = used + 1
            return highest, fewest
        following = []
        for source in frontier:
            for target in range(source + 1, size):
                if target not in fewest and target != highest and step(source, target, used) is not None:
                    fewest[target] = used + 1
                    following.append(target)
        if not following:
            break
        frontier = following
    return max((rank for rank in wanted if rank in fewest), default=None), fewest


def cheapest(step: StepCost, start: int, goal: int, most: int) -> Found | None:
    """The cheapest path from ``start`` to ``goal`` in at most ``most`` hops; among equals the one with the fewest hops,
    then the lexicographically smallest. None if there is none."""
    most = min(most, goal - start)
    if most == 1:
        cost = step(start, goal, 0)
        return None if cost is None else Found(cost, 1, (start, goal))
    found = _widen(_Unlimited(step, goal).within, start, goal, goal - start)
    if found is None or (found.hops <= most and _holds(step, found)):
        return found
    return _widen(_Layered(step, goal, most).within, start, goal, most)


def _holds(step: StepCost, found: Found) -> bool:
    """Whether a path that was found as if no update had been used before holds with each in its turn."""
    costs = [step(source, target, used) for used, (source, target) in enumerate(pairwise(found.ranks))]
    return None not in costs and sum(cost for cost in costs if cost) == found.cost


def _widen(within: Callable[[int, int], tuple[Found | None, bool]], start: int, goal: int, most: int) -> Found | None:
    bound = least_cost(goal - start, most)
    if bound is None:
        return None
    slack = 0
    while True:
        found, cut = within(start, bound + slack)
        if found or not cut:
            return found
        slack = 2 * slack + 1


class _Unlimited:
    """Search within a cost limit, any number of hops, as if no update had been used: one best path to each rank is
    enough."""

    def __init__(self, step: StepCost, goal: int) -> None:
        self._step = step
        self._goal = goal

    def within(self, start: int, limit: int) -> tuple[Found | None, bool]:
        best = {start: Found(0, 0, (start,))}
        cut = False
        for source in range(start, self._goal):
            here = best.get(source)
            if here is None:
                continue
            for target in range(source + 1, self._goal + 1):
                if here.cost + (target - source) ** 2 + (self._goal - target) > limit:
                    cut = True
                    break
                cost = self._step(source, target, 0)
                if cost is not None:
                    longer = Found(here.cost + cost, here.hops + 1, (*here.ranks, target))
                    best[target] = min(best.get(target, longer), longer)
        found = best.get(self._goal)
        if found and found.cost > limit:
            return None, True
        return found, cut


class _Layered:
    """Search within a cost limit and a number of hops: one best path to each rank for each number of hops."""

    def __init__(self, step: StepCost, goal: int, most: int) -> None:
        self._step = step
        self._goal = goal
        self._most = most
        self._cut = False

    def within(self, start: int, limit: int) -> tuple[Found | None, bool]:
        self._cut = False
        layer = {start: Found(0, 0, (start,))}
        ends: list[Found] = []
        for used in range(self._most):
            following: dict[int, Found] = {}
            for source, here in layer.items():
                for target in self._targets(source, limit - here.cost, self._most - used - 1):
                    cost = self._step(source, target, used)
                    if cost is not None:
                        longer = Found(here.cost + cost, used + 1, (*here.ranks, target))
                        following[target] = min(following.get(target, longer), longer)
            end = following.pop(self._goal, None)
            if end and end.cost <= limit:
                ends.append(end)
            elif end:
                self._cut = True
            layer = following
        return min(ends, default=None), self._cut

    def _targets(self, source: int, limit: int, left: int) -> Iterator[int]:
        """The targets from which ``left`` more hops can reach the goal within the limit. The bound is convex in the
        length of the step, so they are neighbours: grow from the most even step in both directions."""
        distance = self._goal - source
        middle = min(max(round(distance / (left + 1)), 1), distance)
        for lengths in (range(middle, 0, -1), range(middle + 1, distance + 1)):
            for length in lengths:
                rest = least_cost(distance - length, left)
                if rest is None:
                    continue
                if length**2 + rest > limit:
                    self._cut = True
                    break
                yield source + length
