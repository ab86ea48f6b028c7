"""One record to a line: how it is written, and what a file full of lines holds. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from seamstep.base.documents import parse_json
from seamstep.base.errors import InputError

SCHEMA = "seamstep/record/v1"
#: The event that ends and explains a torn line before it.
TORN = "torn"
_LINE_MAX = 16 << 10  # bytes
_TEXT_MAX = 4096
_BEGINNING = f'{{"schema":"{SCHEMA}",'.encode()


class Record(NamedTuple):
    """One record: its number ``seq``, the ``transaction`` (the run) and the boot it belongs to, when it was written
    (``time`` is UTC in ISO 8601, ``monotonic`` seconds on the host's monotonic clock), the ``event``, and the rest."""

    seq: int
    transaction: str
    boot_id: str
    time: str
    monotonic: float
    event: str
    data: Mapping[str, Any]

    def text(self, key: str) -> str:
        """The text under ``key``; empty if there is none."""
        value = self.data.get(key)
        return value if isinstance(value, str) else ""

    def integer(self, key: str) -> int | None:
        """The whole number under ``key``; None if there is none."""
        value = self.data.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


class Lines(NamedTuple):
    """What the lines of a file hold. ``torn`` is the length of the broken end that a write in progress may leave;
    ``corrupt``
    says what is wrong beyond that; ``ended`` is whether its last line is."""

    records: tuple[Record, ...] = ()
    torn: int = 0
    corrupt: str = ""
    ended: bool = True


def line(common: Mapping[str, Any], details: Mapping[str, Any]) -> bytes:
    """A record as it stands in the file, bounded: long texts are cut."""
    bounded = {key: value[:_TEXT_MAX] if isinstance(value, str) else value for key, value in details.items()}
    encoded = _encoded({"schema": SCHEMA, **common, **bounded})
    if len(encoded) <= _LINE_MAX:
        return encoded
    kept = {key: value for key, value in bounded.items() if key not in {"output", "argv"}}
    shorter = {key: value[:512] if isinstance(value, str) else value for key, value in kept.items()}
    return _encoded({"schema": SCHEMA, **common, **shorter, "shortened": True})


def count(content: bytes) -> int:
    """How many whole records of ours ``content`` holds."""
    return sum(begun.startswith(_BEGINNING) for begun in content.split(b"\n")[:-1])


def _encoded(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode("ascii") + b"\n"


def scan(content: bytes) -> Lines:
    """The records in a file, and what is wrong with it."""
    lines = content.split(b"\n")
    ended = not lines[-1]
    records: list[Record] = []
    broken: list[tuple[int, bytes]] = []  # not yet explained
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
    """Whether a write that did not come to its end leaves this: the beginning of a record, or room not yet filled."""
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
