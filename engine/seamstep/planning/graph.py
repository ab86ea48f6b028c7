"""The version graph: every candidate step between the releases, with what all rules say of it.

A candidate step leads from a release to a newer one of its series. It is an edge whether it is permitted or not; what
was rejected stays, with the reasons. Nothing is judged before it is asked for: the search asks only whether a step is
permitted and stops at the first rule that forbids it; the full verdicts are drawn up for the steps that are shown.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable, Iterator, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

from seamstep.base.values import NamedTuple, made
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Outcome, Release, Step, Verdict
from seamstep.planning.rule_order import Answers, Asked, JudgingOrder, SearchOrder, Unmet, ask
from seamstep.rules import AppliedRule, Level, Scope, Waiver

if TYPE_CHECKING:
    import networkx

_UNSEEN = -1


class _Effect(IntEnum):
    """What a verdict does to a step under the policy."""

    NONE = 0
    WAIVED = 1
    WARN = 2
    COST = 3
    OPEN = 4
    BLOCK = 5


_PASS = Outcome.PASS
_BLOCK = Outcome.BLOCK


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
        asked = [Asked(place, one) for place, one in enumerate(rules) if one.level is not Level.OFF]
        self._order = SearchOrder(asked)
        self._judging = JudgingOrder(asked)
        self._without_images = without_images
        known = {release.version: release for release in releases}
        known.setdefault(self.running, Release(self.running))
        #: By the id of a release its kind; releases of one kind are alike to the rules that compare facts.
        self._kinds: dict[int, int] = {}
        self._facts_of_kinds: dict[Hashable, int] = {}
        self._ladders: dict[str, list[Release]] = {}
        for version in sorted(known):
            self._ladders.setdefault(version.series, []).append(known[version])
        self._places = {
            release.version.text: (rank, release)
            for ladder in self._ladders.values()
            for rank, release in enumerate(ladder)
        }
        self._hosts: dict[tuple[int, str], HostFacts] = {}
        self._host_answers: Answers | None = None
        self._turn_answers: dict[int, Answers] = {}
        self._rows: dict[tuple[int, int], tuple[HostFacts, int, list[Verdict], list[Unmet]]] = {}
        self._columns: dict[int, tuple[int, list[Verdict], list[Unmet]]] = {}
        self._cells: dict[tuple[int, int], Answers] = {}
        self._cell_costs: dict[tuple[int, int], int | None] = {}
        self._costs: dict[str, dict[int, int | None]] = {series: {} for series in self._ladders}
        self._foreseen: dict[str, dict[int, int | None]] = {series: {} for series in self._ladders}
        self._turns: dict[int, int | None] = {}
        self._turn_varies = any(asked.applied.waivers or asked.rule.looks_ahead for asked in self._order.turn)
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
        return self._places[version.text][0]

    def __contains__(self, version: ModuleVersion) -> bool:
        return version.text in self._places

    def release(self, version: ModuleVersion) -> Release:
        """The release of a version."""
        return self._places[version.text][1]

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
        (low, origin), (high, goal) = self._places[source.text], self._places[target.text]
        step, judging = made(Step, (origin, goal, self)), self._judging
        host, kind, row, unmet_row = self._rows.get((used, id(origin))) or self._row(step, used)
        kind_there, column, unmet_column = self._columns.get(id(goal)) or self._column(step, host)
        cell, unmet_cell = self._cells.get((kind, kind_there)) or self._cell(step, host, (kind, kind_there))
        verdicts, unmet = [*row, *column, *cell], [*unmet_row, *unmet_column, *unmet_cell]
        ask(judging.fresh, step, host, (verdicts, unmet))
        arranged, cost = judging.arrange(verdicts), (high - low) ** 2
        if not unmet and not judging.ahead:
            return made(Judgement, (step, arranged, (), (), (), (), cost))
        unmet.sort()
        blocking = [verdict for _, verdict, asked in unmet if asked.always_blocks and verdict.outcome is _BLOCK]
        if blocking and len(blocking) == len(unmet):  # so most refused steps are
            return made(Judgement, (step, arranged, tuple(blocking), (), (), (), cost))
        return self._weighed(step, host, arranged, unmet, cost)

    def _row(self, step: Step, used: int) -> tuple[HostFacts, int, list[Verdict], list[Unmet]]:
        """The host before a step, the kind of its source, and what is said of all steps from that."""
        host, judging = self._host(step.source.version, used), self._judging
        if self._host_answers is None:
            self._host_answers = ask(judging.host, step, host, ([], []))
        so_far = self._turn_answers.get(used)
        if so_far is None:
            verdicts, unmet = self._host_answers
            so_far = self._turn_answers[used] = ask(judging.turn, step, host, ([*verdicts], [*unmet]))
        verdicts, unmet = so_far
        known = host, self._kind(step.source), *ask(judging.source, step, host, ([*verdicts], [*unmet]))
        self._rows[used, id(step.source)] = known  # the graph holds the release, so that its id stays its own
        return known

    def _column(self, step: Step, host: HostFacts) -> tuple[int, list[Verdict], list[Unmet]]:
        """The kind of a step's target, and what is said of all steps to that."""
        known = self._kind(step.target), *ask(self._judging.column, step, host, ([], []))
        self._columns[id(step.target)] = known
        return known

    def _cell(self, step: Step, host: HostFacts, kinds: tuple[int, int]) -> Answers:
        """What is said of all steps between releases of two kinds, if they all pass."""
        cell = ask(self._judging.cell, step, host, ([], []))
        if not cell[1]:
            self._cells[kinds] = cell
        return cell

    def _weighed(
        self, step: Step, host: HostFacts, verdicts: tuple[Verdict, ...], unmet: list[Unmet], cost: int
    ) -> Judgement:
        """The judgement on a step that some rule neither permits nor plainly refuses, or that there are rules to look
        ahead from. What would come after a step that is refused is nobody's question."""
        by_effect: dict[_Effect, list[Verdict]] = {effect: [] for effect in _Effect}
        waived: list[tuple[Verdict, tuple[Waiver, ...]]] = []

        def weigh(applied: AppliedRule, verdict: Verdict) -> int:
            effect = self._effect(applied, verdict, step)
            by_effect[effect].append(verdict)
            if effect is _Effect.WAIVED:
                waived.append((verdict, applied.waivers_for(step.target.version)))
            return applied.cost if effect is _Effect.COST else 0

        for _, verdict, asked in unmet:
            cost += weigh(asked.applied, verdict)
        for asked in self._judging.ahead:
            if not by_effect[_Effect.BLOCK]:
                verdict = self._check(asked, step, host)
                verdicts = (*verdicts, verdict)
                cost += weigh(asked.applied, verdict)
        return Judgement(
            step=step,
            verdicts=verdicts,
            blocking=tuple(by_effect[_Effect.BLOCK]),
            left_open=tuple(by_effect[_Effect.OPEN]),
            warnings=tuple(by_effect[_Effect.WARN]),
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
            compared = self._compared_cost(step)
            added = None if compared is None else self._added_cost(self._order.step, step, 0)
            cost = None if compared is None or added is None else cost + compared + added + (target - source) ** 2
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

    def _compared_cost(self, step: Step) -> int | None:
        """What the rules add that compare facts of both ends; asked once for releases that are alike to them."""
        kinds = self._kind(step.source), self._kind(step.target)
        cost = self._cell_costs.get(kinds, _UNSEEN)
        if cost == _UNSEEN:
            cost = self._cell_costs[kinds] = self._added_cost(self._order.facts, step, 0)
        return cost

    def _added_cost(self, rules: list[Asked], step: Step, used: int) -> int | None:
        """What ``rules`` add to the cost of a step; None as soon as one forbids it. That one is asked first next time:
        what forbids one step is likely to forbid its neighbours."""
        added = 0
        host = self._host(step.source.version, used)
        for position, asked in enumerate(rules):
            applied, verdict = asked.applied, self._check(asked, step, host)
            outcome = verdict.outcome
            if outcome is _PASS:
                continue
            if outcome is _BLOCK and asked.always_blocks:
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
        if verdict.outcome is _PASS:
            return _Effect.NONE
        if applied.waivers and verdict.outcome is Outcome.BLOCK and applied.waivers_for(step.target.version):
            return _Effect.WAIVED
        if applied.level is Level.WARN:
            return _Effect.WARN
        if applied.level is Level.PREFER:
            return _Effect.COST
        if not self._without_images or verdict.outcome is not Outcome.UNKNOWN or not applied.rule.needs_image:
            return _Effect.BLOCK
        ends = {Scope.SOURCE: (step.source,), Scope.TARGET: (step.target,), Scope.HOST: (), Scope.TURN: ()}
        releases = ends.get(applied.rule.scope, (step.source, step.target))
        return _Effect.OPEN if any(release.image is None for release in releases) else _Effect.BLOCK

    def _kind(self, release: Release) -> int:
        """One number for all releases that are alike to the rules that compare facts of both ends of a step."""
        kind = self._kinds.get(id(release))
        if kind is None:
            kind = self._kinds[id(release)] = self._kind_by_facts(release)
        return kind

    def _kind_by_facts(self, release: Release) -> int:
        new = len(self._kinds)
        try:
            facts = [asked.rule.facts(release) for asked in self._judging.cell]
            return self._facts_of_kinds.setdefault((release.image is None, *facts, *map(type, facts)), new)
        except (Exception, SystemExit):  # a rule may come from anybody; what it says may not even be comparable
            return new

    def _check(self, asked: Asked, step: Step, host: HostFacts) -> Verdict:
        return ask((asked,), step, host, ([], []))[0][0]

    def _host(self, version: ModuleVersion, used: int) -> HostFacts:
        """The host predicted to be there when the step's turn comes."""
        host = self._hosts.get((used, version.text))
        if host is None:
            host = self._hosts[used, version.text] = self.host.after(version, used)
        return host


def _positions(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest
