"""What a policy does, and what in it does nothing: found by trying every step in every environment. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from seamstep.analysis import environments
from seamstep.analysis.environments import Environment, Pair, judged, searched
from seamstep.base.documents import Document
from seamstep.base.errors import Problem
from seamstep.base.validation import did_you_mean
from seamstep.base.versions import ModuleVersion, Specifier
from seamstep.domain.model import Release, ladders
from seamstep.planning.graph import VersionGraph
from seamstep.planning.planner import find_way
from seamstep.policy import policy_file
from seamstep.policy.policy import Policy
from seamstep.rules import Level, policy_rules

_ENTRIES = {"deny": "denial", "accept": "waiver", "waypoints": "waypoint"}
#: How many releases are compared with an entry while one step is judged.
_MATCHED = 4
_MAPPING = "the mapping file"
_FEWER_ENTRIES = "check fewer entries or releases at a time"

Path = tuple[ModuleVersion, ...]


class StepChange(NamedTuple):
    """A step that one policy permits and the other does not, in some environments; ``rules`` are those that refuse it
    where it is refused."""

    source: ModuleVersion
    target: ModuleVersion
    opened: bool
    rules: tuple[str, ...]
    environments: tuple[Environment, ...]


class PathChange(NamedTuple):
    """Where hosts that run ``source`` were led and are led now; an empty path stays where it is."""

    source: ModuleVersion
    old: Path
    new: Path
    environments: tuple[Environment, ...]


class _Entry(NamedTuple):
    """A denial, waiver or waypoint in force: its key and position in the document, and the releases that it names; a
    waypoint names its release whether it is listed or not."""

    key: str
    position: int
    named: frozenset[ModuleVersion]

    @property
    def series(self) -> frozenset[str]:
        """The series whose steps it can change; it changes no other."""
        return frozenset(version.series for version in self.named)


def findings(document: Document, policy: Policy, releases: Sequence[Release], as_of: date) -> list[Problem]:
    """What has expired, and which denials, waivers and waypoints change nothing.

    An entry changes nothing if without it the same steps are permitted in every environment, at the same cost.
    ``releases`` may be empty: then only what has expired is told.

    Raises:
        InputError: no release names a P-SEAMLDR, or it is too much to judge.
    """
    problems = [entry.problem for entry in policy.expired]
    if not releases:
        return problems
    entries = _in_force(document, policy, releases)
    for entry in _idle(document, policy, releases, entries, as_of):
        reason = _why_nothing(entry, entries, releases, policy)
        message = f"this {_ENTRIES[entry.key]} changes nothing: {reason}"
        problems.append(document.problem((entry.key, entry.position), message))
    return problems


def _in_force(document: Document, policy: Policy, releases: Sequence[Release]) -> dict[_Entry, Any]:
    """The entries that have not expired, as they are written. A waiver of a rule that looks into images is left out
    where there are none to tell what it changes."""
    listed = [(key, index, entry) for key in _ENTRIES for index, entry in enumerate(document.data.get(key, []))]
    compared = f"{len(listed)} × {len(releases):,} comparisons of entries with releases"
    environments.check_size(len(listed) * len(releases) // _MATCHED, _MAPPING, compared, _FEWER_ENTRIES)
    expired = {entry.problem.path[:2] for entry in policy.expired}
    if not environments.has_images(releases):
        expired |= {
            (key, index)
            for key, index, entry in listed
            if key == "accept" and _looks_into_images(policy, entry["rule"])
        }
    found = {}
    for key, index, entry in listed:
        if (key, index) not in expired:
            named = {ModuleVersion(entry)} if key == "waypoints" else _matched(entry["versions"], releases)
            found[_Entry(key, index, frozenset(named))] = entry
    return found


def _idle(
    document: Document, policy: Policy, releases: Sequence[Release], entries: Iterable[_Entry], as_of: date
) -> list[_Entry]:
    """The entries that change nothing."""
    kinds = list(environments.environments(releases))
    listed = ladders(releases)
    touched = {entry: entry.series & listed.keys() for entry in entries}
    whole = frozenset().union(*touched.values())
    work = sum(judged(len(listed[series])) for some in (whole, *touched.values()) for series in some)
    environments.check_size(len(kinds) * work, _MAPPING, f"{len(kinds)} kinds of hosts", _FEWER_ENTRIES)
    without = {entry: _without(document, entry, as_of) for entry in entries if touched[entry]}
    bare = not environments.has_images(releases)

    def effects(series: str, policy: Policy, kind: Environment) -> dict[Pair, int]:
        return environments.permitted(environments.graph(listed[series], policy, kind, without_images=bare))

    idle = list(entries)
    for kind in kinds:
        before = {series: effects(series, policy, kind) for series in {one for entry in idle for one in touched[entry]}}
        idle = [
            entry
            for entry in idle
            if all(effects(series, without[entry], kind) == before[series] for series in touched[entry])
        ]
    return idle


def _looks_into_images(policy: Policy, rule: str) -> bool:
    return any(applied.rule.name == rule and applied.rule.needs_image for applied in policy.rules)


def _without(document: Document, entry: _Entry, as_of: date) -> Policy:
    listed = enumerate(document.data[entry.key])
    rest = [other for position, other in listed if position != entry.position]
    return policy_file.parse(document._replace(data={**document.data, entry.key: rest}), None, as_of)


def _why_nothing(entry: _Entry, entries: Mapping[_Entry, Any], releases: Sequence[Release], policy: Policy) -> str:
    written = entries[entry]
    if entry.key == "waypoints":
        version = ModuleVersion(written)
        series = [release.version for release in releases if release.version.series == version.series]
        if version not in series:
            return f"the mapping file does not list {version}{_near(str(version), releases)}"
        ends = version in {min(series), max(series)}
        return "no step passes over it" if ends else "every step that passes over it is refused anyway"
    if not entry.named:
        return f"no release matches {written['versions']!r}{_near(written['versions'], releases)}"
    denials = {other: entries[other]["versions"] for other in entries if other.key == "deny" and other != entry}
    if entry.key == "deny":
        for other, versions in denials.items():
            if entry.named <= other.named:
                return f"the denial of {versions!r} covers it"
        return "every step that it forbids is forbidden anyway"
    rule = written["rule"]
    applied = next((one for one in policy.rules if one.rule.name == rule), None)
    if applied is None:
        return f"the rule {rule} is off" if rule in policy_rules() else f"there is no rule {rule}"
    if applied.level is Level.WARN:
        return f"the rule {rule} only warns"
    if entry.named <= frozenset().union(*(other.named for other in denials)):
        return "what it accepts is denied"
    return f"no step that it covers is refused by {rule} alone"


def _near(text: str, releases: Sequence[Release]) -> str:
    return did_you_mean(text, (str(release.version) for release in releases))


def _matched(versions: str, releases: Sequence[Release]) -> set[ModuleVersion]:
    specifier = Specifier(versions)
    return {release.version for release in releases if release.version in specifier}


class Side(NamedTuple):
    """One side of a comparison: a policy, and the catalog as its signers let it be seen."""

    policy: Policy
    releases: Sequence[Release]

    def seen(self, kind: Environment) -> VersionGraph:
        """What hosts of a kind see, whichever release they run."""
        bare = not environments.has_images(self.releases)
        return environments.graph(self.releases, self.policy, kind, without_images=bare)


def undecided(old: Side, new: Side) -> list[str]:
    """What the policies say differently of images, if there is none to tell what comes of it."""
    if environments.has_images(new.releases):
        return []
    before, after = (
        {
            a.rule.name: (a.level, a.cost, a.rule.strictness(), {one.versions.text for g in a.waivers for one in g})
            for a in side.policy.rules
            if a.rule.needs_image
        }
        for side in (old, new)
    )
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return names + (["signers"] if old.policy.signers != new.policy.signers else [])


def changes(old: Side, new: Side) -> tuple[list[StepChange], list[PathChange]]:
    """Every step that opens or closes, and every release from which hosts are led elsewhere, with all environments in
    which that is so; ascending.

    Raises:
        InputError: no release names a P-SEAMLDR, or it is too much to judge.
    """
    kinds = list(environments.environments(new.releases))
    work = sum(
        judged(len(ladder)) + searched(len(ladder), side.policy.choice, side.policy.max_hops)
        for side in (old, new)
        for ladder in ladders(side.releases).values()
    )
    fewer = "compare on fewer releases or P-SEAMLDRs at a time"
    environments.check_size(len(kinds) * work, _MAPPING, f"{len(kinds)} kinds of hosts", fewer)
    steps: dict[tuple[Pair, bool, tuple[str, ...]], list[Environment]] = {}
    paths: dict[tuple[ModuleVersion, Path, Path], list[Environment]] = {}
    for kind in kinds:
        before, after = old.seen(kind), new.seen(kind)
        for pair in before.permitted.edges ^ after.permitted.edges:
            opened = pair in after.permitted.edges
            rules = environments.refused_by(before if opened else after, pair)
            steps.setdefault((pair, opened, rules), []).append(kind)
        for release in old.releases:
            was, now = _path(before, old.policy, release.version), _path(after, new.policy, release.version)
            if was != now:
                paths.setdefault((release.version, was, now), []).append(kind)
    return (
        [StepChange(*pair, opened, rules, tuple(steps[pair, opened, rules])) for pair, opened, rules in sorted(steps)],
        [PathChange(*key, tuple(paths[key])) for key in sorted(paths)],
    )


def _path(seen: VersionGraph, policy: Policy, source: ModuleVersion) -> Path:
    """Where the policy leads a host from a release: the versions after it, none where it stays."""
    best = find_way(seen, policy, source).best
    return best.versions[1:] if best else ()
