"""Lint one mapping file, alone or with images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from seamstep.analysis.lint import check_compat, check_features, check_reach, check_releases, check_text
from seamstep.analysis.lint.findings import Code, Finding
from seamstep.analysis.lint.source import Source
from seamstep.analysis.lint.subject import Subject
from seamstep.base.errors import InputError, Problem
from seamstep.domain.model import INTEL_SIGNER
from seamstep.domain.tcb import TcbView

#: How many findings of one code are told of a file. By code, so that none of them hides another.
FINDINGS_MAX = 1_000
_EXAMINED_MAX = 100_000
_FILES_MAX = 10_000


class Target(NamedTuple):
    """A mapping file, the folder of its images, if it has any, and whether the mapping file was ``found`` in a folder
    rather than named by the user."""

    mapping: str
    images: str | None = None
    found: bool = False


def targets(path: str, images: str | None = None) -> list[Target]:
    """What a path names. A folder with a mapping file is a catalog laid out as Intel's repository; any other folder
    stands for all the catalogs below it.

    Raises:
        InputError: there is no mapping file below the folder, or ``images`` is given for several.
    """
    folder = Path(path)
    if not folder.is_dir():
        return [Target(path, images)]
    from seamstep.image.catalog import MAPPING_FILE

    if (folder / MAPPING_FILE).exists():
        return [Target(str(folder / MAPPING_FILE), images or _images(path), found=True)]
    found = sorted(islice(folder.rglob(MAPPING_FILE), _FILES_MAX + 1))
    if len(found) > _FILES_MAX:
        raise InputError(Problem(path, f"more than {_FILES_MAX} mapping files below it; name some of its folders"))
    if not found:
        raise InputError(Problem(path, f"there is no {MAPPING_FILE} in this folder or below it"))
    if images and len(found) > 1:
        raise InputError(Problem("--images", f"there are {len(found)} mapping files below {path}; name one"))
    return [Target(str(file), images or _images(str(file.parent)), found=True) for file in found]


def _images(folder: str) -> str | None:
    """The folder, if there are any images below it: a mirror of mapping files alone lacks none."""
    from seamstep.image import catalog

    return folder if catalog.find(folder)[0] else None


def lint(
    target: Target, trusted: frozenset[str] = frozenset({INTEL_SIGNER}), tcb: TcbView | None = None
) -> list[Finding]:
    """All findings in the order of the file, those on images last. Of a code with more than 1,000 findings the rest is
    told as one, which counts them in its evidence (``untold``): it is another when there is one more mistake.

    Raises:
        InputError: a file can't be read at all, or has more findings than can be looked at.
    """
    found: dict[Finding, None] = {}
    counts: Counter[Code] = Counter()
    for examined, finding in enumerate(_findings(target, trusted, tcb)):
        if examined == _EXAMINED_MAX:
            message = f"more than {_EXAMINED_MAX} findings; this can't be meant to be a mapping file"
            raise InputError(Problem(target.mapping, message))
        if finding not in found:
            counts[finding.code] += 1
            if counts[finding.code] <= FINDINGS_MAX:
                found[finding] = None
    for code, count in counts.items():
        if count > FINDINGS_MAX:
            untold = count - FINDINGS_MAX
            message = f"{untold} more findings of this code than are told"
            found[Finding(code, message, target.mapping, line=1, column=1, evidence={"untold": untold})] = None
    return sorted(found, key=_reading_order)


def incomplete(findings: Iterable[Finding]) -> bool:
    """Whether these are not all findings, but the first."""
    return any("untold" in finding.evidence for finding in findings)


def _reading_order(finding: Finding) -> tuple[bool, str, int, int, str, str]:
    return (
        finding.line is None,
        finding.source,
        finding.line or 0,
        finding.column or 0,
        finding.code.name,
        finding.message,
    )


def _findings(target: Target, trusted: frozenset[str], tcb: TcbView | None) -> Iterator[Finding]:
    source = Source(target.mapping, found=target.found)
    yield from check_text.check(source)
    subject = Subject(source)
    if not subject.releases:
        return
    for check in (check_releases.check, check_compat.check, check_features.check, check_reach.check):
        yield from check(subject)
    if target.images:
        from seamstep.analysis.lint import check_images

        yield from check_images.check(subject, target.images, trusted, tcb)
