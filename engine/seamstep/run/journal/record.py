"""Encoding a record as a line, and decoding the lines of a file. Pure."""

from __future__ import annotations

import json
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


class Lines(NamedTuple):
    """The content of one file.

    Attributes:
        records: its records, in the order of the lines.
        torn: the length in bytes of a torn end, which an interrupted write leaves; 0 if there is none.
        corrupt: any other defect, as a clause; empty if there is none.
        ended: whether the last line ends with a line break.
    """

    records: tuple[Record, ...] = ()
    torn: int = 0
    corrupt: str = ""
    ended: bool = True


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
    return json.dumps(data, separators=(",", ":")).encode("ascii") + b"\n"


def scan(content: bytes) -> Lines:
    """Decode the content of a file."""
    lines = content.split(b"\n")
    ended = not lines[-1]
    records: list[Record] = []
    broken: list[tuple[int, bytes]] = []  # since the last record; a TORN record after them accounts for them
    corrupt = ""
    for number, text in enumerate(lines, 1):
        if not text:
            continue
        record = _record(text)
        if record is None:
            broken.append((number, text))
            continue
        records.append(record)
        if broken and record.event != TORN:
            corrupt = corrupt or f"line {broken[0][0]} is no record"
        broken.clear()
    if broken and not all(_looks_torn(line) for _, line in broken):
        corrupt = corrupt or f"line {broken[0][0]} is no record"
    return Lines(tuple(records), sum(len(line) for _, line in broken), corrupt, ended)


def _looks_torn(line: bytes) -> bool:
    """Whether an interrupted write can leave ``line``: the beginning of a record, or zero bytes where a file system
    allocated a block and had not written it."""
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
    seq, monotonic = data.get("seq"), data.get("monotonic")
    texts = [data.get(key) for key in ("transaction", "boot_id", "time", "event")]
    if type(seq) is not int or type(monotonic) not in {int, float} or not all(isinstance(text, str) for text in texts):
        return None
    transaction, boot_id, time, event = (str(text) for text in texts)
    return Record(seq, transaction, boot_id, time, float(str(monotonic)), event, data)
