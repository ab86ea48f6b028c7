"""The settings under ``apply`` in a plan: how a policy wants updates performed. The plan's schema bounds them, and
refuses one that this version does not know: a limit that can't be kept must not be ignored. The journal keeps the
outcome of each command and each attempt in finite room, so one run must not push out what earlier runs recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from seamstep.plan.windows import DAYS, Window

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

Command = tuple[str, ...]


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
    def from_document(cls, data: Mapping[str, Any]) -> Self:
        """The settings in what stands under ``apply`` in a plan that fits its schema.

        Raises:
            ValueError: a time zone is not known on this host.
        """
        busy = data.get("busy", {})
        return cls(
            windows=tuple(map(_window, data.get("windows", ()))),
            soak=data.get("soak", 0),
            busy_retries=busy.get("retries", 0),
            busy_wait=busy.get("wait", 0),
            before=tuple(map(tuple, data.get("before", ()))),
            after=tuple(map(tuple, data.get("after", ()))),
        )


def _window(data: Mapping[str, Any]) -> Window:
    return Window(
        start=time.fromisoformat(data["from"]),
        end=time.fromisoformat(data["to"]),
        days=frozenset(map(DAYS.index, data.get("days", DAYS))),
        zone=_zone(data.get("timezone", "UTC")),
    )


def _zone(text: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{text!r} is not a time zone that this host knows (is tzdata installed?)") from None
