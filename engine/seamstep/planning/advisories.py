"""What TCB Info decides about a plan: targets that close advisories, and the plan's account of its documents. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seamstep.base.documents import absolute
from seamstep.base.errors import InputError, Problem
from seamstep.base.validation import did_you_mean
from seamstep.base.versions import ModuleVersion
from seamstep.domain.model import Release
from seamstep.domain.tcb import TcbView, summary
from seamstep.planning.graph import VersionGraph
from seamstep.policy.policy import Policy
from seamstep.tcb.releases import running


def check_known(graph: VersionGraph, policy: Policy) -> None:
    """Raise InputError if there is no TCB Info that knows the advisories which the policy's target is to close."""
    ladder = graph.ladder(graph.running.series)
    standings = [standing for release in ladder for standing in release.tcb or ()]
    if not standings:
        message = f"the target {policy.target.text} needs TCB Info: give --tcb-info FILE or DIR"
        raise InputError(Problem("target", message))
    known = {advisory for standing in standings for advisory in (*standing.advisories, *standing.closed)}
    for advisory in policy.target.closes:
        if advisory not in known and all(standing.status for standing in standings):
            hint = did_you_mean(advisory, known) or f"; it knows {', '.join(sorted(known)) or 'none'}"
            raise InputError(Problem("target", f"no TCB Info at hand knows the advisory {advisory}{hint}"))


def why_none_closes(graph: VersionGraph, policy: Policy) -> str:
    """Why no newer release is wanted that closes the advisories of the policy's target."""
    text, running_ = ", ".join(policy.target.closes), graph.release(graph.running)
    if policy.target.wants(running_):
        return f"{running_.version} closes {text} already"
    said = running_.tcb or ()
    reasons = [f"TCB Info {one.evaluation} of {one.fmspc}: {one.reason}" for one in said if one.reason]
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return f"no release newer than {running_.version} is known to close {text}{why}"


def tcb_document(
    releases: Iterable[Release], first: ModuleVersion, last: ModuleVersion, tcb: TcbView
) -> dict[str, Any]:
    """The TCB Info documents at hand, and what they say of the modules before and after an update, in the form that
    plans have."""
    known = tuple(releases)
    until = tcb.valid_until
    return {
        "documents": [
            {
                "fmspc": one.fmspc,
                "evaluation": one.evaluation,
                "next_update": one.next_update.date().isoformat(),
                "sha256": one.sha256,
                "path": absolute(one.path),
            }
            for one in tcb.documents
        ],
        "stale_until": tcb.stale_until and tcb.stale_until.isoformat(),
        "valid_until": until and until.isoformat(),
        "before": summary(running(first, known, tcb)),
        "after": summary(running(last, known, tcb)),
    }
