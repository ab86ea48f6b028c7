"""Encoding a record as a line, and decoding the lines of a file. Pure."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from seamstep.base.documents import parse_json
from seamstep.base.errors import InputError

SCHEMA = "seamstep/record/v1"
#: The event of the record that ends a torn line; its ``bytes`` are the length of that line.
TORN = "torn"
_LINE_MAX = 16 << 10  # bytes
_TEXT_MAX = 4096  # characters of one text
_BEGINNING = f'{{"schema":"{SCHEMA}",'.encode()
_CRC = b',"crc32":"'  # the last key of a record; the checksum is that of the bytes before
_END = re.compile(rb',"crc32":"[0-9a-f]{8}"}$')
_BOOT = re.compile(rb'"boot_id":"([^"]*)"')


class Record(NamedTuple):
    """One record of the journal.

    Attributes:
        seq: the number of the record; one more than that of the record before it.
        transaction: the id of the run that wrote it.
        boot_id: the boot in which it was written.
        time: when it was written, UTC in ISO 8601.
        monotonic: when it was written, in seconds on the host's monotonic clock.
        event: the kind of record; docs/executor.md lists them.
        data: the whole JSON object, with the details of the event.
    """

    seq: int
    transaction: str
    boot_id: str
    time: str
    monotonic: float
    event: str
    data: Mapping[str, Any]

    def text(self, key: str) -> str:
        """The text under ``key``; empty if it is missing or not a text."""
        value = self.data.get(key)
        return value if isinstance(value, str) else ""

    def integer(self, key: str) -> int | None:
        """The whole number under ``key``; None if it is missing or not a whole number."""
        value = self.data.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


class Damage(NamedTuple):
    """A place where records are damaged or missing.

    Attributes:
        what: the defect, as a clause.
        following: the record after that place; None if there is none.
        boots: the boots that the damaged lines name.
    """

    what: str
    following: Record | None = None
    boots: frozenset[str] = frozenset()


class Lines(NamedTuple):
    """The content of one file.

    Attributes:
        records: its records, in the order of the lines.
        torn: the length in bytes of a torn end, which an interrupted write leaves; 0 if there is none.
        damage: any other defects.
        ended: whether the last line ends with a line break.
    """

    records: tuple[Record, ...] = ()
    torn: int = 0
    damage: tuple[Damage, ...] = ()
    ended: bool = True

    @property
    def corrupt(self) -> str:
        """The first defect that no interrupted write leaves, as a clause; empty if there is none."""
        return self.damage[0].what if self.damage else ""


def line(common: Mapping[str, Any], details: Mapping[str, Any]) -> bytes:
    """A record as a line of the file. Its size is bounded.

    Texts are cut after 4096 characters. If the line would still exceed 16 KiB, ``output`` and ``argv`` are left out,
    texts are cut after 512 characters, and ``shortened`` is set.
    """
    bounded = {key: value[:_TEXT_MAX] if isinstance(value, str) else value for key, value in details.items()}
    encoded = _encoded({"schema": SCHEMA, **common, **bounded})
    if len(encoded) <= _LINE_MAX:
        return encoded
    kept = {key: value for key, value in bounded.items() if key not in {"output", "argv"}}
    shorter = {key: value[:512] if isinstance(value, str) else value for key, value in kept.items()}
    return _encoded({"schema": SCHEMA, **common, **shorter, "shortened": True})


def count(content: bytes) -> int:
    """The number of complete records in ``content``."""
    return sum(begun.startswith(_BEGINNING) for begun in content.split(b"\n")[:-1])


def _encoded(data: Mapping[str, Any]) -> bytes:
    body = json.dumps(data, separators=(",", ":")).encode("ascii").removesuffix(b"}")
    return body + _CRC + _checksum(body) + b'"}\n'


def _checksum(body: bytes) -> bytes:
    return b"%08x" % zlib.crc32(body)


def _is_whole(line: bytes, data: Mapping[str, Any]) -> bool:
    """Whether the checksum of a record is right. Records of earlier versions have neither a checksum nor a host."""
    body, mark, rest = line.rpartition(_CRC)
    if not mark:
        return "host" not in data
    return rest == _checksum(body) + b'"}'


def scan(content: bytes) -> Lines:
    """Decode the content of a file."""
    lines = content.split(b"\n")
    ended = not lines[-1]
    records: list[Record] = []
    broken: list[tuple[int, bytes]] = []  # since the last record; a TORN record after them accounts for them
    damage: list[Damage] = []
    for number, text in enumerate(lines, 1):
        if not text:
            continue
        record = _record(text)
        if record is None:
            broken.append((number, text))
            continue
        records.append(record)
        if broken and not (record.event == TORN and all(_looks_torn(line) for _, line in broken)):
            damage.append(_damage(broken, record))
        broken.clear()
    if broken and not all(_looks_torn(line) for _, line in broken):
        damage.append(_damage(broken, None))
    return Lines(tuple(records), sum(len(line) for _, line in broken), tuple(damage), ended)


def _damage(broken: list[tuple[int, bytes]], following: Record | None) -> Damage:
    boots = {boot.decode("ascii", "replace") for _, line in broken for boot in _BOOT.findall(line)}
    return Damage(f"line {broken[0][0]} is no record", following, frozenset(boots))


def _looks_torn(line: bytes) -> bool:
    """Whether an interrupted write can leave ``line``: the beginning of a record, or zero bytes where a file system
    allocated a block and had not written it. A line with a checksum was written to its end."""
    if _END.search(line):
        return False
    return line.startswith(_BEGINNING) or _BEGINNING.startswith(line) or not line.strip(b"\0")


def _record(line: bytes) -> Record | None:
    if len(line) > _LINE_MAX:
        return None
    try:
        data = parse_json(line.decode("ascii"), "journal")
    except (UnicodeDecodeError, InputError):
        return None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        return None
    if not _is_whole(line, data):
        return None
    seq, monotonic = data.get("seq"), data.get("monotonic")
    texts = [data.get(key) for key in ("transaction", "boot_id", "time", "event")]
    if type(seq) is not int or type(monotonic) not in {int, float} or not all(isinstance(text, str) for text in texts):
        return None
    transaction, boot_id, time, event = (str(text) for text in texts)
    return Record(seq, transaction, boot_id, time, float(str(monotonic)), event, data)
