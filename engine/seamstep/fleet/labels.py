"""Labels of hosts from a file of their own: CSV with the column ``host`` and one for each label, or JSON Lines,
``{"host": "a", "labels": {"domain": "rack7"}}``."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from seamstep.base.documents import decode, parse_json, unreadable
from seamstep.base.errors import InputError, Problem
from seamstep.domain.facts import SIZE_LIMIT
from seamstep.fleet.classes import NO_LABELS, Host, labels_text
from seamstep.fleet.findings import Findings
from seamstep.fleet.inventory import lines, opened

_WHAT = "file of labels"
_COLUMN = "host"


class Labels:
    """The labels in a file, by the host's name as JSON text."""

    def __init__(self, by_name: dict[bytes, bytes]) -> None:
        self._by_name = by_name

    def of(self, host: Host, findings: Findings) -> bytes:
        """A host's labels from both sources. Where they differ, those of the file count, and it is a finding."""
        here = self._by_name.get(host.name)
        if here is None:
            return host.labels
        if host.labels in {NO_LABELS, here}:
            return here
        own, others = json.loads(host.labels), json.loads(here)
        for label in sorted(own.keys() & others.keys()):
            if own[label] != others[label]:
                message = f"the label {label} is {own[label]!r} here and {others[label]!r} in the file of labels"
                findings.add([host.problem(f"{message}, which counts")])
        return json.dumps(own | others, sort_keys=True).encode("ascii")


def load(path: str, findings: Findings) -> Labels:
    """Read a file of labels; mistakes in lines become findings. Raises InputError if it can't be read."""
    by_name: dict[bytes, bytes] = {}
    texts: dict[bytes, bytes] = {}
    rows = _from_csv if path.endswith(".csv") else _from_lines
    try:
        with opened(path) as file:
            for line, name, labels in rows(path, file, findings):
                if not name or name in by_name:
                    twice = "this host stands above already; those labels count" if name else "no host name"
                    findings.add([Problem(path, twice, line=line, column=1)])
                else:
                    by_name[name] = texts.setdefault(labels, labels)
    except (OSError, ValueError) as error:
        raise unreadable(path, _WHAT, error) from None
    return Labels(by_name)


Row = tuple[int, bytes, bytes]


def _from_lines(path: str, file: BinaryIO, findings: Findings) -> Iterator[Row]:
    for number, line in enumerate(lines(file, lambda _read: None), 1):
        if line is None:
            findings.add([_too_long(path, number)])
        elif line.strip():
            try:
                yield number, *_labelled(parse_json(decode(line, path), path), path)
            except InputError as error:
                findings.add(one._replace(line=number, column=one.column or 1) for one in error.problems)


def _labelled(data: Any, path: str) -> tuple[bytes, bytes]:
    if not isinstance(data, dict) or data.keys() != {_COLUMN, "labels"} or not isinstance(data[_COLUMN], str):
        example = '{"host": "a", "labels": {"domain": "rack7"}}'
        raise InputError(Problem(path, f"expected an object such as {example}"))
    return _name(data[_COLUMN]), labels_text(data["labels"], path)


def _from_csv(path: str, file: BinaryIO, findings: Findings) -> Iterator[Row]:
    def texts() -> Iterator[str]:
        for number, line in enumerate(lines(file, lambda _read: None), 1):
            text = ""
            if line is None:
                findings.add([_too_long(path, number)])
            else:
                try:
                    text = decode(line, path)
                except InputError as error:
                    findings.add(one._replace(line=number) for one in error.problems)
            yield text + "\n"

    reader = csv.reader(texts(), strict=True)
    try:
        head = next(reader, [])
        if head[:1] != [_COLUMN] or len(set(head)) < len(head) or "" in head:
            message = f"expected a first line with {_COLUMN} and the names of labels, such as host,domain"
            raise InputError(Problem(path, message, line=1, column=1))
        for row in reader:
            if len(row) == len(head):
                labels = {name: text for name, text in zip(head[1:], row[1:], strict=True) if text}
                yield reader.line_num, _name(row[0]), labels_text(labels, path)
            elif row:
                message = f"{len(row)} columns; the first line has {len(head)}"
                findings.add([Problem(path, message, line=reader.line_num, column=1)])
    except csv.Error as error:
        findings.add([Problem(path, f"not CSV: {error}; the rest is not read", line=reader.line_num, column=1)])


def _too_long(path: str, number: int) -> Problem:
    return Problem(path, f"too large for a {_WHAT}: a line of more than {SIZE_LIMIT} bytes", line=number, column=1)


def _name(text: str) -> bytes:
    return json.dumps(text).encode("ascii") if text else b""
