"""The status of a host and the records of its journal as text. Text from files and hosts is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from seamstep.run.journal import Record, RecordedHost
from seamstep.show.text import held_up, printable

_TDX = {
    "running": "running",
    "lost": "LOST: no module runs, all TDs are dead; reboot",
    "absent": "absent: no TDX module runs here",
    "unknown": "unknown",
}
_NOT_LOOKED_UP = "not looked up; give --catalog DIR, or --mapping FILE, or have the configuration name a catalog"
#: The fields in the line of a record, after its time, transaction, event and step.
_TOLD = ("state", "version", "remaining", "remaining_before", "reported", "phase", "argv", "name", "message", "output")


def status_text(document: Mapping[str, Any]) -> str:
    """A status document as text."""
    unknown = document["unknown"]

    def shown(key: str, reason: str | None = None) -> str:
        value = document[key]
        return f"unknown ({unknown.get(reason or key, 'not in the facts')})" if value is None else str(value)

    lines = [
        ("host", shown("hostname")),
        ("TDX", _TDX[document["tdx"]]),
        ("TDX module", shown("module_version")),
        ("P-SEAMLDR", shown("seamldr_version")),
        ("remaining updates", shown("remaining_updates")),
        ("TDs", _tds(document)),
        ("upload", shown("upload_status", "upload")),
        *_last_run(document),
        *_permitted(document),
        *_tcb(document),
        *_hold(document),
        *(("expired", sentence) for sentence in (document["permitted"] or {}).get("expired", ())),
        ("reboot needed", _reboot(document)),
        *(("journal", problem) for problem in document["journal"]["problems"]),
    ]
    return "\n".join(f"{label:<18} {printable(text)}" for label, text in lines)


def _last_run(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    run = document["last_run"]
    if run is None:
        reason = document["unknown"].get("last_run")
        yield "last run", f"unknown ({reason})" if reason else "none"
        return
    boot = "" if run["this_boot"] else ", in an earlier boot"
    found = ", found out by a later run" if run["recovered"] else ""
    yield "last run", f"{run['outcome']}: {run['source']} → {run['target']} at {run['started']}{boot}{found}"
    yield "", str(run["message"])
    if run.get("later_runs"):
        yield "", f"{run['later_runs']} run{'s' if run['later_runs'] > 1 else ''} since did not settle this"


def _tds(document: Mapping[str, Any]) -> str:
    count = document["running_tds"]
    if count is None:
        return f"unknown ({document['unknown'].get('running_tds', 'not in the facts')})"
    return f"{count} TD{' runs' if count == 1 else 's run'} on this host"


def _permitted(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    permitted = document["permitted"]
    if permitted is None:
        unknown = document["module_version"] is None
        why = document["unknown"].get("permitted")
        why = f"not known: {why}" if why else _NOT_LOOKED_UP
        yield "permitted", "not known, as the module's version is not" if unknown else why
        return
    policy = f"by policy {permitted['policy']}"
    if permitted["target"]:
        yield "permitted", f"{permitted['target']}, {permitted['hops']} hop{'s' * (permitted['hops'] != 1)}, {policy}"
    elif permitted["outcome"] == "no-path":
        yield "permitted", f"no update now, {policy}"
    elif permitted["outcome"] == "not-listed":
        yield "permitted", f"not known, {policy}: {permitted['reason']}"
    else:
        yield "permitted", f"nothing newer, {policy}: {permitted['reason']}"
    yield from (("", line) for line in held_up(permitted["held_up"]))
    if permitted["window"]:
        yield "", f"{'now' if permitted['window']['open'] else 'not now'}: {permitted['window']['reason']}"


def _tcb(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    tcb = document.get("tcb")
    if tcb:
        from seamstep.show.tcb import closing_text, tcb_text

        closing = "; ".join(closing_text(tcb))
        yield "TCB", f"module {tcb_text(tcb)}{f'; {closing}' if closing else ''}"


def _hold(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    held = document["hold"]
    if held:
        by = [f"by {held['by']}"] if held["by"] else []
        since = [f"since {held['since']}"] if held["since"] else []
        yield "HELD", f"{', '.join([*by, *since, 'no update begins'])}: {held['reason']}"
    elif "hold" in document["unknown"]:
        yield "hold", f"unknown ({document['unknown']['hold']})"


def _reboot(document: Mapping[str, Any]) -> str:
    if document["reboot_needed"] is None:
        return "unknown"
    if not document["reboot_needed"]:
        return "no; this P-SEAMLDR offers no update" if document["remaining_updates"] == 0 else "no"
    if document["tdx"] == "lost":
        return "yes: TDX is lost"
    if document["last_run"] and document["last_run"]["this_boot"] and document["last_run"]["outcome"] == "lost":
        return "yes: TDX was lost in this boot"
    return "yes, before another update: none remains in this boot"


def history_text(records: Iterable[Record], problems: Iterable[str], host: RecordedHost) -> str:
    """A line for each record, and a line for each problem of the journal. Records about another host than ``host`` name
    that host."""
    lines = [_record(record, host.other(record)) for record in records] or ["no record"]
    return "\n".join([*lines, *(f"problem: {printable(problem)}" for problem in problems)])


def _record(record: Record, elsewhere: str) -> str:
    data = record.data
    step = f" {data['source']} → {data['target']}" if data.get("source") and data.get("target") else ""
    told = "".join(f" {key}={_value(data[key])}" for key in _TOLD if data.get(key) not in (None, "", []))
    where = f" ({elsewhere})" if elsewhere else ""
    return printable(f"{record.time} {record.transaction} {record.event}{step}{told}{where}")


def _value(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
