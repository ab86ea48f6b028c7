"""TDX_FEATURES0, from release to release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seamstep.analysis.lint import check_compat
from seamstep.analysis.lint.findings import Code, Finding, Severity
from seamstep.analysis.lint.subject import Subject
from seamstep.domain.mapping import FEATURES
from seamstep.domain.model import Release

_MISTAKE = "Published mapping files have dropped bits from one release to the next, and were corrected months later."
SHRINK = Code(
    "features-shrink",
    Severity.ERROR,
    "A release lacks a TDX_FEATURES0 bit that the release before it in its series has.",
    f"{_MISTAKE} If it is true, a TD that uses the feature meets a module without it.",
    "Compare with what the module itself reports, and correct the release that is wrong: this one, or the one before.",
)
SHRINK_STRICT_COMPAT = Code(
    "features-shrink-strict-compat",
    Severity.ERROR,
    "A release lacks a TDX_FEATURES0 bit of a release that it lists in strict_compat_versions.",
    "An update that is called safe even while a TD is being built takes a feature away.",
    "Correct the features, or remove the entry from strict_compat_versions.",
)
NEEDED_MISSING = Code(
    "kernel-features-missing",
    Severity.ERROR,
    "A release lacks NO_RBP_MOD or TD_PRESERVING.",
    "Linux requires NO_RBP_MOD to use a module at all, and TD_PRESERVING to offer updates: no plan leads there.",
    "Correct tdx_feature0. If it is true, the release can't be used with Linux.",
)
CODES = (SHRINK, SHRINK_STRICT_COMPAT, NEEDED_MISSING)


def check(subject: Subject) -> Iterator[Finding]:
    """Features that are needed and absent, or get lost."""
    for release in subject.releases:
        if release.features0 is None:
            continue
        verdict = subject.refuses("kernel-features", release, release)
        if verdict:
            path = subject.path(release, FEATURES)
            yield subject.source.finding(NEEDED_MISSING, path, verdict.reason, release, **verdict.evidence)
    for ladder in subject.ladders.values():
        known = [release for release in ladder if release.features0 is not None]
        yield from _shrinking(subject, known)


def _shrinking(subject: Subject, ladder: Sequence[Release]) -> Iterator[Finding]:
    before: Release | None = None
    for release in ladder:
        path = subject.path(release, FEATURES)
        lost = _lost(subject, before, release) if before else []
        if before and lost:
            message = f"{release.version} lacks {', '.join(lost)}, which {before.version} has"
            yield subject.source.finding(SHRINK, path, message, release, lost=lost)
        for source in check_compat.steps(subject, release):
            more = [name for name in _lost(subject, source, release) if name not in lost]
            if more:
                message = f"{release.version} lacks {', '.join(more)}, which {source.version} has and may be left from"
                yield subject.source.finding(
                    SHRINK_STRICT_COMPAT, path, message, release, lost=more, source=str(source.version)
                )
        before = release


def _lost(subject: Subject, source: Release, target: Release) -> list[str]:
    verdict = subject.refuses("feature-loss", source, target)
    return list(verdict.evidence["lost"]) if verdict else []
