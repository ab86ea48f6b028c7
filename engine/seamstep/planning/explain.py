"""Why this path, why not another, and what would have to change. Pure.

The changes are not read off the verdicts but tried: each candidate changes the host, the policy or the catalog as it
says, and the planner decides whether the path is there then. The smallest sets that open it are told. Each trial judges
all steps anew, so in a long series there is time for the first few only; ``Changes`` says how many were left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations, islice
from math import comb
from typing import Any, NamedTuple

from seamstep.base import cpus
from seamstep.base.versions import ModuleVersion, SeamldrVersion, Specifier
from seamstep.domain.facts import HostFacts, UploadNode
from seamstep.domain.model import Outcome, Release
from seamstep.planning.graph import Judgement, VersionGraph
from seamstep.planning.paths import Route, Router
from seamstep.planning.planner import router
from seamstep.policy.policy import Policy
from seamstep.rules import HARD_RULES, Deny, Level, Scope, Waiver, Waypoint
from seamstep.rules.td_build import TdBuild

_PLENTY = 1 << 16
_IDLE = UploadNode("tdx_module", "idle")
#: Facts that a kernel without the interface for updates lacks.
_OF_INTERFACE = {"profile", "upload", "seamldr_version", "remaining_updates"}
_REBOOT = "a reboot ends every TD on the host"
#: Hard rules that hold for a module that is loaded at boot, too.
_AT_BOOT = {rule.name for rule in HARD_RULES.values() if rule.scope is Scope.TARGET}
_SETS_MAX = 5
_SIZE_MAX = 3
_CANDIDATES_MAX = 32
#: The most steps that are judged to try changes, each at 50 to 80 µs: half a minute.
_STEPS_MAX = 400_000


class Situation(NamedTuple):
    """Everything a plan is made from."""

    releases: tuple[Release, ...]
    host: HostFacts
    policy: Policy
    without_images: bool = False

    def graph(self, also: ModuleVersion | None = None) -> VersionGraph:
        """The graph of the running module's series, and of one release of another. Raises ValueError and InputError as
        :class:`VersionGraph` does."""
        series = self.host.module_version and self.host.module_version.series
        seen = (one for one in self.releases if one.version.series == series or one.version == also)
        return VersionGraph(seen, self.host, self.policy.applied_rules(), without_images=self.without_images)

    def router(self, graph: VersionGraph) -> Router:
        """The routes to what the policy wants."""
        return router(graph, self.policy)


class Change(NamedTuple):
    """Something that could be changed: in words, and what it does to a situation."""

    text: str
    apply: Callable[[Situation], Situation]


class Changes(NamedTuple):
    """What would open a path: sets of changes, in words; any one of them does. ``untried`` is how many sets were not
    tried for lack of time where no other opens it."""

    sets: tuple[tuple[str, ...], ...]
    untried: int


def steps_that_matter(graph: VersionGraph, router: Router, goal: ModuleVersion, best: Route | None) -> list[Judgement]:
    """The hops of the best route, the direct step, and every step into ``goal`` from whatever can be reached, each with
    all its verdicts; ascending."""
    pairs = set(zip(best.versions, best.versions[1:], strict=False)) if best else set()
    pairs |= {(source, goal) for source in router.reached if source < goal and source.series == goal.series}
    pairs.add((graph.running, goal))
    return [graph.judge(source, target, router.reached.get(source, 0)) for source, target in sorted(pairs)]


def cost_parts(graph: VersionGraph, judgement: Judgement, policy: Policy) -> list[tuple[str, int]]:
    """What the cost of a permitted step is made up of, in words: its length, and each preferred rule that it does not
    meet."""
    ranks = graph.ranks[judgement.step.target.version] - graph.ranks[judgement.step.source.version]
    waived = {verdict.rule for verdict, _ in judgement.waived}
    missed = {verdict.rule for verdict in judgement.verdicts if verdict.outcome is not Outcome.PASS} - waived
    preferred = [applied for applied in policy.applied_rules() if applied.level is Level.PREFER]
    length = f"{ranks} rank{'' if ranks == 1 else 's'}", ranks**2
    return [length, *((one.rule.name, one.cost) for one in preferred if one.rule.name in missed)]


def smallest_changes(situation: Situation, graph: VersionGraph, goal: ModuleVersion) -> Changes:
    """The smallest sets of changes after which ``goal`` can be reached, in words; at most a handful of sets of at most
    three changes. ``graph`` is that of the situation."""
    candidates = list(islice(_candidates(situation, graph, goal), _CANDIDATES_MAX))
    onward = tuple(release for release in graph.ladder(graph.running.series) if release.version >= graph.running)
    situation = situation._replace(releases=onward)
    trials = _STEPS_MAX // max(comb(len(onward), 2), 1)
    total = 0
    for size in range(1, _SIZE_MAX + 1):
        in_time = islice(combinations(candidates, size), max(trials - total, 0))
        sets = (chosen for chosen in in_time if _opens(situation, chosen, goal))
        found = tuple(tuple(change.text for change in chosen) for chosen in islice(sets, _SETS_MAX))
        if found:
            return Changes(found, 0)
        total += comb(len(candidates), size)
    return Changes((), max(total - trials, 0))


def _opens(situation: Situation, changes: Iterable[Change], goal: ModuleVersion) -> bool:
    for change in changes:
        situation = change.apply(situation)
    return situation.router(situation.graph()).target == goal


def _candidates(situation: Situation, graph: VersionGraph, goal: ModuleVersion) -> Iterator[Change]:
    """Every single change that bears on steps at or below ``goal``; what is easiest to do comes first."""
    series = graph.running.series
    if goal.series != series or goal < graph.running:  # no update leads there
        return
    ladder = [release for release in graph.ladder(series) if graph.running <= release.version <= goal]
    yield from _host_changes(situation.host, ladder)
    yield from _policy_changes(situation.policy, ladder)
    yield from _waiver_changes(graph, situation.policy, ladder)
    yield from _module_changes(graph, ladder, goal)


def _on_host(text: str, **changes: Any) -> Change:
    return Change(text, lambda situation: situation._replace(host=situation.host._replace(**changes)))


def _on_policy(text: str, **changes: Any) -> Change:
    return Change(text, lambda situation: situation._replace(policy=situation.policy._replace(**changes)))


def _host_changes(host: HostFacts, ladder: Sequence[Release]) -> Iterator[Change]:
    good = _good_facts(host, ladder)
    unknown = {fact: host.why_unknown(fact) for fact in good if getattr(host, fact) is None}
    if host.upload and host.upload.status is None:
        unknown["upload"] = host.why_unknown("upload.status")
    no_interface = [fact for fact in unknown if fact in _OF_INTERFACE and unknown[fact].startswith("missing")]
    offered = {fact: good[fact] for fact in no_interface}
    to_read = {fact: unknown[fact] for fact in unknown if fact not in no_interface}
    if to_read:
        yield _on_host(_how_to_read(to_read), **{fact: good[fact] for fact in to_read})
    online, present = host.cpus_online, host.cpus_present
    if online and present and online != present:
        offline = cpus.parse_list(present) - cpus.parse_list(online)
        yield _on_host(f"bring CPUs {cpus.format_list(offline)} online", cpus_online=present)
    if host.cpu_limits:
        text = f"boot without {' '.join(host.cpu_limits)} on the kernel's command line"
        yield _on_host(f"{text} ({_REBOOT})", cpu_limits=())
    if "upload" in no_interface:
        yield _on_host(f"boot a kernel that offers TDX module updates ({_REBOOT})", **offered)
    elif host.upload and host.upload.status not in {None, "idle"}:
        yield _on_host("wait until the update under way is done", upload=_IDLE)
    if host.remaining_updates is not None and host.remaining_updates < len(ladder):
        yield _on_host(f"reboot, if this boot had updates before ({_REBOOT})", remaining_updates=_PLENTY)
    for minimum in sorted({minimum for release in ladder for minimum in release.minimum_seamldrs}):
        if host.seamldr_version and not _covers(host.seamldr_version, minimum):
            verb = "raise" if host.seamldr_version < minimum else "change"
            yield _on_host(f"{verb} the P-SEAMLDR to {minimum} ({_REBOOT})", seamldr_version=minimum)


def _good_facts(host: HostFacts, ladder: Sequence[Release]) -> dict[str, Any]:
    """For every fact that a rule needs a value that no rule refuses."""
    minimums = [minimum for release in ladder[-1:] for minimum in release.minimum_seamldrs]
    tables = [release.image.sigstruct.cpuid for release in ladder[-1:] if release.image]
    return {
        "profile": "mainline",
        "upload": _IDLE,
        "seamldr_version": max(minimums, default=None),
        "remaining_updates": _PLENTY,
        "cpu_signatures": tuple(signature for table in tables for signature in table)[:1],
        "cpus_present": host.cpus_online or "0",
        "cpus_online": host.cpus_present or "0",
        "cpu_limits": (),
        "running_tds": 0,
        "cpu_bugs": (),
    }


def _how_to_read(unknown: Mapping[str, str]) -> str:
    """How to learn facts that could not be read, by their reasons. What is not known to be bad is not to be mended, so
    no other change of the host is offered for them."""
    as_root = [fact for fact in unknown if unknown[fact].startswith("permission")]
    told = [f"run as root, to read {', '.join(as_root)}"] if as_root else []
    told += [f"find out {fact} ({reason})" for fact, reason in unknown.items() if fact not in as_root]
    return f"{'; '.join(told)}; then ask again"


def _covers(running: SeamldrVersion, minimum: SeamldrVersion) -> bool:
    return running.series == minimum.series and running.update >= minimum.update


def _module_changes(graph: VersionGraph, ladder: Sequence[Release], goal: ModuleVersion) -> Iterator[Change]:
    for release in ladder:
        if not graph.running < release.version < goal:
            continue
        refusing = {verdict.rule for verdict in graph.judge(graph.running, release.version, 0).blocking}
        if not refusing & _AT_BOOT:
            text = f"let the BIOS or the boot loader start {release.version} ({_REBOOT})"
            yield _on_host(text, module_version=release.version)


def _policy_changes(policy: Policy, ladder: Sequence[Release]) -> Iterator[Change]:
    if policy.max_hops is not None and policy.max_hops < len(ladder):
        yield _on_policy(f"allow more hops than {policy.max_hops}", max_hops=None)
    if policy.keep_updates:
        yield _on_policy(f"keep fewer updates in reserve than {policy.keep_updates}", keep_updates=0)
    if ladder and not policy.creation_held and any(one.rule.name == TdBuild.name for one in policy.rules):
        held = [
            applied._replace(rule=TdBuild(held=True)) if applied.rule.name == TdBuild.name else applied
            for applied in policy.rules
        ]
        yield _on_policy("hold the creation of TDs back (td_creation: held)", creation_held=True, rules=tuple(held))
    versions = [release.version for release in ladder]
    for denial in policy.denials:
        if not any(denial.forbids(source, target) for source, target in combinations(versions, 2)):
            continue
        others = tuple(other for other in policy.denials if other != denial)
        yield _on_policy(f"lift the denial of {denial.steps} ({denial.reason})", denials=others)
    for waypoint in policy.waypoints:
        if not versions[0] < waypoint < versions[-1]:
            continue
        rest = tuple(other for other in policy.waypoints if other != waypoint)
        yield _on_policy(f"drop the waypoint {waypoint}", waypoints=rest)


def _waiver_changes(graph: VersionGraph, policy: Policy, ladder: Sequence[Release]) -> Iterator[Change]:
    demanded = {applied.rule.name for applied in policy.rules if applied.level is Level.REQUIRE}
    never = {*HARD_RULES, Deny.name, Waypoint.name, TdBuild.name}
    seen: set[tuple[str, ModuleVersion]] = set()
    for source, target in combinations([release.version for release in ladder], 2):
        for verdict in graph.judge(source, target, 0).blocking:
            key = verdict.rule, target
            if verdict.rule in demanded - never and verdict.outcome is Outcome.BLOCK and key not in seen:
                seen.add(key)
                yield Change(f"waive {verdict.rule} for {source} → {target}", _waive(*key))


def _waive(rule: str, target: ModuleVersion) -> Callable[[Situation], Situation]:
    waiver = Waiver(rule, Specifier(str(target)), "", "", "")

    def apply(situation: Situation) -> Situation:
        rules = tuple(
            applied._replace(waivers=tuple((*group, waiver) for group in applied.waivers or ((),)))
            if applied.rule.name == rule
            else applied
            for applied in situation.policy.rules
        )
        return situation._replace(policy=situation.policy._replace(rules=rules))

    return apply
