"""The values that layers of policies merge into, each with its origin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seamstep.policy.effective import Effective
from seamstep.show.text import printable


def effective_document(rows: Sequence[Effective]) -> dict[str, Any]:
    """The values and their origins as JSON-able data."""
    return {
        "schema": "seamstep/effective-policy/v1",
        "values": [{"key": row.key, "value": row.value, "origin": row.origin} for row in rows],
    }


def effective_text(rows: Sequence[Effective]) -> str:
    """A line for each value, with the origins aligned in a second column."""
    left = [printable(f"{row.key}: {row.value}") for row in rows]
    width = max(map(len, left))
    return "\n".join(f"{text:<{width}}  # {printable(row.origin)}" for text, row in zip(left, rows, strict=True))
