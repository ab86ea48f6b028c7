"""The facts of many hosts: a facts file, a folder of them, or JSON Lines. Equal facts are read once, so that a fleet
costs what its kinds of hosts cost."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterator
from typing import NamedTuple

from seamstep.base.documents import Document, canonical, decode, parse_json, read_bytes, read_regular, unreadable
from seamstep.base.errors import PROBLEMS_MAX, InputError, KeyPath, Problem
from seamstep.base.positions import Places
from seamstep.domain.facts import SIZE_LIMIT, WHAT, HostFacts, read

HOSTS_MAX = 200_000
_LINES_LIMIT = 1 << 28
_OWN = ("hostname", "boot_id")


class Hosts(NamedTuple):
    """Facts without name and boot, and the hosts of which they are true: by name, or by place where they have none."""

    facts: HostFacts
    names: list[str]


class _Text(NamedTuple):
    """A document's text, its file, and its line in a file of lines."""

    text: str
    source: str
    line: int | None = None

    @property
    def place(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"

    def moved(self, error: InputError) -> InputError:
        """An error as the reader of the whole file sees it."""
        above = (self.line or 1) - 1
        return InputError(
            [one._replace(line=(one.line or 1) + above, column=one.column or 1) for one in error.problems]
        )


def load(path: str) -> list[Hosts]:
    """The hosts in a facts file, in the ``*.json`` files of a folder, or in JSON Lines: one facts document a line, in
    a file named ``*.jsonl`` or ``*.ndjson``, or in any whose first line is a whole object.

    Raises:
        InputError: something can't be read or is no facts document; lists the problems of all of them.
    """
    found: dict[bytes, Hosts] = {}
    problems: list[Problem] = []
    count = 0
    for count, text in enumerate(_texts(path), 1):
        if count > HOSTS_MAX:
            raise InputError(Problem(path, f"more than {HOSTS_MAX} hosts; compare a part of them at a time"))
        try:
            _add(found, text)
        except InputError as error:
            problems += text.moved(error).problems
        if len(problems) > PROBLEMS_MAX:
            break
    if problems:
        raise InputError(problems)
    if not count:
        raise InputError(Problem(path, "holds no facts; expected *.json files, or a facts document on each line"))
    return list(found.values())


def _add(found: dict[bytes, Hosts], text: _Text) -> None:
    """Add one document. What is like another but for name and boot is known to be valid already."""
    data = parse_json(text.text, text.source)
    if not isinstance(data, dict):
        raise InputError(Problem(text.source, f"expected a {WHAT}: a JSON object"))
    key = canonical({key: value for key, value in data.items() if key not in _OWN})
    if key not in found or not all(isinstance(data.get(own), str | None) for own in _OWN):
        facts = read(Document(text.source, data, "", lambda path: _place(text.text, path)))
        found[key] = Hosts(facts._replace(hostname=None, boot_id=None), [])
    found[key].names.append(data.get("hostname") or text.place)


def _place(text: str, path: KeyPath) -> tuple[int, int] | None:
    places = Places(text)
    return places.line_and_column(places.offset(path))


def _texts(path: str) -> Iterator[_Text]:
    if path != "-" and os.path.isdir(path):  # must not raise
        for file in _files(path):
            yield _Text(decode(read_regular(file, SIZE_LIMIT, WHAT), file), file)
        return
    content = read_bytes(path, _LINES_LIMIT, WHAT, standard_input=True)
    lines: Iterator[tuple[int | None, bytes]] = iter([(None, content)])
    if _is_lines(path, content):
        lines = ((number, line.rstrip()) for number, line in enumerate(io.BytesIO(content), 1) if line.strip())
    for number, line in lines:
        if len(line) > SIZE_LIMIT:
            raise InputError(Problem(path, f"too large for a {WHAT}: more than {SIZE_LIMIT} bytes", line=number))
        try:
            text = decode(line, path)
        except InputError as error:
            raise _Text("", path, number).moved(error) from None
        yield _Text(text, path, number)


def _files(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in itertools.islice(entries, HOSTS_MAX + 1) if entry.name.endswith(".json")]
    except OSError as error:
        raise unreadable(folder, "folder of facts documents", error) from None
    return [os.path.join(folder, name) for name in sorted(names)]  # as the user wrote it


def _is_lines(path: str, content: bytes) -> bool:
    """Whether a file holds a document a line: its name says so, or its first line is a whole object."""
    if path.endswith((".jsonl", ".ndjson")):
        return True
    first, _, rest = content.partition(b"\n")
    if not rest.strip() or len(first) > SIZE_LIMIT:
        return False
    try:
        return isinstance(parse_json(decode(first, path), path), dict)
    except InputError:
        return False
