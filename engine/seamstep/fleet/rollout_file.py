"""Reading rollouts. All mistakes are reported at once, each with file, line, column, key path and the expected form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seamstep.base import resources, yaml_text
from seamstep.base.documents import Document, read_bytes
from seamstep.base.durations import seconds
from seamstep.base.errors import InputError, KeyPath, Problem, in_reading_order
from seamstep.base.validation import check
from seamstep.fleet.settings import DEFAULT_HALTS, LOST, UNKNOWN, Amount, Rollout, Threshold

_SIZE_LIMIT = 64 << 10
_DURATIONS: tuple[tuple[KeyPath, int], ...] = (
    (("canaries", "soak"), 0),
    (("waves", "soak"), 0),
    (("lease",), 3600),
    (("retry",), 600),
)


def load(path: str) -> Rollout:
    """Read the rollout in the file ``path``. Raises InputError, with all problems, if it is unreadable or invalid."""
    return parse(yaml_text.read(read_bytes(path, _SIZE_LIMIT, "rollout"), path))


def parse(document: Document) -> Rollout:
    """The rollout in a document. Raises InputError as :func:`load` does."""
    schema = resources.schema("rollout")
    document = document._replace(data=yaml_text.typed(document.data, schema))
    problems = check(document, "rollout", schema)
    durations = {path: _duration(document, path, default, problems) for path, default in _DURATIONS}
    _contradictions(document, problems)
    if problems:
        raise InputError(in_reading_order(dict.fromkeys(problems)))
    data = document.data
    unavailable, waves = data["unavailable"], data.get("waves", {})
    in_all = Amount.parse(unavailable["in_all"])
    return Rollout(
        name=data["name"],
        sha256=document.sha256,
        domain=data.get("domain", ""),
        unavailable_in_domain=Amount.parse(unavailable["in_domain"]) if "domain" in data else in_all,
        unavailable_in_all=in_all,
        canaries=data["canaries"]["hosts"],
        canary_soak=durations["canaries", "soak"],
        waves=tuple(Amount.parse(size) for size in waves.get("sizes", ())),
        wave_soak=durations["waves", "soak"],
        halts=_halts(data.get("halt", {})),
        reserve=data.get("reserve", 0),
        allow_list=data.get("allow_list") == "required",
        lease=durations["lease",],
        retry=durations["retry",],
        operators=tuple(data.get("operators", ())),
    )


def _duration(document: Document, path: KeyPath, default: int, problems: list[Problem]) -> int:
    value: Any = document.data
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, str):
        return default
    try:
        return seconds(value)
    except ValueError as error:
        problems.append(document.problem(path, str(error)))
        return default


def _contradictions(document: Document, problems: list[Problem]) -> None:
    """Add the mistakes that a schema can't express."""
    unavailable, halts = document.data.get("unavailable"), document.data.get("halt")
    if isinstance(unavailable, dict):
        if "domain" in document.data and "in_domain" not in unavailable:
            problems.append(document.problem(("unavailable",), "the key 'in_domain' is missing: there are domains"))
        if "in_domain" in unavailable and "domain" not in document.data:
            message = "has no meaning without 'domain', the label that names a host's domain"
            problems.append(document.problem(("unavailable", "in_domain"), message))
    for kind in (LOST, UNKNOWN):
        if isinstance(halts, dict) and halts.get(kind) == "off":
            problems.append(document.problem(("halt", kind), f"can't be turned off: hosts that are {kind} halt"))


def _halts(data: Mapping[str, Any]) -> dict[str, Threshold]:
    halts = dict(DEFAULT_HALTS)
    for kind, setting in data.items():
        if setting == "off":
            halts.pop(kind, None)
        else:
            halts[kind] = Threshold(setting["hosts"], setting["of"])
    return halts
