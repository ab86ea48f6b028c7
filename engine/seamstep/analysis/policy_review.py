"""What a policy does, and what in it does nothing: found by trying every step in every environment. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from seamstep.analysis import environments
from seamstep.analysis.environments import Environment, Pair, judged, searched
from seamstep.analysis.policy_warnings import NOUNS, effect, repeated, warnings
from seamstep.base.documents import Document
from seamstep.base.errors import Problem, in_reading_order
from seamstep.base.validation import did_you_mean
from seamstep.base.versions import ModuleVersion, Specifier
from seamstep.domain.model import Release, ladders
from seamstep.planning.graph import VersionGraph
from seamstep.planning.planner import find_way
from seamstep.policy import policy_file
from seamstep.policy.policy import Policy
from seamstep.rules import Level, policy_rules

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
    waypoint names its release whether it is listed or not. ``sources`` are those under ``from`` of a denial; None where
    it has no such key."""

    key: str
    position: int
    named: frozenset[ModuleVersion]
    sources: frozenset[ModuleVersion] | None = None

    @property
    def series(self) -> frozenset[str]:
        """The series whose steps it can change; it changes no other."""
        return frozenset(version.series for version in self.named)

    def covers(self, other: _Entry) -> bool:
        """Whether this denial forbids every step that ``other`` forbids."""
        if self.sources is None:
            return other.named <= self.named
        return other.named <= self.named and other.sources is not None and other.sources <= self.sources

    @property
    def steps(self) -> bool:
        """Whether any step leads from ``sources`` to ``named``."""
        pairs = ((source, target) for source in self.sources or () for target in self.named)
        return any(source < target and source.series == target.series for source, target in pairs)


def findings(document: Document, policy: Policy, releases: Sequence[Release], as_of: date) -> list[Problem]:
    """What has expired, what can hardly be meant, and which denials, waivers and waypoints change nothing.

    An entry changes nothing if without it, and without its repetitions, the same steps are permitted in every
    environment, at the same cost. ``releases`` may be empty: then such entries are not looked for.

    Raises:
        InputError: no release names a P-SEAMLDR, or it is too much to judge.
    """
    entries = _in_force(document, policy, releases) if releases else {}
    problems = [entry.problem for entry in policy.expired] + list(warnings(document, policy, releases, as_of))
    for entry in _idle(document, policy, releases, entries, as_of) if releases else ():
        reason = _why_nothing(entry, entries, releases, policy)
        message = f"this {NOUNS[entry.key]} changes nothing: {reason}"
        problems.append(document.problem((entry.key, entry.position), message))
    return in_reading_order(problems)


def _in_force(document: Document, policy: Policy, releases: Sequence[Release]) -> dict[_Entry, Any]:
    """The entries that have not expired, as they are written, the first of those that repeat each other. A waiver of a
    rule that looks into images is left out where there are none to tell what it changes."""
    listed = [(key, index, entry) for key in NOUNS for index, entry in enumerate(document.data.get(key, []))]
    compared = f"{len(listed)} × {len(releases):,} comparisons of entries with releases"
    environments.check_size(len(listed) * len(releases) // _MATCHED, _MAPPING, compared, _FEWER_ENTRIES)
    left_out = {entry.problem.path[:2] for entry in policy.expired} | repeated(document, policy).keys()
    if not environments.has_images(releases):
        left_out |= {
            (key, index)
            for key, index, entry in listed
            if key == "accept" and _looks_into_images(policy, entry["rule"])
        }
    found = {}
    for key, index, entry in listed:
        if (key, index) not in left_out:
            named = {ModuleVersion(entry)} if key == "waypoints" else _matched(entry["versions"], releases)
            stated = key == "deny" and "from" in entry
            sources = frozenset(_matched(entry["from"], releases)) if stated else None
            found[_Entry(key, index, frozenset(named), sources)] = entry
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
    listed = document.data[entry.key]
    rest = [other for other in listed if effect(other) != effect(listed[entry.position])]
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
    denials = [other for other in entries if other.key == "deny" and other != entry]
    if entry.key == "deny":
        return _why_nothing_is_denied(entry, denials, entries, releases)
    rule = written["rule"]
    applied = next((one for one in policy.rules if one.rule.name == rule), None)
    if applied is None:
        return f"the rule {rule} is off" if rule in policy_rules() else f"there is no rule {rule}"
    if applied.level is Level.WARN:
        return f"the rule {rule} only warns"
    if entry.named <= frozenset().union(*(other.named for other in denials if other.sources is None)):
        return "what it accepts is denied"
    return f"no step that it covers is refused by {rule} alone"


def _why_nothing_is_denied(
    entry: _Entry, others: Sequence[_Entry], entries: Mapping[_Entry, Any], releases: Sequence[Release]
) -> str:
    written = entries[entry]
    if entry.sources is not None and not entry.sources:
        return f"no release matches {written['from']!r}{_near(written['from'], releases)}"
    if entry.sources is not None and not entry.steps:
        return f"no step leads from {written['from']!r} to {written['versions']!r}"
    for other in others:
        if other.covers(entry):
            stated = entries[other]
            steps = f"{stated['from']!r} to {stated['versions']!r}" if "from" in stated else repr(stated["versions"])
            return f"the denial of {steps} covers it"
    return "every step that it forbids is forbidden anyway"


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
