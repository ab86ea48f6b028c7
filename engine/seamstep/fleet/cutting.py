"""Cuts the parts that differ from host to host out of the text of a facts document, without parsing it.

A part is found by a strict pattern: a name or boot id is ``null`` or printable ASCII without escapes, a number of TDs
is a number or ``null``, labels are one flat object. The line has no backslash and no other character than ASCII, so a
quotation mark always begins or ends a text. Lines with the same text around these parts have the same structure:
what was found out about one of them by parsing (see ``classes``) is true of all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_TEXT = rb'(null|"[ !#-\[\]-~]*")'
#: The parts by key, each as a pattern with one group.
_PARTS = {
    "hostname": re.compile(rb'"hostname" ?: ?' + _TEXT),
    "boot_id": re.compile(rb'"boot_id" ?: ?' + _TEXT),
    "running_tds": re.compile(rb'"running_tds" ?: ?(null|0|[1-9][0-9]{0,8})(?=[,} ])'),
    "labels": re.compile(rb'"labels" ?: ?(\{[^{}\\\x00-\x1f]*\})'),
}
#: The parts that every facts document of a fleet has.
NEEDED = ("hostname", "boot_id", "running_tds")


#: The head of a document as seamstep writes it: name and boot id beside each other.
_HEAD = re.compile(
    rb'(\{ ?"schema" ?: ?"seamstep/facts/v1", ?"hostname" ?: ?)' + _TEXT + rb'(, ?"boot_id" ?: ?)' + _TEXT
)

#: A line in parts: the texts around the parts, and the JSON text of name, boot id, number of TDs and labels. Labels are
#: empty where there are none. A plain tuple, since a million are made.
Cut = tuple[tuple[bytes, ...], bytes, bytes, bytes, bytes]


class Cutter:
    """Cuts lines that have the parts in one order. ``order`` holds their keys."""

    def __init__(self, order: Sequence[str]) -> None:
        self.order = tuple(order)
        self._searches = [_PARTS[key].search for key in order]
        self._places = [self.order.index(key) for key in NEEDED]
        self._labels = self.order.index("labels") if "labels" in self.order else None

    def cut(self, line: bytes) -> Cut | None:
        """The parts of a line; None if the pattern does not fit."""
        if b"\\" in line or not line.isascii():
            return None
        around, parts, end = [], [], 0
        for search in self._searches:
            found = search(line, end)
            if found is None:
                return None
            begin, after = found.span(1)
            around.append(line[end:begin])
            parts.append(line[begin:after])
            end = after
        around.append(line[end:])
        if self._labels is None and b'"labels"' in line:
            return None
        name, boot, tds = self._places
        return tuple(around), parts[name], parts[boot], parts[tds], b"" if self._labels is None else parts[self._labels]

    def on_top(self, around: Sequence[bytes]) -> bool:
        """Whether name and boot id are keys of the document itself, and not of an object in it."""
        last = max(self.order.index("hostname"), self.order.index("boot_id"))
        return b"{" not in b"".join(around[: last + 1]).lstrip()[1:]


class HeadCutter(Cutter):
    """Cuts lines in the order in which seamstep writes facts, in half the time."""

    def cut(self, line: bytes) -> Cut | None:
        if b"\\" in line or not line.isascii():
            return None
        head = _HEAD.match(line)
        if head is None:
            return None
        before, name, between, boot = head.groups()
        end = head.end()
        tds = _search_tds(line, end)
        if tds is None:
            return None
        begin, after = tds.span(1)
        if self._labels is None:
            if b'"labels"' in line:
                return None
            return (before, between, line[end:begin], line[after:]), name, boot, line[begin:after], b""
        labels = _search_labels(line, after)
        if labels is None:
            return None
        first, last = labels.span(1)
        around = before, between, line[end:begin], line[after:first], line[last:]
        return around, name, boot, line[begin:after], line[first:last]


_search_tds = _PARTS["running_tds"].search
_search_labels = _PARTS["labels"].search


def cutter_for(document: Mapping[str, Any]) -> Cutter | None:
    """The cutter for documents whose keys are in the same order as in this one; None if it lacks a part."""
    if any(key not in document for key in NEEDED):
        return None
    order = [key for key in document if key in _PARTS]
    as_written = [*document][:3] == ["schema", "hostname", "boot_id"] and order[2] == "running_tds"
    return (HeadCutter if as_written else Cutter)(order)
