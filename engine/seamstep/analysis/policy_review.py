"""What a policy does, and what in it does nothing: found by trying every step in every environment. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

from seamstep.analysis import environments
from seamstep.analysis.environments import Environment, Pair
from seamstep.base.documents import Document
from seamstep.base.errors import Problem
from seamstep.base.validation import did_you_mean
from seamstep.base.versions import ModuleVersion, Specifier
from seamstep.domain.model import Release
from seamstep.policy import policy_file
from seamstep.policy.policy import Policy
from seamstep.rules import Level, policy_rules

_ENTRIES = {"deny": "denial", "accept": "waiver", "waypoints": "waypoint"}

Effects = dict[Environment, dict[Pair, int]]


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
    old: tuple[ModuleVersion, ...]
    new: tuple[ModuleVersion, ...]
    environments: tuple[Environment, ...]


def effects(releases: Sequence[Release], policy: Policy) -> Effects:
    """Every permitted step in every environment."""
    found = environments.environments(releases)
    return {environment: environments.permitted(releases, policy, environment) for environment in found}


def findings(document: Document, policy: Policy, releases: Sequence[Release], as_of: date) -> list[Problem]:
    """What has expired, and which denials, waivers and waypoints change nothing.

    An entry changes nothing if without it the same steps are permitted in every environment, at the same cost.
    ``releases`` may be empty: then only what has expired is told.
    """
    problems = list(policy.expired)
    if not releases:
        return problems
    expired = {problem.path[:2] for problem in problems}
    whole = effects(releases, policy)
    has_images = any(release.image for release in releases)
    for key, noun in _ENTRIES.items():
        listed = document.data.get(key, [])
        for index, entry in enumerate(listed):
            if (key, index) in expired:
                continue
            if key == "accept" and not has_images and _looks_into_images(policy, entry["rule"]):
                continue  # without images nobody can tell
            if effects(releases, _without(document, key, index, as_of)) == whole:
                reason = _why_nothing(key, entry, listed, releases, policy)
                problems.append(document.problem((key, index), f"this {noun} changes nothing: {reason}"))
    return problems


def _looks_into_images(policy: Policy, rule: str) -> bool:
    return any(applied.rule.name == rule and applied.rule.needs_image for applied in policy.rules)


def _without(document: Document, key: str, index: int, as_of: date) -> Policy:
    rest = [entry for position, entry in enumerate(document.data[key]) if position != index]
    return policy_file.parse(document._replace(data={**document.data, key: rest}), None, as_of)


def _why_nothing(key: str, entry: Any, listed: list[Any], releases: Sequence[Release], policy: Policy) -> str:
    if key == "waypoints":
        version = ModuleVersion(entry)
        series = [release.version for release in releases if release.version.series == version.series]
        if version not in series:
            hint = did_you_mean(str(version), (str(release.version) for release in releases))
            return f"the mapping file does not list {version}{hint}"
        ends = version in {min(series), max(series)}
        return "no step passes over it" if ends else "every step that passes over it is refused anyway"
    matched = _matched(entry, releases)
    if not matched:
        hint = did_you_mean(entry["versions"], (str(release.version) for release in releases))
        return f"no release matches {entry['versions']!r}{hint}"
    if key == "deny":
        for other in listed:
            if other is not entry and matched <= _matched(other, releases):
                return f"the denial of {other['versions']!r} covers it"
        return "every step that it forbids is forbidden anyway"
    rule = entry["rule"]
    applied = next((one for one in policy.rules if one.rule.name == rule), None)
    if applied is None:
        return f"the rule {rule} is off" if rule in policy_rules() else f"there is no rule {rule}"
    if applied.level is Level.WARN:
        return f"the rule {rule} only warns"
    denied = [release for release in matched if any(release in denial.versions for denial in policy.denials)]
    if len(denied) == len(matched):
        return "what it accepts is denied"
    return f"no step that it covers is refused by {rule} alone"


def _matched(entry: Any, releases: Sequence[Release]) -> set[ModuleVersion]:
    specifier = Specifier(entry["versions"])
    return {release.version for release in releases if release.version in specifier}


class Side(NamedTuple):
    """One side of a comparison: a policy, and the catalog as its signers let it be seen."""

    policy: Policy
    releases: Sequence[Release]


def undecided(old: Side, new: Side) -> list[str]:
    """What the policies say differently of images, if there is none to tell what comes of it."""
    if any(release.image for release in new.releases):
        return []
    before, after = (
        {
            a.rule.name: (a.level, a.cost, a.rule.strictness(), a.waivers)
            for a in side.policy.rules
            if a.rule.needs_image
        }
        for side in (old, new)
    )
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return names + (["signers"] if old.policy.signers != new.policy.signers else [])


def setting_changes(old: Policy, new: Policy) -> list[str]:
    """What changes besides rules and entries, a sentence each."""
    return [
        f"{name}: {_words(before)} becomes {_words(after)}"
        for name, before, after in (
            ("target", old.target.text, new.target.text),
            ("path", old.choice.value, new.choice.value),
            ("max_hops", old.max_hops, new.max_hops),
            ("keep_updates", old.keep_updates, new.keep_updates),
            ("signers", sorted(old.signers), sorted(new.signers)),
            ("apply", dict(old.apply), dict(new.apply)),
        )
        if before != after
    ]


def _words(value: object) -> str:
    return "no limit" if value is None else str(value)


def step_changes(old_side: Side, new_side: Side) -> list[StepChange]:
    """Every step that opens or closes, with all environments in which it does, ascending."""
    before = effects(old_side.releases, old_side.policy)
    after = effects(new_side.releases, new_side.policy)
    grouped: dict[tuple[Pair, bool, tuple[str, ...]], list[Environment]] = {}
    for environment, steps in before.items():
        for pair in sorted(steps.keys() ^ after[environment].keys()):
            opened = pair not in steps
            side = old_side if opened else new_side
            rules = environments.refusing(side.releases, side.policy, environment, pair)
            grouped.setdefault((pair, opened, rules), []).append(environment)
    return [
        StepChange(*pair, opened, rules, tuple(where))
        for (pair, opened, rules), where in sorted(grouped.items(), key=lambda item: item[0][:2])
    ]


def path_changes(old: Side, new: Side) -> list[PathChange]:
    """Every release from which hosts are led elsewhere, with all environments in which they are, ascending."""
    grouped: dict[tuple[ModuleVersion, tuple[ModuleVersion, ...], tuple[ModuleVersion, ...]], list[Environment]] = {}
    for environment in environments.environments(new.releases):
        before = environments.routes(old.releases, old.policy, environment)
        after = environments.routes(new.releases, new.policy, environment)
        for source, path in before.items():
            if path != after[source]:
                grouped.setdefault((source, path, after[source]), []).append(environment)
    return [
        PathChange(source, path, now, tuple(where))
        for (source, path, now), where in sorted(grouped.items(), key=lambda item: item[0])
    ]
