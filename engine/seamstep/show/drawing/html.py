"""A picture as a page: it scrolls, pointer and keyboard show the reasons of a step, and a table lists all steps."""

from __future__ import annotations

from collections.abc import Iterator

from seamstep.show.drawing.markup import Attribute, Element, element
from seamstep.show.drawing.page import cell, filled_table, filters, page, paragraph, scroller, section
from seamstep.show.drawing.scene import Arc, Lane, Reason, Scene, State
from seamstep.show.drawing.svg import group_id, picture, row_id

_COLUMNS = ("step", "verdict", "in the plan", "reasons")


def html(scene: Scene) -> str:
    """The page with the picture and the table of steps."""
    return page(
        scene.title,
        element(
            "header",
            {},
            element("h1", {}, scene.title),
            paragraph(" · ".join(scene.facts), "facts"),
        ),
        element("main", {}, graph_section(scene), steps_section(scene)),
    )


def graph_section(scene: Scene) -> Element:
    """The picture, and below it a panel for the reasons of the step under the pointer or the focus."""
    hint = "Point at a step, or go to one with Tab and the arrow keys, to read its reasons; Enter leads to its row."
    panel = element("div", {"id": "said", "role": "status", "data-said": True}, paragraph(hint))
    steps = next(scene.arcs(), None) is not None
    return section(
        "graph",
        "Version graph",
        paragraph(" ".join(scene.summary)),
        scroller("The picture of the version graph", "drawing", picture(scene, part=True)),
        *_folded(scene),
        *([panel] if steps else []),
    )


def _folded(scene: Scene) -> Iterator[Element]:
    """The releases that the picture folds, to be opened; nothing if there are none."""
    groups = [(lane, group) for lane in scene.lanes for group in lane.groups() if group.folded]
    if groups:
        count = sum(len(group.nodes) for _, group in groups)
        items = (
            element(
                "li",
                {"id": group_id(group), "tabindex": "-1"},
                f"Series {lane.series}, {group.label}: {', '.join(node.version for node in group.nodes)}",
            )
            for lane, group in groups
        )
        summary = element("summary", {}, f"{count} releases without a step are folded")
        yield element("details", {"class": "folded"}, summary, element("ul", {}, *items))


def steps_section(scene: Scene) -> Element:
    """A table of all steps of the picture, with their verdicts and reasons."""
    rows = [_row(lane, arc) for lane, arc in scene.arcs()]
    if not rows:
        return section("steps", "Steps", paragraph("No step is drawn: there is none, or all were left out."))
    states = [(state.value, True) for state in State if any(arc.state is state for _, arc in scene.arcs())]
    several = [(lane.series, True) for lane in scene.lanes if lane.arcs]
    groups = [("state", "verdict", states), *([("series", "series", several)] if len(several) > 1 else [])]
    head = element("tr", {}, *(element("th", {"scope": "col"}, column) for column in _COLUMNS))
    return section(
        "steps",
        "Steps",
        *(paragraph(f"Series {lane.series}: {lane.summary}.", "note") for lane in scene.lanes),
        filters("steps-table", "steps", groups),
        element("div", {"id": "steps-table"}, filled_table("All steps that are drawn", head, rows)),
    )


def _row(lane: Lane, arc: Arc) -> Element:
    attributes: dict[str, Attribute] = {"data-state": arc.state.value, "data-series": lane.series}
    return element(
        "tr",
        {"id": row_id(lane, arc), "tabindex": "-1", **attributes},
        element("th", {"scope": "row", "class": "nowrap"}, lane.name(arc)),
        cell(_COLUMNS[1], element("span", {"class": f"state {arc.state}"}, arc.verdict)),
        cell(_COLUMNS[2], arc.role, kind="nowrap"),
        cell(_COLUMNS[3], *_reasons(arc.reasons)),
    )


def _reasons(reasons: tuple[Reason, ...]) -> Iterator[Element | str]:
    if not reasons:
        yield "every rule that counts is met"
        return
    yield element(
        "ul",
        {},
        *(
            element("li", {}, element("code", {}, reason.rule), f" ({reason.effect}): {reason.text}")
            for reason in reasons
        ),
    )
