"""The TCB Info that a saved plan names, at hand on the host that is to be updated.

It is read where it decides: where the policy has the rule ``tcb-status`` or its target closes advisories. The documents
have to be those that the plan was made with. That they are Intel's does not suffice, since an older one knows less.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import date

from seamstep.base.documents import require_regular
from seamstep.base.errors import InputError, StalePlanError
from seamstep.domain.model import Release
from seamstep.domain.tcb import TcbView, newest
from seamstep.plan.document import Plan
from seamstep.plan.own_files import own_file
from seamstep.policy.policy import Policy
from seamstep.rules import Level, TcbStatusRule
from seamstep.tcb import files
from seamstep.tcb.releases import with_tcb


def view(plan: Plan, named: Sequence[str], policy: Policy, today: date, *, strict: bool) -> TcbView | None:
    """The TCB Info of a plan whose policy goes by it.

    Args:
        plan: the plan.
        named: the files and folders that the caller names; empty for the plan's files.
        policy: the policy, with the target that the caller names.
        today: the day on which certificates have to be valid, and documents not to have expired.
        strict: whether files that the plan names count only if root and the user alone can change them.

    Returns:
        The TCB Info; None if the plan was made without, under a policy that does not need it.

    Raises:
        StalePlanError: the plan names none, which is needed or named here; a document can't be read, or is not its own.
        RefusedError: a file has to be named by the caller.
        InputError: a file that the caller names can't be read or does not verify.
    """
    wanted = plan.document.get("tcb")
    if not wanted and not named and not _needed(policy):
        return None
    if not wanted:
        message = "stale plan: its policy goes by TCB Info, and it was made without; plan again with --tcb-info"
        raise StalePlanError(message)
    listed = {document["fmspc"]: document for document in wanted["documents"]}
    try:
        paths = named or [_planned(document["path"], strict=strict) for document in listed.values()]
        found = newest(document for path in paths for document in files.load(path, today))
    except InputError as error:
        if named:
            raise
        raise StalePlanError(f"stale plan: the TCB Info it was made with can't be read: {error}; plan again") from None
    chosen = tuple(document for document in found if document.fmspc in listed)
    if {document.fmspc: document.sha256 for document in chosen} != {
        fmspc: document["sha256"] for fmspc, document in listed.items()
    }:
        raise StalePlanError("stale plan: the TCB Info at hand is not what it was made with; plan again")
    return TcbView(chosen, today, policy.tcb_stale_until)


def _needed(policy: Policy) -> bool:
    """Whether the policy permits nothing without TCB Info. A rule that warns or prefers is left open without."""
    required = (one.rule for one in policy.rules if one.level is Level.REQUIRE)
    return bool(policy.target.closes) or any(isinstance(rule, TcbStatusRule) for rule in required)


def _planned(path: str, *, strict: bool) -> str:
    """The file that the plan names, with its chain beside it."""
    require_regular(path, files.WHAT)
    if not strict:
        return path
    place = own_file(files.WHAT, "--tcb-info", path)
    own_file(files.WHAT, "--tcb-info", os.path.splitext(place)[0] + ".pem")
    return place


def with_standings(plan: Plan, policy: Policy, releases: Iterable[Release], tcb: TcbView) -> tuple[Release, ...]:
    """The releases with what the documents say of them. Raises StalePlanError if the plan does not close what its
    policy's target asks for."""
    found = with_tcb(releases, tcb)
    last = next((release for release in found if plan.hops and release.version == plan.hops[-1].target), None)
    if last and policy.target.closes and not policy.target.wants(last):
        message = f"it leads to {last.version}, which its policy's target {policy.target.text} does not want"
        raise StalePlanError(f"stale plan: {message}: it was changed after it was made; plan again")
    return found
