"""From graph and policy to plan. Pure: values in, values out.

Steps only lead upwards inside a series, so the graph has no cycles and all paths of k hops grow from those of k - 1.
For each number of hops the search keeps the cheapest path to each release (the lexicographically smallest among
equals); both objectives, and the choice of the newest release within the budget, read their answer off that table.
Why squared steps: plain distances along a ladder telescope, every path from a to b would cost the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from seamstep.errors import InputError, Problem
from seamstep.facts import IMAGE_FORMATS, HostFacts
from seamstep.graph import Judgement, VersionGraph
from seamstep.mapping import MappingFile
from seamstep.model import Image, Release, Verdict
from seamstep.plan import Plan, PlanOutcome
from seamstep.policy import PathChoice, Policy
from seamstep.rules import HARD_RULES, AppliedRule
from seamstep.validation import did_you_mean
from seamstep.versions import ModuleVersion


@dataclass(frozen=True, slots=True, order=True)
class FoundPath:
    """A permitted path: ``versions`` from the running one to the last; ``cost`` in squared ranks plus prefer costs."""

    cost: int
    versions: tuple[ModuleVersion, ...]

    @property
    def hops(self) -> int:
        """How many updates it takes."""
        return len(self.versions) - 1

    def key(self, choice: PathChoice) -> tuple[int, int, tuple[ModuleVersion, ...]]:
        """What the choice minimises."""
        if choice is PathChoice.FEWEST_HOPS:
            return self.hops, self.cost, self.versions
        return self.cost, self.hops, self.versions


Table = dict[ModuleVersion, list[FoundPath]]


def applied_rules(policy: Policy) -> tuple[AppliedRule, ...]:
    """All hard rules, and the policy's."""
    return (*(AppliedRule(rule()) for rule in HARD_RULES.values()), *policy.rules)


def search(graph: VersionGraph, budget: int) -> Table:
    """For each release that can be reached with 1 to ``budget`` updates: the cheapest path of each length."""
    table: Table = {}
    layer = {graph.running: FoundPath(0, (graph.running,))}
    for used in range(min(budget, len(graph.digraph))):
        following: dict[ModuleVersion, FoundPath] = {}
        for source, path in layer.items():
            for target in graph.newer(source):
                judgement = graph.judge(source, target, used)
                if judgement.permitted:
                    longer = FoundPath(path.cost + judgement.cost, (*path.versions, target))
                    following[target] = min(following.get(target, longer), longer)
        for target, path in following.items():
            table.setdefault(target, []).append(path)
        layer = following
    return table


def make_plan(
    mapping: MappingFile,
    releases: Sequence[Release],
    host: HostFacts,
    policy: Policy,
    *,
    without_images: bool = False,
) -> Plan:
    """The plan for a host under a policy.

    Args:
        mapping: where the releases come from.
        releases: those of the catalog, with their images.
        host: its facts; the running version must be known.
        policy: where to go and how to choose.
        without_images: leave rules that need an image open, and mark the plan provisional.

    Raises:
        InputError: the policy's target is one version, and there is no such release.
        ValueError: the running version is not known.
    """
    graph = VersionGraph(releases, host, applied_rules(policy), without_images=without_images)
    _check_target(graph, policy)
    wanted = [version for version in graph.newer(graph.running) if policy.target.names(version)]
    budget = _budget(host, policy)
    table = search(graph, budget) if wanted else {}
    target = next((version for version in reversed(wanted) if version in table), None)
    best = min(table[target], key=lambda path: path.key(policy.choice)) if target else None
    if best:
        outcome, reason = (
            PlanOutcome.UPDATE,
            f"{' → '.join(map(str, best.versions))}, {_count(best.hops, 'hop')}",
        )
    elif wanted:
        outcome, reason = PlanOutcome.NO_PATH, _why_no_path(graph, policy, wanted, budget)
    else:
        outcome, reason = PlanOutcome.UP_TO_DATE, _why_up_to_date(graph, policy)
    judgements = _hops(graph, best)
    document = {
        "outcome": outcome.value,
        "reason": reason,
        "provisional": any(judgement.left_open for judgement in judgements),
        "host": host.to_document(),
        "policy": {"name": policy.name, "sha256": policy.sha256, "path": policy.file},
        "mapping": {"sha256": mapping.sha256, "path": str(Path(mapping.path).absolute())},
        "source": str(graph.running),
        "target": str(target) if target else None,
        "objective": {"path": policy.choice.value, "cost": best.cost if best else None},
        "signers": sorted(policy.signers),
        "hops": [_hop_document(judgement, host.profile) for judgement in judgements],
        "alternatives": _alternatives(table[target], best) if target and best else [],
        "rejected": _rejected(graph, table) if wanted else [],
        "attestation": {
            "before": _measurement(graph.release(graph.running)),
            "after": _measurement(graph.release(target or graph.running)),
        },
        "apply": {},
    }
    return Plan.seal(document)


def _budget(host: HostFacts, policy: Policy) -> int:
    usable = max((host.remaining_updates or 0) - policy.keep_updates, 0)
    return usable if policy.max_hops is None else min(usable, policy.max_hops)


def _check_target(graph: VersionGraph, policy: Policy) -> None:
    version = policy.target.version
    if version is None or version in graph.digraph:
        return
    if version.series == graph.running.series and version > graph.running:
        known = [str(v) for v in graph.digraph if v.series == version.series]
        hint = did_you_mean(str(version), known) or f"; its series has {', '.join(known)}"
        message = f"the target {version} is not in the mapping file{hint}"
        raise InputError(Problem(policy.file or policy.name, message, ("target",)))


def _why_up_to_date(graph: VersionGraph, policy: Policy) -> str:
    series = graph.running.series
    if policy.target.specifier is None:
        return f"{graph.running} is the newest release of series {series}"
    return f"series {series} has no release newer than {graph.running} that the target {policy.target.text} names"


def _why_no_path(graph: VersionGraph, policy: Policy, wanted: list[ModuleVersion], budget: int) -> str:
    first = [graph.judge(graph.running, target, 0) for target in graph.newer(graph.running)]
    if not any(judgement.permitted for judgement in first):
        counts = Counter(verdict.rule for judgement in first for verdict in judgement.blocking)
        rules = ", ".join(f"{rule} ({count} of {len(first)})" for rule, count in counts.most_common())
        return f"no update from {graph.running} is permitted; refused by {rules}"
    names = str(wanted[0]) if len(wanted) == 1 else f"any of {', '.join(map(str, wanted))}"
    if budget == 0:
        return (
            f"the policy keeps {_count(policy.keep_updates, 'update')} in reserve, and "
            f"{_count(graph.host.remaining_updates or 0, 'update')} remain: none may be used"
        )
    return f"no permitted path leads from {graph.running} to {names} within {_count(budget, 'hop')}"


def _hops(graph: VersionGraph, best: FoundPath | None) -> list[Judgement]:
    if best is None:
        return []
    return [graph.judge(source, target, used) for used, (source, target) in enumerate(pairwise(best.versions))]


def _hop_document(judgement: Judgement, profile: str | None) -> dict[str, Any]:
    image = judgement.step.target.image
    return {
        "from": str(judgement.step.source.version),
        "to": str(judgement.step.target.version),
        "image": _image_document(image, profile) if image else None,
        "verdicts": _documents(judgement.verdicts),
    }


def _image_document(image: Image, profile: str | None) -> dict[str, Any]:
    upload = IMAGE_FORMATS[profile or "mainline"]
    sha256 = image.content.verification().sha256
    return {
        "path": image.path,
        "sigstruct": image.sigstruct_path,
        "sha256": sha256,
        "format": image.format,
        "mrseam": image.sigstruct.mrseam,
        "seamsvn": image.sigstruct.seamsvn,
        "upload": {"format": upload, "sha256": sha256 if image.format == upload else image.content.sha256_as(upload)},
    }


def _alternatives(paths: list[FoundPath], best: FoundPath) -> list[dict[str, Any]]:
    by_choice = ((choice, min(paths, key=lambda path: path.key(choice))) for choice in PathChoice)
    return [
        {"path": choice.value, "versions": [str(version) for version in path.versions], "cost": path.cost}
        for choice, path in by_choice
        if path != best
    ]


def _rejected(graph: VersionGraph, table: Table) -> list[dict[str, Any]]:
    fewest = {graph.running: 0} | {version: min(path.hops for path in paths) for version, paths in table.items()}
    judgements = (
        graph.judge(source, target, fewest[source]) for source in sorted(fewest) for target in graph.newer(source)
    )
    return [
        {
            "from": str(judgement.step.source.version),
            "to": str(judgement.step.target.version),
            "verdicts": _documents(judgement.blocking),
        }
        for judgement in judgements
        if not judgement.permitted
    ]


def _documents(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    return [verdict.to_document() for verdict in verdicts]


def _measurement(release: Release) -> dict[str, Any]:
    image = release.image
    return {
        "version": str(release.version),
        "mrseam": image.sigstruct.mrseam if image else None,
        "seamsvn": image.sigstruct.seamsvn if image else None,
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
