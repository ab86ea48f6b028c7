"""Who goes first: the order depends on names alone, and stages have the sizes that the rollout says."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from seamstep.fleet import waves
from seamstep.fleet.settings import Amount, Rollout
from seamstep.fleet.state import Clock, Moment

SIZES = (Amount(10, percent=True), Amount(25, percent=True))
ROLLOUT = Rollout("r", "", Amount(1), Amount(10), canaries=2, canary_soak=60, waves=SIZES)


def assigned(names: list[str], class_: str = "c") -> dict[str, int]:
    return dict(zip(names, waves.assign(ROLLOUT, [(name, class_, {}) for name in names]), strict=True))


def test_sizes_of_waves() -> None:
    found = Counter(assigned([f"h{number}" for number in range(100)]).values())
    assert found == {0: 2, 1: 10, 2: 25, 3: 63}
    assert waves.stages(ROLLOUT, 100) == (2, 12, 37, 100)
    assert waves.stages(ROLLOUT, 1) == (1, 1, 1, 1)
    assert assigned(["only"]) == {"only": 0}
    assert assigned([]) == {}


@given(st.sets(st.text(min_size=1), max_size=40), st.randoms())
def test_waves_depend_on_names_and_not_on_order_or_other_classes(names: set[str], chance: random.Random) -> None:
    listed = sorted(names)
    first = assigned(listed)
    chance.shuffle(listed)
    assert assigned(listed) == first
    mixed: list[tuple[str, str, dict[str, str]]] = [(name, class_, {}) for name in listed for class_ in ("c", "other")]
    together = list(waves.assign(ROLLOUT, mixed))
    assert dict(zip(listed, together[::2], strict=True)) == first


def test_canaries_stand_for_what_a_release_may_treat_alike() -> None:
    assert waves.group(["0x806F8"], "1.5.05", None, "6.19") == (
        "0x806F8, module 1.5.05, P-SEAMLDR unknown, kernel 6.19"
    )
    assert waves.group([], "1.5.05", "1.5.02", "6.19").startswith("unknown platform")


@given(st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 1e6))))
def test_the_clock_goes_no_faster_than_any_machine_measured(words: list[tuple[str, float]]) -> None:
    """Whatever machines say in whatever order, time never goes back, and never by more than one of them measured."""
    clock = Clock()
    for boot, monotonic in words:
        after = clock.at(Moment(boot, monotonic))
        same = boot == clock.boot
        assert 0 <= after.time - clock.time <= (max(0.0, monotonic - clock.monotonic) + 1e-6 if same else 0)
        clock = after
