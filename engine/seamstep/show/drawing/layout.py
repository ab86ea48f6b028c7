"""The layout of a picture, in pixels with y downwards.

A lane is a row of releases. Permitted steps are arcs above it and refused ones arcs below, so that their position
distinguishes them as well as their colour. The height of an arc grows with the logarithm of its length: a longer arc is
always higher, but no arc needs much room. Arcs that share an end are attached side by side, the longest outermost, so
that the arcs of one release don't cross. Bundles are straight lines below the arcs.

A picture is at most ``WIDTH`` wide if its releases fit in there, so that it is shown in full and its texts keep their
size: where there are many releases, they move together, and their labels get shorter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from seamstep.show.drawing.scene import Arc, Bundle, Group, Lane, Node, Scene

MARGIN = 24.0
#: The width of a picture that screens show in full.
WIDTH = 1280.0
NODE_HEIGHT = 40.0
HEADER = 84.0
SHELF_HEIGHT = 38.0
#: The height of the legend's samples, and of each line of text below them.
SAMPLES = 60.0
NOTE = 18.0
_CHARACTER = 8.2
_SMALL_CHARACTER = 7.0
_ARC_UNIT = 40.0
_LANE_TITLE = 34.0
_LANE_PADDING = 16.0
_WIDTH_MINIMUM = 960.0
#: Few releases are moved apart to fill the smallest picture, at most so far.
_GAP_MAXIMUM = 150.0
#: A lane that is folded as a whole has its one place behind its title.
_BESIDE_TITLE = 130.0


class Spacing(NamedTuple):
    """The room that releases get: the ``padding`` of their labels, the least width of a ``plain`` release and of one
    with a mark, and the ``gap`` between two. ``short`` says that a label has the update's number alone."""

    padding: float
    plain: float
    marked: float
    gap: float
    short: bool = False

    def label(self, group: Group) -> str:
        """The text in a place."""
        if not self.short or group.folded or group.nodes[0].mark:
            return group.label
        return group.label.rpartition(".")[2]

    def width(self, group: Group) -> float:
        """The width of a place."""
        least = self.marked if group.folded or group.nodes[0].mark else self.plain
        below = len(group.ends) * _SMALL_CHARACTER if group.folded else 0.0
        return max(max(len(self.label(group)) * _CHARACTER, below) + self.padding, least)


_SPACINGS = (
    Spacing(18, 68, 78, 34),
    Spacing(18, 68, 78, 12),
    Spacing(5, 54, 78, 8),
    Spacing(6, 22, 78, 5, short=True),
)


class Slot(NamedTuple):
    """The position of a ``group``: ``label`` is its text, ``x`` its middle, ``width`` its whole width."""

    group: Group
    label: str
    x: float
    width: float

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The releases of the group."""
        return self.group.nodes


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


class Shelf(NamedTuple):
    """The position of a ``bundle``: a line at ``y``. ``starts`` and ``ends`` are the x of its sources and targets."""

    bundle: Bundle
    y: float
    starts: tuple[float, ...]
    ends: tuple[float, ...]


class Row(NamedTuple):
    """A ``lane`` with positions: ``top`` and ``bottom`` are its edges, ``y`` the middle of its releases, ``slots`` are
    the places of its releases, ``curves`` those of its steps, ``shelves`` those of its bundles."""

    lane: Lane
    top: float
    y: float
    bottom: float
    slots: tuple[Slot, ...]
    curves: tuple[Curve, ...]
    shelves: tuple[Shelf, ...] = ()

    @property
    def in_one_line(self) -> bool:
        """Whether the lane is folded as a whole, and shown behind its title."""
        return len(self.slots) == 1 and self.slots[0].group.folded


class Layout(NamedTuple):
    """A ``scene`` with positions: ``rows`` are its lanes, ``width`` and ``height`` the size of the picture. ``legend``
    is the top of its legend, which has a line for each of ``notes``; None if no step is drawn."""

    scene: Scene
    rows: tuple[Row, ...]
    width: float
    height: float
    legend: float | None
    notes: tuple[str, ...]


def layout(scene: Scene, *, header: bool = True) -> Layout:
    """Place all parts of a scene; without ``header`` no room is left for a title."""
    rows = []
    top = HEADER if header else 0.0
    spacing = _spacing(scene)
    for lane in scene.lanes:
        row = _row(lane, top, spacing)
        rows.append(row)
        top = row.bottom
    right = max((row.slots[-1].x + row.slots[-1].width / 2 for row in rows if row.slots), default=0.0)
    notes = tuple(_notes(scene))
    legend = top if notes else None
    bottom = top + (SAMPLES + NOTE * len(notes) if notes else 0) + _LANE_PADDING / 2
    return Layout(scene, tuple(rows), max(right + MARGIN, _WIDTH_MINIMUM), bottom, legend, notes)


def _notes(scene: Scene) -> Iterator[str]:
    """The sentences of the legend, on what is drawn only."""
    permitted = [arc.permitted for _, arc in scene.arcs() if not arc.aside]
    above = "Arcs above a lane are steps that may be taken." if any(permitted) else ""
    below = "Arcs below a lane are steps that are refused." if not all(permitted) else ""
    cost = "The cost of a step is its squared length in releases." if any(permitted) else ""
    if permitted:
        yield " ".join(filter(None, (above, below, cost)))
    if any(arc.aside for _, arc in scene.arcs()):
        yield "A line below a lane: steps that the same rules refuse, from releases with a dot to those with a bar."


def _spacing(scene: Scene) -> Spacing:
    """The widest spacing with which all lanes fit; with that, few releases are moved apart."""
    lanes = [[*lane.groups()] for lane in scene.lanes]
    for spacing in _SPACINGS:
        if all(_extent(groups, spacing) <= WIDTH - 2 * MARGIN for groups in lanes):
            break
    rest = [
        spacing.gap + (_WIDTH_MINIMUM - 2 * MARGIN - _extent(groups, spacing)) / (len(groups) - 1)
        for groups in lanes
        if len(groups) > 1
    ]
    return spacing._replace(gap=max(spacing.gap, min([_GAP_MAXIMUM, *rest])))


def _extent(groups: list[Group], spacing: Spacing) -> float:
    return sum(map(spacing.width, groups)) + spacing.gap * (len(groups) - 1)


def _height(span: int) -> float:
    return _ARC_UNIT * math.log2(span + 1)


def _row(lane: Lane, top: float, spacing: Spacing) -> Row:
    slots, places = _slots(lane, spacing)
    if len(slots) == 1 and slots[0].group.folded:
        x = MARGIN + _BESIDE_TITLE + slots[0].width / 2
        y = top + 10 + NODE_HEIGHT / 2
        return Row(lane, top, y, y + 10 + NODE_HEIGHT / 2, (slots[0]._replace(x=x),), ())
    single = lane.single()
    above = max((_height(_span(arc, places)) for arc in single if arc.permitted), default=0.0)
    below = max((_height(_span(arc, places)) for arc in single if not arc.permitted), default=0.0)
    y = top + _LANE_TITLE + (above + 18 if above else 8) + NODE_HEIGHT / 2
    bottom = y + NODE_HEIGHT / 2 + (below + 18 if below else 0)
    shelves = [_shelf(bundle, slots, places) for bundle in lane.bundles()]
    placed = tuple(shelf._replace(y=bottom + SHELF_HEIGHT * number) for number, shelf in enumerate(shelves, 1))
    bottom += SHELF_HEIGHT * len(shelves) + _LANE_PADDING
    return Row(lane, top, y, bottom, slots, tuple(_curves(single, slots, places, y)), placed)


def _slots(lane: Lane, spacing: Spacing) -> tuple[tuple[Slot, ...], list[int]]:
    """The slots of a lane, and for each release the position of its slot."""
    slots: list[Slot] = []
    places: list[int] = []
    left = MARGIN
    for group in lane.groups():
        width = spacing.width(group)
        places += [len(slots)] * len(group.nodes)
        slots.append(Slot(group, spacing.label(group), left + width / 2, width))
        left += width + spacing.gap
    return tuple(slots), places


def _span(arc: Arc, places: list[int]) -> int:
    return places[arc.target] - places[arc.source]


def _shelf(bundle: Bundle, slots: tuple[Slot, ...], places: list[int]) -> Shelf:
    """A shelf without its y. Its ends are where those of arcs are: sources right of the middle, targets left of it."""
    starts = sorted({places[arc.source] for arc in bundle.arcs})
    ends = sorted({places[arc.target] for arc in bundle.arcs})
    right = (slots[place].x + slots[place].width / 4 for place in starts)
    left = (slots[place].x - slots[place].width / 4 for place in ends)
    return Shelf(bundle, 0.0, tuple(right), tuple(left))


def _curves(single: tuple[Arc, ...], slots: tuple[Slot, ...], places: list[int], y: float) -> Iterator[Curve]:
    for permitted in (True, False):
        arcs = [arc for arc in single if arc.permitted is permitted]
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
