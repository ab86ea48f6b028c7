"""The releases and what each asks of the module before it, by the rules that judge such steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from seamstep.analysis.lint.findings import Code, Finding, Severity
from seamstep.analysis.lint.source import Entry
from seamstep.analysis.lint.subject import Subject
from seamstep.base.versions import ModuleVersion
from seamstep.domain.mapping import MINIMUM_MODULE, MINIMUM_SEAMLDRS, RELEASES, VERSION
from seamstep.domain.model import Release

DUPLICATE_RELEASE = Code(
    "duplicate-release",
    Severity.ERROR,
    "A release is listed twice.",
    "Nobody can tell which of the two entries is meant, so the file is refused. 1.5.6 and 1.5.06 are one version.",
    "Keep the entry that is right.",
)
OUT_OF_ORDER = Code(
    "release-out-of-order",
    Severity.WARNING,
    "A release stands after a newer one of its series, or all of them are listed newest first.",
    "seamstep sorts by itself; people who read the file or its diffs, and readers that take the last entry for the"
    " newest, are led astray.",
    "Move the release to its place, in ascending order; turn a list round that is in descending order.",
)
MINIMUM_NEWER = Code(
    "minimum-newer",
    Severity.ERROR,
    "The minimum module is newer than the release itself.",
    "No module that is older than the release satisfies it, so nothing could ever be updated to the release.",
    "Correct min_module_version_for_td_preserving: the oldest module from which the update works.",
)
MINIMUM_OTHER_SERIES = Code(
    "minimum-other-series",
    Severity.ERROR,
    "The minimum module is of another series than the release.",
    "Updates stay inside a series. A minimum of an older series lets every module of the release's own series through.",
    "Name a release of the same series.",
)
MINIMUM_UNKNOWN = Code(
    "minimum-unknown",
    Severity.WARNING,
    "The minimum module is not in the file.",
    "It may be misspelt, and then the wrong modules are let through or kept out.",
    "Correct the version, or add the release that it names.",
)
SEAMLDR_TWICE = Code(
    "seamldr-twice",
    Severity.WARNING,
    "Two minimum P-SEAMLDR versions have the same major.minor.",
    "The lower of the two decides, whichever was meant: the stricter one has no effect.",
    "Keep one for each major.minor.",
)
SEAMLDR_NONE = Code(
    "seamldr-none",
    Severity.ERROR,
    "A release lists no P-SEAMLDR that can load it.",
    "No host can ever be updated to the release.",
    "List for each major.minor of P-SEAMLDR the oldest version that can load the release.",
)

CODES = (
    DUPLICATE_RELEASE,
    OUT_OF_ORDER,
    MINIMUM_NEWER,
    MINIMUM_OTHER_SERIES,
    MINIMUM_UNKNOWN,
    SEAMLDR_TWICE,
    SEAMLDR_NONE,
)


def check(subject: Subject) -> Iterator[Finding]:
    """What is wrong with the list of releases, and with each by itself."""
    yield from _duplicates(subject)
    yield from _order(subject)
    for release in subject.releases:
        yield from _minimum(subject, release)
        yield from _seamldrs(subject, release)


def _duplicates(subject: Subject) -> Iterator[Finding]:
    for entry in subject.source.entries:
        if entry.release and subject.entries[entry.release.version] is not entry:
            first = subject.source.places.offset(subject.path(entry.release))
            line, _ = subject.source.places.line_and_column(first)
            path = (RELEASES, entry.position, VERSION)
            message = f"{entry.release.version} stands here again, after line {line}"
            yield subject.source.finding(DUPLICATE_RELEASE, path, message, entry.release)


def _order(subject: Subject) -> Iterator[Finding]:
    """One finding for each release after a newer one. Only one for a series in descending order, and only one for the
    file if all its series are."""
    listed: dict[str, list[tuple[ModuleVersion, Entry]]] = {}
    for entry in subject.source.entries:
        if entry.release:
            listed.setdefault(entry.release.version.series, []).append((entry.release.version, entry))
    several = {series: entries for series, entries in listed.items() if len(entries) > 1}
    descending = {series for series, entries in several.items() if all(one > two for one, two in _pairs(entries))}
    if len(several) > 1 and descending == set(several):
        path = (RELEASES, next(entries[1][1].position for entries in several.values()), VERSION)
        message = "all releases are listed in descending order, the newest first"
        yield subject.source.finding(OUT_OF_ORDER, path, message, series=sorted(several))
        return
    for series, entries in several.items():
        if series in descending and len(entries) > 2:
            path = (RELEASES, entries[1][1].position, VERSION)
            message = f"series {series} is listed in descending order, from {entries[0][0]} to {entries[-1][0]}"
            yield subject.source.finding(OUT_OF_ORDER, path, message, series=[series])
        else:
            yield from _late(subject, entries)


def _pairs(entries: Sequence[tuple[ModuleVersion, Entry]]) -> Iterator[tuple[ModuleVersion, ModuleVersion]]:
    return pairwise(version for version, _ in entries)


def _late(subject: Subject, entries: Sequence[tuple[ModuleVersion, Entry]]) -> Iterator[Finding]:
    newest, _ = entries[0]
    for version, entry in entries:
        if version < newest:
            path = (RELEASES, entry.position, VERSION)
            yield subject.source.finding(OUT_OF_ORDER, path, f"{version} stands after {newest}", entry.release)
        newest = max(version, newest)


def _minimum(subject: Subject, release: Release) -> Iterator[Finding]:
    minimum = release.minimum_module
    if minimum is None:
        return
    code = message = None
    if subject.refuses("same-series", Release(minimum), release):
        code, message = MINIMUM_OTHER_SERIES, f"the minimum module {minimum} is not of the series of {release.version}"
    elif subject.refuses("minimum-module", release, release):
        code, message = MINIMUM_NEWER, f"the minimum module {minimum} is newer than {release.version}"
    elif minimum not in subject.entries:
        code, message = MINIMUM_UNKNOWN, f"the minimum module {minimum} is not listed in this file"
    if code and message:
        path = subject.path(release, MINIMUM_MODULE)
        yield subject.source.finding(code, path, message, release, minimum=str(minimum))


def _seamldrs(subject: Subject, release: Release) -> Iterator[Finding]:
    path = subject.path(release, MINIMUM_SEAMLDRS)
    if subject.source.entry(path).get(MINIMUM_SEAMLDRS) == []:
        yield subject.source.finding(SEAMLDR_NONE, path, f"no P-SEAMLDR can load {release.version}", release)
    for series, count in Counter(minimum.series for minimum in release.minimum_seamldrs).items():
        if count > 1:
            alike = sorted(minimum for minimum in release.minimum_seamldrs if minimum.series == series)
            message = f"{' and '.join(map(str, alike))} are both of {series}; {alike[0]} decides"
            yield subject.source.finding(SEAMLDR_TWICE, path, message, release, series=series)
