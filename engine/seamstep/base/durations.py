"""Durations in documents, such as ``30s``, ``10m`` or ``2h``."""

from __future__ import annotations

import re

_DURATION = re.compile(r"([1-9][0-9]{0,5})(s|m|h)", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> int:
    """The duration ``text`` in seconds. Raises ValueError, with the expected form, for any other text."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not a duration such as 30s, 10m or 2h")
    return int(match[1]) * _SECONDS[match[2]]
