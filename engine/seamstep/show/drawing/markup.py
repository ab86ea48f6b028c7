"""Elements of SVG and HTML. Every text and every attribute is made harmless when it is written out."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from seamstep.show.text import printable

_VOID = {"meta", "input", "br", "col"}
#: Elements whose text must stay as it is; they hold files of ours, never anything that was read.
_LITERAL = {"style", "script"}
_INLINE = {"b", "i", "em", "span", "code", "a", "title", "text", "tspan", "dd", "td", "th", "h1", "h2", "h3", "summary"}

Attribute = str | float | bool | None


class Element(NamedTuple):
    """An element with its attributes and children."""

    tag: str
    attributes: Mapping[str, Attribute]
    children: tuple[Element | str, ...]


def element(tag: str, attributes: Mapping[str, Attribute] | None = None, *children: Element | str) -> Element:
    """An element. An attribute that is None or false is left out, one that is true has no value."""
    return Element(tag, attributes or {}, children)


def written(root: Element) -> str:
    """The element as text that is well-formed both as XML (but for attributes without value and elements without end,
    which only HTML has) and as HTML."""
    return "".join(_pieces(root, literal=False))


def number(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def _pieces(node: Element | str, *, literal: bool) -> Iterator[str]:
    if isinstance(node, str):
        yield node if literal else escaped(node)
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
    """Text that can't end what it stands in, with whatever can't be printed spelled out; line ends stay."""
    return "\n".join(html.escape(printable(line)) for line in text.split("\n"))
