"""The settings under ``apply`` in a plan: how a policy wants updates performed. They come from a file, so they are
bounded, and one that this version does not know is refused: a limit that can't be kept must not be ignored."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import time
from typing import TYPE_CHECKING, NamedTuple, Self

from seamstep.base.documents import Fields
from seamstep.plan.windows import DAYS, Window

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

Command = tuple[str, ...]
_KEYS = frozenset({"windows", "soak", "busy", "before", "after"})
_WINDOWS_MAX = 100
# The journal keeps what came of each command and of each attempt, and its room is finite: one run must not push what
# earlier ones did out of it.
_COMMANDS_MAX = 20
_RETRIES_MAX = 100
_SECONDS_MAX = 10**10


class ApplySettings(NamedTuple):
    """How to perform a plan: the ``windows`` in which hops may begin (none: always), the ``soak`` seconds between two
    hops, how often to retry ``device-busy`` and the seconds to wait before that, and the commands to run ``before``
    the first hop and ``after`` the last."""

    windows: tuple[Window, ...] = ()
    soak: int = 0
    busy_retries: int = 0
    busy_wait: int = 0
    before: tuple[Command, ...] = ()
    after: tuple[Command, ...] = ()

    @property
    def after_sha256(self) -> str:
        """What identifies the commands ``after``."""
        return hashlib.sha256(json.dumps(self.after).encode()).hexdigest()

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read the settings. Raises InputError for what is not known or has the wrong form."""
        for key in fields.data:
            if key not in _KEYS:
                raise fields.error(key, "this version of seamstep does not know this setting, so it can't keep it")
        busy = fields.optional("busy", fields.sub)
        return cls(
            windows=tuple(_window(item) for item in _bounded(fields, "windows")),
            soak=fields.optional("soak", lambda key: _seconds(fields, key)) or 0,
            busy_retries=_retries(busy) if busy else 0,
            busy_wait=_seconds(busy, "wait") if busy else 0,
            before=_commands(fields, "before"),
            after=_commands(fields, "after"),
        )


def _bounded(fields: Fields, key: str) -> list[Fields]:
    found = fields.optional(key, fields.items) or []
    if len(found) > _WINDOWS_MAX:
        raise fields.error(key, f"{len(found)} entries; at most {_WINDOWS_MAX} are allowed")
    return found


def _retries(fields: Fields) -> int:
    retries = fields.integer("retries")
    if retries > _RETRIES_MAX:
        raise fields.error("retries", f"{retries} retries; at most {_RETRIES_MAX} are allowed")
    return retries


def _seconds(fields: Fields, key: str) -> int:
    seconds = fields.integer(key)
    if seconds > _SECONDS_MAX:
        raise fields.error(key, "longer than anybody could wait")
    return seconds


def _window(fields: Fields) -> Window:
    days = fields.optional("days", fields.texts)
    for day in days or ():
        if day not in DAYS:
            raise fields.error("days", f"{day!r} is not one of {', '.join(DAYS)}")
    return Window(
        start=fields.parsed("from", _time),
        end=fields.parsed("to", _time),
        days=frozenset(range(7) if days is None else map(DAYS.index, days)),
        zone=fields.optional("timezone", lambda key: fields.parsed(key, _zone)) or _zone("UTC"),
    )


def _time(text: str) -> time:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text, re.ASCII):
        raise ValueError(f"{text!r} is not a time such as 22:30")
    return time.fromisoformat(text)


def _zone(text: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{text!r} is not a time zone that this host knows (is tzdata installed?)") from None


def _commands(fields: Fields, key: str) -> tuple[Command, ...]:
    listed = fields.data.get(key) or []
    if not isinstance(listed, list) or len(listed) > _COMMANDS_MAX:
        raise fields.error(key, f"expected a list of at most {_COMMANDS_MAX} commands")
    for argv in listed:
        texts = isinstance(argv, list) and argv and all(isinstance(text, str) and "\0" not in text for text in argv)
        if not texts or not argv[0]:
            raise fields.error(key, "expected lists of texts, the program first")
    return tuple(tuple(argv) for argv in listed)
