"""Lint one mapping file, alone or with images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from seamstep import catalog
from seamstep.catalog import MAPPING_FILE
from seamstep.errors import InputError, Problem
from seamstep.image.files import TRUSTED
from seamstep.lint import check_compat, check_features, check_images, check_reach, check_releases, check_text, settings
from seamstep.lint.findings import Code, Finding
from seamstep.lint.source import Source
from seamstep.lint.subject import Subject

#: Every code by its name.
CODES: dict[str, Code] = {
    code.name: code
    for module in (check_text, check_releases, check_compat, check_features, check_reach, check_images, settings)
    for code in module.CODES
}
FINDINGS_MAX = 10_000
_FILES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Target:
    """A mapping file, and the folder of its images, if it has any."""

    mapping: str
    images: str | None = None


def targets(path: str, images: str | None = None) -> list[Target]:
    """What a path names. A folder with a mapping file is a catalog laid out as Intel's repository; any other folder
    stands for all the catalogs below it.

    Raises:
        InputError: there is no mapping file below the folder, or ``images`` is given for several.
    """
    folder = Path(path)
    if not folder.is_dir():
        return [Target(path, images)]
    if (folder / MAPPING_FILE).exists():
        return [Target(str(folder / MAPPING_FILE), images or _images(path))]
    found = sorted(islice(folder.rglob(MAPPING_FILE), _FILES_MAX))
    if not found:
        raise InputError(Problem(path, f"there is no {MAPPING_FILE} in this folder or below it"))
    if images and len(found) > 1:
        raise InputError(Problem("--images", f"there are {len(found)} mapping files below {path}; name one"))
    return [Target(str(file), images or _images(str(file.parent))) for file in found]


def _images(folder: str) -> str | None:
    """The folder, if there are any images below it: a mirror of mapping files alone lacks none."""
    return folder if catalog.find(folder)[0] else None


def lint(target: Target, trusted: frozenset[str] = TRUSTED) -> list[Finding]:
    """All findings, or the first 10,000, in the order of the file; those on images come last.

    Raises:
        InputError: a file can't be read at all.
    """
    found = islice(_findings(Source(target.mapping), target.images, trusted), FINDINGS_MAX)
    return sorted(dict.fromkeys(found), key=_reading_order)


def _reading_order(finding: Finding) -> tuple[bool, str, int, int, str, str]:
    return (
        finding.line is None,
        finding.source,
        finding.line or 0,
        finding.column or 0,
        finding.code.name,
        finding.message,
    )


def _findings(source: Source, images: str | None, trusted: frozenset[str]) -> Iterator[Finding]:
    yield from check_text.check(source)
    subject = Subject(source)
    if not subject.releases:
        return
    for check in (check_releases.check, check_compat.check, check_features.check, check_reach.check):
        yield from check(subject)
    if images:
        yield from check_images.check(subject, images, trusted)
