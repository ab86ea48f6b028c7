"""The policies and schemas that ship with seamstep."""

from __future__ import annotations

import json
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any


def folder(kind: str) -> Traversable:
    """The folder ``policies`` or ``schemas``: inside the installed package, else that of the checkout."""
    packaged = resources.files("seamstep") / kind
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / kind


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of the documents of a kind: ``mapping``, ``facts``, ``policy``, ``scenario`` or ``plan``."""
    document: dict[str, Any] = json.loads((folder("schemas") / f"{kind}.schema.json").read_text("utf-8"))
    return document


def asset(name: str) -> str:
    """A style sheet or a script of the pages that seamstep writes."""
    return (resources.files("seamstep") / "drawing" / "assets" / name).read_text("utf-8")


def demo_mapping() -> str:
    """The path of the mapping file that ships for the demonstration: Intel's, as it was published."""
    return str(resources.files("seamstep") / "demo" / "mapping_file.json")


def policies() -> dict[str, Traversable]:
    """The shipped policies' files by policy name, sorted."""
    files = {
        file.name.removesuffix(".yaml"): file for file in folder("policies").iterdir() if file.name.endswith(".yaml")
    }
    return dict(sorted(files.items()))
