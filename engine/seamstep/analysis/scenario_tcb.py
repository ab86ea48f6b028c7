"""The TCB Info of a scenario: files, verified as everywhere, or made-up levels that count as Intel's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from seamstep.base.documents import require_regular
from seamstep.domain.tcb import TcbInfo, TcbLevel, TcbStatus, TcbView
from seamstep.tcb import files

_ISSUED = datetime(1, 1, 1, tzinfo=UTC)
_NEXT_UPDATE = datetime(9999, 12, 31, tzinfo=UTC)


def view(value: str | Sequence[str] | Mapping[str, Any], place: Callable[[str], str], as_of: date) -> TcbView:
    """The TCB Info that a scenario gives.

    Args:
        value: a path, several, or the levels of each identity.
        place: turns a path in the scenario into one that can be read.
        as_of: the scenario's day.

    Raises:
        InputError: a document can't be read or does not verify.
        ValueError: made-up levels are not in descending order, or a date is no day.
    """
    if isinstance(value, Mapping):
        return TcbView((_made_up(value),), as_of)
    paths = [place(path) for path in ([value] if isinstance(value, str) else value)]
    for path in paths:
        if not os.path.isdir(path):
            require_regular(path, files.WHAT)
    return files.view(paths, None, as_of)


def _made_up(identities: Mapping[str, Any]) -> TcbInfo:
    levels = tuple((identity, tuple(map(_level, listed))) for identity, listed in identities.items())
    for identity, listed in levels:
        numbers = [level.isvsvn for level in listed]
        if numbers != sorted(set(numbers), reverse=True):
            raise ValueError(f"isvsvn does not descend from level to level of {identity}")
    return TcbInfo("made up", "00" * 32, "0" * 12, 0, _ISSUED, _NEXT_UPDATE, levels)


def _level(entry: Mapping[str, Any]) -> TcbLevel:
    day = date.fromisoformat(entry["date"])
    return TcbLevel(entry["isvsvn"], day, TcbStatus(entry["status"]), tuple(entry.get("advisories", ())))
