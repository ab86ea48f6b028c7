"""Writes the result of planning a fleet: ``fleet.json`` with the classes, and ``hosts.jsonl`` with the hosts.

``fleet.json`` is written last, and holds the SHA-256 of ``hosts.jsonl``: a reader sees whether both are of one run.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

from seamstep.base.errors import InputError, Problem, RefusedError
from seamstep.fleet.findings import Findings
from seamstep.fleet.members import Members
from seamstep.fleet.planning import Class, FleetPlan

FLEET = "fleet.json"
HOSTS = "hosts.jsonl"
PARQUET = "hosts.parquet"
_ROWS = 5_000
#: Gives the waves of the hosts that are to be updated, in their order.
Waves = Iterator[int]


class Result(NamedTuple):
    """The plans of a fleet, its hosts, and the mistakes in the inventory."""

    plan: FleetPlan
    members: Members
    findings: Findings


def check_folder(folder: str, *, replace: bool) -> None:
    """Check that a result could be written to ``folder``, before the work for it begins.

    Raises:
        RefusedError: it holds a result and ``replace`` is false, or it is no folder.
        InputError: it can't be made.
    """
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise RefusedError(f"{folder} is not a folder; it is left alone")
    for name in (FLEET, HOSTS, PARQUET):
        path = os.path.join(folder, name)
        if os.path.lexists(path) and not replace:
            raise RefusedError(f"{path} exists; give --force to overwrite it")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except (OSError, ValueError) as error:
        raise InputError(Problem(folder, f"can't write: {error}")) from None


def write(
    folder: str,
    result: Result,
    waves: Waves | None,
    written: Callable[[int], None] = lambda _hosts: None,
) -> None:
    """Write both files into ``folder``, which is there. ``written`` is called with numbers of hosts.

    Raises:
        InputError: a file can't be written.
    """
    digest = hashlib.sha256()
    with _Replacing(os.path.join(folder, HOSTS)) as file:
        for block in host_lines(result.plan, result.members, waves, written):
            digest.update(block)
            file.write(block)
    with _Replacing(os.path.join(folder, FLEET)) as file:
        hosts = {"file": HOSTS, "lines": len(result.members), "sha256": digest.hexdigest()}
        for block in document(result.plan, result.findings, hosts):
            file.write(block)


def document(plan: FleetPlan, findings: Findings, hosts: dict[str, Any] | None) -> Iterator[bytes]:
    """The fleet document as JSON text in pieces, a class on each line. ``hosts`` names the file with the hosts."""
    head = json.dumps({**plan.head(findings), "hosts": hosts}, indent=1)
    yield head.encode("ascii").removesuffix(b"\n}") + b',\n "classes": ['
    for number, one in enumerate(plan.classes):
        start = json.dumps(one.document, separators=(",", ":")).encode("ascii")
        yield (b",\n" if number else b"\n") + start[:-1] + b',"plan":' + plan.plan_text(one) + b"}"
    yield b"\n ]\n}\n"


def host_lines(
    plan: FleetPlan, members: Members, waves: Waves | None, written: Callable[[int], None]
) -> Iterator[bytes]:
    """The lines of the hosts, many at once."""
    of_group = [_parts(one) if one else (b"", False) for one in plan.of_group]
    rows: list[bytes] = []
    for name, boot, labels, group in members.rows():
        part, updated = of_group[group]
        wave = b"%d" % next(waves) if waves is not None and updated else b"null"
        rows.append(b'{"host": %b, "boot_id": %b%b%b, "labels": %b}\n' % (name, boot, part, wave, labels))
        if len(rows) >= _ROWS:
            yield b"".join(rows)
            written(len(rows))
            rows.clear()
    yield b"".join(rows)
    written(len(rows))


def _parts(one: Class) -> tuple[bytes, bool]:
    """What the lines of a class's hosts have in common, and whether its hosts are updated."""
    outcome = one.document["outcome"]
    return f', "class": "{one.name}", "outcome": "{outcome}", "wave": '.encode(), outcome == "update"


class _Replacing:
    """A file that takes the place of another one when it is whole, with the mode of a document."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._temporary = os.path.join(os.path.dirname(path), f".seamstep.{secrets.token_hex(8)}")

    def __enter__(self) -> BinaryIO:
        try:
            descriptor = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unwritable(error) from None
        self._file = os.fdopen(descriptor, "wb")
        return self._file

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        try:
            try:
                with self._file:
                    self._file.flush()
                    os.fsync(self._file.fileno())
                if kind is None:
                    os.replace(self._temporary, self._path)
            finally:
                if kind is not None or os.path.exists(self._temporary):
                    os.unlink(self._temporary)
        except OSError as failure:
            raise self._unwritable(failure) from None
        if isinstance(error, OSError):
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> InputError:
        return InputError(Problem(self._path, f"can't write: {error.strerror or error}"))
