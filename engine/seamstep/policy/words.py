"""The values of a policy in words: none is shown as Python or JSON would write it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from seamstep.policy.policy import Policy
from seamstep.rules import AppliedRule, Level

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_UNITS = ((3600, "h"), (60, "m"))


def rule_words(applied: AppliedRule | None, setting: object) -> str:
    """A policy rule in force, None for one that is off: its level, its cost and its parameters, which ``setting``, the
    rule's entry in the document, holds as they are written."""
    if applied is None:
        return Level.OFF.value
    cost = [f"cost {applied.cost}"] if applied.level is Level.PREFER else []
    given = setting if isinstance(setting, Mapping) else {}
    parameters = [f"{key} {_parameter(key, value)}" for key, value in given.items() if key not in {"level", "cost"}]
    return ", ".join([applied.level.value, *cost, *parameters])


def tcb_words(policy: Policy) -> str:
    """Until when a policy lets TCB Info count that has expired."""
    until = policy.tcb_stale_until
    return f"expired TCB Info counts until {until}" if until else "expired TCB Info does not count"


def _parameter(key: str, value: object) -> str:
    if key == "svn":
        return f"0x{int(str(value), 0):x}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def apply_words(key: str, value: Any) -> str:
    """A setting of the executor, in the form that plans have; None for one that the policy does not state."""
    if key == "windows":
        return "; ".join(map(_window, value or ())) or "at any time"
    if key == "soak":
        return duration(value or 0)
    if key == "busy":
        retries, wait = (value or {}).get("retries", 0), (value or {}).get("wait", 0)
        return f"{retries} retries, {duration(wait)} before each" if retries else "no retry"
    commands: Sequence[Sequence[str]] = value or ()
    return "; ".join(map(shlex.join, commands)) or "no command"


def duration(seconds: int) -> str:
    """Seconds in the largest unit that divides them, as policies write durations: 30s, 10m, 2h."""
    return next((f"{seconds // size}{unit}" for size, unit in _UNITS if seconds and seconds % size == 0), f"{seconds}s")


def _window(window: Mapping[str, Any]) -> str:
    named = window.get("days", _DAYS)
    days = "every day" if set(named) == set(_DAYS) else ", ".join(sorted(set(named), key=_DAYS.index)) or "never"
    return f"{days} from {window['from']} to {window['to']} ({window.get('timezone', 'UTC')})"
