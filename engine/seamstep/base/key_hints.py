"""Hints for unknown keys: the key path that was probably meant, wherever in the document it belongs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from seamstep.base.errors import KeyPath

#: Other words for a key, by its path: ``{"apply.windows": ("maintenance",)}``; ``[]`` stands for each item of a list.
Synonyms = Mapping[str, Collection[str]]
_NEAR = 0.75  # how like a key of another part of the document has to be; difflib's own is 0.6
_SHOWN_MAX = 3


def hint(path: KeyPath, here: Collection[str], schema: Mapping[str, Any], synonyms: Synonyms) -> str:
    """``; did you mean 'x'?`` for the unknown key at ``path``, or nothing.

    A key of the same object is named alone, one of another place with its whole path. Equal words and synonyms are
    looked for first, then similar ones.

    Args:
        path: the key path of the unknown key.
        here: the keys that its object may have.
        schema: the schema of the whole document.
        synonyms: other words for the document's keys.
    """
    parent, word = _generic(path[:-1]), _plain(str(path[-1]))
    prefix = f"{parent}." if parent else ""
    known = dict.fromkeys([*(prefix + key for key in here), *_paths(schema, "")])
    meant = [key for key in known if word in {_last(key), *map(_plain, synonyms.get(key, ()))}]
    own = [key for key in meant if key in {prefix + name for name in here}]
    found = own or meant or _similar(word, [prefix + name for name in here], 0.6) or _similar(word, known, _NEAR)
    names = " or ".join(_name(key, parent) for key in found[:_SHOWN_MAX])
    return f"; did you mean {names}?" if names else ""


def _name(key: str, parent: str) -> str:
    above, _, name = key.rpartition(".")
    if above == parent:
        return repr(name)
    return repr(key) if above else f"{key!r} at the top level"


def _similar(word: str, keys: Iterable[str], cutoff: float) -> list[str]:
    import difflib

    words = {_last(key): key for key in keys}
    return [words[near] for near in difflib.get_close_matches(word, words, n=1, cutoff=cutoff)]


def _paths(schema: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """The path of every key below a schema."""
    for key, value in schema.get("properties", {}).items():
        path = f"{prefix}.{key}" if prefix else key
        yield path
        yield from _paths(value, path)
    if "items" in schema:
        yield from _paths(schema["items"], f"{prefix}[]")


def _generic(path: KeyPath) -> str:
    """A key path with ``[]`` for each index."""
    return "".join("[]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")


def _last(path: str) -> str:
    return _plain(path.rpartition(".")[2])


def _plain(word: str) -> str:
    """A word in the form that is compared: in lower case, in the singular, with underscores."""
    return word.lower().replace("-", "_").replace(" ", "_").removesuffix("s")
