"""The contents of a picture of the version graph, independent of the format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from seamstep.show.text import printable

#: A series with at least this many releases is drawn with less detail beside the path.
LARGE = 40


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
    no path was searched."""

    version: str
    mark: Mark = Mark.NONE
    hops: int | None = None


class Arc(NamedTuple):
    """A step between two releases of a lane.

    ``source`` and ``target`` are the positions of the releases in the lane. ``permitted`` says whether a plan may take
    the step; a provisional plan may take some unknown ones. ``cost`` is its cost in a path. ``reasons`` are the
    verdicts other than pass, and on hops the one on creating TDs. ``hop`` and ``runner_up`` are its positions, from 1,
    in the chosen path and in the second best, None if it is not part of them.
    """

    source: int
    target: int
    state: State
    permitted: bool
    cost: int
    reasons: tuple[Reason, ...] = ()
    hop: int | None = None
    runner_up: int | None = None

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


class Lane(NamedTuple):
    """A series. ``nodes`` are its releases in order, ``arcs`` the steps drawn, ordered by their ends. ``candidates`` is
    the number of steps between its releases, drawn or not, and ``note`` a remark for the summary."""

    series: str
    nodes: tuple[Node, ...]
    arcs: tuple[Arc, ...]
    candidates: int
    note: str = ""

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
