"""Makes the plan for a host under a policy. Pure.

``paths`` finds the newest release within the budget and the best path to it. The planner writes both to the plan
document, with the reasons why other steps were refused and the other paths that were possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from seamstep.base.documents import absolute
from seamstep.base.errors import InputError, Problem, RefusedError
from seamstep.base.validation import did_you_mean
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import IMAGE_FORMATS, HostFacts
from seamstep.domain.mapping import MappingFile
from seamstep.domain.model import Image, Outcome, Release, Step, Verdict
from seamstep.plan.document import Plan, PlanOutcome, seal
from seamstep.planning import expiry
from seamstep.planning.graph import Judgement, VersionGraph
from seamstep.planning.paths import Route, Router
from seamstep.policy.policy import PathChoice, Policy
from seamstep.rules import Level
from seamstep.rules.asking import ask
from seamstep.rules.seam_memory import SeamMemory
from seamstep.rules.td_build import TdBuild, safe_while_tds_are_created

if TYPE_CHECKING:
    from seamstep.domain.tcb import TcbView


class Answer(NamedTuple):
    """The result of looking for a path.

    Attributes:
        outcome: an update, nothing to do, or no path.
        router: the routes from the release.
        best: the best route to the newest release that is wanted and can be reached; None if there is none.
    """

    outcome: PlanOutcome
    router: Router
    best: Route | None


def router(graph: VersionGraph, policy: Policy, start: ModuleVersion | None = None) -> Router:
    """The Router from the running module, or from ``start``, to the newer releases that the policy wants: the newest is
    wanted most, or, where advisories are to be closed, the nearest."""
    source = graph.release(start or graph.running)
    wanted = [version for version in graph.newer(source.version) if policy.target.wants(graph.release(version))]
    if policy.target.closes:
        wanted = [] if policy.target.wants(source) else wanted[::-1]
    return Router(graph, wanted, budget_of(graph.host, policy), start)


def find_way(graph: VersionGraph, policy: Policy, start: ModuleVersion | None = None) -> Answer:
    """The best path for the host under the policy, from its running module or from ``start``."""
    found = router(graph, policy, start)
    best = found.best(policy.choice)
    outcome = (
        PlanOutcome.UPDATE if best else PlanOutcome.NO_PATH if found.wanted else nothing_wanted(graph, policy, start)
    )
    return Answer(outcome, found, best)


def nothing_wanted(graph: VersionGraph, policy: Policy, start: ModuleVersion | None = None) -> PlanOutcome:
    """The outcome where the policy wants no newer release. That no release is known to close an advisory is no-path."""
    if policy.target.closes and not policy.target.wants(graph.release(start or graph.running)):
        return PlanOutcome.NO_PATH
    return PlanOutcome.UP_TO_DATE if graph.listed else PlanOutcome.NOT_LISTED


def make_plan(
    mapping: MappingFile,
    releases: Sequence[Release],
    host: HostFacts,
    policy: Policy,
    *,
    as_of: date,
    hypothetical: bool = False,
    without_images: bool = False,
    tcb: TcbView | None = None,
) -> Plan:
    """The plan for a host under a policy.

    Args:
        mapping: the mapping file; the plan records its path and digest.
        releases: the releases of the catalog, with their images.
        host: the facts; the running version must be known.
        policy: the policy.
        as_of: the day for which the policy was read; the plan records it.
        hypothetical: whether that is another day than today; such a plan is not applied.
        without_images: leave rules open that need a missing image, and mark the plan provisional.
        tcb: the TCB Info that the releases' standings come from; the plan records its documents.

    Raises:
        InputError: the policy's target is one version of the running series that no release has, or a series has too
            many releases.
        RefusedError: a rule answers differently when it is asked again.
        ValueError: the running version is not known.
    """
    graph = graph_of(releases, host, policy, without_images=without_images)
    check_target(graph, policy)
    outcome, found, best = find_way(graph, policy)
    last = best.versions[-1] if best else graph.running
    judgements = _hops(graph, best)
    document = {
        "outcome": outcome.value,
        "reason": _reason(graph, policy, mapping, found, best),
        "provisional": any(judgement.left_open for judgement in judgements),
        "host": host.to_document(),
        "policy": _policy_document(policy),
        "as_of": as_of.isoformat(),
        "valid_until": policy.valid_until_with(tcb),
        "hypothetical": hypothetical,
        "mapping": {"sha256": mapping.sha256, "path": absolute(mapping.path)},
        "source": str(graph.running),
        "target": str(last) if best else None,
        "objective": {"path": policy.choice.value, "cost": best.cost if best else None},
        "signers": sorted(policy.signers),
        "td_creation": "held" if policy.creation_held else None,
        "source_image": _source_image(graph.release(graph.running)) if best else None,
        "hops": [_hop_document(judgement, host, policy) for judgement in judgements],
        "alternatives": _alternatives(found, best) if best else [],
        "held_up": _held_up(graph, found),
        "rejected": _rejected(graph, found, found.wanted),
        "attestation": {
            "before": _measurement(graph.release(graph.running)),
            "after": _measurement(graph.release(last)),
        },
        "apply": dict(policy.apply),
    }
    document["expired"] = expiry.that_matter(policy, document)
    if tcb:
        from seamstep.planning import advisories

        document["tcb"] = advisories.tcb_document(graph.ladder(graph.running.series), graph.running, last, tcb)
    return seal(document, host)


def _policy_document(policy: Policy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "sha256": policy.sha256,
        "target": policy.target.text,
        "layers": [{"name": one.name, "sha256": one.sha256, "path": one.file} for one in policy.sources],
    }


def graph_of(releases: Iterable[Release], host: HostFacts, policy: Policy, *, without_images: bool) -> VersionGraph:
    """The graph of the running module's series alone, since no step leaves it. Raises ValueError and InputError as
    :class:`VersionGraph` does."""
    series = host.module_version.series if host.module_version else None
    ladder = (release for release in releases if release.version.series == series)
    return VersionGraph(ladder, host, policy.applied_rules(), without_images=without_images)


def budget_of(host: HostFacts, policy: Policy) -> int:
    """The most updates that a plan may take."""
    usable = max((host.remaining_updates or 0) - policy.keep_updates, 0)
    return usable if policy.max_hops is None else min(usable, policy.max_hops)


def _reason(graph: VersionGraph, policy: Policy, mapping: MappingFile, found: Router, best: Route | None) -> str:
    """The outcome of planning in a sentence."""
    if best:
        return f"{' → '.join(map(str, best.versions))}, {_count(best.hops, 'hop')}"
    if found.wanted:
        return _why_no_path(graph, policy, sorted(found.wanted), budget_of(graph.host, policy))
    return why_nothing_newer(graph, policy, mapping)


def check_target(graph: VersionGraph, policy: Policy) -> None:
    """Raise InputError if the target is one version, newer than the running module, that its series lacks."""
    if policy.target.closes:
        from seamstep.planning import advisories

        advisories.check_known(graph, policy)
    version = policy.target.version
    if version is None or version in graph.steps:
        return
    if version.series == graph.running.series and version > graph.running:
        known = [str(release.version) for release in graph.ladder(version.series)]
        hint = did_you_mean(str(version), known) or f"; its series has {', '.join(known)}"
        message = f"the target {version} is not in the mapping file{hint}"
        raise InputError(Problem("target", message))


def why_nothing_newer(graph: VersionGraph, policy: Policy, mapping: MappingFile) -> str:
    """Why the policy wants no newer release for a host: it is up to date, or its module is not listed."""
    if policy.target.closes:
        from seamstep.planning import advisories

        return advisories.why_none_closes(graph, policy)
    series, running = graph.running.series, graph.running
    listed = [release.version for release in mapping.releases if release.version.series == series]
    if not graph.listed:
        file = f"the mapping file (SHA-256 {mapping.sha256[:12]}…)"
        if not listed:
            return f"{file} has no release of series {series}, so it can't tell what is newer than {running}"
        age = "; it is older than the running module" if listed[-1] < running else ""
        return f"{file} does not list {running}; its newest release of series {series} is {listed[-1]}{age}"
    if not policy.target.specifiers:
        return f"{running} is the newest release of series {series} in the mapping file"
    return f"series {series} has no release newer than {running} that the target {policy.target.text} names"


def _held_up(graph: VersionGraph, found: Router) -> dict[str, Any] | None:
    """The release that is wanted most and out of reach, with the rules that refuse the step into it that the fewest
    refuse; None if it can be reached. ``known`` is false if no rule says more than that it can't tell."""
    wanted = found.wanted[-1] if found.wanted else None
    if wanted is None or found.target == wanted:
        return None
    sources = sorted(version for version in found.reached if version < wanted)
    steps = [graph.judge(source, wanted, found.reached[source]) for source in sources]
    nearest = min(steps, key=lambda judgement: len(judgement.blocking))
    said: dict[str, list[str]] = {}
    for verdict in nearest.blocking:
        said.setdefault(verdict.reason, []).append(verdict.rule)
    return {
        "version": str(wanted),
        "from": str(nearest.step.source.version),
        "rules": [verdict.rule for verdict in nearest.blocking],
        "known": not said or any(verdict.outcome is Outcome.BLOCK for verdict in nearest.blocking),
        "reason": "; ".join(f"{', '.join(rules)}: {reason}" for reason, rules in said.items())
        or "it takes more updates than the policy and the host have left",
    }


def _why_no_path(graph: VersionGraph, policy: Policy, wanted: Sequence[ModuleVersion], budget: int) -> str:
    first = [graph.judge(graph.running, target, 0) for target in graph.newer(graph.running)]
    if not any(judgement.permitted for judgement in first):
        blocking = [verdict for judgement in first for verdict in judgement.blocking]
        counts = Counter(verdict.rule for verdict in blocking)
        rules = ", ".join(f"{rule} ({count} of {len(first)})" for rule, count in counts.most_common())
        if all(verdict.outcome is Outcome.UNKNOWN for verdict in blocking):
            return f"whether an update from {graph.running} is permitted can't be told; {rules} lack a fact"
        return f"no update from {graph.running} is permitted; refused by {rules}"
    names = str(wanted[0]) if len(wanted) == 1 else f"any of {', '.join(map(str, wanted))}"
    if budget == 0:
        return (
            f"the policy keeps {_count(policy.keep_updates, 'update')} in reserve, and "
            f"{_count(graph.host.remaining_updates or 0, 'update')} remain: none may be used"
        )
    return f"no permitted path leads from {graph.running} to {names} within {_count(budget, 'hop')}"


def _hops(graph: VersionGraph, best: Route | None) -> list[Judgement]:
    if best is None:
        return []
    hops = [graph.judge(source, target, used) for used, (source, target) in enumerate(pairwise(best.versions))]
    for hop in hops:
        if not hop.permitted:
            rules = ", ".join(verdict.rule for verdict in hop.blocking)
            raise RefusedError(
                f"{hop.step} was permitted when the path was looked for, and is refused by {rules} now: a rule that"
                " does not answer alike twice can't be planned with"
            )
    return hops


def _hop_document(judgement: Judgement, host: HostFacts, policy: Policy) -> dict[str, Any]:
    image = judgement.step.target.image
    return {
        "from": str(judgement.step.source.version),
        "to": str(judgement.step.target.version),
        "image": _image_document(image, host.profile) if image else None,
        "verdicts": _documents(judgement.verdicts),
        "waived": [
            {"rule": waiver.rule, "reason": waiver.reason, "by": waiver.by, "until": waiver.until}
            for _, waivers in judgement.waived
            for waiver in waivers
        ],
        "td_creation": td_creation(judgement.step, host, held=policy.creation_held),
        "risks": _risks(judgement, host, policy),
    }


def hops_again(plan: Plan, releases: Iterable[Release], host: HostFacts, policy: Policy) -> list[dict[str, Any]]:
    """The hops that a saved plan has left on a host, in the form that plans have, as the rules see them on that host.

    What rules that look ahead said is repeated from the plan, since ``releases`` may be those of its hops alone. Raises
    ValueError and InputError as :class:`VersionGraph` does.
    """
    graph = VersionGraph(releases, host, [one for one in policy.applied_rules() if not one.rule.looks_ahead])
    ahead = {one.rule.name for one in policy.rules if one.rule.looks_ahead}
    sources = [hop.source for hop in plan.hops]
    done = sources.index(graph.running) if graph.running in sources else 0
    hops = []
    for used, hop in enumerate(plan.hops[done:]):
        document = _hop_document(graph.judge(hop.source, hop.target, used), host, policy)
        for key in ("verdicts", "waived"):
            document[key] += [one for one in plan.document["hops"][done + used][key] if one["rule"] in ahead]
        hops.append(document)
    return hops


def td_creation(step: Step, host: HostFacts, *, held: bool) -> dict[str, Any]:
    """Whether TDs may be created during a step, in the form that plans have. ``safe`` does not depend on the number of
    TDs; ``needs_no_td`` is true if the step is free of the hazard only because no TD runs."""
    source, target = step.source.version, step.target.version
    safe = safe_while_tds_are_created(step.source, step.target)
    if safe:
        reason = f"safe while TDs are created: {target} lists {source} in strict_compat_versions"
    else:
        unlisted = f"the mapping file has no strict_compat_versions for {target}"
        why = unlisted if safe is None else f"{target} does not list {source} in strict_compat_versions"
        reason = f"hold the creation of TDs back: {why}"
    return {"safe": bool(safe), "needs_no_td": not safe and not held and host.running_tds == 0, "reason": reason}


def _risks(judgement: Judgement, host: HostFacts, policy: Policy) -> list[dict[str, Any]]:
    """The hazards of a step that the policy accepts: verdicts of ``td-build`` and ``seam-memory`` that are not
    ``pass``, at any level. The rules are asked here because the graph does not ask a rule that is off."""
    levels = {applied.rule.name: applied.level for applied in policy.rules}
    waived = {verdict.rule for verdict, _ in judgement.waived}
    left_open = {verdict.rule for verdict in judgement.left_open}
    risks = []
    for rule in (TdBuild(held=policy.creation_held), SeamMemory()):
        verdict = ask(rule, judgement.step, host.after(judgement.step.source.version, 0))
        if verdict.outcome is not Outcome.PASS:
            level = levels.get(rule.name, Level.OFF).value
            taken_by = "accept" if rule.name in waived else "without-images" if rule.name in left_open else level
            risks.append({"rule": rule.name, "taken_by": taken_by, "reason": verdict.reason})
    return risks


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


def _alternatives(router: Router, best: Route) -> list[dict[str, Any]]:
    by_choice = ((choice, router.best(choice)) for choice in PathChoice)
    return [
        {"path": choice.value, "versions": [str(version) for version in route.versions], "cost": route.cost}
        for choice, route in by_choice
        if route and route != best
    ]


def _rejected(graph: VersionGraph, router: Router, wanted: Sequence[ModuleVersion]) -> list[dict[str, Any]]:
    """The refused steps that explain why no other path was taken: all from the running module, and, unless the plan
    leads to the newest release that is wanted, all to that release from releases that can be reached."""
    if not wanted:
        return []
    steps = [(graph.running, target) for target in graph.newer(graph.running)]
    if router.target != wanted[-1]:
        others = sorted(version for version in router.reached if graph.running < version < wanted[-1])
        steps += [(source, wanted[-1]) for source in others]
    judgements = (graph.judge(source, target, router.reached[source]) for source, target in steps)
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


def _source_image(release: Release) -> dict[str, Any] | None:
    """The running module's image that the rules read, in the form that plans have."""
    image = release.usable_image()
    return {"path": image.path, "sha256": image.content.verification().sha256} if image else None


def _measurement(release: Release) -> dict[str, Any]:
    image = release.usable_image()
    return {
        "version": str(release.version),
        "mrseam": image.sigstruct.mrseam if image else None,
        "seamsvn": image.sigstruct.seamsvn if image else None,
    }


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
