"""What a change of catalogs means for given hosts: where the policy leads each of them before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from seamstep.analysis.diff.ways import Ladders, differing
from seamstep.analysis.environments import judged
from seamstep.base.errors import InputError
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Release
from seamstep.planning.planner import check_target, find_way, graph_of
from seamstep.policy.policy import Policy

#: The outcome for hosts whose policy wants a release that the catalog lacks.
TARGET_MISSING = "target-missing"


class Hosts(NamedTuple):
    """Facts without name and boot, and the hosts of which they are true: by name, or by place where they have none."""

    facts: HostFacts
    names: list[str]


class Way(NamedTuple):
    """Where a host is led: the outcome of its plan, and the versions after the running one."""

    outcome: str
    versions: tuple[ModuleVersion, ...]


class HostChange(NamedTuple):
    """Hosts that run ``source`` and are led elsewhere, or nowhere."""

    source: ModuleVersion
    old: Way
    new: Way
    names: tuple[str, ...]


class HostsDiff(NamedTuple):
    """How many hosts were asked about, those that change, and those that can't be planned for, by the reason."""

    total: int
    changes: tuple[HostChange, ...]
    unplannable: dict[str, tuple[str, ...]]

    @property
    def affected(self) -> int:
        """How many hosts change."""
        return sum(len(change.names) for change in self.changes)


def compare(
    old: Sequence[Release], new: Sequence[Release], policy: Policy, groups: Iterable[Hosts], *, without_images: bool
) -> HostsDiff:
    """What changes for the hosts under the policy, as ``plan`` would have it."""
    ladders = _by_series(old, new)
    changed: dict[tuple[ModuleVersion, Way, Way], list[str]] = {}
    unplannable: dict[str, list[str]] = {}
    total = 0
    for group in groups:
        total += len(group.names)
        running = group.facts.module_version
        if running is None:
            unplannable.setdefault(group.facts.why_unknown("module_version"), []).extend(group.names)
        elif running.series in ladders:
            before, after = (
                _way(_onward(side, running), group.facts, policy, without_images) for side in ladders[running.series]
            )
            if before != after:
                changed.setdefault((running, before, after), []).extend(group.names)
    return HostsDiff(
        total=total,
        changes=tuple(HostChange(*key, tuple(changed[key])) for key in sorted(changed)),
        unplannable={reason: tuple(names) for reason, names in sorted(unplannable.items())},
    )


def work(old: Sequence[Release], new: Sequence[Release], groups: Iterable[Hosts]) -> int:
    """How many steps there are to judge."""
    ladders = _by_series(old, new)
    running = Counter(group.facts.module_version for group in groups)
    return sum(
        count * judged(len(_onward(side, version)) + 1)
        for version, count in running.items()
        if version
        for side in ladders.get(version.series, ())
    )


def _by_series(old: Sequence[Release], new: Sequence[Release]) -> dict[str, Ladders]:
    return {release.version.series: pair for pair in differing(old, new) for side in pair for release in side}


def _onward(ladder: Sequence[Release], running: ModuleVersion) -> list[Release]:
    """The releases that matter to a host: that which it runs and newer ones."""
    return [release for release in ladder if release.version >= running]


def _way(releases: Sequence[Release], facts: HostFacts, policy: Policy, without_images: bool) -> Way:
    graph = graph_of(releases, facts, policy, without_images=without_images)
    try:
        check_target(graph, policy)
    except InputError:
        return Way(TARGET_MISSING, ())
    found = find_way(graph, policy)
    return Way(found.outcome.value, found.best.versions[1:] if found.best else ())
