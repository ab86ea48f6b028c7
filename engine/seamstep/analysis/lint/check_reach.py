"""The graph that a file makes: what can't be reached, what can't be left, and who can load what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seamstep.analysis.lint.findings import Code, Finding, Severity
from seamstep.analysis.lint.subject import TOO_MANY, Subject, TooManyQuestionsError
from seamstep.base.versions import SeamldrVersion
from seamstep.domain.mapping import MINIMUM_SEAMLDRS, RELEASES, VERSION
from seamstep.domain.model import Release

UNREACHABLE = Code(
    "release-unreachable",
    Severity.WARNING,
    "No release of the file can be updated to this one, on any kind of host.",
    "The release can only come with the BIOS. If that is not meant, a constraint is wrong.",
    "See the rules that the message names; most often min_module_version_for_td_preserving is too new.",
)
STRANDED = Code(
    "release-stranded",
    Severity.WARNING,
    "From this release no newer one can be reached, although there are newer ones that its P-SEAMLDR can load.",
    "A host that runs it is stuck until its BIOS brings a newer module.",
    "See the rules that the message names. If it is true, tell the owners of such hosts, and deny the release.",
)
SPLIT = Code(
    "series-split",
    Severity.NOTE,
    "A series is not one ladder: some releases can be loaded by one P-SEAMLDR series only.",
    "Hosts of the series end on different releases, and a target that names one of these has no path on the others.",
    "Nothing, if it is meant (Intel's 1.5.24 and 1.5.25 are such twins); else complete min_seamldr_versions.",
)
NOT_EXAMINED = Code(
    "not-examined",
    Severity.NOTE,
    "The file implies more steps or kinds of hosts than the linter asks about.",
    "What can be reached and left was not, or not wholly, examined: there may be findings that were not made.",
    "Split the file by series, or keep fewer P-SEAMLDR versions apart in it.",
)

_SERIES_MAX = 64  # of P-SEAMLDR; every one is asked about every release, and told of

CODES = (UNREACHABLE, STRANDED, SPLIT, NOT_EXAMINED)


def check(subject: Subject) -> Iterator[Finding]:
    """What can't be reached, or left, and what only some P-SEAMLDRs load."""
    for series, ladder in subject.ladders.items():
        try:
            yield from _split(subject, series, ladder)
            if len(ladder) > 1 and all(map(subject.complete, ladder)) and subject.environments:
                yield from _unreachable(subject, ladder)
                yield from _stranded(subject, ladder)
        except TooManyQuestionsError as error:
            yield not_examined(subject, error)


def not_examined(subject: Subject, error: TooManyQuestionsError) -> Finding:
    """That some questions were not asked."""
    message = f"{error} to find out what can be reached from where"
    return subject.source.finding(NOT_EXAMINED, (RELEASES,), message, **error.evidence)


def _unreachable(subject: Subject, ladder: Sequence[Release]) -> Iterator[Finding]:
    for rank, target in enumerate(ladder[1:], 1):
        if not any(subject.possible(source, target) for source in reversed(ladder[:rank])):
            source = ladder[rank - 1]
            why = _why(subject, source, target)
            message = f"nothing can be updated to {target.version}; from {source.version}: {why}"
            path = subject.path(target, VERSION)
            yield subject.source.finding(UNREACHABLE, path, message, target)


def _stranded(subject: Subject, ladder: Sequence[Release]) -> Iterator[Finding]:
    for rank, source in enumerate(ladder[:-1]):
        newer = ladder[rank + 1 :]
        stuck = [seamldr for seamldr in _loaders(subject, source) if _is_stuck(subject, seamldr, source, newer)]
        if stuck:
            on = " and ".join(map(str, stuck))
            loadable = next(target for target in newer if subject.loads(stuck[0], target))
            why = _why(subject, source, loadable, stuck[0])
            message = f"from {source.version} nothing newer can be reached with P-SEAMLDR {on}: {why}"
            path = subject.path(source, VERSION)
            yield subject.source.finding(STRANDED, path, message, source, seamldrs=list(map(str, stuck)))


def _loaders(subject: Subject, release: Release) -> list[SeamldrVersion]:
    """The P-SEAMLDRs of the file that can load the release."""
    every = dict.fromkeys(environment.seamldr for environment in subject.environments)
    return [seamldr for seamldr in every if subject.loads(seamldr, release)]


def _is_stuck(subject: Subject, seamldr: SeamldrVersion, source: Release, newer: Sequence[Release]) -> bool:
    """Whether that P-SEAMLDR can load a newer release, and no step from ``source`` leads to any."""
    permitted = subject.permitted(source.version.series)
    alike = [steps for environment, steps in permitted.items() if environment.seamldr == seamldr]
    loadable = [(source.version, target.version) for target in newer if subject.loads(seamldr, target)]
    return bool(loadable) and not any(step in steps for steps in alike for step in loadable)


def _why(subject: Subject, source: Release, target: Release, seamldr: SeamldrVersion | None = None) -> str:
    return "; ".join(verdict.reason for verdict in subject.refusals(source, target, seamldr))


def _split(subject: Subject, series: str, ladder: Sequence[Release]) -> Iterator[Finding]:
    newest: dict[str, SeamldrVersion] = {}
    for release in ladder:
        for minimum in release.minimum_seamldrs:
            newest[minimum.series] = max(minimum, newest.get(minimum.series, minimum))
    if len(newest) > _SERIES_MAX:
        raise TooManyQuestionsError(TOO_MANY)
    subject.spend(series, 0, asked=len(newest) * len(ladder))
    missing = {
        seamldr: [release for release in ladder if release.minimum_seamldrs and not subject.loads(seamldr, release)]
        for seamldr in newest.values()
    }
    apart = {seamldr.series: releases for seamldr, releases in sorted(missing.items()) if releases}
    if apart:
        first = min((release for releases in apart.values() for release in releases), key=lambda one: one.version)
        parts = (f"P-SEAMLDR {loader} can't load {_few(releases)}" for loader, releases in apart.items())
        message = f"the series {series} is not one ladder: {'; '.join(parts)}"
        evidence = {loader: [str(release.version) for release in releases] for loader, releases in apart.items()}
        path = subject.path(first, MINIMUM_SEAMLDRS)
        yield subject.source.finding(SPLIT, path, message, first, apart=evidence)


def _few(releases: Sequence[Release], most: int = 8) -> str:
    names = [str(release.version) for release in releases]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
