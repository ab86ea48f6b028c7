"""The contents of a picture of the version graph, independent of the format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import groupby
from typing import NamedTuple

from seamstep.show.text import printable

#: A series with at least this many releases is drawn with less detail beside the path.
LARGE = 40
#: The fewest adjacent releases without a step that are folded into one place.
_FOLDED_MINIMUM = 3
#: The effects of verdicts that refuse a step.
REFUSING = frozenset({"blocks", "can't tell"})


class State(StrEnum):
    """The outcome of the rules on a step. UNKNOWN: no rule forbids it, but a rule that counts can't decide."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


class Mark(StrEnum):
    """The role of a release for the host. WANTED: the newest that the policy names, if no path leads to any."""

    NONE = ""
    RUNNING = "running"
    TARGET = "target"
    WANTED = "wanted"


class Reason(NamedTuple):
    """The verdict of one rule on a step. ``effect`` is ``blocks``, ``can't tell`` (which refuses as well), ``left
    open``, ``warns``, ``waived`` or ``costs more``; on hops also ``safe`` or ``hold``, whether TDs may be created
    during the update. ``rule`` is the rule's name and ``text`` its reason."""

    effect: str
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule} ({self.effect}): {self.text}"


class Node(NamedTuple):
    """A release. ``mark`` is its role for the host, ``hops`` the number of updates that lead to it, None if none do or
    no path was searched. ``tcb`` is its TCB status in words, ``tcb_status`` in one word and ``advisories`` what is open
    in it, each empty without TCB Info."""

    version: str
    mark: Mark = Mark.NONE
    hops: int | None = None
    tcb: str = ""
    tcb_status: str = ""
    advisories: tuple[str, ...] = ()


class Group(NamedTuple):
    """A place in a lane: ``nodes`` are one release, or several adjacent ones without a step, folded. ``older`` says
    that all of them are older than the running release."""

    nodes: tuple[Node, ...]
    older: bool = False

    @property
    def folded(self) -> bool:
        """Whether there are several releases."""
        return len(self.nodes) > 1

    @property
    def label(self) -> str:
        """The version, or the number of releases."""
        number = len(self.nodes)
        return f"{number} {'older ' if self.older else ''}releases" if self.folded else self.nodes[0].version

    @property
    def ends(self) -> str:
        """The oldest and the newest release of several."""
        return f"{self.nodes[0].version} – {self.nodes[-1].version}"


class Arc(NamedTuple):
    """A step between two releases of a lane.

    ``source`` and ``target`` are the positions of the releases in the lane. ``permitted`` says whether a plan may take
    the step; a provisional plan may take some unknown ones. ``cost`` is its cost in a path. ``reasons`` are the
    verdicts other than pass, and on hops the one on creating TDs. ``hop`` and ``runner_up`` are its positions, from 1,
    in the chosen path and in the second best, None if it is not part of them. ``aside`` marks a refused step that
    pictures show in a bundle.
    """

    source: int
    target: int
    state: State
    permitted: bool
    cost: int
    reasons: tuple[Reason, ...] = ()
    hop: int | None = None
    runner_up: int | None = None
    aside: bool = False

    @property
    def span(self) -> int:
        """The length of the step in ranks."""
        return self.target - self.source

    @property
    def role(self) -> str:
        """The step's positions in the chosen path and in the runner-up, in words; empty if it is in neither."""
        parts = [f"hop {self.hop} of the chosen path"] if self.hop else []
        parts += [f"hop {self.runner_up} of the runner-up"] if self.runner_up else []
        return ", ".join(parts)

    @property
    def verdict(self) -> str:
        """State and cost in words."""
        if self.state is State.UNKNOWN:
            return f"unknown, left open, cost {self.cost}" if self.permitted else "unknown, so refused"
        return f"allowed, cost {self.cost}" if self.permitted else "blocked"


class Bundle(NamedTuple):
    """The steps of a lane that lie aside and are refused by the same ``rules``. ``state`` is that of all its
    ``arcs``."""

    state: State
    rules: tuple[str, ...]
    arcs: tuple[Arc, ...]

    @property
    def label(self) -> str:
        """The number of steps and the rules in words."""
        return f"{len(self.arcs)} step{'' if len(self.arcs) == 1 else 's'}: {', '.join(self.rules)}"


class Lane(NamedTuple):
    """A series. ``nodes`` are its releases in order, ``arcs`` the steps drawn, ordered by their ends. ``candidates`` is
    the number of steps between its releases, drawn or not, and ``note`` a remark for the summary. ``fold`` says whether
    releases without a step are folded."""

    series: str
    nodes: tuple[Node, ...]
    arcs: tuple[Arc, ...]
    candidates: int
    note: str = ""
    fold: bool = True

    def name(self, arc: Arc) -> str:
        """A step by its versions, such as ``1.5.24 → 1.5.28``."""
        return f"{self.nodes[arc.source].version} → {self.nodes[arc.target].version}"

    def lines(self, arc: Arc) -> list[str]:
        """A step in lines: its versions, verdict and role, then its reasons."""
        role = f" ({arc.role})" if arc.role else ""
        return [f"{self.name(arc)}: {arc.verdict}{role}", *(printable(reason) for reason in arc.reasons)]

    def describe(self, arc: Arc) -> str:
        """The lines of a step as one text."""
        return "\n".join(self.lines(arc))

    def groups(self) -> Iterator[Group]:
        """The places of the lane in order."""
        touched = {end for arc in self.arcs for end in (arc.source, arc.target)}
        start = next((place for place, node in enumerate(self.nodes) if node.mark is Mark.RUNNING), 0)
        plain = [self.fold and place not in touched and node.mark is Mark.NONE for place, node in enumerate(self.nodes)]
        for (bare, older), places in groupby(range(len(self.nodes)), lambda place: (plain[place], place < start)):
            nodes = tuple(self.nodes[place] for place in places)
            if bare and len(nodes) >= _FOLDED_MINIMUM:
                yield Group(nodes, older)
            else:
                yield from (Group((node,)) for node in nodes)

    def single(self) -> tuple[Arc, ...]:
        """The steps that are drawn each by itself."""
        return tuple(arc for arc in self.arcs if not arc.aside)

    def bundles(self) -> list[Bundle]:
        """The bundles of the steps that lie aside, the largest first."""
        found: dict[tuple[State, tuple[str, ...]], list[Arc]] = {}
        for arc in self.arcs:
            if arc.aside:
                rules = tuple(sorted({reason.rule for reason in arc.reasons if reason.effect in REFUSING}))
                found.setdefault((arc.state, rules), []).append(arc)
        bundles = [Bundle(state, rules, tuple(arcs)) for (state, rules), arcs in found.items()]
        return sorted(bundles, key=lambda bundle: (-len(bundle.arcs), bundle.rules, bundle.state))

    def describe_bundle(self, bundle: Bundle) -> str:
        """A bundle in lines: the rules that refuse its steps, then its steps, a line for each source."""
        lines = [f"{printable(bundle.label)} ({'blocked' if bundle.state is State.BLOCKED else 'unknown, so refused'})"]
        for source, arcs in groupby(bundle.arcs, lambda arc: arc.source):
            targets = ", ".join(self.nodes[arc.target].version for arc in arcs)
            lines.append(f"{self.nodes[source].version} → {targets}")
        return "\n".join(lines)

    @property
    def summary(self) -> str:
        """The number of releases, and of the steps drawn and possible."""
        releases = f"{len(self.nodes)} release{'' if len(self.nodes) == 1 else 's'}"
        note = f"; {self.note}" if self.note else ""
        return f"{releases}, {len(self.arcs)} of {self.candidates} possible steps drawn{note}"


class Scene(NamedTuple):
    """A picture.

    ``title`` is its heading, ``facts`` name its sources in a few words each, and ``summary`` describes it in sentences.
    ``lanes`` are its series. ``path`` and ``runner_up`` are the versions of the chosen path and of the second best,
    empty if there is none.
    """

    title: str
    facts: tuple[str, ...]
    summary: tuple[str, ...]
    lanes: tuple[Lane, ...]
    path: tuple[str, ...] = ()
    runner_up: tuple[str, ...] = ()

    def arcs(self) -> Iterator[tuple[Lane, Arc]]:
        """All steps, lane by lane."""
        return ((lane, arc) for lane in self.lanes for arc in lane.arcs)

    def nodes(self) -> Iterator[Node]:
        """All releases, lane by lane."""
        return (node for lane in self.lanes for node in lane.nodes)


def route_text(versions: Sequence[str]) -> str:
    """A path such as ``1.5.24 → 1.5.28 → 1.5.34``; of a long one, its ends."""
    if len(versions) > 8:
        versions = [*versions[:3], f"… {len(versions) - 6} more …", *versions[-3:]]
    return " → ".join(versions)
