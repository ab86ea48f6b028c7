"""The status of a host in one document, ``seamstep/status/v1``. Needs no privileges: a fact that can't be read is null,
with the reason under ``unknown``.

Shape: ``{schema, hostname, boot_id, profile, module_version, seamldr_version, remaining_updates, running_tds, tdx:
"running" | "lost" | "absent" | "unknown", upload_status, last_run: {transaction, started, ended, boot_id, this_boot,
plan, policy, source, target, outcome, message, recovered, later_runs} | null, permitted: {target, hops, outcome,
policy, reason, held_up: {version, from, rules, known, reason} | null, window: {open, opens, reason} | null,
expired: []} | null, hold: {reason, by, since} | null, reboot_needed, journal: {problems: []}, unknown: {fact:
reason}}``.

``outcome`` is the state that the run ended in, ``running`` for a run that is under way, ``interrupted`` for a run that
was killed before it committed a hop, and ``unknown`` for a run that committed a hop whose outcome is not recorded.
``last_run`` is the last run. While an outcome of this boot is unknown or lost, it is the run with that outcome, and
``later_runs`` is the number of runs since. :func:`seamstep.run.past_runs.unsettled` has the conditions.
``reboot_needed`` is null where facts that decide it are unknown. ``remaining_updates`` 0 makes it true only where an
earlier run recorded a larger number: a P-SEAMLDR without support for updates reports 0 as well.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from seamstep.base.errors import ExitCode
from seamstep.domain.facts import HostFacts
from seamstep.plan import windows
from seamstep.run import hold, past_runs
from seamstep.run.journal import History, RecordedHost, open_folder, read
from seamstep.run.lock import holder

SCHEMA = "seamstep/status/v1"
RUNNING, LOST, ABSENT, UNKNOWN = "running", "lost", "absent", "unknown"
_FACTS = ("hostname", "boot_id", "profile", "module_version", "seamldr_version", "remaining_updates", "running_tds")
RUN = "running"
_NOT_ENDED = "it has not ended and is not seen at work, so it was killed; the next apply determines its outcome"
_QUIESCED = "; its commands 'before' were begun, and those 'after' have not ended"


def read_history(folder: str, host: RecordedHost | None = None) -> tuple[History | None, str, int | None]:
    """Read the journal in the state folder ``folder``.

    Args:
        folder: the path of the state folder.
        host: the host whose records are wanted; None for those of all hosts.

    Returns:
        The history (None if the folder does not exist or can't be read), the reason why it can't be read (empty if it
        can, or does not exist), and the process that holds the lock (None if the lock is free).
    """
    try:
        descriptor = open_folder(folder, create=False)
    except FileNotFoundError:
        return None, "", None
    except OSError as error:
        return None, _reason(error, folder), None
    try:
        before = holder(descriptor)  # a run may begin, or end, while the journal is read
        history = read(descriptor)
        return history.of(host) if host else history, "", before or holder(descriptor)
    except OSError as error:
        return None, _reason(error, folder), None
    finally:
        os.close(descriptor)


def status(
    facts: HostFacts,
    history: History | None,
    unreadable: str,
    running: int | None,
    permitted: dict[str, Any] | None,
    *,
    held: hold.Hold | None = None,
    tcb: dict[str, Any] | None = None,
    more_unknown: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """The status document of a host.

    Args:
        facts: the host's facts.
        history: the content of the journal; None if it can't be read or does not exist.
        unreadable: the reason why the journal can't be read; empty otherwise.
        running: the process that holds the lock; None if the lock is free.
        permitted: the document's ``permitted``; None if it was not computed.
        held: the hold on the host; None if there is none.
        tcb: the document's ``tcb``, the TCB status of the running module; None if there is no TCB Info.
        more_unknown: the reasons why other parts of the document are not known.
    """
    past = past_runs.runs(history.records) if history else []
    unsettled = past_runs.unsettled(past, facts.boot_id or "")
    tdx = _tdx(facts)
    unknown = {**facts.unknown, **more_unknown}
    if unreadable:
        unknown["last_run"] = unknown["hold"] = unreadable
    return {
        "schema": SCHEMA,
        **{name: _plain(getattr(facts, name)) for name in _FACTS},
        "tdx": tdx,
        "upload_status": facts.upload.status if facts.upload else None,
        "last_run": _last_run(past, facts.boot_id, running) if past else None,
        "permitted": permitted,
        "tcb": tcb,
        "hold": held._asdict() if held and not unreadable else None,
        "reboot_needed": _reboot_needed(
            facts,
            tdx,
            was_lost=bool(unsettled and unsettled.outcome == LOST),
            had_updates=any(_had_updates(run) for run in past),
        ),
        "journal": {"problems": list(history.problems) if history else []},
        "unknown": dict(sorted(unknown.items())),
    }


def window(listed: Sequence[windows.Window], now: float) -> dict[str, Any] | None:
    """Whether a maintenance window of the policy is open at ``now``, and when one opens next, in ISO 8601 (null where
    one is open or none opens); None for a policy without windows."""
    if not listed:
        return None
    closed = windows.closed(listed, now)
    opening = windows.opens(listed, now) if closed else None
    next_ = None if opening is None else datetime.fromtimestamp(opening, UTC).isoformat()
    return {"open": not closed, "opens": next_, "reason": closed or "a maintenance window is open"}


def exit_code(document: dict[str, Any]) -> ExitCode:
    """The exit code of ``seamstep status``: the worst condition in the document."""
    last = document["last_run"]
    came = last["outcome"] if last and last["this_boot"] else ""
    if LOST in {document["tdx"], came}:
        return ExitCode.LOST
    if document["tdx"] == ABSENT:
        return ExitCode.NOT_UPDATABLE
    if UNKNOWN in {document["tdx"], came}:
        return ExitCode.UNKNOWN
    return ExitCode.DONE


def _tdx(facts: HostFacts) -> str:
    if facts.module_version is not None:
        return RUNNING
    word = facts.why_unknown("module_version").partition(":")[0]
    return {"ENXIO": LOST, "missing": ABSENT}.get(word, UNKNOWN)


def _had_updates(run: past_runs.PastRun) -> bool:
    """Whether the run recorded a remaining number above 0 before a hop."""
    return any(hop.remaining for hop in run.hops)


def _reboot_needed(facts: HostFacts, tdx: str, *, was_lost: bool, had_updates: bool) -> bool | None:
    if tdx == LOST or was_lost or (facts.remaining_updates == 0 and had_updates):
        return True
    untold = tdx == RUNNING and facts.upload is not None and facts.remaining_updates is None
    return None if tdx == UNKNOWN or untold else False


def _last_run(past: list[past_runs.PastRun], boot_id: str | None, running: int | None) -> dict[str, Any]:
    run = past_runs.unsettled(past, boot_id or "") or past[-1]
    outcome, message = run.outcome, run.message
    if run.ended is None:
        outcome, message = _not_ended(run, running if run.boot_id == boot_id else None)
    return {
        "transaction": run.transaction,
        "started": run.started,
        "ended": run.ended,
        "boot_id": run.boot_id,
        "this_boot": run.boot_id == boot_id,
        "plan": run.plan,
        "policy": run.policy,
        "source": run.source,
        "target": run.target,
        "outcome": outcome,
        "message": message,
        "recovered": run.recovered,
        "later_runs": len(past) - 1 - past.index(run),
    }


def _not_ended(run: past_runs.PastRun, running: int | None) -> tuple[str, str]:
    """Outcome and message of a run without a recorded end. It is under way only if it holds the lock itself: another
    holder may be a dry run, or a run that is about to determine the outcome of this one."""
    if running is not None and run.pid == running:
        return RUN, f"it is under way (process {running})"
    outcome = UNKNOWN if run.hops and run.hops[-1].state == past_runs.COMMITTING else "interrupted"
    return outcome, _NOT_ENDED + (_QUIESCED if run.quiesced else "")


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, int) else str(value)


def _reason(error: OSError, folder: str) -> str:
    if isinstance(error, PermissionError):
        return f"permission: {folder} can't be read by this user; run as root"
    return f"{folder}: {error.strerror or error}"
