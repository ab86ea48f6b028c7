"""From what was measured to figures, and whether they keep what is promised and what CI lets pass. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

BARE = "bare start"
LOOP = "loop"
LENGTHS = (20, 200, 1000)
#: The regression that must not land unseen.
NOTICED = 10
_MILLI, _MICRO, _MEGA = 1e3, 1e6, 1e6


class Process(NamedTuple):
    """One command: the median of its wall times and the median of what it took outside imports, both in seconds, and
    its peak memory in bytes."""

    wall: float
    outside: float
    peak: int


class Speed(NamedTuple):
    """What pytest-benchmark measured: the least seconds that one of the things took, and how many bytes a second were
    gone through (0 where that is no question)."""

    seconds: float
    rate: float = 0.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: ``value`` in ``unit`` is what is promised about, ``ratio`` what the budget limits: the less, the
    better, and much the same on a slow machine as on a quick one."""

    name: str
    value: float
    unit: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Budget:
    """What a figure may be. ``usual`` is its ratio as a rule; CI fails at ``margin`` times that. What is promised is
    about its value: ``at_most`` or ``at_least``."""

    usual: float
    margin: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def limit(self) -> float:
        """The ratio from which on CI fails."""
        return self.usual * self.margin

    def kept(self, figure: Figure) -> bool | None:
        """Whether the promise is kept; None where nothing is promised."""
        if self.at_most is None and self.at_least is None:
            return None
        return (self.at_most is None or figure.value <= self.at_most) and (
            self.at_least is None or figure.value >= self.at_least
        )


def budgets(document: Mapping[str, object]) -> dict[str, Budget]:
    """The budgets in budget.toml, by the figure's name."""
    margin = float(str(document["margin"]))
    tables = {name: table for name, table in document.items() if isinstance(table, dict)}
    return {name: Budget(**table, margin=margin) for name, table in tables.items()}


def of_processes(found: Mapping[str, Process]) -> Iterator[Figure]:
    """Wall time and peak memory of each command, and what ``plan`` takes outside imports."""
    bare = found[BARE]
    for name, one in found.items():
        if name != BARE:
            times = one.wall / bare.wall
            yield Figure(f"{name}: wall time", times, "times a bare start", times)
            yield Figure(f"{name}: memory", one.peak / _MEGA, "MB", one.peak / bare.peak)
            if name == "plan":
                yield Figure(f"{name}: outside imports", one.outside * _MILLI, "ms", one.outside / bare.wall)


def of_speeds(found: Mapping[str, Speed]) -> Iterator[Figure]:
    """What can be told from the benchmarks that ran; those of peers may be missing."""
    loop = found[LOOP].seconds
    for name, shown in (("plan", "one plan"), ("rule", "one rule"), *((f"graph[{n}]", graph(n)) for n in LENGTHS)):
        yield Figure(shown, found[name].seconds * _MICRO, "µs", found[name].seconds / loop)
    decision = found["decision"].seconds
    yield Figure("one decision", 1 / decision, "a second", decision / loop)
    for peer, shown in (("decision_cedar", "Cedar"), ("decision_rego", "Rego")):
        if peer in found:
            faster = found[peer].seconds / decision
            yield Figure(f"one decision, against {shown}", faster, "times as fast", 1 / faster)
    for length in LENGTHS:
        ours, theirs = found[f"graph[{length}]"].seconds, found.get(f"graph_networkx[{length}]")
        if theirs:
            yield Figure(
                f"{graph(length)}, against networkx", theirs.seconds / ours, "times as fast", ours / theirs.seconds
            )
    for name, shown in (("verify", "verification"), ("verify_one_core", "verification on one core")):
        share = found[name].rate / found["sha384"].rate
        yield Figure(f"{shown}, against SHA-384", share, "of its speed", 1 / share)


def graph(length: int) -> str:
    """What the graph of so many releases is called."""
    return f"graph of {length:,} releases"


def slope(points: Mapping[int, float]) -> float:
    """The exponent k of seconds ~ length**k: the least squares of the logarithms. Takes two points or more."""
    across = [math.log(length) for length in points]
    up = [math.log(seconds) for seconds in points.values()]
    middle, height = sum(across) / len(across), sum(up) / len(up)
    covariance = sum((x - middle) * (y - height) for x, y in zip(across, up, strict=True))
    return covariance / sum((x - middle) ** 2 for x in across)


def growth(found: Mapping[str, Speed], name: str) -> dict[int, float]:
    """By length the seconds that a graph took."""
    speeds = {length: found.get(f"{name}[{length}]") for length in LENGTHS}
    return {length: speed.seconds for length, speed in speeds.items() if speed}


def breaches(
    found: Sequence[Figure], allowed: Mapping[str, Budget], left_out: frozenset[str] = frozenset()
) -> list[str]:
    """What is over budget, one sentence for each figure; one that was not measured is as bad."""
    ratios = {figure.name: figure.ratio for figure in found}
    over = [
        f"{name}: {ratio:.3g}, the budget ends at {allowed[name].limit:.3g}"
        for name, ratio in ratios.items()
        if ratio > allowed[name].limit
    ]
    return over + [f"{name}: was not measured" for name in allowed if name not in ratios and name not in left_out]


def slack(found: Sequence[Figure], allowed: Mapping[str, Budget]) -> list[str]:
    """The figures that could get ten times worse before CI noticed: their budget is to be tightened."""
    loose = [figure for figure in found if figure.ratio * NOTICED < allowed[figure.name].limit]
    return [f"{figure.name}: usual = {figure.ratio:.2g} would do" for figure in loose]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the columns after the first are numbers, at the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def shown(number: float) -> str:
    """A figure with three digits, and thousands told apart."""
    if number == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(number)))
    return f"{round(number, digits):,.{max(digits, 0)}f}"
