"""The version graph: every candidate step between releases, judged by all rules, as one host sees them. Pure.

How a refusal comes about, in the order of the code:

1. A candidate step leads from a release to a newer one of its series. Each is an edge of ``VersionGraph.steps``.
2. ``_ask`` asks every rule about every step, once for what the rule's ``scope`` says its answer depends on.
3. ``_weighed`` sorts the answers. One that is not ``pass`` blocks the step, unless the policy waives it, only warns of
   it or lets it cost something, or the plan is made without images and the rule lacks one.
4. Rules that look ahead are asked about the steps that are still permitted.
5. A step with a blocking verdict stays in ``steps``, with its reasons; ``permitted`` holds the others.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, cast

import networkx as nx

from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Outcome, Release, Step, Verdict, ladders
from seamstep.rules import AppliedRule, Level, Rule, Scope, Waiver
from seamstep.rules.asking import ask


class Judgement(NamedTuple):
    """The answers of all rules on one step.

    ``blocking`` are the verdicts that forbid it; ``left_open`` the unknown ones that a provisional plan passes over;
    ``warnings`` those of rules that only warn; ``waived`` those that the policy accepts, each with its waivers.
    ``cost`` is the square of the step's length in ranks plus the cost of each preferred rule that it does not meet.
    """

    step: Step
    verdicts: tuple[Verdict, ...]
    blocking: tuple[Verdict, ...]
    left_open: tuple[Verdict, ...]
    warnings: tuple[Verdict, ...]
    waived: tuple[tuple[Verdict, tuple[Waiver, ...]], ...]
    cost: int

    @property
    def permitted(self) -> bool:
        """Whether the step may be taken."""
        return not self.blocking


class VersionGraph:
    """The releases and the candidate steps between them, as one host sees them.

    ``steps`` is a DiGraph: nodes are versions with their ``release``; an edge leads to a newer release of the series
    and carries its ``judgement``, permitted or not, with no update used before. ``permitted`` holds the permitted steps
    with their ``cost``. ``ranks`` are the versions' positions in their series. ``host`` are the host's facts,
    ``running`` the version of its module, a node even if no release has it, that is if not ``listed``. With
    ``without_images``, a rule that needs an image leaves a step open where one is missing.
    """

    def __init__(
        self,
        releases: Iterable[Release],
        host: HostFacts,
        rules: Iterable[AppliedRule],
        *,
        without_images: bool = False,
    ) -> None:
        """Judge every candidate step.

        Raises:
            ValueError: the running version is not known: there is nothing to start from.
            InputError: a series has more releases than can be judged.
        """
        if host.module_version is None:
            raise ValueError("the running module's version is not known")
        self.host, self.running = host, host.module_version
        self._without_images = without_images
        in_force = [applied for applied in rules if applied.level is not Level.OFF]
        self._rules = [applied for applied in in_force if not applied.rule.looks_ahead]
        self._ahead = [applied for applied in in_force if applied.rule.looks_ahead]
        self._answers: dict[tuple[str, str | int], Verdict] = {}
        self._ladders = ladders([bare := Release(self.running), *releases])
        self.ranks = {one.version: rank for ladder in self._ladders.values() for rank, one in enumerate(ladder)}
        self.listed = self.release(self.running) is not bare
        self.steps: nx.DiGraph[ModuleVersion] = nx.DiGraph()
        for ladder in self._ladders.values():
            for release in ladder:
                self.steps.add_node(release.version, release=release)
            for rank, source in enumerate(ladder):
                host = self.host.after(source.version, 0)
                for target in ladder[rank + 1 :]:
                    judgement = self._judge(Step(source, target), host, 0)
                    self.steps.add_edge(source.version, target.version, judgement=judgement)
        self._before_looking_ahead = self.permitted = _permitted(self.steps)
        if self._ahead:
            for step in self._before_looking_ahead.edges:
                self.steps.edges[step]["judgement"] = self._looked_ahead(self.steps.edges[step]["judgement"])
            self.permitted = _permitted(self.steps)

    def ladder(self, series: str) -> Sequence[Release]:
        """The releases of a series, ascending; their positions are their ranks."""
        return self._ladders.get(series, ())

    def release(self, version: ModuleVersion) -> Release:
        """The release of a version."""
        return self._ladders[version.series][self.ranks[version]]

    def newer(self, version: ModuleVersion) -> Iterator[ModuleVersion]:
        """The targets of the candidate steps from ``version``, ascending."""
        return (release.version for release in self._ladders[version.series][self.ranks[version] + 1 :])

    def judge(self, source: ModuleVersion, target: ModuleVersion, used: int) -> Judgement:
        """The judgement on a step after ``used`` updates. Any two releases will do; ``cost`` has a meaning for
        candidate steps only."""
        if used == 0 and self.steps.has_edge(source, target):
            return cast("Judgement", self.steps.edges[source, target]["judgement"])
        step, host = Step(self.release(source), self.release(target)), self.host.after(source, used)
        return self._looked_ahead(self._judge(step, host, used))

    def most_hops(self, budget: int) -> int:
        """How many updates in a row the required rules of scope TURN permit (of any step), at most ``budget``."""
        ladder = self._ladders[self.running.series]
        step = Step(ladder[0], ladder[-1])
        required = [one for one in self._rules if one.rule.scope is Scope.TURN and one.level is Level.REQUIRE]
        for used in range(min(budget, len(ladder))):
            host = self.host.after(self.running, used)
            if any(self._ask(applied.rule, step, host, used).outcome is not Outcome.PASS for applied in required):
                return used
        return min(budget, len(ladder))

    def cut_off(self, source: ModuleVersion, target: ModuleVersion) -> tuple[ModuleVersion, ...]:
        """The releases newer than ``target`` that permitted steps, look-ahead rules aside, lead to from ``source`` and
        not from ``target``, however many it takes."""
        if source.series != target.series:
            return ()
        lost = self._reach[source] - self._reach[target]
        return tuple(sorted(version for version in lost if version > target))

    @functools.cached_property
    def _reach(self) -> dict[ModuleVersion, set[ModuleVersion]]:
        """Every version with those that permitted steps lead to. What is reached through a nearer release is passed
        over; networkx's closure visits every step of every release (docs/adr/0021)."""
        reach: dict[ModuleVersion, set[ModuleVersion]] = {}
        steps = self._before_looking_ahead
        for source in sorted(steps, reverse=True):
            reach[source] = set()
            for target in sorted(steps[source]):
                if target not in reach[source]:
                    reach[source] |= {target} | reach[target]
        return reach

    def _ask(self, rule: Rule, step: Step, host: HostFacts, used: int) -> Verdict:
        """The rule's verdict, kept for the steps that share it by the rule's scope."""
        if rule.scope is Scope.STEP:  # no other step shares it
            return ask(rule, step, host)
        key = rule.name, rule.scope.key(step, used)
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = ask(rule, step, host)
        return answer

    def _judge(self, step: Step, host: HostFacts, used: int) -> Judgement:
        """The judgement of all rules but those that look ahead. ``host`` is predicted after ``used`` updates."""
        length = self.ranks[step.target.version] - self.ranks[step.source.version]
        verdicts = tuple([self._ask(applied.rule, step, host, used) for applied in self._rules])
        return self._weighed(Judgement(step, verdicts, (), (), (), (), length**2), self._rules)

    def _looked_ahead(self, judgement: Judgement) -> Judgement:
        """The judgement with the verdicts of the look-ahead rules. They are asked while the step is permitted."""
        step = judgement.step._replace(outlook=self)
        for applied in self._ahead:
            if judgement.permitted:
                verdict = ask(applied.rule, step, self.host.after(step.source.version, 0))
                judgement = self._weighed(judgement._replace(verdicts=(*judgement.verdicts, verdict)), [applied])
        return judgement

    def _weighed(self, judgement: Judgement, rules: Sequence[AppliedRule]) -> Judgement:
        """``judgement`` with its last verdicts, those of ``rules``, weighed as the policy wants each rule applied."""
        said = zip(rules, judgement.verdicts[-len(rules) :], strict=True)
        unmet = [(applied, verdict) for applied, verdict in said if verdict.outcome is not Outcome.PASS]
        if not unmet:
            return judgement
        step, cost, waived = judgement.step, judgement.cost, list(judgement.waived)
        blocking, left_open, warnings = map(list, (judgement.blocking, judgement.left_open, judgement.warnings))
        for applied, verdict in unmet:
            waivers = applied.waivers_for(step.target.version) if verdict.outcome is Outcome.BLOCK else ()
            if waivers:
                waived.append((verdict, waivers))
            elif applied.level is Level.PREFER:
                cost += applied.cost
            elif applied.level is Level.WARN:
                warnings.append(verdict)
            else:
                (left_open if self._is_open(applied.rule, verdict, step) else blocking).append(verdict)
        groups = tuple(blocking), tuple(left_open), tuple(warnings), tuple(waived)
        return Judgement(step, judgement.verdicts, *groups, cost)

    def _is_open(self, rule: Rule, verdict: Verdict, step: Step) -> bool:
        """Whether a rule could not answer for lack of an image, and the plan may do without."""
        unanswered = self._without_images and rule.needs_image and verdict.outcome is Outcome.UNKNOWN
        return unanswered and any(release.image is None for release in rule.scope.releases(step))


def _permitted(steps: nx.DiGraph[ModuleVersion]) -> nx.DiGraph[ModuleVersion]:
    """A copy of the permitted steps with their cost; networkx searches it faster than a view."""
    found: nx.DiGraph[ModuleVersion] = nx.DiGraph()
    found.add_nodes_from(steps)
    for source, target, edge in steps.edges(data=True):
        if edge["judgement"].permitted:
            found.add_edge(source, target, cost=edge["judgement"].cost)
    return found
