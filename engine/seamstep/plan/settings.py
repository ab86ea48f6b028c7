"""The executor's settings, under ``apply`` in a plan.

The plan's schema bounds commands and retries, since the journal records each in finite room and one run must not push
out the records of earlier runs. It refuses settings that this version does not know, since a limit that is ignored is
no limit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import time
from typing import Any, NamedTuple, Self

from seamstep.base.zones import zone
from seamstep.plan.windows import DAYS, Window

Command = tuple[str, ...]


class ApplySettings(NamedTuple):
    """The settings for performing a plan.

    Attributes:
        windows: the maintenance windows; a hop may begin while each layer of policies that has any has one open.
        soak: the seconds between two hops.
        busy_retries: the number of retries after ``device-busy``.
        busy_wait: the seconds before each retry.
        before: the commands to run before the first hop.
        after: the commands to run after the last hop.
    """

    windows: tuple[Window, ...] = ()
    soak: int = 0
    busy_retries: int = 0
    busy_wait: int = 0
    before: tuple[Command, ...] = ()
    after: tuple[Command, ...] = ()

    @property
    def after_sha256(self) -> str:
        """A digest that identifies the commands ``after`` in any order, in hex: the order depends on that of the layers
        of policies."""
        return hashlib.sha256(json.dumps(sorted(self.after)).encode()).hexdigest()

    @classmethod
    def from_document(cls, data: Mapping[str, Any]) -> Self:
        """The settings from the object under ``apply`` in a plan that fits its schema.

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
        zone=zone(data.get("timezone", "UTC")),
        layer=data.get("layer", 0),
    )
