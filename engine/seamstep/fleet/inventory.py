"""Reads inventories: facts documents as JSON Lines, in a folder of files, or as Parquet.

The input may be hostile: lines are bounded, only regular files of a folder are read, and what is wrong with a document
becomes a finding with file and line, whatever its neighbours are.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import BinaryIO

from seamstep.base.documents import decode, open_regular, parse_json, unreadable
from seamstep.base.errors import InputError, Problem
from seamstep.domain.facts import SIZE_LIMIT, WHAT
from seamstep.fleet.classes import Classes, Host, too_long
from seamstep.fleet.findings import Findings

_CHUNK = 1 << 20
_LINES = (".jsonl", ".ndjson")
_PARQUET = ".parquet"
_SQL = ".sql"  # taken as an argument only: a file that was put into a folder is not run
_FOLDER = "folder of facts documents"
#: Called with the number of bytes that were read since the last call.
Watch = Callable[[int], None]


def hosts(paths: Iterable[str], classes: Classes, findings: Findings, watch: Watch) -> Iterator[Host]:
    """The hosts in inventories, in their order; ``classes`` gets their groups and ``findings`` the mistakes.

    A path is a file with a facts document on each line, a file with a single one, a Parquet file, a folder with such
    files, a file of SQL, or ``-`` for standard input.

    Raises:
        InputError: a path can't be read, or holds no facts.
        TooManyGroupsError: there are more groups than can be planned.
    """
    for path in paths:
        before = findings.count
        found = False
        for host in _hosts_at(path, classes, findings, watch):
            found = True
            yield host
        if not found and findings.count == before:
            raise InputError(Problem(path, "holds no facts; expected *.json files, or a facts document on each line"))


def size(paths: Iterable[str]) -> int | None:
    """The number of bytes to read, for a progress bar; None if it is not known, as with standard input."""
    total = 0
    for path in paths:
        try:
            names = _names(path) if os.path.isdir(path) else [path]
            total += sum(os.stat(name).st_size for name in names)
        except (OSError, ValueError, InputError):
            return None
    return total or None


def _hosts_at(path: str, classes: Classes, findings: Findings, watch: Watch) -> Iterator[Host]:
    if path != "-" and os.path.isdir(path):  # must not raise
        for name in _names(path):
            try:
                yield from _hosts_in(name, classes, findings, watch, regular=True)
            except InputError as error:
                findings.add(error.problems)
    else:
        yield from _hosts_in(path, classes, findings, watch, regular=False)


def _hosts_in(path: str, classes: Classes, findings: Findings, watch: Watch, *, regular: bool) -> Iterator[Host]:
    if path.endswith((_PARQUET, _SQL)):
        from seamstep.fleet import on_duckdb

        yield from on_duckdb.hosts(path, classes, findings)
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(_opened(path, regular=regular))
            head = file.read(_CHUNK)
        except (OSError, ValueError) as error:
            raise unreadable(path, WHAT, error) from None
        if not head:
            raise InputError(Problem(path, f"the file is empty; expected a {WHAT}"))
        if _is_lines(path, head):
            yield from _from_lines(path, lines(file, watch, head), classes, findings)
        else:
            watch(len(head))
            yield from _whole(path, head + file.read(SIZE_LIMIT), classes, findings)


def _from_lines(path: str, found: Iterable[bytes | None], classes: Classes, findings: Findings) -> Iterator[Host]:
    of_line = classes.of_line
    for number, line in enumerate(found, 1):
        if line:
            try:
                host = of_line(line, path, number)
            except InputError as error:
                findings.add(error.problems)
                continue
            if host is not None:
                yield host
        elif line is None:
            findings.add([too_long(path, number)])


def _whole(path: str, content: bytes, classes: Classes, findings: Findings) -> Iterator[Host]:
    if len(content) > SIZE_LIMIT:
        findings.add([Problem(path, f"too large for a {WHAT}: more than {SIZE_LIMIT} bytes")])
        return
    try:
        host = classes.of_text(decode(content, path), path)
    except InputError as error:
        findings.add(error.problems)
        return
    yield host


def lines(file: BinaryIO, watch: Watch, head: bytes = b"") -> Iterator[bytes | None]:
    """The lines of a file, whose first bytes ``head`` were read before, without their ends. A line that is longer than
    any facts document takes no memory: None stands for it."""
    rest, skipping = b"", False
    chunk = head or file.read(_CHUNK)
    while chunk:
        watch(len(chunk))
        found = (rest + chunk).split(b"\n")
        rest = found.pop()
        if found and skipping:
            skipping = False
            yield None
            del found[0]
        yield from found
        skipping = skipping or len(rest) > SIZE_LIMIT
        rest = b"" if skipping else rest
        chunk = file.read(_CHUNK)
    if skipping:
        yield None
    elif rest:
        yield rest


def opened(path: str, *, regular: bool = False) -> BinaryIO:
    """A file to read from its beginning to its end: one that the user named, which may be a link or a pipe and is
    waited for, or with ``regular`` one that was found in a folder. Nothing else is opened.

    Raises:
        OSError, ValueError: it can't be opened, or is no such file.
    """
    if not regular and stat.S_ISFIFO(os.stat(path).st_mode):
        return open(path, "rb")
    return os.fdopen(open_regular(path, links=not regular), "rb")


def _opened(path: str, *, regular: bool) -> AbstractContextManager[BinaryIO]:
    if path != "-":
        return opened(path, regular=regular)
    if sys.stdin is None:
        raise ValueError("standard input is closed")
    return nullcontext(sys.stdin.buffer)


def _names(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.endswith((".json", _PARQUET, *_LINES))]
    except OSError as error:
        raise unreadable(folder, _FOLDER, error) from None
    return [os.path.join(folder, name) for name in sorted(names)]  # as the user wrote it


def _is_lines(path: str, head: bytes) -> bool:
    """Whether a file holds a document a line: its name says so, or its first line is a whole object and others
    follow."""
    if path.endswith(_LINES):
        return True
    first, _, rest = head.partition(b"\n")
    if not rest.strip():
        return False
    try:
        return isinstance(parse_json(decode(first, path), path), dict)
    except InputError:
        return False
