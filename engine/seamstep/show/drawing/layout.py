"""The layout of a picture, in pixels with y downwards.

A lane is a row of releases. Permitted steps are arcs above it and refused ones arcs below, so that their position
distinguishes them as well as their colour. The height of an arc grows with the logarithm of its length: a longer arc is
always higher, but no arc needs much room. Arcs that share an end are attached side by side, the longest outermost, so
that the arcs of one release don't cross.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from seamstep.show.drawing.scene import LARGE, Arc, Lane, Mark, Node, Scene

MARGIN = 24.0
NODE_HEIGHT = 40.0
_CHARACTER = 8.2
_NODE_PADDING = 18.0
_NODE_MINIMUM = 68.0
_GAPS = ((16, 34.0), (48, 22.0))  # the most slots in a lane for which the gap applies, and the gap
_GAP = 14.0
_ARC_UNIT = 40.0
_LANE_TITLE = 34.0
_LANE_PADDING = 16.0
_WIDTH_MINIMUM = 960.0
HEADER = 84.0
LEGEND = 78.0
#: A large series gathers adjacent releases without a drawn step in one slot, if there are at least this many.
_GATHER_MINIMUM = 4


class Slot(NamedTuple):
    """A place in a lane. ``nodes`` are one release, or several adjacent ones without a drawn step; ``x`` is its middle,
    ``width`` its whole width."""

    nodes: tuple[Node, ...]
    x: float
    width: float

    @property
    def label(self) -> str:
        """The text in the slot: the version, or the number of releases."""
        return self.nodes[0].version if len(self.nodes) == 1 else f"{len(self.nodes)} releases"


class Curve(NamedTuple):
    """An ``arc`` from (``x0``, ``y``) to (``x1``, ``y``). Its apex is ``height`` above ``y``, or below if negative."""

    arc: Arc
    x0: float
    x1: float
    y: float
    height: float

    @property
    def middle(self) -> tuple[float, float]:
        """The position of the apex."""
        return (self.x0 + self.x1) / 2, self.y - self.height


class Row(NamedTuple):
    """A ``lane`` with positions: ``top`` and ``bottom`` are its edges, ``y`` the middle of its releases, ``slots`` are
    the places of its releases, ``curves`` those of its steps."""

    lane: Lane
    top: float
    y: float
    bottom: float
    slots: tuple[Slot, ...]
    curves: tuple[Curve, ...]


class Layout(NamedTuple):
    """A ``scene`` with positions: ``rows`` are its lanes, ``width`` and ``height`` the size of the picture."""

    scene: Scene
    rows: tuple[Row, ...]
    width: float
    height: float


def layout(scene: Scene, *, header: bool = True) -> Layout:
    """Place all parts of a scene; without ``header`` no room is left for a title."""
    rows = []
    top = HEADER if header else 0.0
    for lane in scene.lanes:
        row = _row(lane, top)
        rows.append(row)
        top = row.bottom
    right = max((row.slots[-1].x + row.slots[-1].width / 2 for row in rows if row.slots), default=0.0)
    return Layout(scene, tuple(rows), max(right + MARGIN, _WIDTH_MINIMUM), top + LEGEND)


def _height(span: int) -> float:
    return _ARC_UNIT * math.log2(span + 1)


def _row(lane: Lane, top: float) -> Row:
    slots, places = _slots(lane)
    above = max((_height(_span(arc, places)) for arc in lane.arcs if arc.permitted), default=0.0)
    below = max((_height(_span(arc, places)) for arc in lane.arcs if not arc.permitted), default=0.0)
    y = top + _LANE_TITLE + (above + 18 if above else 8) + NODE_HEIGHT / 2
    bottom = y + NODE_HEIGHT / 2 + (below + 18 if below else 0) + _LANE_PADDING
    return Row(lane, top, y, bottom, slots, tuple(_curves(lane, slots, places, y)))


def _slots(lane: Lane) -> tuple[tuple[Slot, ...], list[int]]:
    """The slots of a lane, and for each release the position of its slot."""
    groups = list(_groups(lane))
    gap = next((gap for most, gap in _GAPS if len(groups) <= most), _GAP)
    slots: list[Slot] = []
    places: list[int] = []
    left = MARGIN
    width = max(_width(node.version) for node in lane.nodes)
    for group in groups:
        own = width if len(group) == 1 else _width(f"{len(group)} releases")
        places += [len(slots)] * len(group)
        slots.append(Slot(group, left + own / 2, own))
        left += own + gap
    return tuple(slots), places


def _width(text: str) -> float:
    return max(len(text) * _CHARACTER + _NODE_PADDING, _NODE_MINIMUM)


def _groups(lane: Lane) -> Iterator[tuple[Node, ...]]:
    touched = {end for arc in lane.arcs for end in (arc.source, arc.target)}
    gather = len(lane.nodes) >= LARGE
    waiting: list[Node] = []
    for position, node in enumerate(lane.nodes):
        if gather and position not in touched and node.mark is Mark.NONE:
            waiting.append(node)
            continue
        yield from _gathered(waiting)
        waiting = []
        yield (node,)
    yield from _gathered(waiting)


def _gathered(nodes: list[Node]) -> Iterator[tuple[Node, ...]]:
    if len(nodes) >= _GATHER_MINIMUM:
        yield tuple(nodes)
    else:
        yield from ((node,) for node in nodes)


def _span(arc: Arc, places: list[int]) -> int:
    return places[arc.target] - places[arc.source]


def _curves(lane: Lane, slots: tuple[Slot, ...], places: list[int], y: float) -> Iterator[Curve]:
    for permitted in (True, False):
        arcs = [arc for arc in lane.arcs if arc.permitted is permitted]
        starts: dict[int, list[Arc]] = {}
        ends: dict[int, list[Arc]] = {}
        for arc in arcs:  # ascending by source, then target
            starts.setdefault(arc.source, []).insert(0, arc)
            ends.setdefault(arc.target, []).insert(0, arc)
        edge = y - NODE_HEIGHT / 2 if permitted else y + NODE_HEIGHT / 2
        for arc in arcs:
            height = _height(_span(arc, places))
            source, target = slots[places[arc.source]], slots[places[arc.target]]
            x0 = source.x + _offset(starts[arc.source], arc, source.width)
            x1 = target.x - target.width / 2 + _offset(ends[arc.target], arc, target.width)
            yield Curve(arc, x0, x1, edge, height if permitted else -height)


def _offset(together: list[Arc], arc: Arc, width: float) -> float:
    """The distance of an arc's end from the left edge of its half of a release: arcs start right, end left."""
    return (together.index(arc) + 1) * (width / 2) / (len(together) + 1)
