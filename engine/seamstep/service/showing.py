"""What the configuration of a host comes to, as a document and as text (``seamstep service show``).

Shape: ``{schema, config: {file, present}, values: {key: {value, from}}, policy: {name, target, path, max_hops,
keep_updates, layers: [{name, file}], windows: []} | null, window: {open, opens, reason} | null, catalog: {folder,
mapping, releases, newest, usable_images, newest_usable} | null, hold: {reason, by, since} | null, problems: []}``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from seamstep.plan.settings import ApplySettings
from seamstep.policy.policy import Policy
from seamstep.run import hold, status
from seamstep.service.configuration import Configuration, hold_of
from seamstep.service.resolving import facts_of, resolved
from seamstep.show.text import printable

SCHEMA = "seamstep/service-show/v1"
KEYS = ("catalog", "policies", "updates", "hold", "max_hops", "tcb_info", "notification")


def shown(config: Configuration, root: str, folder: str, as_of: date) -> dict[str, Any]:
    """The document.

    Args:
        config: the configuration.
        root: the root folder of the machine that it is of.
        folder: the state folder, where a hold is kept.
        as_of: the day that decides what has expired.
    """
    found = resolved(config, root, as_of)
    settings = ApplySettings.from_document(found.policy.apply) if found.policy else ApplySettings()
    held = hold.read(folder) or hold_of(config)
    return {
        "schema": SCHEMA,
        "config": {"file": config.file, "present": config.document is not None},
        "values": {key: {"value": _value(config, key), "from": _origin(config, key)} for key in KEYS},
        "policy": _policy(found.policy) if found.policy else None,
        "window": status.window(settings.windows, time.time()),
        "catalog": facts_of(found.catalog) if found.catalog else None,
        "hold": held._asdict() if held else None,
        "problems": [one.to_document() for problems in found.problems.values() for one in problems],
    }


def _origin(config: Configuration, key: str) -> str:
    return "file" if config.says(key) else "default"


def _value(config: Configuration, key: str) -> Any:
    if key == "notification":
        return config.document.data.get(key) if config.document else None
    value = getattr(config, key)
    return list(value) if isinstance(value, tuple) else value


def _policy(policy: Policy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "target": policy.target.text,
        "path": policy.choice.value,
        "max_hops": policy.max_hops,
        "keep_updates": policy.keep_updates,
        "layers": [{"name": source.name, "file": source.file} for source in policy.sources],
        "windows": [dict(window) for window in policy.apply.get("windows", ())],
    }


def shown_text(document: Mapping[str, Any]) -> str:
    """The document as text."""
    return "\n".join(f"{label:<14} {printable(text)}" for label, text in _lines(document))


def _lines(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    config, values, policy = document["config"], document["values"], document["policy"]

    def said(key: str, text: str) -> str:
        return f"{text} ({'the default' if values[key]['from'] == 'default' else 'from the file'})"

    yield "configuration", config["file"] if config["present"] else f"{config['file']} is not there: all defaults"
    yield "catalog", said("catalog", values["catalog"]["value"])
    if document["catalog"]:
        yield "", _releases(document["catalog"])
    yield "policies", said("policies", ", ".join(values["policies"]["value"]))
    if policy:
        several = len(policy["layers"]) > 1
        yield "", f"policy {policy['name']}: target {policy['target']}, path {policy['path']}{_limits(policy)}"
        yield "windows", _windows(policy["windows"], several=several)
    if document["window"]:
        yield "", f"{'now' if document['window']['open'] else 'not now'}: {document['window']['reason']}"
    by = "this host's service" if values["updates"]["value"] == "service" else "a rollout; the service only looks"
    yield "updates", said("updates", f"begun by {by}")
    held = document["hold"]
    yield "hold", f"{held['reason']} (by {held['by'] or 'seamstep hold'})" if held else "none"
    hops = values["max_hops"]["value"]
    yield "max_hops", said("max_hops", str(hops) if hops else "no limit")
    yield "tcb_info", said("tcb_info", values["tcb_info"]["value"] or "none")
    yield "notification", said("notification", _notification(values["notification"]["value"]))
    for problem in document["problems"]:
        place = f"{problem['source']}:{problem['line']}:{problem['column']}" if problem["line"] else problem["source"]
        key = f"{problem['path']}: " if problem["path"] else ""
        yield "problem", f"{place}: {key}{problem['message']}"


def _releases(catalog: Mapping[str, Any]) -> str:
    if not catalog["releases"]:
        return "it lists no release"
    usable = f"{catalog['usable_images']} with an image that can be used"
    newest = f", the newest {catalog['newest_usable']}" if catalog["newest_usable"] else ""
    return f"{catalog['releases']} releases up to {catalog['newest']}, {usable}{newest}"


def _limits(policy: Mapping[str, Any]) -> str:
    hops = f", at most {policy['max_hops']} hops" if policy["max_hops"] else ""
    return hops + (f", {policy['keep_updates']} updates kept in reserve" if policy["keep_updates"] else "")


def _windows(windows: list[Mapping[str, Any]], *, several: bool) -> str:
    if not windows:
        return "none: updates may begin at any time"
    texts = (
        f"{', '.join(one.get('days', ['every day']))} {one['from']} to {one['to']} {one['timezone']}" for one in windows
    )
    return "; ".join(texts) + (" (of several policies, all of which have to be open)" if several else "")


def _notification(value: Mapping[str, Any] | None) -> str:
    if not value:
        return "none"
    how = f"starts {value['unit']}" if "unit" in value else f"runs {' '.join(value['command'])}"
    return f"{how} when a run ends {', '.join(value['on'])}"
