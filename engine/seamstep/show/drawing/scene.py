"""What a picture of the version graph shows, whatever the format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from seamstep.show.text import printable

#: A series of so many releases is drawn with less of what is beside the path.
LARGE = 40


class State(StrEnum):
    """What the rules come to on a step. UNKNOWN: no rule forbids it, but one that counts can't answer."""

    ALLOWED = "allowed"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


class Mark(StrEnum):
    """What a release is to the host: WANTED is the newest that the policy names, where no path leads to any."""

    NONE = ""
    RUNNING = "running"
    TARGET = "target"
    WANTED = "wanted"


class Reason(NamedTuple):
    """What one rule says of a step, and what that does: ``blocks``, ``can't tell`` (which refuses as well), ``left
    open``, ``warns``, ``waived`` or ``costs more``."""

    effect: str
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule} ({self.effect}): {self.text}"


class Node(NamedTuple):
    """A release. ``hops`` is the number of updates that lead to it, None where none do or nobody asked."""

    version: str
    mark: Mark = Mark.NONE
    hops: int | None = None


class Arc(NamedTuple):
    """A step between two releases of a lane, by their positions in it. ``permitted`` tells of an unknown step whether a
    provisional plan may take it; ``hop`` and ``runner_up`` are its positions, from 1, in the chosen path and in the
    second best."""

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
        """Its part in the plan, in words; empty if it has none."""
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
    """A series: its releases in order, the steps that are drawn in the order of their ends, how many steps there are
    between its releases, and ``note``, what else is to be known of it."""

    series: str
    nodes: tuple[Node, ...]
    arcs: tuple[Arc, ...]
    candidates: int
    note: str = ""

    def name(self, arc: Arc) -> str:
        """``1.5.24 → 1.5.28``."""
        return f"{self.nodes[arc.source].version} → {self.nodes[arc.target].version}"

    def describe(self, arc: Arc) -> str:
        """All there is to say of a step, in lines: what it is, then the reasons."""
        role = f" ({arc.role})" if arc.role else ""
        return "\n".join([f"{self.name(arc)}: {arc.verdict}{role}", *(printable(reason) for reason in arc.reasons)])

    @property
    def summary(self) -> str:
        """How much of the series is drawn."""
        releases = f"{len(self.nodes)} release{'' if len(self.nodes) == 1 else 's'}"
        note = f"; {self.note}" if self.note else ""
        return f"{releases}, {len(self.arcs)} of {self.candidates} possible steps drawn{note}"


class Scene(NamedTuple):
    """A picture: ``title`` and ``facts`` (what it was made from, a few words each), ``summary`` (what it shows, in
    sentences), the lanes, and the versions of the chosen path and of the second best (empty where there is none)."""

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
    """``1.5.24 → 1.5.28 → 1.5.34``; of a long one, its ends."""
    if len(versions) > 8:
        versions = [*versions[:3], f"… {len(versions) - 6} more …", *versions[-3:]]
    return " → ".join(versions)
