"""The policies and schemas that ship with seamstep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: The package's own folder. It is one: what seamstep depends on can't be imported from an archive.
PACKAGE = Path(__file__).parent


def folder(kind: str) -> Path:
    """The folder ``policies`` or ``schemas``: inside the installed package, else that of the checkout."""
    packaged = PACKAGE / kind
    return packaged if packaged.is_dir() else PACKAGE.parents[1] / kind


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of the documents of a kind: ``mapping``, ``facts``, ``policy``, ``scenario`` or ``plan``."""
    document: dict[str, Any] = json.loads((folder("schemas") / f"{kind}.schema.json").read_text("utf-8"))
    return document


def asset(name: str) -> str:
    """A style sheet or a script of the pages that seamstep writes."""
    return (PACKAGE / "drawing" / "assets" / name).read_text("utf-8")


def demo_mapping() -> str:
    """The path of the mapping file that ships for the demonstration: Intel's, as it was published."""
    return str(PACKAGE / "demo" / "mapping_file.json")


def policies() -> dict[str, Path]:
    """The shipped policies' files by policy name, sorted."""
    return dict(sorted((file.stem, file) for file in folder("policies").glob("*.yaml")))
