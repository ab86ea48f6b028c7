"""A strict subset of YAML: every scalar is text, every value has a place, and ambiguous constructs are refused.

``1.5``, ``no``, ``0x10d`` and ``12:30`` stay text; the schema of the field decides how to read it. Duplicate keys,
merge keys, anchors, aliases and tags are errors. So is a second document in a file that should have one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from seamstep.base.documents import Document, Locate, decode
from seamstep.base.errors import InputError, KeyPath, Problem
from seamstep.base.positions import line_and_column

_DEPTH_MAX = 32
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]")
_EXPECTED = "expected a YAML mapping at the top level"
_MERGE = "<<"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Flaws(NamedTuple):
    """What is wrong with the text of a document.

    Attributes:
        problems: constructs that are refused, such as aliases and duplicate keys.
        unread: the key paths of values that were left out for it.
    """

    problems: tuple[Problem, ...] = ()
    unread: frozenset[KeyPath] = frozenset()

    def hide(self, path: KeyPath) -> bool:
        """Whether a mistake at ``path`` may come from a value that was left out: at or below it, or in a mapping into
        which another was to be merged."""
        return (*path, _MERGE) in self.unread or any(path[:length] in self.unread for length in range(len(path) + 1))


NO_FLAWS = Flaws()


class _Reader:
    """Builds data from YAML events. Scalars become str, sequences list, mappings dict."""

    def __init__(self, text: str, source: str, *, several: bool) -> None:
        self.source, self.several = source, several
        self.events = yaml.parse(text, Loader=_LOADER)
        self.places: dict[KeyPath, tuple[int, int]] = {}
        self.problems: list[Problem] = []
        self.unread: set[KeyPath] = set()

    def complain(self, event: yaml.Event, path: KeyPath, message: str) -> None:
        line, column = _place(event.start_mark)
        self.problems.append(Problem(self.source, message, path, line, column))

    def documents(self) -> Iterator[Any]:
        """The documents of the text, each a dict. ``places`` are those of the document that was yielded last."""
        first = True
        for event in self.events:
            if not isinstance(event, yaml.NodeEvent):
                continue
            if not first and not self.several:
                line, column = _place(event.start_mark)
                raise InputError(Problem(self.source, "expected one document, found a second", (), line, column))
            first, self.places = False, {}
            data = self.value(event, ())
            if isinstance(data, dict):
                yield data
            else:
                self.complain(event, (), _EXPECTED)

    def value(self, event: Any, path: KeyPath) -> Any:
        self.places.setdefault(path, _place(event.start_mark))
        if isinstance(event, yaml.AliasEvent):
            self.complain(event, path, "aliases are not allowed; write the value out")
            self.unread.add(path)
            return ""
        if event.anchor:
            self.complain(event, path, "anchors are not allowed; write the value out where it is needed")
        if event.tag:
            self.complain(event, path, f"tags are not allowed: {event.tag!r}")
            self.unread.add(path)
        if isinstance(event, yaml.ScalarEvent):
            return event.value
        if len(path) >= _DEPTH_MAX:
            line, column = _place(event.start_mark)
            raise InputError(Problem(self.source, "nested too deeply", (), line, column))
        return self.sequence(path) if isinstance(event, yaml.SequenceStartEvent) else self.mapping(path)

    def sequence(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            items.append(self.value(event, (*path, len(items))))
        return items

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        items: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.value(event, (*path, "?")) if not isinstance(event, yaml.ScalarEvent) else event.value
            if not isinstance(key, str):
                self.complain(event, path, "a key must be plain text")
                key = str(key)
            here = (*path, key)
            if key == _MERGE or not isinstance(event, yaml.ScalarEvent):
                self.unread.add(here)
            if key == _MERGE:
                self.complain(event, here, "merge keys are not allowed; write the keys out")
            elif key in items:
                self.complain(event, here, "this key stands twice; keep one")
            self.places.setdefault(here, _place(event.start_mark))
            value = self.value(next(self.events), here)
            items.setdefault(key, value)
        return items


def _place(mark: Any) -> tuple[int, int]:
    return mark.line + 1, mark.column + 1


def read(content: bytes, source: str) -> Document:
    """Parse one YAML document whose top level is a mapping.

    Raises:
        InputError: not UTF-8, not YAML, or not in the subset that is accepted; lists all problems.
    """
    document, flaws = examine(content, source)
    if flaws.problems:
        raise InputError(flaws.problems)
    return document


def examine(content: bytes, source: str) -> tuple[Document, Flaws]:
    """As :func:`read`, for callers that report what is wrong with the values as well: the document of a text that is
    YAML and not in the subset, and its flaws. Raises InputError for one that is not YAML."""
    documents, flaws = _read(content, source, several=False)
    if not documents:
        raise InputError(flaws.problems or Problem(source, _EXPECTED, (), 1, 1))
    return documents[0], flaws


def read_all(content: bytes, source: str) -> list[Document]:
    """Parse any number of YAML documents, each with a mapping at its top level. Lines, columns and digests are those of
    the whole text. Raises InputError as :func:`read` does, with the problems of all documents."""
    documents, flaws = _read(content, source, several=True)
    if flaws.problems:
        raise InputError(flaws.problems)
    return documents


def _read(content: bytes, source: str, *, several: bool) -> tuple[list[Document], Flaws]:
    text = decode(content, source)
    control = _CONTROL.search(text)
    if control:
        message = f"control character U+{ord(control[0]):04X} is not allowed"
        raise InputError(Problem(source, message, (), *line_and_column(text, control.start())))
    reader = _Reader(text, source, several=several)
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        documents = [Document(source, data, sha256, _locator(reader.places)) for data in reader.documents()]
    except yaml.MarkedYAMLError as error:
        raise InputError(_syntax_problem(error, text, source)) from None
    return documents, Flaws(tuple(reader.problems), frozenset(reader.unread))


def _locator(places: Mapping[KeyPath, tuple[int, int]]) -> Locate:
    def locate(path: KeyPath) -> tuple[int, int] | None:
        while path and path not in places:
            path = path[:-1]
        return places.get(path)

    return locate


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, source: str) -> Problem:
    message = f"not YAML: {error.problem or error.context}"
    mark = error.problem_mark or error.context_mark
    if not mark:
        return Problem(source, message)
    if "\t" in "".join(text.split("\n")[mark.line : mark.line + 1]):
        message += "; the line has a tab, and YAML wants spaces"
    return Problem(source, message, (), *_place(mark))


_INTEGER = re.compile(r"0|[1-9][0-9]{0,17}|0x[0-9A-Fa-f]{1,16}", re.ASCII)


def typed(data: Any, schema: dict[str, Any]) -> Any:
    """``data`` with its texts converted to the types in the schema: integers, booleans and null. A text that can't be
    converted stays as it is, and the schema check reports it."""
    if isinstance(data, dict):
        known = {**schema.get("properties", {}), **schema.get("else", {}).get("properties", {})}
        others = schema.get("additionalProperties") or {}
        return {key: typed(value, known.get(key, others)) for key, value in data.items()}
    if isinstance(data, list):
        return [typed(item, schema.get("items", {})) for item in data]
    wanted = schema.get("type", ())
    kinds = {wanted} if isinstance(wanted, str) else set(wanted)
    if "null" in kinds and data == "null":
        return None
    if "integer" in kinds and _INTEGER.fullmatch(data):
        return int(data, 0)
    if "boolean" in kinds and data in {"true", "false"}:
        return data == "true"
    return data
