"""Scenarios: tests of policies. Each is a host, releases and a policy, and what the plan has to come to.

Pure, and no second opinion: graph and planner judge, here their answer is compared with what was expected. Coverage
tells which parts of a policy made no difference to any step that a scenario's host could have taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import NamedTuple

from seamstep.base.documents import Document
from seamstep.base.errors import InputError, Problem
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import HostFacts
from seamstep.domain.mapping import MappingFile
from seamstep.domain.model import Outcome, Release, Verdict
from seamstep.domain.tcb import TcbView
from seamstep.plan.document import Plan, PlanOutcome
from seamstep.planning.graph import Judgement, VersionGraph
from seamstep.planning.planner import budget_of, make_plan
from seamstep.policy.policy import Policy
from seamstep.rules import Denial, Deny, Rule, Waiver, Waypoint
from seamstep.rules.td_build import TdBuild

SCHEMA = "seamstep/scenario/v1"


class Part(NamedTuple):
    """A part of a policy that a scenario can exercise: a ``rule``, a ``denial``, a ``waiver``, a ``waypoint`` or its
    word on ``td_creation``, and what tells it from the others of its kind."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind} {self.text}"


#: What stands for the rule td-build where the policy holds the creation of TDs back: the rule refuses nothing then.
_HELD = Part("td_creation", "held")


class Expectation(NamedTuple):
    """What a plan has to come to: an outcome, with the path from the running version on where that is an update, and
    rules of which each has to refuse a step out of the running version. ``note`` says why."""

    outcome: PlanOutcome
    path: tuple[ModuleVersion, ...] = ()
    refused: tuple[str, ...] = ()
    note: str = ""


class Scenario(NamedTuple):
    """One test of a policy. ``parts`` are those of the policy, expired or not; ``tcb`` is the TCB Info, None for
    none."""

    name: str
    host: HostFacts
    mapping: MappingFile
    releases: tuple[Release, ...]
    without_images: bool
    policy: Policy
    parts: frozenset[Part]
    as_of: date
    expected: Expectation
    document: Document
    tcb: TcbView | None = None

    @property
    def place(self) -> str:
        """Its file and line."""
        line, _ = self.document.locate(()) or (1, 1)
        return f"{self.document.source}:{line}"


class Result(NamedTuple):
    """What a scenario came to: ``differences`` between what was expected and what came, none if it passed, and the
    parts of the policy that it exercised."""

    scenario: Scenario
    outcome: PlanOutcome
    path: tuple[ModuleVersion, ...]
    differences: tuple[str, ...]
    exercised: frozenset[Part]

    @property
    def passed(self) -> bool:
        """Whether everything came as expected."""
        return not self.differences


class Coverage(NamedTuple):
    """The parts of one policy, and those that no scenario exercised."""

    name: str
    sha256: str
    parts: tuple[Part, ...]
    missed: tuple[Part, ...]

    def below(self, percent: float) -> bool:
        """Whether less than that was exercised."""
        return (len(self.parts) - len(self.missed)) * 100 < percent * len(self.parts)

    @property
    def percent(self) -> int:
        """How much was exercised, rounded down, so that only all of it is 100."""
        return 100 * (len(self.parts) - len(self.missed)) // len(self.parts) if self.parts else 100


def parts_of(policy: Policy) -> frozenset[Part]:
    """The parts of a policy that are in force: its rules that are not off, denials, waivers and waypoints."""
    waivers = {waiver for applied in policy.rules for group in applied.waivers for waiver in group}
    return frozenset(
        [_rule_part(applied.rule, policy) for applied in policy.rules]
        + [_denial_part(denial) for denial in policy.denials]
        + [_waiver_part(waiver) for waiver in waivers]
        + [Part("waypoint", str(version)) for version in policy.waypoints]
    )


def _rule_part(rule: Rule, policy: Policy) -> Part:
    return _HELD if rule.name == TdBuild.name and policy.creation_held else Part("rule", rule.name)


def _denial_part(denial: Denial) -> Part:
    return Part("denial", f"of {denial.steps}: {denial}")


def _waiver_part(waiver: Waiver) -> Part:
    return Part("waiver", f"of {waiver.rule} for {waiver.versions}: {waiver.reason} (until {waiver.until})")


def run_all(scenarios: Sequence[Scenario]) -> list[Result]:
    """Run scenarios.

    Raises:
        InputError: some can't be planned at all, such as for a target that is not in the mapping file; lists them all.
    """
    results: list[Result] = []
    problems: list[Problem] = []
    for scenario in scenarios:
        try:
            results.append(run(scenario))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return results


def run(scenario: Scenario) -> Result:
    """Run one scenario. Raises InputError if it can't be planned at all; says where the scenario stands."""
    policy, host = scenario.policy, scenario.host
    try:
        plan = make_plan(
            scenario.mapping,
            scenario.releases,
            host,
            policy,
            as_of=scenario.as_of,
            without_images=scenario.without_images,
            tcb=scenario.tcb,
        )
    except InputError as error:
        raise InputError([_placed(scenario, problem) for problem in error.problems]) from None
    graph = VersionGraph(scenario.releases, host, policy.applied_rules(), without_images=scenario.without_images)
    judgements = list(_candidates(graph, budget_of(host, policy)))
    path = (plan.source, *(hop.target for hop in plan.hops)) if plan.hops else ()
    return Result(
        scenario=scenario,
        outcome=plan.outcome,
        path=path,
        differences=tuple(_differences(scenario.expected, plan, path, _refusing(graph, judgements))),
        exercised=frozenset(_exercised(policy, host, judgements)),
    )


def _placed(scenario: Scenario, problem: Problem) -> Problem:
    return scenario.document.problem(("policy",), str(problem))


def _candidates(graph: VersionGraph, budget: int) -> Iterator[Judgement]:
    """The judgements on all candidate steps out of every version that permitted steps lead to within the budget; each
    version is looked at after as few updates as can lead there."""
    seen, frontier = {graph.running}, [graph.running]
    used = 0
    while frontier:
        following = []
        for source in frontier:
            for target in graph.newer(source):
                judgement = graph.judge(source, target, used)
                yield judgement
                if judgement.permitted and target not in seen and used < budget:
                    seen.add(target)
                    following.append(target)
        frontier, used = following, used + 1


def _refusing(graph: VersionGraph, judgements: Sequence[Judgement]) -> set[str]:
    first = (judgement for judgement in judgements if judgement.step.source.version == graph.running)
    return {verdict.rule for judgement in first for verdict in judgement.blocking}


def _differences(expected: Expectation, plan: Plan, path: Sequence[ModuleVersion], refusing: set[str]) -> Iterator[str]:
    if (plan.outcome, tuple(path)) != (expected.outcome, expected.path):
        came = _shown(path) if path else f"{plan.outcome.value}: {plan.document['reason']}"
        yield f"expected {_shown(expected.path) if expected.path else expected.outcome.value}, came {came}"
    missing = [rule for rule in expected.refused if rule not in refusing]
    if missing:
        others = f"refused by {', '.join(sorted(refusing))}" if refusing else "no rule refused one"
        yield f"expected {', '.join(missing)} to refuse a step out of {plan.source}, came {others}"


def _shown(path: Sequence[ModuleVersion]) -> str:
    return " → ".join(map(str, path))


def _exercised(policy: Policy, host: HostFacts, judgements: Sequence[Judgement]) -> Iterator[Part]:
    """The parts that made a difference to some step."""
    single: list[tuple[Part, Rule]] = [(_denial_part(denial), Deny((denial,))) for denial in policy.denials]
    single += [(Part("waypoint", str(version)), Waypoint((version,))) for version in policy.waypoints]
    known = parts_of(policy)
    single += [(_HELD, TdBuild())] if _HELD in known else []
    for judgement in judgements:
        told = (verdict for verdict in judgement.verdicts if _tells(verdict))
        yield from {Part("rule", verdict.rule) for verdict in told} & known
        yield from (_waiver_part(waiver) for _, waivers in judgement.waived for waiver in waivers)
        yield from (part for part, rule in single if rule.check(judgement.step, host).outcome is Outcome.BLOCK)


def _tells(verdict: Verdict) -> bool:
    """Whether a verdict shows the rule at work. A rule that could not answer, for lack of an image or because it
    failed, shows nothing."""
    return verdict.outcome is Outcome.BLOCK


def coverage(results: Sequence[Result]) -> list[Coverage]:
    """The coverage of every policy that was tested, by name; layers count as the one policy they amount to."""
    parts: dict[tuple[str, str], set[Part]] = {}
    exercised: dict[tuple[str, str], set[Part]] = {}
    for result in results:
        key = result.scenario.policy.name, result.scenario.policy.sha256
        parts.setdefault(key, set()).update(result.scenario.parts)
        exercised.setdefault(key, set()).update(result.exercised)
    return [
        Coverage(*key, tuple(sorted(parts[key])), tuple(sorted(parts[key] - exercised[key]))) for key in sorted(parts)
    ]
