"""The hosts of a fleet in the order of the inventory. Their names, boots and labels lie on disk, so that memory does
not grow with what a plan does not need."""

from __future__ import annotations

import json
import os
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import IO, NamedTuple

from seamstep.base.errors import InputError, Problem
from seamstep.fleet.classes import NO_LABELS, Host
from seamstep.fleet.findings import Findings
from seamstep.fleet.labels import Labels

_ROWS = 5_000
_BLOCK = 1 << 20
_SEEN_TWICE = "this host's facts stand above already; the first ones count"
_NAMELESS = "no host name: nothing could reach this host; it is left out"


_NO_NAMES = frozenset({b"null", b'""'})


class Group(NamedTuple):
    """The hosts of one group: how many there are, their TDs, and of how many the number of TDs is not known."""

    hosts: int
    tds: int
    tds_unknown: int


class Member(NamedTuple):
    """One host: its name, boot id and labels as JSON text, and the number of its group."""

    name: bytes
    boot_id: bytes
    labels: bytes
    group: int


def spool(folder: str | None) -> IO[bytes]:
    """A file without a name in ``folder``, or where temporary files are, for what is kept on disk meanwhile. Raises
    InputError if it can't be made."""
    try:
        return tempfile.TemporaryFile(dir=folder, buffering=_BLOCK)
    except OSError as error:
        raise InputError(Problem(folder or tempfile.gettempdir(), f"can't write: {error.strerror}")) from None


class Members:
    """The hosts of a fleet, each once; iteration reads them from disk, as often as wanted.

    Attributes:
        groups: the hosts of each group, by its number.
    """

    def __init__(self, hosts: Iterable[Host], findings: Findings, labels: Labels | None, file: IO[bytes]) -> None:
        """Take in all ``hosts``, and keep them in ``file`` (:func:`spool`). A host without a name, and the second facts
        of a host, become findings. ``labels`` are those of a file of their own."""
        self._file = file
        self._group = array("H")
        counts: list[int] = []
        tds: list[int] = []
        unknown: list[int] = []
        seen: set[bytes] = set()
        rows: list[bytes] = []
        add, member_of, note = rows.append, self._group.append, seen.add
        for host in hosts:
            name, boot, own, count, group, _, _ = host
            if name in seen or name in _NO_NAMES:
                twice = f"host {name.decode('ascii')}: {_SEEN_TWICE}"
                findings.add([host.problem(twice if name in seen else _NAMELESS)])
                continue
            note(name)
            while group >= len(counts):
                counts.append(0)
                tds.append(0)
                unknown.append(0)
            counts[group] += 1
            if count is None:
                unknown[group] += 1
            else:
                tds[group] += count
            if labels is not None:
                own = labels.of(host, findings)
            member_of(group)
            add(b"%b\t%b\t%b\n" % (name, boot, own))
            if len(rows) >= _ROWS:
                self._file.write(b"".join(rows))
                rows.clear()
        self._file.write(b"".join(rows))
        self._file.flush()
        self.groups = tuple(map(Group, counts, tds, unknown))

    def __len__(self) -> int:
        return len(self._group)

    def __iter__(self) -> Iterator[Member]:
        return map(Member._make, self.rows())

    def rows(self) -> Iterator[tuple[bytes, bytes, bytes, int]]:
        """As iteration, in plain tuples: a million take a third of the time."""
        number, place, rest = 0, 0, b""
        while block := os.pread(self._file.fileno(), _BLOCK, place):
            place += len(block)
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            for line, group in zip(lines, self._group[number : number + len(lines)], strict=True):
                name, boot, labels = line.split(b"\t")
                yield name, boot, labels, group
            number += len(lines)


class Waiting:
    """The hosts that are to be updated, in the order of the inventory, as (host, name, labels): what waves are made of.
    ``names`` has what the hosts of each group go by, by the group's number, None for groups that are not updated."""

    def __init__(self, members: Members, names: Sequence[str | None]) -> None:
        self._members = members
        self._names = names

    def __iter__(self) -> Iterator[tuple[str, str, dict[str, str]]]:
        for name, _, labels, group in self._members.rows():
            of = self._names[group]
            if of is not None:
                text = json.loads(name) if b"\\" in name else name[1:-1].decode("ascii")
                yield text, of, _labels(labels)


@lru_cache(maxsize=4096)
def _labels(text: bytes) -> dict[str, str]:
    labels: dict[str, str] = {} if text == NO_LABELS else json.loads(text)
    return labels
