"""What becomes of the ways between releases: steps that open and close, paths that change, releases that are stranded,
found by asking the graph of each side, on the same kinds of hosts.

Only series in which something differs are asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, groupby
from typing import NamedTuple

from seamstep.analysis import environments
from seamstep.analysis.diff.releases import alike
from seamstep.analysis.environments import Environment, Pair, judged, searched
from seamstep.analysis.policy_review import Path, PathChange, StepChange
from seamstep.base.versions import ModuleVersion
from seamstep.domain import model
from seamstep.domain.model import Release
from seamstep.planning.graph import VersionGraph
from seamstep.planning.paths import Route
from seamstep.planning.planner import router
from seamstep.policy.policy import PathChoice, Policy

#: The longest ladder of which the paths of smallest steps are compared: one search over the whole ladder a release.
LADDER_MAX = 60

Ladders = tuple[list[Release], list[Release]]


class Stranding(NamedTuple):
    """A release from which no step leads on, although its series has a newer one; ``stranded`` is false where that was
    so and is no longer."""

    version: ModuleVersion
    stranded: bool
    environments: tuple[Environment, ...]


class WaysDiff(NamedTuple):
    """What changes; ``environments`` are all kinds of hosts that were asked, ``left_out`` the series too long for
    paths of smallest steps to be compared. Every list is ascending."""

    environments: tuple[Environment, ...]
    steps: tuple[StepChange, ...]
    paths: dict[PathChoice, tuple[PathChange, ...]]
    strandings: tuple[Stranding, ...]
    left_out: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.steps or any(self.paths.values()) or self.strandings)


def compare(old: Sequence[Release], new: Sequence[Release], policy: Policy, *, without_images: bool) -> WaysDiff:
    """What changes for hosts under a policy. With ``without_images``, rules that need an image are left open. Raises
    InputError as :func:`work` does."""
    kinds = tuple(environments.environments((*old, *new)))
    ladders = list(differing(old, new))
    steps: dict[tuple[Pair, bool, tuple[str, ...]], list[Environment]] = {}
    paths: dict[tuple[PathChoice, ModuleVersion, Path, Path], list[Environment]] = {}
    stranded: dict[tuple[ModuleVersion, bool], list[Environment]] = {}
    for environment in kinds:
        for ladder in ladders:
            before, after = (_Side(side, policy, environment, without_images) for side in ladder)
            for key in _steps(before, after):
                steps.setdefault(key, []).append(environment)
            for way in _paths(before, after, policy, _choices(ladder)):
                paths.setdefault(way, []).append(environment)
            for release in _strandings(before, after):
                stranded.setdefault(release, []).append(environment)
    return WaysDiff(
        environments=kinds,
        steps=tuple(
            StepChange(*pair, opened, rules, tuple(steps[pair, opened, rules])) for pair, opened, rules in sorted(steps)
        ),
        paths={
            choice: tuple(PathChange(*key[1:], tuple(paths[key])) for key in sorted(paths) if key[0] is choice)
            for choice in PathChoice
        },
        strandings=tuple(Stranding(*key, tuple(stranded[key])) for key in sorted(stranded)),
        left_out=tuple(_series(ladder) for ladder in ladders if len(_choices(ladder)) < len(PathChoice)),
    )


def differing(old: Sequence[Release], new: Sequence[Release]) -> Iterator[Ladders]:
    """The ladders of each series in which something differs that a rule can tell."""
    sides = [
        {series: [*ladder] for series, ladder in groupby(side, key=lambda release: release.version.series)}
        for side in (old, new)
    ]
    for series in sorted(sides[0].keys() | sides[1].keys()):
        before, after = (side.get(series, []) for side in sides)
        if len(before) != len(after) or not all(map(alike, before, after)):
            yield before, after


def work(old: Sequence[Release], new: Sequence[Release], policy: Policy) -> int:
    """How many steps there are to judge, and what the searches for paths take besides. A side has one graph for the
    releases that it lists and one for each other.

    Raises:
        InputError: no release names a P-SEAMLDR, or a series that differs has more releases than can be judged.
    """
    total = 0
    for ladders in differing(old, new):
        for side in ladders:
            model.ladders(side)
            others = {release.version for other in ladders for release in other} - {one.version for one in side}
            total += judged(len(side)) + sum(judged(len(_newer(side, version)) + 1) for version in others)
            for choice in _choices(ladders):
                total += searched(len(side), choice, policy.max_hops)
    return total * len(list(environments.environments((*old, *new))))


def _choices(ladders: Ladders) -> Sequence[PathChoice]:
    """The ways of choosing a path that are compared."""
    return (PathChoice.FEWEST_HOPS,) if max(map(len, ladders)) > LADDER_MAX else tuple(PathChoice)


def _newer(ladder: Sequence[Release], version: ModuleVersion) -> list[Release]:
    return [release for release in ladder if release.version > version]


def _series(ladders: Ladders) -> str:
    return next(release.version.series for ladder in ladders for release in ladder)


class _Side:
    """One ladder of one catalog, as one kind of host sees it under the policy. A host may run a release that the
    catalog lacks: then it sees what is newer, and the release itself, of which nothing is known."""

    def __init__(
        self, releases: Sequence[Release], policy: Policy, environment: Environment, without_images: bool
    ) -> None:
        self._releases, self._policy, self._environment = releases, policy, environment
        self._without_images = without_images
        self.listed = frozenset(release.version for release in releases)
        self._graphs: dict[ModuleVersion | None, VersionGraph] = {}

    def graph(self, running: ModuleVersion) -> VersionGraph:
        """The graph for a host that runs this release; one serves all that are listed."""
        key = None if running in self.listed else running
        if key not in self._graphs:
            seen = _newer(self._releases, key) if key else self._releases
            self._graphs[key] = environments.graph(
                seen, self._policy, self._environment, running, without_images=self._without_images
            )
        return self._graphs[key]

    def permits(self, source: ModuleVersion, target: ModuleVersion) -> bool:
        return target in self.listed and self.graph(source).permitted.has_edge(source, target)

    def refusing(self, source: ModuleVersion, target: ModuleVersion) -> tuple[str, ...]:
        """The rules that refuse a step; none where the target is not listed."""
        return environments.refused_by(self.graph(source), (source, target)) if target in self.listed else ()

    def stuck(self, running: ModuleVersion) -> bool:
        """Whether there is a newer release and no step leads on."""
        graph = self.graph(running)
        return any(graph.newer(running)) and not graph.permitted.out_degree(running)

    def met(self, version: ModuleVersion) -> bool:
        """Whether a host of this kind may come to run the release, or leave it."""
        return self.graph(version).permitted.degree(version) > 0


def _steps(old: _Side, new: _Side) -> Iterator[tuple[Pair, bool, tuple[str, ...]]]:
    for source, target in combinations(sorted(old.listed | new.listed), 2):
        permitted = old.permits(source, target)
        if permitted != new.permits(source, target):
            refusing = new if permitted else old
            yield (source, target), not permitted, refusing.refusing(source, target)


def _paths(
    old: _Side, new: _Side, policy: Policy, choices: Sequence[PathChoice]
) -> Iterator[tuple[PathChoice, ModuleVersion, Path, Path]]:
    for source in sorted(old.listed | new.listed):
        before, after = (router(side.graph(source), policy, source) for side in (old, new))
        for choice in choices:
            old_way, new_way = _versions(before.best(choice)), _versions(after.best(choice))
            if old_way != new_way:
                yield choice, source, old_way, new_way


def _versions(route: Route | None) -> Path:
    return route.versions[1:] if route else ()


def _strandings(old: _Side, new: _Side) -> Iterator[tuple[ModuleVersion, bool]]:
    """A release counts only on hosts that may run it; one that was not listed before was not stranded before."""
    for version in sorted(old.listed | new.listed):
        was = version in old.listed and old.stuck(version)
        now = new.stuck(version)
        if was != now and (old.met(version) or new.met(version)):
            yield version, now
