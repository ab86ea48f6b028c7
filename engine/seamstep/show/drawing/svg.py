"""A picture as SVG: a file of its own, or part of a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seamstep.base.resources import asset
from seamstep.show.drawing.layout import (
    MARGIN,
    NODE_HEIGHT,
    NOTE,
    SAMPLES,
    WIDTH,
    Curve,
    Layout,
    Row,
    Shelf,
    Slot,
    layout,
)
from seamstep.show.drawing.markup import LINE_BREAK, Attribute, Element, element, number, written
from seamstep.show.drawing.scene import Arc, Group, Lane, Mark, Scene, State

_NAMESPACE = "http://www.w3.org/2000/svg"
_SYMBOLS = {State.ALLOWED: "", State.BLOCKED: "×", State.UNKNOWN: "?"}
_MARKS = {Mark.RUNNING: "▶ running", Mark.TARGET: "◎ target", Mark.WANTED: "○ wanted", Mark.NONE: ""}
_TITLE_MAX = 76
_FACTS_MAX = 120
#: A lane with more steps than this is drawn with thin lines.
_DENSE_FROM = 36


def svg(scene: Scene) -> str:
    """The picture as a file: light or dark by the reader's colour scheme, with the reasons as titles of the steps."""
    style = element("style", {}, asset("picture.css"))
    return written(picture(scene, style)).lstrip("\n") + "\n"


def picture(scene: Scene, style: Element | None = None, *, part: bool = False) -> Element:
    """The picture as an element. As ``part`` of a page it has no heading of its own, and each step links to the table
    row with the id from :func:`row_id`."""
    placed = layout(scene, header=not part)
    head = [
        element("title", {"id": "picture-title"}, scene.title),
        element("desc", {"id": "picture-description"}, " ".join([*scene.summary, *map(_counted, scene.lanes)])),
    ]
    background = element("rect", {"class": "background", "width": placed.width, "height": placed.height})
    return element(
        "svg",
        {
            "xmlns": _NAMESPACE,
            "class": "graph fits" if placed.width <= WIDTH else "graph",
            "width": placed.width,
            "height": placed.height,
            "viewBox": f"0 0 {number(placed.width)} {number(placed.height)}",
            "role": "graphics-document document",
            "aria-labelledby": "picture-title",
            "aria-describedby": "picture-description",
        },
        *head,
        *([style] if style else []),
        background,
        *(() if part else _header(scene)),
        *(_row(row, placed.width, links=part) for row in placed.rows),
        *_legend(placed),
    )


def row_id(lane: Lane, arc: Arc) -> str:
    """The id of a step's table row in a page."""
    return f"step-{lane.nodes[arc.source].version}-{lane.nodes[arc.target].version}"


def group_id(group: Group) -> str:
    """The id of the list of folded releases in a page."""
    return f"folded-{group.nodes[0].version}"


def _counted(lane: Lane) -> str:
    return f"Series {lane.series}: {lane.summary}."


def _header(scene: Scene) -> Iterator[Element]:
    yield _text(MARGIN, 36, "title", scene.title, _TITLE_MAX)
    yield _text(MARGIN, 60, "facts", " · ".join(scene.facts), _FACTS_MAX)


def _text(x: float, y: float, kind: str, text: str, most: int) -> Element:
    """A line of text. One longer than ``most`` characters is cut, with the whole text as its title."""
    if len(text) <= most:
        return element("text", {"class": kind, "x": x, "y": y}, text)
    return element("text", {"class": kind, "x": x, "y": y}, f"{text[: most - 1]}…", element("title", {}, text))


def _divide(y: float, width: float) -> Element:
    return element("line", {"class": "divide", "x1": MARGIN, "x2": width - MARGIN, "y1": y, "y2": y})


def _row(row: Row, width: float, *, links: bool) -> Element:
    attributes: dict[str, Attribute] = {"role": "graphics-object group", "aria-label": _counted(row.lane)}
    arcs = sorted(row.curves, key=lambda curve: (curve.arc.hop is not None, curve.arc.runner_up is not None))
    return element(
        "g",
        {"class": "lane dense" if len(row.curves) > _DENSE_FROM else "lane", **attributes},
        *([_divide(row.top, width)] if row.top else []),
        element(
            "text",
            {"class": "series", "x": MARGIN, "y": row.y + 5 if row.in_one_line else row.top + 24},
            f"Series {row.lane.series}",
            element("tspan", {"class": "count", **_beside(row)}, row.lane.summary),
        ),
        element("line", {"class": "rail", "x1": row.slots[0].x, "x2": row.slots[-1].x, "y1": row.y, "y2": row.y}),
        *(_step(row.lane, curve, links=links) for curve in arcs),
        *(_slot(slot, row.y, links=links) for slot in row.slots),
        *(_bundle(row.lane, shelf, links=links) for shelf in row.shelves),
    )


def _beside(row: Row) -> dict[str, Attribute]:
    """The position of a lane's summary: behind its title, or behind the only place if that is there."""
    return {"x": row.slots[0].x + row.slots[0].width / 2 + 14} if row.in_one_line else {"dx": 10}


def _step(lane: Lane, curve: Curve, *, links: bool) -> Element:
    arc = curve.arc
    kind = f"step {arc.state}"
    kind += " permitted" if arc.permitted else " refused"
    kind += (" path" if arc.hop else "") + (" runner-up" if arc.runner_up else "")
    first, *rest = lane.lines(arc)
    parts = [element("title", {}, first, *(part for line in rest for part in (LINE_BREAK, line)))]
    line = _line(curve)
    if arc.hop or arc.runner_up:
        parts.append(element("path", {"class": "band", "d": line}))
    parts += [element("path", {"class": "reach", "d": line}), element("path", {"class": "line", "d": line})]
    parts += [_end(curve), *_badge(curve)]
    href = row_id(lane, arc) if links else ""
    shown = f"{_label(arc)}: " if arc.role else ""
    return _symbol(kind, href, shown + first, parts)


def _symbol(kind: str, href: str, label: str, parts: Sequence[Element | str]) -> Element:
    """A part of the picture with a meaning of its own: a link with a ``label`` if there is an id to lead to."""
    if href:
        return element("a", {"class": kind, "href": f"#{href}", "aria-label": label}, *parts)
    return element("g", {"class": kind, "role": "graphics-symbol img"}, *parts)


def _bundle(lane: Lane, shelf: Shelf, *, links: bool) -> Element:
    """A bundle: its rules, and below them a line with a dot for each source and a bar for each target."""
    bundle, y = shelf.bundle, shelf.y
    said = lane.describe_bundle(bundle)
    line = f"M{number(shelf.starts[0])} {number(y)}H{number(shelf.ends[-1])}"
    parts = [
        element("title", {}, said),
        element("path", {"class": "reach", "d": line}),
        element("path", {"class": "line", "d": line}),
        *(element("circle", {"class": "dot", "cx": x, "cy": y, "r": 3.5}) for x in shelf.starts),
        element("path", {"class": "bar", "d": "".join(f"M{number(x)} {number(y - 6)}v12" for x in shelf.ends)}),
        _text(MARGIN, y - 12, "words", f"{_SYMBOLS[bundle.state]} {bundle.label}", _FACTS_MAX),
    ]
    href = row_id(lane, bundle.arcs[0]) if links else ""
    return _symbol(f"step {bundle.state} refused bundle", href, said.split("\n")[0], parts)


def _line(curve: Curve) -> str:
    bend = number(curve.y - curve.height * 4 / 3)
    x0, x1, y = number(curve.x0), number(curve.x1), number(curve.y)
    return f"M{x0} {y}C{x0} {bend} {x1} {bend} {x1} {y}"


def _end(curve: Curve) -> Element:
    """The end of a step: a bar if it is blocked, else an arrow head, which the style sheet makes hollow if unknown."""
    x, y, out = curve.x1, curve.y, 1 if curve.height > 0 else -1
    if curve.arc.state is State.BLOCKED:
        return element("path", {"class": "bar", "d": f"M{number(x - 5)} {number(y - 3 * out)}h10"})
    base = number(y - 9 * out)
    points = f"{number(x)},{number(y)} {number(x - 4.5)},{base} {number(x + 4.5)},{base}"
    return element("polygon", {"class": "head", "points": points})


def _badge(curve: Curve) -> Iterator[Element]:
    """The badge at the apex of a step: its position in a path, or the symbol of its state."""
    arc = curve.arc
    x, y = curve.middle
    label = _label(arc)
    if not label:
        return
    if arc.hop or arc.runner_up:
        wide = 14 + 8 * len(label)
        yield element("rect", {"class": "badge", "x": x - wide / 2, "y": y - 10, "width": wide, "height": 20, "rx": 10})
    else:
        yield element("circle", {"class": "hole", "cx": x, "cy": y, "r": 7})
    yield element("text", {"class": "symbol", "x": x, "y": y + 4.5}, label)


def _label(arc: Arc) -> str:
    parts = [str(arc.hop)] if arc.hop else []
    parts += [f"R{arc.runner_up}"] if arc.runner_up else []
    return " ".join([*parts, _SYMBOLS[arc.state]]).strip()


def _slot(slot: Slot, y: float, *, links: bool) -> Element:
    node = slot.nodes[0]
    several = slot.group.folded
    kind = "several" if several else node.mark.value or ("reached" if node.hops is not None else "plain")
    if several:
        said = f"{slot.group.label} {slot.group.ends}, without a step"
    else:
        reach = "" if node.hops is None or node.mark is Mark.RUNNING else f", reached by {node.hops} updates"
        said = f"{node.version}{f' ({node.mark.value})' if node.mark else ''}{reach.replace(' 1 updates', ' 1 update')}"
        said += f"; TCB status {node.tcb}" if node.tcb else ""
    left, top = slot.x - slot.width / 2, y - NODE_HEIGHT / 2
    box: dict[str, Attribute] = {"x": left, "y": top, "width": slot.width, "height": NODE_HEIGHT, "rx": 10}
    below = slot.group.ends if several else _MARKS[node.mark]
    parts: list[Element | str] = [element("title", {}, said), element("rect", {"class": "box", **box})]
    if node.mark in {Mark.TARGET, Mark.WANTED}:
        inner = {"x": left + 3, "y": top + 3, "width": slot.width - 6, "height": NODE_HEIGHT - 6, "rx": 7}
        parts.append(element("rect", {"class": "inner", **inner}))
    label_y = y - 2 if below else y + 5
    parts.append(element("text", {"class": "version", "x": slot.x, "y": label_y}, slot.label))
    if below:
        parts += [" ", element("text", {"class": "mark", "x": slot.x, "y": y + 13}, below)]
    return _symbol(f"release {kind}", group_id(slot.group) if links and several else "", said, parts)


def _legend(placed: Layout) -> Iterator[Element]:
    """A sample of each kind of step in the picture, with its meaning; nothing if no step is drawn."""
    if placed.legend is None:
        return
    top = placed.legend
    parts = [_divide(top, placed.width)]
    x = MARGIN
    for arc, words in _samples(placed.scene):
        y = top + 44
        curve = Curve(arc, x, x + 44, y, 18.0)
        shown = [element("path", {"class": "band", "d": _line(curve)})] if arc.hop or arc.runner_up else []
        line = element("path", {"class": "line", "d": _line(curve)})
        kind = f"step {arc.state}" + (" path" if arc.hop else " runner-up" if arc.runner_up else "")
        parts.append(element("g", {"class": kind}, *shown, line, _end(curve), *_badge(curve)))
        parts.append(element("text", {"class": "words", "x": x + 56, "y": top + 42}, words))
        x += 56 + 7.0 * len(words) + 26
    for line_number, note in enumerate(placed.notes):
        parts.append(element("text", {"class": "note", "x": MARGIN, "y": top + SAMPLES + 8 + NOTE * line_number}, note))
    yield element("g", {"class": "legend", "aria-hidden": "true"}, *parts)


def _samples(scene: Scene) -> Iterator[tuple[Arc, str]]:
    """An arc for each kind of step in the picture, and what it means. A path has steps of its own state beside it."""
    arcs = [arc for _, arc in scene.arcs()]
    for state, words in (
        (State.ALLOWED, "allowed"),
        (State.BLOCKED, "blocked"),
        (State.UNKNOWN, "unknown: a rule can't tell"),
    ):
        if any(arc.state is state and (state is not State.ALLOWED or not arc.role) for arc in arcs):
            yield Arc(0, 1, state, state is not State.BLOCKED, 1), words
    if any(arc.hop for arc in arcs):
        yield Arc(0, 1, State.ALLOWED, True, 1, hop=1), "chosen path, hop by hop"
    if any(arc.runner_up for arc in arcs):
        yield Arc(0, 1, State.ALLOWED, True, 1, runner_up=1), "runner-up"
