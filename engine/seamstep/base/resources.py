"""The policies and schemas that ship with seamstep."""

from __future__ import annotations

import json
import os
from typing import Any

#: The package's own folder. It is one: what seamstep depends on can't be imported from an archive.
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def folder(kind: str) -> str:
    """The folder ``policies`` or ``schemas``: inside the installed package, else that of the checkout."""
    packaged = os.path.join(PACKAGE, kind)
    return packaged if os.path.isdir(packaged) else os.path.join(os.path.dirname(os.path.dirname(PACKAGE)), kind)


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of the documents of a kind: ``mapping``, ``facts``, ``policy``, ``scenario`` or ``plan``."""
    document: dict[str, Any] = json.loads(_text(folder("schemas"), f"{kind}.schema.json"))
    if kind == "plan":  # holds a facts document; the two files together are its description
        facts = schema("facts")
        document["properties"]["host"] = {key: facts[key] for key in facts if key not in {"$schema", "$id"}}
    return document


def asset(name: str) -> str:
    """A style sheet or a script of the pages that seamstep writes."""
    return _text(PACKAGE, "show", "drawing", "assets", name)


def demo_mapping() -> str:
    """The path of the mapping file that ships for the demonstration: Intel's, as it was published."""
    return os.path.join(PACKAGE, "demo", "mapping_file.json")


def policies() -> dict[str, str]:
    """The shipped policies' files by policy name, sorted."""
    suffix, inside = ".yaml", folder("policies")
    names = sorted(name.removesuffix(suffix) for name in os.listdir(inside) if name.endswith(suffix))
    return {name: os.path.join(inside, name + suffix) for name in names}


def _text(*path: str) -> str:
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()
