"""Changing a document's values, so that more inputs get past the parser than by changing bytes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterable, Iterator
from typing import Any

from seamstep.base import yaml_text
from seamstep.base.errors import InputError

#: Values at which readers may stumble, besides those of the seeds.
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.5, 1e308, 2**63, 10**30, "", " ", "x", [], {}, [None], [[]], {"": None}),
    *("1.5.6", "1.5.06", "1.5.65536", "1.5.06\n", "1.5.٦", "1.5", "1.5.*", ">=1.5.24,<1.5.30", "=1.5.06", "===1.5.06"),
    *("0x10d", "0X1", "0x", "0x" + "f" * 17, "0-3", "3-0", "0-99999999999", "ENXIO: x", "\x00", "\u202e", "\ud800"),
    *("2027-03-31", "2027-02-30", "9999-12-31", "0001-01-01", "00:00", "24:00", "1s", "999999h", "UTC", "../UTC"),
    *("require", "off", "prefer", "warn", {"level": "prefer", "cost": 3}, "newest", "held", "td-build", "minimum-svn"),
    *("demo", "up-to-date", "no-path", "update", "not-listed", "applied", "unknown", "lost", "committing", "mainline"),
]
#: Characters at which readers may stumble.
CHARACTERS = ["\n", "\0", " ", "\t", "\r", "\x7f", "\u0663", "\u202e", "\ufeff", "\U0001f600", "\ud800", "*", "/", "."]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all values in a document but the whole."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*path, key)
        yield from places(inner, (*path, key))


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """The value at a path."""
    for key in path:
        value = value[key]
    return value


def put(pool: list[Any], old: Any, rng: random.Random) -> Any:
    """A value to stand where ``old`` stood: an odd one, one of the pool, or a text with something odd in it."""
    if isinstance(old, str) and rng.random() < 0.3:
        cut = rng.randint(0, len(old))
        return rng.choice(["", old[:cut], old[:cut] + rng.choice(CHARACTERS) + old[cut:], old + rng.choice(CHARACTERS)])
    return copy.deepcopy(rng.choice(ODD if rng.random() < 0.5 else pool))


def changed(value: Any, pool: list[Any], rng: random.Random) -> Any:
    """The document with one to three values changed."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        known = list(places(value))
        if not known:
            return rng.choice(pool)
        path = rng.choice(known)
        inside, new = at(value, path[:-1]), put(pool, at(value, path), rng)
        change = rng.randrange(6)
        if change == 0:
            del inside[path[-1]]
        elif change == 1:
            inside[path[-1]] = copy.deepcopy(at(value, rng.choice(known)))
        elif change == 2 and isinstance(inside, list):
            inside.insert(rng.randint(0, len(inside)), new)
        elif change == 2:
            inside[str(rng.choice([*known, ("x",)])[-1])] = new
        elif change == 3 and isinstance(inside, list):
            inside[:] = (inside * rng.choice([2, 50]))[:120]
        else:
            inside[path[-1]] = new
    return value


def pool_of(contents: Iterable[bytes], text: str) -> list[Any]:
    """Values to put into documents: odd ones, and those of the documents in ``contents``."""
    documents = [parsed(content, text) for content in contents]
    return [*ODD, *(at(document, path) for document in documents for path in places(document))]


def parsed(data: bytes, text: str) -> Any:
    """The value of a document, for mutation; None if it can't be read."""
    try:
        if text == "json":
            return json.loads(data)
        if text == "lines":
            return [json.loads(line) for line in data.split(b"\n") if line.strip()]
        return yaml_text.read_all(data, "x")[0].data if text == "yaml" else None
    except (ValueError, RecursionError, IndexError, InputError):
        return None


def written(value: Any, text: str) -> bytes:
    """A document with the value. JSON is YAML."""
    lines = value if text == "lines" and isinstance(value, list) else [value]
    return b"\n".join(
        json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace") for line in lines
    )
