"""Elements of SVG and HTML. Every text and every attribute is escaped when it is written."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from seamstep.show.text import printable

_VOID = {"meta", "input", "br", "col"}
#: Elements whose text is not escaped. They hold only seamstep's own style sheets and script.
_LITERAL = {"style", "script"}
_INLINE = {"b", "i", "em", "span", "code", "a", "title", "text", "tspan", "dd", "td", "th", "h1", "h2", "h3", "summary"}

#: A child of an element that breaks the line for who reads the text, not in the file.
LINE_BREAK = "\n"
Attribute = str | float | bool | None


class Element(NamedTuple):
    """An element: its ``tag``, its ``attributes`` by name, and its ``children``, elements or texts."""

    tag: str
    attributes: Mapping[str, Attribute]
    children: tuple[Element | str, ...]


def element(tag: str, attributes: Mapping[str, Attribute] | None = None, *children: Element | str) -> Element:
    """An element. An attribute that is None or false is left out; one that is true is written without a value."""
    return Element(tag, attributes or {}, children)


def written(root: Element) -> str:
    """The element as HTML. It is well-formed XML as well, unless it has attributes without a value or elements without
    an end tag."""
    return "".join(_pieces(root, literal=False))


def number(value: float) -> str:
    """A coordinate, rounded to a tenth."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def _pieces(node: Element | str, *, literal: bool) -> Iterator[str]:
    if isinstance(node, str):
        yield node if literal else "&#10;" if node == LINE_BREAK else escaped(node)
        return
    if node.tag not in _INLINE:
        yield "\n"
    yield f"<{node.tag}"
    for name, value in node.attributes.items():
        if value is True:
            yield f" {name}"
        elif value is not None and value is not False:
            yield f' {name}="{escaped(value if isinstance(value, str) else number(value))}"'
    yield ">"
    if node.tag in _VOID:
        return
    for child in node.children:
        yield from _pieces(child, literal=node.tag in _LITERAL)
    yield f"</{node.tag}>"


def escaped(text: str) -> str:
    """Text escaped for an element or an attribute. Unprintable characters are spelled out, line breaks too."""
    return html.escape(printable(text))
