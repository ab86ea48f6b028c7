"""The policies and schemas that ship with seamstep."""

from __future__ import annotations

import json
import os
from typing import Any

#: The package's own folder. It is never inside an archive, from which seamstep's dependencies could not be imported.
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def folder(kind: str) -> str:
    """The path of the folder ``policies`` or ``schemas``: in the installed package, else in the checkout."""
    packaged = os.path.join(PACKAGE, kind)
    return packaged if os.path.isdir(packaged) else os.path.join(os.path.dirname(os.path.dirname(PACKAGE)), kind)


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of the documents of a kind: ``mapping``, ``facts``, ``policy``, ``scenario``, ``plan``, ``lint``,
    ``measurements``, ``modules``, ``tcb-info``, ``fleet``, ``rollout``, ``report``, ``hold`` or ``config``."""
    document: dict[str, Any] = json.loads(_text(folder("schemas"), f"{kind}.schema.json"))
    if kind == "plan":  # a plan holds a facts document, whose schema has a file of its own
        document["properties"]["host"] = _inner("facts")
    if kind == "fleet":  # and a fleet holds plans
        plan = _inner("plan")
        document["$defs"] = plan.pop("$defs")
        document["properties"]["classes"]["items"]["properties"]["plan"] = {**plan, "type": ["object", "null"]}
    return document


def _inner(kind: str) -> dict[str, Any]:
    return {key: value for key, value in schema(kind).items() if key not in {"$schema", "$id"}}


def asset(name: str) -> str:
    """The text of a style sheet or script for the pages that seamstep writes."""
    return _text(PACKAGE, "show", "drawing", "assets", name)


def demo_mapping() -> str:
    """The path of the mapping file for the demonstration: an unchanged copy of one that Intel published."""
    return os.path.join(PACKAGE, "demo", "mapping_file.json")


def policies() -> dict[str, str]:
    """The paths of the shipped policies by policy name, sorted."""
    suffix, inside = ".yaml", folder("policies")
    names = sorted(name.removesuffix(suffix) for name in os.listdir(inside) if name.endswith(suffix))
    return {name: os.path.join(inside, name + suffix) for name in names}


def _text(*path: str) -> str:
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()
