"""The path search against brute force, and that it asks for little where there is no obstacle."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamstep.planning.paths import Found, cheapest, least_cost, newest_reachable

Ladder = dict[tuple[int, int], int | None]


@st.composite
def ladders(draw: st.DrawFn) -> tuple[int, Ladder]:
    size = draw(st.integers(2, 8))
    extra = st.sampled_from([0, 0, 0, 1, 5, 30, None])
    pairs = [(source, target) for source in range(size) for target in range(source + 1, size)]
    drawn = {pair: draw(extra) for pair in pairs}
    return size, {(s, t): None if e is None else (t - s) ** 2 + e for (s, t), e in drawn.items()}


def step_of(ladder: Ladder, turns: int) -> Callable[[int, int, int], int | None]:
    """Steps as in ``ladder`` while fewer than ``turns`` updates were used."""
    return lambda source, target, used: ladder[source, target] if used < turns else None


def brute(ladder: Ladder, goal: int, most: int) -> Found | None:
    best: list[Found] = []
    for count in range(goal):
        for between in combinations(range(1, goal), count):
            ranks = (0, *between, goal)
            costs = [ladder[pair] for pair in pairwise(ranks)]
            if len(costs) <= most and None not in costs:
                best.append(Found(sum(cost for cost in costs if cost is not None), len(costs), ranks))
    return min(best, default=None)


@settings(max_examples=400)
@given(ladders(), st.integers(0, 9), st.integers(1, 9))
def test_cheapest_agrees_with_brute_force(made: tuple[int, Ladder], most: int, turns: int) -> None:
    size, ladder = made
    expected = brute(ladder, size - 1, min(most, turns))
    assert cheapest(step_of(ladder, turns), 0, size - 1, min(most, turns)) == expected


@settings(max_examples=300)
@given(ladders(), st.integers(0, 9))
def test_newest_reachable_agrees_with_brute_force(made: tuple[int, Ladder], budget: int) -> None:
    size, ladder = made
    goals = [goal for goal in range(1, size) if brute(ladder, goal, budget)]
    found, fewest = newest_reachable(step_of(ladder, 99), 0, list(range(1, size)), size, budget)
    assert found == max(goals, default=None)
    for goal, hops in fewest.items():
        assert goal == 0 or (brute(ladder, goal, hops) and not brute(ladder, goal, hops - 1))


@given(st.integers(0, 60), st.integers(0, 70))
def test_the_bound_is_the_cheapest_way_without_obstacles(distance: int, hops: int) -> None:
    bound = least_cost(distance, hops)
    if distance == 0 or hops == 0:
        assert bound == (0 if distance == 0 else None)
    else:
        found = cheapest(lambda source, target, used: (target - source) ** 2, 0, distance, hops)
        assert found
        assert found.cost == bound


@pytest.mark.parametrize("most", [1, 5, 20, 200, 999, 10**12])
def test_without_obstacles_few_steps_are_asked(most: int) -> None:
    asked = 0

    def step(source: int, target: int, used: int) -> int:
        nonlocal asked
        asked += 1
        return (target - source) ** 2

    assert newest_reachable(step, 0, range(1, 1000), 1000, most)[0] == 999
    assert asked == 1
    found = cheapest(step, 0, 999, most)
    assert found
    assert found.hops == min(most, 999)
    assert asked < 6000, "of half a million"
