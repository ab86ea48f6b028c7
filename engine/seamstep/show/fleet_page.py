"""The plans of a fleet as one HTML page, in the look of the report. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from seamstep.show.drawing.markup import Element, element
from seamstep.show.drawing.page import definitions, filled_table, filters, page, paragraph, section, table
from seamstep.show.fleet_plan import COLUMNS, OUTCOMES, cells, notes, summary

#: The most classes on the page.
_CLASSES_MAX = 5_000
_NUMBERS = {"hosts", "TDs at stake"}
#: The CSS class of an outcome that the style sheet does not name.
_LOOKS = {"not-listed": "unknown", "lost": "error", "not-updatable": "blocked"}
_TITLE = "TDX module updates of a fleet"


def fleet_page(head: Mapping[str, Any], classes: Sequence[Mapping[str, Any]], version: str) -> str:
    """The page; ``head`` is the fleet document without its ``classes``, ``version`` that of seamstep. The same
    documents give the same bytes."""
    top = [element("h1", {}, _TITLE), paragraph(summary(head)), *(paragraph(note, "note") for note in notes(head))]
    return page(
        _TITLE,
        element("header", {}, *top),
        element("main", {}, _totals(head), _classes(classes), *_findings(head), _provenance(head, version)),
    )


def _totals(head: Mapping[str, Any]) -> Element:
    totals = head["totals"]
    outcomes = ([OUTCOMES[one], f"{count:,}"] for one, count in totals["by_outcome"].items())
    parts = [table("Hosts by outcome", ("outcome", "hosts"), outcomes)]
    for title, key in (("What runs, by TCB status", "by_tcb_status"), ("Open advisories", "by_advisory")):
        if totals.get(key):
            counts = ([name, f"{count:,}"] for name, count in totals[key].items())
            parts.append(table(title, ("", "hosts"), counts))
    if totals["by_rule"]:
        rules = ([rule, f"{count:,}"] for rule, count in totals["by_rule"].items())
        parts.append(table("Hosts held up, by rule", ("held up by", "hosts"), rules))
    return section("totals", "Totals", *parts)


def _classes(classes: Sequence[Mapping[str, Any]]) -> Element:
    head = element("tr", {}, *(element("th", {"scope": "col"}, column) for column in (*COLUMNS, "class_id")))
    found = {one["outcome"] for one in classes}
    choices = [("outcome", "outcome", [(outcome, True) for outcome in OUTCOMES if outcome in found])]
    left_out = len(classes) - _CLASSES_MAX
    more = [paragraph(f"and {left_out:,} more classes, which fleet.json has", "note")] if left_out > 0 else []
    inner = filled_table("All classes", head, map(_row, classes[:_CLASSES_MAX]))
    controls = filters("class-table", "classes", choices)
    return section("classes", "Classes", *more, controls, element("div", {"id": "class-table"}, inner))


def _row(one: Mapping[str, Any]) -> Element:
    shown = [
        element("td", {}, _state(one["outcome"]))
        if column == "outcome"
        else element("td", {"class": "nowrap" if column in _NUMBERS else None}, cell)
        for column, cell in zip(COLUMNS, cells(one), strict=True)
    ]
    digest = element("td", {}, element("span", {"class": "digest"}, one["class_id"] or ""))
    return element("tr", {"data-outcome": one["outcome"]}, *shown, digest)


def _state(outcome: str) -> Element:
    return element("span", {"class": f"state {_LOOKS.get(outcome, outcome)}"}, outcome)


def _findings(head: Mapping[str, Any]) -> Iterator[Element]:
    found = head["findings"]
    if found["count"]:
        rows = ([_place(one), one["message"]] for one in found["problems"])
        left_out = found["count"] - len(found["problems"])
        more = [paragraph(f"and {left_out:,} more", "note")] if left_out else []
        yield section("findings", "Findings in the inventory", table("Findings", ("place", "finding"), rows), *more)


def _place(problem: Mapping[str, Any]) -> str:
    place = problem["source"] if problem["line"] is None else f"{problem['source']}:{problem['line']}"
    return f"{place} {problem['path']}".rstrip()


def _provenance(head: Mapping[str, Any], version: str) -> Element:
    rows: list[tuple[str, str]] = [
        ("as of", f"{head['as_of']}: what had expired by that day does not count"),
        ("policy", f"{head['policy']['name']} (SHA-256 {head['policy']['sha256']})"),
        ("target", head["policy"]["target"]),
        ("mapping file", f"SHA-256 {head['mapping']['sha256']}"),
        ("made by", f"seamstep {version}"),
    ]
    return section("provenance", "Provenance", definitions(rows))
