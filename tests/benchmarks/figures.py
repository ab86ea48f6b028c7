"""From what was measured to figures, and whether they keep what is promised and what CI lets pass. Pure.

What is measured in the process comes as seconds by the name of the benchmark, for one of the things that it does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import linear_regression
from typing import NamedTuple

BARE = "bare start"
#: How many releases the made-up series have.
LENGTHS = (20, 50, 200, 500)
#: The length that a promise is about.
LONG = 200
#: CI fails at so many times what is usual.
MARGIN = 2


class Process(NamedTuple):
    """One command: medians of its wall time and its processor time in seconds, and its peak memory in bytes."""

    wall: float
    busy: float
    peak: int


class Fleet(NamedTuple):
    """A fleet: how many hosts it has, in how many classes."""

    hosts: int
    classes: int

    def __str__(self) -> str:
        return f"{self.hosts:,} hosts in {self.classes:,} classes"


#: The fleets that are measured, and those that a promise is about.
FLEETS = (*(Fleet(hosts, 300) for hosts in (1_000, 10_000, 100_000, 1_000_000)), Fleet(1_000_000, 3_000))
PROMISED = FLEETS[-2:]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: ``value`` in ``unit`` is what is promised about; ``ratio`` is much the same on a slow machine as on a
    quick one, and the less, the better."""

    name: str
    value: float
    unit: str
    ratio: float


@dataclass(frozen=True, slots=True)
class Budget:
    """What a figure may be. The promise about its value is ``at_most`` or ``at_least``. With ``usual``, CI compares the
    ratio with MARGIN times that instead: the value is a time, or the promise is not kept yet."""

    at_most: float = math.inf
    at_least: float = 0
    usual: float | None = None

    @property
    def promise(self) -> str:
        """The promise in words, without the unit."""
        return f"at least {self.at_least:,g}" if self.at_least else f"at most {self.at_most:,g}"

    def kept(self, figure: Figure) -> bool:
        """Whether the promise is kept."""
        return self.at_least <= figure.value <= self.at_most

    def passes(self, figure: Figure) -> bool:
        """Whether CI lets the figure pass."""
        return self.kept(figure) if self.usual is None else figure.ratio <= MARGIN * self.usual


def of_processes(found: Mapping[str, Process]) -> Iterator[Figure]:
    """Processor time and peak memory of each command."""
    bare = found[BARE].busy
    for name, one in found.items():
        if name != BARE:
            yield Figure(f"{name}: time", one.busy / bare, "times a bare start", one.busy / bare)
            yield Figure(f"{name}: memory", one.peak / 1e6, "MB", one.peak / 1e6)


def of_speeds(found: Mapping[str, float], bare: float) -> Iterator[Figure]:
    """Plans, beside a bare start in seconds, and our decision beside those of others."""
    for name, shown in (("plan", "one plan"), (f"series[{LONG}]", f"plan of {LONG} releases")):
        yield Figure(shown, found[name] * 1e3, "ms", found[name] / bare)
    for name, shown in (("cedar", "Cedar"), ("rego", "Rego")):
        ratio = found["decision"] / found[name]
        yield Figure(f"one decision, against {shown}", 1 / ratio, "times as fast", ratio)


def of_fleets(found: Mapping[Fleet, Process], bare: float) -> Iterator[Figure]:
    """Processor time and peak memory of the fleets that a promise is about."""
    for fleet in PROMISED:
        one = found[fleet]
        yield Figure(f"{fleet}: time", one.busy, "s", one.busy / bare)
        yield Figure(f"{fleet}: memory", one.peak / 1e6, "MB", one.peak / 1e6)


def slope(points: Mapping[int, float]) -> float:
    """The exponent k of seconds ~ length**k: the least squares of the logarithms. Takes two points or more."""
    return linear_regression(list(map(math.log, points)), list(map(math.log, points.values()))).slope


def breaches(found: Sequence[Figure], allowed: Mapping[str, Budget]) -> list[str]:
    """What CI does not let pass, one sentence for each figure; one that was not measured is as bad."""
    by_name = {figure.name: figure for figure in found}
    over = []
    for name, budget in allowed.items():
        figure = by_name.get(name)
        if figure is None:
            over.append(f"{name}: was not measured")
        elif not budget.passes(figure):
            limit = budget.promise if budget.usual is None else f"a ratio of at most {MARGIN * budget.usual:,g}"
            over.append(f"{name}: {figure.value:,.3g} {figure.unit}, a ratio of {figure.ratio:,.3g}; expected {limit}")
    return over
