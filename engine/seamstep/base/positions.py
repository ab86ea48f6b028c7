"""Where in a JSON text each key path stands. Loaded only when there is a mistake to point at."""

from __future__ import annotations

import functools
import json
import re
from typing import NamedTuple

from seamstep.base.errors import KeyPath

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
#: How deep values are told apart; what lies deeper is found at what holds it. Bounds the memory that nesting can cost.
_DEPTH = 6
_BLOCK = 1 << 14  # characters between two counts of lines
_WINDOW = 60  # characters of a line that are shown on each side of a place


def scan(text: str) -> tuple[dict[KeyPath, int], list[tuple[KeyPath, int]]]:
    """Offsets of the values of a well-formed JSON text, and of the keys that repeat an earlier one.

    A value in an object is located at its key, so that the place names what to look for. Of a key that stands twice
    it is the last, whose value readers take.
    """
    places: dict[KeyPath, int] = {}
    duplicates: list[tuple[KeyPath, int]] = []
    stack: list[str | int] = []  # the key or index being read at each open level
    keys: list[set[str]] = []  # the keys of each open object
    key_next = False  # a string now is a key
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
    """A piece of a line, and the position in it (from 0) of what is meant."""

    text: str
    caret: int


class Places:
    """The places of one JSON text, for those who ask for many."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._offsets, self.duplicates = scan(text)

    def offset(self, path: KeyPath) -> int:
        """Where the value at ``path`` stands, or the nearest that holds it."""
        while path and path not in self._offsets:
            path = path[:-1]
        return self._offsets[path]

    def line_and_column(self, offset: int) -> tuple[int, int]:
        """As :func:`line_and_column`, without counting all lines anew each time."""
        block = offset // _BLOCK
        lines, last = self._before[block]
        here = self._text.rfind("\n", block * _BLOCK, offset)
        return lines + self._text.count("\n", block * _BLOCK, offset) + 1, offset - (last if here < 0 else here)

    @functools.cached_property
    def _before(self) -> list[tuple[int, int]]:
        """For each block how many lines end before it, and where the last of them does (-1: none)."""
        found = [(0, -1)]
        for start in range(0, len(self._text), _BLOCK):
            lines, last = found[-1]
            here = self._text.rfind("\n", start, start + _BLOCK)
            found.append((lines + self._text.count("\n", start, start + _BLOCK), last if here < 0 else here))
        return found

    def excerpt(self, offset: int) -> Excerpt:
        """The line around an offset; of a long one, the part that matters."""
        near = max(0, offset - _WINDOW)
        before = self._text.rfind("\n", near, offset)
        first = near if before < 0 else before + 1
        end = self._text.find("\n", offset, offset + _WINDOW)
        last = min(len(self._text), offset + _WINDOW) if end < 0 else end
        return Excerpt(self._text[first:last].rstrip("\r"), offset - first)
