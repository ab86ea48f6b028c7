"""The releases of a catalog against TCB Info."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from seamstep.analysis.lint.findings import Code, Finding, Severity
from seamstep.analysis.lint.subject import Subject
from seamstep.domain.mapping import VERSION
from seamstep.domain.model import Release
from seamstep.domain.tcb import TcbInfo, TcbStatus, TcbView

SVN_UNKNOWN = Code(
    "tcb-svn-unknown",
    Severity.WARNING,
    "The SVN of a release is known to no level of TCB Info.",
    "Verifiers refuse quotes of such a module: it has no TCB status at all.",
    "See whether the image is what its name says, and fetch the newest TCB Info (docs/tcb.md).",
)
DATE = Code(
    "tcb-date-contradicts",
    Severity.WARNING,
    "An image was built after the day since which TCB Info calls modules of its SVN out of date.",
    "A module that is built then has the fixes of that day and a higher SVN. Either the image is of another release, or"
    " its SVN was not raised and verifiers call it OutOfDate.",
    "See whether the image is what its name says; if so, deny the release in policies.",
)
OPEN = Code(
    "tcb-advisory-open",
    Severity.WARNING,
    "No release at hand closes an advisory.",
    "Whatever the hosts of this series are updated to, verifiers see the advisory as open.",
    "Add a newer release to the catalog; the levels of TCB Info tell which SVN closes the advisory.",
)
CODES = (SVN_UNKNOWN, DATE, OPEN)


class _Judged(NamedTuple):
    """A subject, and a document that decides on the day."""

    subject: Subject
    document: TcbInfo
    view: TcbView

    def finding(self, code: Code, release: Release, message: str, **evidence: Any) -> Finding:
        document = self.document
        told = f"{message} (by TCB Info {document.evaluation} of {document.fmspc})"
        evidence = {"fmspc": document.fmspc, "evaluation": document.evaluation, **evidence}
        path = self.subject.path(release, VERSION)
        return self.subject.source.finding(code, path, told, release, **evidence)


def check(subject: Subject, ladders: Sequence[Sequence[Release]], view: TcbView) -> Iterator[Finding]:
    """What TCB Info says against releases. ``ladders`` are those of each series that have a usable image, ascending.
    Documents that have expired say nothing."""
    for document in view.documents:
        if not document.why_unusable(view.as_of, view.stale_until):
            for ladder in ladders:
                yield from _ladder(_Judged(subject, document, view), ladder)


def _ladder(judged: _Judged, ladder: Sequence[Release]) -> Iterator[Finding]:
    open_everywhere: dict[str, set[str]] = {}
    last: dict[str, Release] = {}
    for release in ladder:
        says = release.image.sigstruct if release.image else None
        if says is None:
            continue
        standing = judged.document.standing(says.seamsvn, judged.view.as_of, judged.view.stale_until)
        if standing.status is None:
            message = f"the SVN of {release.version}, 0x{says.seamsvn:x}, has no TCB status: {standing.reason}"
            yield judged.finding(SVN_UNKNOWN, release, message)
            continue
        since = standing.since and standing.since.strftime("%Y%m%d")
        if standing.status is not TcbStatus.UP_TO_DATE and since and says.build_date > since:
            message = f"{release.version} was built on {says.build_date}, and modules of its SVN are {standing.status}"
            yield judged.finding(DATE, release, f"{message} since {standing.since}")
        found = set(standing.advisories)
        open_everywhere[standing.identity] = open_everywhere.get(standing.identity, found) & found
        last[standing.identity] = release
    for identity, advisories in open_everywhere.items():
        for advisory in sorted(advisories):
            message = f"no release up to {last[identity].version} closes {advisory} in modules of {identity}"
            yield judged.finding(OPEN, last[identity], message, advisory=advisory)
