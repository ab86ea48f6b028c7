"""Where in a JSON text each key path stands. Loaded only when there is a mistake to point at."""

from __future__ import annotations

import json
import re

from seamstep.errors import KeyPath

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


def scan(text: str) -> tuple[dict[KeyPath, int], list[tuple[KeyPath, int]]]:
    """Offsets of all values of a well-formed JSON text, and of the keys that repeat an earlier one.

    A value in an object is located at its key, so that the place names what to look for.
    """
    places: dict[KeyPath, int] = {}
    duplicates: list[tuple[KeyPath, int]] = []
    stack: list[str | int] = []  # the key or index being read at each open level
    key_next = False  # a string now is a key
    for token in _TOKEN.finditer(text):
        symbol, offset = token[0], token.start()
        if symbol in "{[":
            places.setdefault(tuple(stack), offset)
            stack.append("" if symbol == "{" else 0)
            key_next = symbol == "{"
        elif symbol in "}]":
            stack.pop()
            key_next = False
        elif symbol == ",":
            if isinstance(stack[-1], int):
                stack[-1] += 1
            key_next = isinstance(stack[-1], str)
        elif symbol == ":":
            pass
        elif key_next:
            stack[-1] = json.loads(symbol)
            key_next = False
            if tuple(stack) in places:
                duplicates.append((tuple(stack), offset))
            places.setdefault(tuple(stack), offset)
        else:
            places.setdefault(tuple(stack), offset)
    return places, duplicates


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """The line and column (in characters) of an offset, both counted from 1."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
