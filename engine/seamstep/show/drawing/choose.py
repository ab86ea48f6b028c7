"""Which steps of a version graph are drawn, and what is said of them. Only series of which steps may be drawn are
judged: that of the host, or all for a kind of host and where everything that is refused is to be drawn."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, StrEnum, auto
from itertools import chain, islice, pairwise

from seamstep.analysis.environments import check_size, judged
from seamstep.base import cpus
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Outcome, Release, ladders
from seamstep.domain.tcb import summary
from seamstep.planning.explain import Situation
from seamstep.planning.graph import Judgement, VersionGraph
from seamstep.planning.paths import Route, Router
from seamstep.planning.planner import td_creation
from seamstep.rules.td_build import TdBuild
from seamstep.show.drawing.scene import LARGE, Arc, Lane, Mark, Node, Reason, Scene, State, route_text
from seamstep.show.tcb import tcb_text

Pair = tuple[int, int]
#: The most steps out of the running release, and into the goal, that are drawn where there is a limit.
_FAN = 10


class Blocked(StrEnum):
    """How much is drawn of what is refused.

    NONE: permitted steps only. PATH: also what is refused on the host's way: steps from the running release, and those
    from whatever can be reached to the release that is wanted; without a running release, steps to the next release.
    ALL: every candidate step, also those from releases that the host can't come to.
    """

    NONE = "none"
    PATH = "path"
    ALL = "all"


class Subject(Enum):
    """Whom the picture is of: a host, a kind of host on which a certain module runs, or a kind of host, whatever runs
    there: then no path is looked for."""

    HOST = auto()
    KIND_RUNNING = auto()
    KIND = auto()


class _Chooser:
    """The choice for one situation; ``located`` if it is known where the path begins, ``fold`` if pictures fold and
    bundle what is not on the host's way."""

    def __init__(self, situation: Situation, blocked: Blocked, limit: int | None, *, located: bool, fold: bool) -> None:
        self.graph = situation.graph() if located and blocked is not Blocked.ALL else _whole(situation)
        self._held = situation.policy.creation_held
        self.blocked, self.limit, self.located, self.fold = blocked, limit, located, fold
        self.router: Router | None = situation.router(self.graph) if located else None
        choice = situation.policy.choice
        self.best: Route | None = self.router.best(choice) if self.router else None
        self.second: Route | None = self.router.runner_up(choice) if self.router else None
        self.wanted = self.router.wanted[-1] if self.router and self.router.wanted else None
        self.goal = (self.router.target if self.router else None) or self.wanted
        self.reached = self.router.reached if self.router else {}

    def lane(self, series: str, listed: Iterable[ModuleVersion]) -> Lane:
        """The picture of a series; ``listed`` are its releases, ascending."""
        ladder = [release.version for release in self.graph.ladder(series)] or list(listed)
        hops, others = _positions(self.best), _positions(self.second)
        arcs = []
        for (source, target), judgement in sorted(islice(self._drawn(series, ladder), self.limit)):
            pair = ladder[source], ladder[target]
            arc = _arc(judgement, source, target, hops.get(pair), others.get(pair))
            aside = self.fold and not arc.role and not judgement.permitted and not self._on_the_way(judgement)
            reasons = (*arc.reasons, self._creation(judgement)) if arc.role else arc.reasons
            arcs.append(arc._replace(aside=aside, reasons=reasons))
        releases = {release.version: release for release in self.graph.ladder(series)}
        nodes = tuple(
            _with_tcb(Node(str(version), self._mark(version), self.reached.get(version)), releases.get(version))
            for version in ladder
        )
        foreign = self.located and series != self.graph.running.series
        note = f"no update leads here from series {self.graph.running.series}" if foreign else ""
        return Lane(series, nodes, tuple(arcs), len(ladder) * (len(ladder) - 1) // 2, note, self.fold)

    def _creation(self, judgement: Judgement) -> Reason:
        """Whether TDs may be created during a hop."""
        creation = td_creation(judgement.step, self.graph.host, held=self._held)
        return Reason("safe" if creation["safe"] else "hold", TdBuild.name, creation["reason"])

    def _mark(self, version: ModuleVersion) -> Mark:
        if self.located and version == self.graph.running:
            return Mark.RUNNING
        if self.best and version == self.best.versions[-1]:
            return Mark.TARGET
        return Mark.WANTED if version == self.wanted and not self.best else Mark.NONE

    def _drawn(self, series: str, ladder: Sequence[ModuleVersion]) -> Iterator[tuple[Pair, Judgement]]:
        """The steps to draw, what matters most first."""
        routes = [pair for route in (self.best, self.second) if route for pair in pairwise(route.versions)]
        first = dict.fromkeys((self.graph.ranks[a], self.graph.ranks[b]) for a, b in routes if a.series == series)
        own = not self.located or series == self.graph.running.series
        if not own and self.blocked is not Blocked.ALL:
            return
        beside: Iterator[Pair] = iter(()) if self._crowded(ladder) else _by_length(len(ladder))
        for pair in dict.fromkeys(chain(first, self._fans(series, len(ladder)), beside)):
            source, target = (ladder[end] for end in pair)
            judgement = self.graph.judge(source, target, self.reached.get(source, 0))
            if pair in first or self._belongs(judgement):
                yield pair, judgement

    def _crowded(self, ladder: Sequence[ModuleVersion]) -> bool:
        """Whether steps that neither begin nor end on the path would only hide it."""
        return self.best is not None and self.limit is not None and len(ladder) >= LARGE

    def _fans(self, series: str, size: int) -> Iterator[Pair]:
        """Steps out of the running release and into the goal, nearest first; where there is a limit, a third of it
        each, and no more than fit into a picture."""
        if not self.located or series != self.graph.running.series:
            return
        share = None if self.limit is None else min(max(self.limit // 3, 1), _FAN)
        start = self.graph.ranks[self.graph.running]
        yield from islice(((start, target) for target in range(start + 1, size)), share)
        if self.goal:
            end = self.graph.ranks[self.goal]
            yield from islice(((source, end) for source in range(end - 1, start, -1)), share)

    def _belongs(self, judgement: Judgement) -> bool:
        if self.blocked is Blocked.ALL:
            return True
        if not judgement.permitted:
            return self.blocked is Blocked.PATH and self._on_the_way(judgement)
        return not self.located or judgement.step.source.version in self.reached

    def _on_the_way(self, judgement: Judgement) -> bool:
        """Whether a refused step is on the host's way; of a kind of host, whether it leads to the next release."""
        source, target = judgement.step.source.version, judgement.step.target.version
        if not self.located:
            return self.graph.ranks[target] == self.graph.ranks[source] + 1
        return source in self.reached and (source == self.graph.running or target == self.goal)


def _whole(situation: Situation) -> VersionGraph:
    """The graph of all series. Raises ValueError and InputError as VersionGraph does, and if they are too many."""
    releases, rules = situation.releases, situation.policy.applied_rules()
    work = sum(judged(len(ladder)) for ladder in ladders(releases).values())
    check_size(work, "the mapping file", f"{len(releases):,} releases", "draw fewer, or less of what is refused")
    return VersionGraph(releases, situation.host, rules, without_images=situation.without_images)


def _positions(route: Route | None) -> dict[tuple[ModuleVersion, ModuleVersion], int]:
    return {pair: position for position, pair in enumerate(pairwise(route.versions), 1)} if route else {}


def _by_length(size: int) -> Iterator[Pair]:
    return ((source, source + length) for length in range(1, size) for source in range(size - length))


def _arc(judgement: Judgement, source: int, target: int, hop: int | None, second: int | None) -> Arc:
    state = State.ALLOWED
    if any(verdict.outcome is Outcome.BLOCK for verdict in judgement.blocking):
        state = State.BLOCKED
    elif judgement.blocking or judgement.left_open:
        state = State.UNKNOWN
    return Arc(source, target, state, judgement.permitted, judgement.cost, tuple(_reasons(judgement)), hop, second)


def _reasons(judgement: Judgement) -> Iterator[Reason]:
    """What is worth knowing of a step; rules that are met are not."""
    told = set()
    for effect, verdicts in (
        ("blocks", [verdict for verdict in judgement.blocking if verdict.outcome is Outcome.BLOCK]),
        ("can't tell", judgement.blocking),
        ("left open", judgement.left_open),
        ("warns", judgement.warnings),
        ("waived", [verdict for verdict, _ in judgement.waived]),
        ("costs more", judgement.verdicts),
    ):
        for verdict in verdicts:
            if verdict.outcome is not Outcome.PASS and verdict.rule not in told:
                told.add(verdict.rule)
                yield Reason(effect, verdict.rule, verdict.reason)


def scene(
    situation: Situation,
    *,
    blocked: Blocked = Blocked.PATH,
    limit: int | None = None,
    subject: Subject = Subject.HOST,
    fold: bool = True,
) -> Scene:
    """The picture of a situation.

    Args:
        situation: releases, host, policy.
        blocked: how much of what is refused is drawn.
        limit: the most steps to draw of each series, what matters most first; None for all.
        subject: whom it is of. Of a kind of host whatever runs there, the running version has no meaning.
        fold: whether pictures fold releases without a step, and bundle refused steps that are not on the host's way.

    Raises:
        ValueError: the host's running version is not known.
        InputError: there is too much to judge.
    """
    located = subject is not Subject.KIND
    chooser = _Chooser(situation, blocked, limit, located=located, fold=fold)
    host = situation.host
    listed: dict[str, list[ModuleVersion]] = {chooser.graph.running.series: []} if located else {}
    for version in sorted(release.version for release in situation.releases):
        listed.setdefault(version.series, []).append(version)
    in_order = sorted(listed, key=lambda name: tuple(map(int, name.split("."))))
    path = tuple(map(str, chooser.best.versions)) if chooser.best else ()
    title = route_text(path) if path else f"{chooser.graph.running}, no update"
    name = (host.hostname or "this host") if subject is Subject.HOST else _kind(host)
    rules = f"policy {situation.policy.name}" if located else f"rules of policy {situation.policy.name}"
    return Scene(
        title=f"{name}: {title if located else 'TDX module updates'}",
        facts=(rules, *_facts(host, real=subject is Subject.HOST)),
        summary=tuple(_sentences(chooser, name)),
        lanes=tuple(chooser.lane(series, listed[series]) for series in in_order),
        path=path,
        runner_up=tuple(map(str, chooser.second.versions)) if chooser.second else (),
    )


def _kind(host: HostFacts) -> str:
    return ", ".join(cpus.describe(signature) for signature in host.cpu_signatures or ()) or "unknown CPU"


def _facts(host: HostFacts, *, real: bool) -> Iterator[str]:
    yield f"P-SEAMLDR {host.seamldr_version or 'unknown'}"
    yield f"{host.profile or 'unknown'} kernel"
    if real:
        yield _kind(host)
        remaining = host.remaining_updates
        yield f"{'unknown' if remaining is None else remaining} remaining update{'' if remaining == 1 else 's'}"


def _with_tcb(node: Node, release: Release | None) -> Node:
    """The node with the TCB status of its release."""
    if release is None or release.tcb is None:
        return node
    said = summary(release.tcb)
    return node._replace(
        tcb=tcb_text(said), tcb_status=said["status"] or "unknown", advisories=tuple(said["advisories"])
    )


def _sentences(chooser: _Chooser, name: str) -> Iterator[str]:
    best, second = chooser.best, chooser.second
    if not chooser.located:
        yield f"The steps between all releases, as any host of this kind sees them: {name}."
        return
    yield f"{name} runs {chooser.graph.running}."
    if best:
        yield f"The chosen path is {route_text([*map(str, best.versions)])}, cost {best.cost}."
        if second:
            yield f"The runner-up is {route_text([*map(str, second.versions)])}, cost {second.cost}."
        else:
            yield "There is no other path to that release."
    elif chooser.wanted:
        yield f"No permitted path leads to any release that is wanted; the newest wanted is {chooser.wanted}."
    else:
        yield "No newer release is wanted."
    running = chooser.graph.release(chooser.graph.running)
    if running.tcb is not None:
        yield f"TCB status of {running.version}: {tcb_text(summary(running.tcb))}."
