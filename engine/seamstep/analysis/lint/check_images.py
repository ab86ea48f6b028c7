"""The images of a catalog: each by itself, against the mapping file, and against the one before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from seamstep.analysis.environments import judged
from seamstep.analysis.lint import check_reach, check_tcb
from seamstep.analysis.lint.findings import Code, Finding, Severity
from seamstep.analysis.lint.subject import Subject, TooManyQuestionsError
from seamstep.base import cpus
from seamstep.base.errors import InputError
from seamstep.domain.facts import HostFacts
from seamstep.domain.mapping import VERSION
from seamstep.domain.model import Release
from seamstep.domain.tcb import TcbView
from seamstep.image import catalog, files, verify
from seamstep.image.catalog import Kind

_NOT_USED = "seamstep does not use such an image, so no plan leads to its release."
_FETCH = "Fetch the image again from where it was published, and compare digests."
#: One code for each check of ``image verify``, by the check's name.
VERIFY = {
    name: Code(
        f"image-{name}",
        Severity.ERROR,
        f"An image fails the check '{name}': {meaning}.",
        f"The kernel looks at little more than the header before it shuts the running module down. {_NOT_USED}",
        _FETCH if name != "signer" else "If the signer is yours, give --signer SHA256; else don't use the image.",
    )
    for name, meaning in verify.CHECKS.items()
}
UNREADABLE = Code(
    "image-unreadable",
    Severity.ERROR,
    "An image can't be read.",
    _NOT_USED,
    "See what the message says of the file: its permissions, its size, or a missing .bin or .sigstruct beside it.",
)
KINDS = {
    kind: Code(kind.value, severity, summary, why, fix)
    for kind, severity, summary, why, fix in (
        (
            Kind.PASSED_OVER,
            Severity.NOTE,
            "A folder below the catalog was not looked into.",
            "Images in it are not found by seamstep, and were not linted.",
            "Put the folder itself in the place of a symbolic link, or make it readable.",
        ),
        (
            Kind.MISNAMED,
            Severity.WARNING,
            "The name of an image tells no release.",
            "Nothing inside an image names its version, so the file belongs to no release and is not used.",
            "Name it tdx_module_<version>.blob, or .bin and .sigstruct.",
        ),
        (
            Kind.WITHOUT_RELEASE,
            Severity.WARNING,
            "An image is of a release that the mapping file lacks.",
            "Without an entry nobody knows what the release asks of a host; the image is not used.",
            "Add the release to the mapping file, or correct the name of the image.",
        ),
        (
            Kind.MISSING,
            Severity.WARNING,
            "A release has no image.",
            "No plan that can be applied leads to the release, or from it: what CPUs it is for, and what it hands"
            " over, stands in its image.",
            "Add the image, or remove the release.",
        ),
        (
            Kind.TWICE,
            Severity.NOTE,
            "A release has two images in the same form.",
            "They say the same now; the next change to one of them will make them differ.",
            "Keep one. A joined image beside separate files is as published, and not reported.",
        ),
        (
            Kind.DIFFER,
            Severity.ERROR,
            "Two images of one release differ.",
            "Nobody can tell which module would be installed, so neither image is used.",
            "Keep the one whose MRSEAM is the published one; `seamstep image inspect` prints it.",
        ),
        (
            Kind.IMPOSTOR,
            Severity.ERROR,
            "An image is, by its MRSEAM, of another release than its name says.",
            "Another module than planned would be installed. The image is not used.",
            "Give the file its right name.",
        ),
        (
            Kind.SHARED,
            Severity.ERROR,
            "Two releases have one MRSEAM.",
            "Two releases can't be the same module: one of the files has the wrong name, and neither is used.",
            _FETCH,
        ),
    )
}
MISPLACED = Code(
    "image-misplaced",
    Severity.WARNING,
    "An image lies in a folder of another series or version.",
    "seamstep goes by the file's name, other tools by the folder: they would install another release.",
    "Move the image to the folder of its series, such as joined_files/1.5.",
)
SVN_DOWN = Code(
    "svn-goes-down",
    Severity.ERROR,
    "The SVN of a release is lower than that of the release before it in its series.",
    "P-SEAMLDR refuses the image of a lower SVN after the old module was shut down; seamstep refuses the step.",
    "See whether the two images are what their names say; if so, deny the release in policies.",
)
DEBUG = Code(
    "debug-module",
    Severity.ERROR,
    "An image is a debug module.",
    "P-SEAMLDR refuses it where the platform is not debug-unlocked, after the old module was shut down.",
    "Replace it by the production image.",
)
CPUS_SHRINK = Code(
    "cpu-table-shrinks",
    Severity.WARNING,
    "An image is not for a CPU that the image before it in its series is for.",
    "Hosts with that CPU can't go to the release.",
    "Nothing, if it is meant (twins for different platforms); then suppress the finding with the reason.",
)
HANDOFF = Code(
    "handoff-forbids-step",
    Severity.WARNING,
    "The handoff versions of two images forbid a step which the mapping file allows.",
    "Readers that go by the mapping file alone try the step; it fails after the old module was shut down, and every TD"
    " is lost. seamstep refuses it.",
    "Raise min_module_version_for_td_preserving of the newer release above the older one.",
)
SVN_MAJOR = Code(
    "svn-major-forbids-step",
    Severity.WARNING,
    "The SVN majors of two images forbid a step which the mapping file allows.",
    "P-SEAMLDR refuses an image whose SVN major differs from the running module's, after that was shut down.",
    "Raise min_module_version_for_td_preserving of the newer release above the older one.",
)

CODES = (
    *VERIFY.values(),
    UNREADABLE,
    *KINDS.values(),
    MISPLACED,
    SVN_DOWN,
    DEBUG,
    CPUS_SHRINK,
    HANDOFF,
    SVN_MAJOR,
)
_VERSION_FOLDER = re.compile(r"[0-9]+\.[0-9]+(\.[0-9]+)?", re.ASCII)
_STEP_RULES = {"handoff": HANDOFF, "svn": SVN_MAJOR}


class _WithImages(NamedTuple):
    """The releases of a subject with their images."""

    subject: Subject
    releases: tuple[Release, ...]

    def finding(self, code: Code, release: Release, message: str, **evidence: object) -> Finding:
        """A finding on a release, at its version in the mapping file."""
        return self.subject.source.finding(code, self.subject.path(release, VERSION), message, release, **evidence)

    def ladders(self) -> Iterator[tuple[str, Sequence[Release]]]:
        """The releases with a usable image, by series."""
        usable = {release.version: release for release in self.releases if release.usable_image()}
        for series, ladder in self.subject.ladders.items():
            yield series, [usable[release.version] for release in ladder if release.version in usable]


def check(subject: Subject, folder: str, trusted: frozenset[str], tcb: TcbView | None = None) -> Iterator[Finding]:
    """What is wrong with the images below ``folder``, named as the folder is, and what TCB Info says against them.
    Raises InputError if the folder can't be read."""
    absolute = Path(folder).absolute()
    for finding in _found(subject, folder, trusted, tcb):
        path = Path(finding.source)
        inside = finding.line is None and path.is_absolute() and path.is_relative_to(absolute)
        yield finding._replace(source=str(Path(folder) / path.relative_to(absolute))) if inside else finding


def _found(subject: Subject, folder: str, trusted: frozenset[str], tcb: TcbView | None) -> Iterator[Finding]:
    for path in catalog.find(folder)[0]:
        yield from _verified(path, trusted)
        yield from _place(path, folder)
    found = catalog.with_images(subject.releases, subject.source.path, folder, trusted)
    for kind, problem, version in found.findings:
        release = version and subject.release(version)
        if kind is Kind.MISSING and release:
            yield subject.source.finding(KINDS[kind], subject.path(release, VERSION), problem.message, release)
        else:
            release_text = str(version) if version else None
            yield Finding(KINDS[kind], problem.message, problem.source, release=release_text)
    pictured = _WithImages(subject, found.releases)
    for release in pictured.releases:
        verdict = subject.refuses("debug-module", release, release)
        if verdict:
            yield pictured.finding(DEBUG, release, verdict.reason)
    for series, ladder in pictured.ladders():
        for before, release in pairwise(ladder):
            yield from _between(pictured, before, release)
        try:
            subject.spend(series, 0, asked=len(_STEP_RULES) * judged(len(ladder)))
            yield from _forbidden(pictured, ladder)
        except TooManyQuestionsError as error:
            yield check_reach.not_examined(subject, error)
    if tcb:
        yield from check_tcb.check(subject, [ladder for _, ladder in pictured.ladders()], tcb)


def _verified(path: str, trusted: frozenset[str]) -> Iterator[Finding]:
    version = catalog.version_of(path)
    release = str(version) if version else None
    try:
        checks, _ = files.examine(path, trusted)
    except InputError as error:
        for problem in error.problems:
            yield Finding(UNREADABLE, problem.message, problem.source, release=release)
        return
    for one in checks:
        if one.ok is False:
            yield Finding(VERIFY[one.name], one.message, path, release=release)


def _place(path: str, folder: str) -> Iterator[Finding]:
    version = catalog.version_of(path)
    for part in Path(path).relative_to(Path(folder).absolute()).parent.parts if version else ():
        if _VERSION_FOLDER.fullmatch(part) and not _fits(part, str(version)):
            yield Finding(MISPLACED, f"the image of {version} lies in the folder {part}", path, release=str(version))


def _fits(folder: str, version: str) -> bool:
    numbers = [int(number) for number in folder.split(".")]
    return [int(number) for number in version.split(".")][: len(numbers)] == numbers


def _between(pictured: _WithImages, before: Release, release: Release) -> Iterator[Finding]:
    """What gets less from a release to the next."""
    subject = pictured.subject
    lower = subject.refuses("svn", before, release)
    if lower and _svn_major(before) == _svn_major(release):
        yield pictured.finding(SVN_DOWN, release, f"from {before.version} to {release.version} {lower.reason}")
    table = before.image.sigstruct.cpuid if before.image else ()
    dropped = [
        cpus.describe(signature)
        for signature in table
        if subject.refuses("cpu-supported", before, release, HostFacts(cpu_signatures=(signature,)))
    ]
    if dropped:
        message = f"{release.version} is not for {', '.join(dropped)}, which {before.version} is for"
        yield pictured.finding(CPUS_SHRINK, release, message, dropped=dropped)


def _svn_major(release: Release) -> int | None:
    return release.image.sigstruct.svn_major if release.image else None


def _forbidden(pictured: _WithImages, ladder: Sequence[Release]) -> Iterator[Finding]:
    """Steps that images forbid and the mapping file allows, those to one release together."""
    subject = pictured.subject
    for rank, target in enumerate(ladder):
        for rule, code in _STEP_RULES.items():
            sources = [source for source in ladder[:rank] if rule != "svn" or _svn_major(source) != _svn_major(target)]
            refused = [source for source in sources if subject.refuses(rule, source, target)]
            allowed = [source for source in refused if subject.possible(source, target)]
            if allowed:
                names = [str(source.version) for source in allowed]
                reason = subject.verdict(rule, allowed[-1], target).reason
                message = f"no step from {', '.join(names)} to {target.version}: {reason}"
                yield pictured.finding(code, target, message, sources=names)
