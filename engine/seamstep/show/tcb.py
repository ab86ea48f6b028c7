"""TCB status as text. The documents are the summaries of ``domain/tcb.py``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seamstep.domain.tcb import TcbStatus


def tcb_text(summary: Mapping[str, Any]) -> str:
    """The status of a module in a line. Where documents differ, the worst status comes first and then what each
    says."""
    documents = summary["documents"]
    if len({_told(one) for one in documents}) == 1:
        return _told(documents[0])
    each = "; ".join(f"{_told(one)} by {document_name(one)}" for one in documents)
    differ = len({one["status"] for one in documents}) > 1
    return f"{summary['status'] or 'unknown'}{', the worst of' if differ else ''}: {each}"


def document_name(document: Mapping[str, Any]) -> str:
    """A TCB Info document in a few words."""
    return f"{document['fmspc']} number {document['evaluation']}"


def _told(standing: Mapping[str, Any]) -> str:
    if standing["status"] is None:
        return f"unknown ({standing['reason']})"
    since = f" since {standing['since']}" if standing["since"] and standing["status"] != "UpToDate" else ""
    as_of = f" (tcbDate {standing['date']})" if not since else ""
    return f"{standing['status']}{since}{as_of}" + (
        f": {', '.join(standing['advisories'])}" if standing["advisories"] else ""
    )


def closing_text(tcb: Mapping[str, Any]) -> Iterator[str]:
    """Which release closes which of the open advisories, a clause for each release, or that none is open; nothing if
    the releases were not looked at."""
    if _all_tell(tcb) and not tcb["advisories"]:
        yield "no advisory is open in it"
    if not tcb["advisories"] or tcb["closed_by"] is None:
        return
    by_release: dict[tuple[str | None, bool], list[str]] = {}
    for advisory, closing in tcb["closed_by"].items():
        by = (closing["version"], closing["reachable"]) if closing else (None, False)
        by_release.setdefault(by, []).append(advisory)
    for (version, reachable), closed in by_release.items():
        told = ", ".join(closed)
        if len(closed) > 1 and len(by_release) == 1:
            told = "both" if len(closed) == 2 else "all"
        there = "" if reachable else ", and can't be reached now"
        yield f"{version} closes {told}{there}" if version else f"no release at hand closes {', '.join(closed)}"


def update_lines(tcb: Mapping[str, Any], target: object) -> Iterator[str]:
    """The TCB status before and after an update, and what the update closes. ``target`` is the release that the update
    leads to, None if there is no update."""
    before, after = tcb["before"], tcb["after"]
    yield f"TCB status: {tcb_text(before)}"
    if target is None:
        return
    yield f"  of {target}: {tcb_text(after)}"
    closed = [advisory for advisory in before["advisories"] if advisory not in after["advisories"]]
    if closed and _all_tell(after) and after["status"] != TcbStatus.REVOKED:
        yield f"  {target} closes {', '.join(closed)}"


def _all_tell(summary: Mapping[str, Any]) -> bool:
    """Whether no document answers unknown: one that does may have any advisory open."""
    return all(one["status"] for one in summary["documents"])
