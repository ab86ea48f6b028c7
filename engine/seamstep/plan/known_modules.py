"""Modules whose MRSEAM is known: from images at hand, from the list of published ones, or named by the user.

A file of the user names modules that none of the other sources has, such as one that a BIOS brings. What it says of a
module that another source has is an error, even where they agree: two records of one fact would drift apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from seamstep.base import resources, yaml_text
from seamstep.base.documents import Document, read_bytes, read_json
from seamstep.base.errors import InputError, Problem, in_reading_order
from seamstep.base.validation import check
from seamstep.base.versions import ModuleVersion
from seamstep.domain.model import NO_IMAGE
from seamstep.image import published
from seamstep.plan import measurements
from seamstep.plan.measurements import Row

#: The fewest hex digits that stand for an MRSEAM: the four bytes that release notes give.
PREFIX_MIN = 8
_SIZE_LIMIT = 256 << 10
_MRSEAM = re.compile(rf"[0-9a-f]{{{PREFIX_MIN},96}}", re.ASCII)


class Origin(StrEnum):
    """The source of a known module; the value is its text for users."""

    IMAGE = "an image at hand"
    PLAN = "the plan"
    PUBLISHED = "the list of published modules"
    GIVEN = "the file of --also"


class Module(NamedTuple):
    """A known module.

    Attributes:
        version: its version.
        mrseam: its MRSEAM in lower-case hex.
        seamsvn: the raw field; None for modules of the published list.
        origin: the source.
    """

    version: ModuleVersion
    mrseam: str
    seamsvn: int | None
    origin: Origin


class Match(NamedTuple):
    """A release with an MRSEAM, and every source that says so."""

    version: ModuleVersion
    mrseam: str
    seamsvn: int | None
    origins: tuple[Origin, ...]


class Known:
    """The known modules. Of two sources that contradict each other, the earlier one is believed."""

    def __init__(self, modules: Iterable[Module]) -> None:
        """``modules``: in the order of belief."""
        self.modules = tuple(modules)
        self._by_mrseam: dict[str, Module] = {}
        self._by_version: dict[ModuleVersion, Module] = {}
        for module in self.modules:
            self._by_mrseam.setdefault(module.mrseam, module)
            self._by_version.setdefault(module.version, module)

    def with_mrseam(self, mrseam: str) -> Module | None:
        """The module with an MRSEAM."""
        return self._by_mrseam.get(mrseam)

    def of_version(self, version: ModuleVersion) -> Module | None:
        """The module of a version."""
        return self._by_version.get(version)

    def which(self, prefix: str) -> list[Match]:
        """The releases whose MRSEAM begins with ``prefix``, ascending."""
        found: dict[tuple[ModuleVersion, str], list[Module]] = {}
        for module in self.modules:
            if module.mrseam.startswith(prefix):
                found.setdefault((module.version, module.mrseam), []).append(module)
        return [
            Match(
                *key,
                next((one.seamsvn for one in same if one.seamsvn is not None), None),
                tuple(dict.fromkeys(one.origin for one in same)),
            )
            for key, same in sorted(found.items())
        ]


def mrseam_prefix(text: str) -> str:
    """An MRSEAM, or its beginning, in lower case. Raises ValueError for any other text."""
    prefix = text.strip().lower()
    if not _MRSEAM.fullmatch(prefix):
        raise ValueError(f"{text!r} is not an MRSEAM: expected its 96 hex digits, or at least the first {PREFIX_MIN}")
    return prefix


def of_rows(rows: Iterable[Row], origin: Origin) -> list[Module]:
    """The modules of measurements; those without an MRSEAM are left out."""
    found = (
        Module(ModuleVersion(row["version"]), row["mrseam"], row["seamsvn"], origin) for row in rows if row["mrseam"]
    )
    return list(dict.fromkeys(found))


def published_modules() -> list[Module]:
    """The modules of the published list."""
    return [
        Module(ModuleVersion(version), mrseam, None, Origin.PUBLISHED)
        for mrseam, version in published.versions().items()
    ]


def given(path: str | None, rows: Iterable[Row], origin: Origin = Origin.IMAGE) -> list[Module]:
    """The modules in the file of ``--also``, none without one; ``rows`` are measurements of that ``origin``. Raises
    InputError as :func:`load_given` does."""
    return load_given(path, [*of_rows(rows, origin), *published_modules()]) if path else []


def with_given(rows: Iterable[Row], modules: Sequence[Module]) -> list[Row]:
    """The rows of a catalog with those of modules that the user names, each in the place of a release without an
    image; ascending."""
    named = {str(module.version) for module in modules}
    kept = [row for row in rows if row["version"] not in named or row["signature"] != NO_IMAGE]
    added = [measurements.of_given(module.version, module.mrseam, module.seamsvn or 0) for module in modules]
    return sorted([*kept, *added], key=lambda row: ModuleVersion(row["version"]))


def with_published(rows: Iterable[Row]) -> tuple[list[Row], list[str]]:
    """The rows of a catalog, with the published MRSEAM where there is no image; and in words the releases whose MRSEAM
    is not known, which are left out."""
    by_version = {str(module.version): module.mrseam for module in published_modules()}
    filled = [row | {"mrseam": row["mrseam"] or by_version.get(row["version"])} for row in rows]
    left_out = [f"{row['version']}: {row['signature']}" for row in filled if not row["mrseam"]]
    return [row for row in filled if row["mrseam"]], left_out


def load_given(path: str, known: Sequence[Module]) -> list[Module]:
    """The modules in a file of the user, YAML or (with a name ending in .json) JSON.

    Args:
        path: the file.
        known: modules from other sources.

    Raises:
        InputError: the file is unreadable or invalid, or names a module twice or one that is ``known``; lists all
            problems.
    """
    document = _read(path)
    problems = check(document, "modules")
    if problems:
        raise InputError(problems)
    found: list[Module] = []
    for index, entry in enumerate(document.data["modules"]):
        place = ("modules", index)
        version = document.parsed((*place, "version"), ModuleVersion, problems)
        if version is None:
            continue
        module = Module(version, entry["mrseam"].lower(), entry["seamsvn"], Origin.GIVEN)
        problems += _contradictions(document, index, module, [*known, *found])
        found.append(module)
    if problems:
        raise InputError(in_reading_order(problems))
    return found


def _read(path: str) -> Document:
    if path.endswith(".json"):
        return read_json(path, _SIZE_LIMIT, "file of modules")
    document = yaml_text.read(read_bytes(path, _SIZE_LIMIT, "file of modules"), path)
    return document._replace(data=yaml_text.typed(document.data, resources.schema("modules")))


def _contradictions(document: Document, index: int, module: Module, others: Sequence[Module]) -> list[Problem]:
    """What speaks against a module of the user: the first other one with its version, and with its MRSEAM."""
    same_version = next((other for other in others if other.version == module.version), None)
    same_mrseam = next((other for other in others if other.mrseam == module.mrseam), None)
    place = ("modules", index)
    if same_version and same_version.mrseam == module.mrseam:
        source = "twice in this file" if same_version.origin is Origin.GIVEN else f"known from {same_version.origin}"
        return [document.problem((*place, "version"), f"{module.version} is {source}; take it out")]
    problems = []
    if same_version:
        message = f"{same_version.origin} has another MRSEAM for {module.version}: {same_version.mrseam}"
        problems.append(document.problem((*place, "mrseam"), message))
    if same_mrseam:
        message = f"{same_mrseam.origin} has this MRSEAM for {same_mrseam.version}, not for {module.version}"
        problems.append(document.problem((*place, "version"), message))
    return problems
