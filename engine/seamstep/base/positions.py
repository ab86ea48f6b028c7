"""The place of each key path in a JSON text. Loaded only to report a mistake, since most texts have none."""

from __future__ import annotations

import functools
import json
import re
from typing import NamedTuple

from seamstep.base.errors import KeyPath

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
#: The depth to which places are kept, which bounds their memory; a deeper value has the place of the one around it.
_DEPTH = 6
_BLOCK = 1 << 14  # characters between two counts of lines
_WINDOW = 60  # characters of a line that are shown on each side of a place


def scan(text: str) -> tuple[dict[KeyPath, int], list[tuple[KeyPath, int]]]:
    """Offsets of the values of a well-formed JSON text, and of the keys that repeat an earlier one.

    The offset of a value in an object is that of its key, which is easier to find in the text. For a key that is there
    twice it is the second, whose value JSON parsers return.
    """
    places: dict[KeyPath, int] = {}
    duplicates: list[tuple[KeyPath, int]] = []
    stack: list[str | int] = []  # the key or index being read at each open level
    keys: list[set[str]] = []  # the keys of each open object
    key_next = False  # whether the next string is a key
    for token in _TOKEN.finditer(text):
        symbol = token[0]
        if symbol in "{[":
            if not _keyed(stack):
                _place(places, stack, token.start())
            stack.append("" if symbol == "{" else 0)
            keys.append(set())
            key_next = symbol == "{"
        elif symbol in "}]":
            stack.pop()
            keys.pop()
            key_next = False
        elif symbol == ",":
            if isinstance(stack[-1], int):
                stack[-1] += 1
            key_next = isinstance(stack[-1], str)
        elif key_next:
            stack[-1] = key = json.loads(symbol) if "\\" in symbol else symbol[1:-1]
            key_next = False
            if key in keys[-1]:
                duplicates.append((tuple(stack[:_DEPTH]), token.start()))
            keys[-1].add(key)
            _place(places, stack, token.start())
        elif not _keyed(stack):
            _place(places, stack, token.start())
    return places, duplicates


def _keyed(stack: list[str | int]) -> bool:
    return bool(stack) and isinstance(stack[-1], str)


def _place(places: dict[KeyPath, int], stack: list[str | int], offset: int) -> None:
    if len(stack) <= _DEPTH:
        places[tuple(stack)] = offset


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """The line and column (in characters) of an offset, both counted from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


class Excerpt(NamedTuple):
    """A piece of a line: its ``text``, and ``caret``, the position in it (from 0) of the place to point at."""

    text: str
    caret: int


class Places:
    """The places of one JSON text, with an index for many look-ups. ``duplicates`` are the keys that repeat an earlier
    one, each with its offset."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._offsets, self.duplicates = scan(text)

    def offset(self, path: KeyPath) -> int:
        """The offset of the value at ``path``, or of the nearest one that holds it."""
        while path and path not in self._offsets:
            path = path[:-1]
        return self._offsets[path]

    def line_and_column(self, offset: int) -> tuple[int, int]:
        """As :func:`line_and_column`, counting lines only from the start of the block."""
        block = offset // _BLOCK
        lines, last = self._before[block]
        here = self._text.rfind("\n", block * _BLOCK, offset)
        return lines + self._text.count("\n", block * _BLOCK, offset) + 1, offset - (last if here < 0 else here)

    @functools.cached_property
    def _before(self) -> list[tuple[int, int]]:
        """For each block the number of lines that end before it, and the offset of the last such end (-1: none)."""
        found = [(0, -1)]
        for start in range(0, len(self._text), _BLOCK):
            lines, last = found[-1]
            here = self._text.rfind("\n", start, start + _BLOCK)
            found.append((lines + self._text.count("\n", start, start + _BLOCK), last if here < 0 else here))
        return found

    def excerpt(self, offset: int) -> Excerpt:
        """The line around an offset; of a long line, the _WINDOW characters on each side."""
        near = max(0, offset - _WINDOW)
        before = self._text.rfind("\n", near, offset)
        first = near if before < 0 else before + 1
        end = self._text.find("\n", offset, offset + _WINDOW)
        last = min(len(self._text), offset + _WINDOW) if end < 0 else end
        return Excerpt(self._text[first:last].rstrip("\r"), offset - first)
