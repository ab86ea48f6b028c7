"""Self-contained HTML pages: no network, no other files, and no script but seamstep's own."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Sequence

from seamstep.base.resources import asset
from seamstep.show.drawing.markup import Element, element, written


def page(title: str, *body: Element) -> str:
    """A complete HTML document. Its Content-Security-Policy allows its style sheet and its script by their digests, and
    nothing else."""
    style, script = asset("page.css") + asset("picture.css"), asset("page.js")
    policy = (
        f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        {},
        element("meta", {"charset": "utf-8"}),
        element("meta", {"http-equiv": "Content-Security-Policy", "content": policy}),
        element("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}),
        element("meta", {"name": "color-scheme", "content": "light dark"}),
        element("meta", {"name": "referrer", "content": "no-referrer"}),
        element("title", {}, title),
        element("style", {}, style),
    )
    content = element("body", {}, *body, element("script", {}, script))
    return "<!DOCTYPE html>" + written(element("html", {"lang": "en"}, head, content)) + "\n"


def _source(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def section(name: str, title: str, *content: Element) -> Element:
    """A part of a page under the heading ``title``; ``name`` is its id."""
    heading = element("h2", {"id": f"{name}-title"}, title)
    return element("section", {"id": name, "aria-labelledby": f"{name}-title"}, heading, *content)


def paragraph(text: str, kind: str | None = None) -> Element:
    """A paragraph; ``kind`` is its CSS class."""
    return element("p", {"class": kind}, text)


def scroller(name: str, kind: str, *content: Element) -> Element:
    """A region for content wider than the page: it scrolls on its own, also by keyboard. ``name`` is its label."""
    return element("div", {"class": f"scroll {kind}", "role": "region", "aria-label": name, "tabindex": "0"}, *content)


def table(
    name: str, columns: Sequence[str], rows: Iterable[Sequence[Element | str]], kind: str | None = None
) -> Element:
    """A table; ``name`` is its caption, which only screen readers present."""
    head = element("tr", {}, *(element("th", {"scope": "col"}, column) for column in columns))
    body = (element("tr", {}, *map(cell, columns, row)) for row in rows)
    return filled_table(name, head, body, kind)


def cell(column: str, *content: Element | str, kind: str | None = None) -> Element:
    """A cell of a table. In a narrow window, where cells are below one another, it has its ``column`` as a heading."""
    return element("td", {"class": kind, "data-column": column if any(content) else None}, *content)


def filled_table(name: str, head: Element, rows: Iterable[Element], kind: str | None = None) -> Element:
    """A table with a head and rows that are already elements."""
    inner = element(
        "table",
        {"class": kind},
        element("caption", {"class": "hidden"}, name),
        element("thead", {}, head),
        element("tbody", {}, *rows),
    )
    return scroller(name, "tabular", inner)


def definitions(pairs: Iterable[tuple[str, Element | str]]) -> Element:
    """A list of names and values."""
    parts: list[Element] = []
    for name, value in pairs:
        parts += [element("dt", {}, name), element("dd", {}, value)]
    return element("dl", {}, *parts)


def filters(target: str, noun: str, choices: Iterable[tuple[str, str, Sequence[tuple[str, bool]]]]) -> Element:
    """Controls that hide rows of the table below the element with the id ``target``.

    ``noun`` names the rows in the count of those shown. ``choices`` are groups of boxes: the name of the rows' data
    attribute, the group's title, and its values, each with its initial state. Where scripts don't run, the controls
    stay hidden and all rows are shown.
    """
    groups = []
    for attribute, title, values in choices:
        boxes = (
            element(
                "label",
                {},
                element("input", {"type": "checkbox", "data-attribute": attribute, "value": value, "checked": ticked}),
                element("span", {}, value),
            )
            for value, ticked in values
        )
        groups.append(element("fieldset", {}, element("legend", {}, title), *boxes))
    search = element(
        "label", {"class": "search"}, element("span", {}, "containing "), element("input", {"type": "search"})
    )
    count = element("output", {"class": "count", "data-noun": noun})
    return element("div", {"class": "filters", "data-filters": target, "hidden": True}, *groups, search, count)
