"""The version graph: every candidate step between the releases, with what all rules say of it.

A candidate step leads from a release to a newer one of its series. It is an edge whether it is permitted or not; what
was rejected stays, with the reasons. Nothing is judged before it is asked for: the search asks only whether a step is
permitted and stops at the first rule that forbids it; the full verdicts are drawn up for the steps that are shown.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from seamstep.facts import HostFacts
from seamstep.model import Outcome, Release, Step, Verdict
from seamstep.rules import AppliedRule, Level, Rule, Scope, Waiver
from seamstep.versions import ModuleVersion

if TYPE_CHECKING:
    import networkx

_LOG = logging.getLogger("seamstep")
_UNSEEN = -1
#: Where among the keys of a step stands what a rule's answer depends on; nothing is kept of a rule of both ends.
_DEPENDS = {Scope.HOST: 0, Scope.TURN: 1, Scope.SOURCE: 2, Scope.TARGET: 3}


class _Effect(IntEnum):
    """What a verdict does to a step under the policy."""

    NONE = 0
    WAIVED = 1
    WARN = 2
    COST = 3
    OPEN = 4
    BLOCK = 5


_EFFECTS = len(_Effect)
_PASS = Outcome.PASS


def _answers() -> dict[int, Verdict]:
    """What a rule answered, by what the answer depends on."""
    return {}


class _SearchOrder:
    """The rules that count in the search, by what they depend on. A rule with waivers depends on the target, whatever
    its scope."""

    def __init__(self, rules: Iterable[AppliedRule]) -> None:
        self.host: list[AppliedRule] = []
        self.source: list[AppliedRule] = []
        self.target: list[AppliedRule] = []
        self.step: list[AppliedRule] = []
        self.turn: list[AppliedRule] = []
        self.ahead: list[AppliedRule] = []
        by_scope = {Scope.HOST: self.host, Scope.SOURCE: self.source, Scope.TARGET: self.target, Scope.TURN: self.turn}
        for applied in rules:
            if applied.level is Level.WARN:
                continue
            if applied.rule.looks_ahead and applied.rule.scope is not Scope.TURN:
                self.ahead.append(applied)
            elif applied.waivers and applied.rule.scope is not Scope.TURN:
                self.step.append(applied)
            else:
                by_scope.get(applied.rule.scope, self.step).append(applied)


class Judgement(NamedTuple):
    """What all rules say of one step.

    ``blocking`` are the verdicts that forbid it, ``left_open`` the unknown ones that a provisional plan passes over,
    ``warnings`` those of rules that only warn, ``waived`` those that the policy accepts, each with what accepts it.
    ``cost`` is the length of the step in squared ranks plus the cost of each preferred rule it does not meet.
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
    """The releases of a catalog and the candidate steps between them, as one host sees them.

    The running version is a node even if the mapping file lacks it. With ``without_images``, a rule that needs an image
    leaves a step open where one is missing.
    """

    def __init__(
        self,
        releases: Iterable[Release],
        host: HostFacts,
        rules: Sequence[AppliedRule],
        *,
        without_images: bool = False,
    ) -> None:
        """Build the graph. Raises ValueError if the running version is not known: there is nothing to start from."""
        if host.module_version is None:
            raise ValueError("the running module's version is not known")
        self.host = host
        self.running: ModuleVersion = host.module_version
        asked = [applied for applied in rules if applied.level is not Level.OFF]
        self._rules = tuple(sorted(asked, key=lambda applied: applied.rule.looks_ahead))
        self._without_images = without_images
        known = {release.version: release for release in releases}
        known.setdefault(self.running, Release(self.running))
        self._ladders: dict[str, list[Release]] = {}
        for version in sorted(known):
            self._ladders.setdefault(version.series, []).append(known[version])
        self._places = {
            release.version: (rank, release) for ladder in self._ladders.values() for rank, release in enumerate(ladder)
        }
        self._order = _SearchOrder(self._rules)
        self._hosts: dict[tuple[int, ModuleVersion], HostFacts] = {}
        #: Each rule, whether it looks ahead, what its answers depend on, and those that it gave.
        self._asked = tuple(
            (one, one.rule.looks_ahead, _DEPENDS.get(one.rule.scope), _answers()) for one in self._rules
        )
        self._costs: dict[str, dict[int, int | None]] = {series: {} for series in self._ladders}
        self._foreseen: dict[str, dict[int, int | None]] = {series: {} for series in self._ladders}
        self._turns: dict[int, int | None] = {}
        self._turn_varies = any(applied.waivers or applied.rule.looks_ahead for applied in self._order.turn)
        self._host_cost: int | None = _UNSEEN
        self._ends: dict[str, tuple[dict[int, int | None], dict[int, int | None]]]
        self._ends = {series: ({}, {}) for series in self._ladders}
        self._reach: dict[str, dict[int, int]] = {series: {} for series in self._ladders}

    # -- the releases

    def ladder(self, series: str) -> Sequence[Release]:
        """The releases of a series, ascending; their positions are their ranks."""
        return self._ladders.get(series, ())

    def rank(self, version: ModuleVersion) -> int:
        """The position of a version in its series."""
        return self._places[version][0]

    def __contains__(self, version: ModuleVersion) -> bool:
        return version in self._places

    def release(self, version: ModuleVersion) -> Release:
        """The release of a version."""
        return self._places[version][1]

    def newer(self, version: ModuleVersion) -> Iterator[ModuleVersion]:
        """The targets of the candidate steps from ``version``, ascending."""
        return (release.version for release in self._ladders[version.series][self.rank(version) + 1 :])

    @functools.cached_property
    def digraph(self) -> networkx.DiGraph[ModuleVersion]:
        """The whole graph as networkx knows it, for those who draw or export it: each node has its ``release``, each
        edge its ``step``."""
        import networkx

        graph: networkx.DiGraph[ModuleVersion] = networkx.DiGraph()
        for ladder in self._ladders.values():
            for rank, release in enumerate(ladder):
                graph.add_node(release.version, release=release)
                for source in ladder[:rank]:
                    graph.add_edge(source.version, release.version, step=Step(source, release, self))
        return graph

    # -- judging

    def step_cost(self, series: str, source: int, target: int, used: int) -> int | None:
        """The cost of the step between two ranks after ``used`` updates; None if it is not permitted."""
        base = self._base_cost(series, source, target)
        if base is None:
            return None
        ladder = self._ladders[series]
        foreseen = self._foreseen[series]
        key = source * len(ladder) + target
        ahead = foreseen.get(key, _UNSEEN)
        if ahead == _UNSEEN:
            ahead = self._added_cost(self._order.ahead, Step(ladder[source], ladder[target], self), 0)
            foreseen[key] = ahead
        if ahead is None:
            return None
        turn = self._turns.get(used, _UNSEEN)
        if turn == _UNSEEN:
            turn = self._added_cost(self._order.turn, Step(ladder[source], ladder[target], self), used)
            if not self._turn_varies:
                self._turns[used] = turn
        return None if turn is None else base + ahead + turn

    def judge(self, source: ModuleVersion, target: ModuleVersion, used: int) -> Judgement:
        """What the rules say of the step once ``used`` updates have led from the running module to ``source``. Any two
        releases will do; the cost means something for candidate steps only."""
        (low, origin), (high, goal) = self._places[source], self._places[target]
        step = Step(origin, goal, self)
        host, check = self._host(source, used), self._check
        keys = (0, used, id(origin), id(goal))  # the graph holds the releases
        verdicts: list[Verdict] = []
        unmet: list[list[Verdict]] = [[] for _ in range(_EFFECTS)]  # by effect
        waived: list[tuple[Verdict, tuple[Waiver, ...]]] = []
        cost = (high - low) ** 2
        for applied, looks_ahead, depends, answers in self._asked:
            if looks_ahead and unmet[_Effect.BLOCK]:
                continue  # what would come after a step that is refused is nobody's question
            verdict = None if depends is None else answers.get(keys[depends])
            if verdict is None:
                verdict = check(applied.rule, step, host)
                if depends is not None:
                    answers[keys[depends]] = verdict
            verdicts.append(verdict)
            if verdict.outcome is _PASS:
                continue
            effect = self._effect(applied, verdict, step)
            unmet[effect].append(verdict)
            if effect is _Effect.WAIVED:
                waived.append((verdict, applied.waivers_for(target)))
            elif effect is _Effect.COST:
                cost += applied.cost
        return Judgement(
            step=step,
            verdicts=tuple(verdicts),
            blocking=tuple(unmet[_Effect.BLOCK]),
            left_open=tuple(unmet[_Effect.OPEN]),
            warnings=tuple(unmet[_Effect.WARN]),
            waived=tuple(waived),
            cost=cost,
        )

    def cut_off(self, source: ModuleVersion, target: ModuleVersion) -> tuple[ModuleVersion, ...]:
        """The releases newer than ``target`` that can be reached from ``source`` and no longer from ``target``, however
        many updates it takes."""
        if source.series != target.series or not source < target:
            return ()
        series, rank = target.series, self.rank(target)
        before, after = self._reachable(series, self.rank(source)), self._reachable(series, rank)
        lost = (before & ~after) >> (rank + 1) << (rank + 1)
        return tuple(self._ladders[series][position].version for position in _positions(lost))

    def _reachable(self, series: str, rank: int) -> int:
        """The ranks that permitted steps lead to from ``rank``, as bits. What is reached through an earlier step is not
        asked again, so that on a ladder without obstacles one step a release is judged."""
        known = self._reach[series]
        top = len(self._ladders[series])
        for source in range(top - len(known) - 1, rank - 1, -1):  # the known ones are the topmost
            reached = 0
            for target in range(source + 1, top):
                if not reached >> target & 1 and self._base_cost(series, source, target) is not None:
                    reached |= 1 << target | known[target]
            known[source] = reached
        return known[rank]

    def _base_cost(self, series: str, source: int, target: int) -> int | None:
        """The cost of a step by all rules but those that look ahead or count updates."""
        ladder = self._ladders[series]
        costs = self._costs[series]
        key = source * len(ladder) + target
        known = costs.get(key, _UNSEEN)
        if known != _UNSEEN:
            return known
        step = Step(ladder[source], ladder[target], self)
        cost = self._ends_cost(series, source, target, step)
        if cost is not None:
            added = self._added_cost(self._order.step, step, 0)
            cost = None if added is None else cost + added + (target - source) ** 2
        costs[key] = cost
        return cost

    def _ends_cost(self, series: str, source: int, target: int, step: Step) -> int | None:
        """What the rules add that don't look at both ends of a step; asked once for each end."""
        sources, targets = self._ends[series]
        if self._host_cost == _UNSEEN:
            self._host_cost = self._added_cost(self._order.host, step, 0)
        if self._host_cost is None:
            return None
        if source not in sources:
            sources[source] = self._added_cost(self._order.source, step, 0)
        if target not in targets:
            targets[target] = self._added_cost(self._order.target, step, 0)
        before, after = sources[source], targets[target]
        return None if before is None or after is None else self._host_cost + before + after

    def _added_cost(self, rules: list[AppliedRule], step: Step, used: int) -> int | None:
        """What ``rules`` add to the cost of a step; None as soon as one forbids it. That one is asked first next time:
        what forbids one step is likely to forbid its neighbours."""
        added = 0
        host = self._host(step.source.version, used)
        for position, applied in enumerate(rules):
            verdict = self._check(applied.rule, step, host)
            outcome = verdict.outcome
            if outcome is Outcome.PASS:
                continue
            if outcome is Outcome.BLOCK and applied.always_blocks:
                if position:
                    rules.insert(0, rules.pop(position))
                return None
            effect = self._effect(applied, verdict, step)
            if effect is _Effect.BLOCK:
                return None
            if effect is _Effect.COST:
                added += applied.cost
        return added

    def _effect(self, applied: AppliedRule, verdict: Verdict, step: Step) -> _Effect:
        if verdict.outcome is Outcome.PASS:
            return _Effect.NONE
        if applied.waivers and verdict.outcome is Outcome.BLOCK and applied.waivers_for(step.target.version):
            return _Effect.WAIVED
        if applied.level is Level.WARN:
            return _Effect.WARN
        if applied.level is Level.PREFER:
            return _Effect.COST
        if not self._without_images or verdict.outcome is not Outcome.UNKNOWN or not applied.rule.needs_image:
            return _Effect.BLOCK
        releases = (step.source, step.target) if applied.rule.scope is Scope.STEP else (step.target,)
        return _Effect.OPEN if any(release.image is None for release in releases) else _Effect.BLOCK

    def _check(self, rule: Rule, step: Step, host: HostFacts) -> Verdict:
        """Ask the rule. One that fails, or answers for another, has not answered: unknown, which blocks."""
        try:
            verdict = rule.check(step, host)
            if isinstance(verdict, Verdict) and verdict.rule == rule.name:
                return verdict
            reason = "the rule did not answer with a verdict of its own"
        except Exception as error:  # a rule may come from anybody
            _LOG.debug("the rule %s failed on %s", rule.name, step, exc_info=True)
            reason = f"the rule failed: {type(error).__name__}: {error} (SEAMSTEP_DEBUG=1 shows where)"
        return Verdict(rule.name, Outcome.UNKNOWN, reason)

    def _host(self, version: ModuleVersion, used: int) -> HostFacts:
        """The host predicted to be there when the step's turn comes."""
        host = self._hosts.get((used, version))
        if host is None:
            host = self._hosts[used, version] = self.host.after(version, used)
        return host


def _positions(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
