"""The class of a plan: a digest that is the same for all hosts whose plan does the same, and that a person can approve.

It covers every decision of the plan and the facts that they rest on. Left out is what may differ between such hosts, or
between the place where a plan was approved and the host: name and boot, the number of TDs (verdicts say where a hop
rests on it), the day (``valid_until`` says how long the policy decides alike), the paths of files (digests say which
they are), and sentences for people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from seamstep.base.documents import canonical

#: The facts that hosts of a class don't share.
OWN_FACTS = frozenset({"hostname", "boot_id", "running_tds"})
_LEFT_OUT = frozenset({"schema", "id", "class_id", "as_of", "reason"})
_SHOWN_MAX = 60


def class_id(plan: Mapping[str, Any]) -> str:
    """SHA-256 in hex of the decisions in a plan document."""
    return hashlib.sha256(canonical(decisions(plan))).hexdigest()


def decisions(plan: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a plan document that its class covers."""
    kept = {key: value for key, value in plan.items() if key not in _LEFT_OUT}
    image, held = plan["source_image"], plan["held_up"]
    return {
        **kept,
        "host": _facts(plan["host"]),
        "policy": {**plan["policy"], "layers": [_without(layer, "path") for layer in plan["policy"]["layers"]]},
        "mapping": {"sha256": plan["mapping"]["sha256"]},
        **({"tcb": _tcb(plan["tcb"])} if plan.get("tcb") else {}),
        "source_image": image and {"sha256": image["sha256"]},
        "hops": [_hop(hop) for hop in plan["hops"]],
        "held_up": held and _without(held, "reason"),
        "rejected": [{**step, "verdicts": _outcomes(step["verdicts"])} for step in plan["rejected"]],
    }


def _tcb(tcb: Mapping[str, Any]) -> dict[str, Any]:
    return {**tcb, "documents": [_without(document, "path") for document in tcb["documents"]]}


def differences(approved: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """The decisions in which two plan documents differ, a sentence for each."""
    return [
        f"{place} was {_shown(old)}, is {_shown(new)}"
        for place, old, new in _differing("", decisions(approved), decisions(found))
    ]


def _facts(host: Mapping[str, Any]) -> dict[str, Any]:
    facts = {key: value for key, value in host.items() if key not in OWN_FACTS}
    unknown = host.get("unknown") or {}
    return {**facts, "unknown": {fact: reason for fact, reason in unknown.items() if fact not in OWN_FACTS}}


def _hop(hop: Mapping[str, Any]) -> dict[str, Any]:
    image = hop["image"]
    return {
        **hop,
        "image": image and _without(image, "path", "sigstruct"),
        "verdicts": _outcomes(hop["verdicts"]),
        "td_creation": _without(hop["td_creation"], "reason"),
        "risks": [_without(risk, "reason") for risk in hop["risks"]],
    }


def _outcomes(verdicts: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Verdicts without reasons and evidence, which name files and numbers of TDs."""
    return [{"rule": verdict["rule"], "outcome": verdict["outcome"]} for verdict in verdicts]


def _without(document: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}


def _differing(place: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where two documents differ: the key path, and both values; None stands for one that is missing."""
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            yield from _differing(f"{place}.{key}" if place else key, old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _differing(f"{place}[{number}]", one, other)
    else:
        yield place, old, new


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else canonical(value).decode()
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"
