"""``strict_compat_versions``: the older releases from which an update is safe even while a TD is being built. That is
our reading; Intel does not document the field."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence

from seamstep.analysis.lint.findings import Code, Finding, Severity
from seamstep.analysis.lint.subject import Subject
from seamstep.base.errors import KeyPath
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import HostFacts
from seamstep.domain.mapping import STRICT_COMPAT
from seamstep.domain.model import LADDER_MAX, Release

_EFFECT = "The entry has no effect, and the one that was meant is missing."
UNKNOWN = Code(
    "strict-compat-unknown",
    Severity.WARNING,
    "strict_compat_versions names a release that is not in the file.",
    f"It may be misspelt. {_EFFECT}",
    "Correct the version, add the release, or remove the entry.",
)
NOT_OLDER = Code(
    "strict-compat-not-older",
    Severity.ERROR,
    "strict_compat_versions names the release itself or a newer one.",
    f"There are no updates from a release to itself or to an older one. {_EFFECT}",
    "Remove the entry, or name the older release that was meant.",
)
OTHER_SERIES = Code(
    "strict-compat-other-series",
    Severity.ERROR,
    "strict_compat_versions names a release of another series.",
    f"Updates stay inside a series. {_EFFECT}",
    "Remove the entry, or name the release of the same series that was meant.",
)
TWICE = Code(
    "strict-compat-twice",
    Severity.WARNING,
    "strict_compat_versions names a release twice.",
    "One of the two may have been meant to be another release, which then is missing.",
    "Remove one, or correct it.",
)
REFUSED = Code(
    "strict-compat-refused",
    Severity.WARNING,
    "strict_compat_versions names a release from which the rest of the file forbids the update.",
    "The file contradicts itself: either the update is not safe at all, or a constraint is too strict.",
    "Remove the entry, or correct the constraint that the message names.",
)
DROPPED = Code(
    "strict-compat-dropped",
    Severity.WARNING,
    "A release that an earlier release accepts in strict_compat_versions is not accepted by a later one.",
    "Either compatibility was really lost, or the entry was forgotten. A policy that requires strict compatibility"
    " can't go from there to the later release in one step.",
    "See whether the entry was forgotten; if not, suppress the finding with the reason.",
)

CODES = (UNKNOWN, NOT_OLDER, OTHER_SERIES, TWICE, REFUSED, DROPPED)


def check(subject: Subject) -> Iterator[Finding]:
    """What is wrong with what the releases list, each by itself and from one to the next."""
    for release in subject.releases:
        yield from _entries(subject, release)
    for ladder in subject.ladders.values():
        if len(ladder) <= LADDER_MAX:  # of a longer one check_reach says that it is not examined
            yield from _dropped(subject, ladder)


def steps(subject: Subject, release: Release) -> Iterator[Release]:
    """The listed releases from which there really is a step to this one."""
    faults = _faults(subject, release)
    for version in dict.fromkeys(release.strict_compat or ()):
        source = subject.release(version)
        if source and version not in faults:
            yield source


def _entries(subject: Subject, release: Release) -> Iterator[Finding]:
    counts = Counter(release.strict_compat or ())
    faults = _faults(subject, release)
    twice = [version for version, count in counts.items() if count > 1]
    if not faults and not twice:
        return
    places = _places(subject, release)
    for version in twice:
        message = f"{version} stands {counts[version]} times in the list"
        yield subject.source.finding(TWICE, places[version], message, release, entry=str(version))
    for version, (code, message) in faults.items():
        yield subject.source.finding(code, places[version], message, release, entry=str(version))


def _places(subject: Subject, release: Release) -> dict[ModuleVersion, KeyPath]:
    """Where in the list of a release each version stands, last."""
    path = subject.path(release, STRICT_COMPAT)
    places: dict[ModuleVersion, KeyPath] = {}
    for index, text in enumerate(subject.source.entry(path)[STRICT_COMPAT]):
        with contextlib.suppress(ValueError, TypeError):  # what is no version has been told of
            places[ModuleVersion(text)] = (*path, index)
    return places


def _faults(subject: Subject, release: Release) -> dict[ModuleVersion, tuple[Code, str]]:
    """What is wrong with the entries of a release; found out once."""
    found = subject.strict_compat_faults.get(release.version)
    if found is None:
        listed = dict.fromkeys(release.strict_compat or ())
        found = {version: fault for version in listed if (fault := _fault(subject, version, release))}
        subject.strict_compat_faults[release.version] = found
    return found


def _fault(subject: Subject, version: ModuleVersion, release: Release) -> tuple[Code, str] | None:
    source = subject.release(version) or Release(version)
    if subject.refuses("same-series", source, release):
        return OTHER_SERIES, f"{version} is of another series than {release.version}"
    if subject.refuses("forward-only", source, release):
        return NOT_OLDER, f"{version} is not older than {release.version}"
    if version not in subject.entries:
        return UNKNOWN, f"{version} is not listed in this file"
    refusal = subject.refuses("minimum-module", source, release)
    if refusal:
        return REFUSED, f"the update from {version} is refused all the same: {refusal.reason}"
    return None


#: A host on which a TD may be in the making.
_WITH_TDS = HostFacts(running_tds=1)


def _dropped(subject: Subject, ladder: Sequence[Release]) -> Iterator[Finding]:
    accepted: dict[ModuleVersion, tuple[Release, Release]] = {}  # the source, and the last release that accepts it
    for release in ladder:
        if release.strict_compat is None:
            continue
        dropped = [pair for pair in accepted.values() if subject.refuses("td-build", pair[0], release, _WITH_TDS)]
        for source, _ in dropped:
            del accepted[source.version]
        if dropped:
            names = ", ".join(f"{source.version} (accepted by {by.version})" for source, by in dropped)
            path = subject.path(release, STRICT_COMPAT)
            message = f"{release.version} no longer lists {names}"
            versions = [str(source.version) for source, _ in dropped]
            yield subject.source.finding(DROPPED, path, message, release, dropped=versions)
        accepted |= {source.version: (source, release) for source in steps(subject, release)}
