"""The status document as metrics, in Prometheus' text exposition format, for node_exporter's textfile collector.

An unknown value has no series, since a zero would be a claim; ``seamstep_fact_unknown`` names the fact instead.
docs/service.md lists the metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

#: The outcomes of a run, and ``running``. Each has a series, so that an alert can distinguish 0 from absent. An outcome
#: that only a later version of seamstep knows has a series while it is the last one.
OUTCOMES = (
    "applied",
    "busy",
    "failed",
    "lost",
    "unknown",
    "preflight",
    "stale",
    "refused",
    "not-now",
    "interrupted",
    "running",
)
#: The statuses of a module, and ``unknown``. Each has a series.
TCB_STATUSES = ("UpToDate", "OutOfDate", "Revoked", "unknown")
Labels = tuple[tuple[str, str], ...]


class Metric(NamedTuple):
    """A gauge. ``name`` is the metric's, ``meaning`` its help text, and ``samples`` are its values with their labels,
    none if the value is unknown."""

    name: str
    meaning: str
    samples: tuple[tuple[Labels, float], ...] = ()

    def lines(self) -> Iterator[str]:
        """The metric as text; nothing if there is no sample."""
        if not self.samples:
            return
        yield f"# HELP {self.name} {self.meaning}"
        yield f"# TYPE {self.name} gauge"
        for labels, value in self.samples:
            inside = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels)
            yield f"{self.name}{{{inside}}} {_number(value)}" if labels else f"{self.name} {_number(value)}"


def exposition(status: Mapping[str, Any], written: float) -> str:
    """A status document (``seamstep/status/v1``) as metrics; ``written`` is the time of writing in Unix seconds."""
    metrics = (
        *_host(status),
        *_tcb(status.get("tcb")),
        *_hold(status),
        *_last_run(status.get("last_run")),
        *_record(status, written),
    )
    return "\n".join(line for metric in metrics for line in metric.lines()) + "\n"


def _host(status: Mapping[str, Any]) -> Iterator[Metric]:
    tdx, remaining, permitted = (status.get(key) for key in ("tdx", "remaining_updates", "permitted"))
    running = () if tdx in {None, "unknown"} else _one(tdx == "running")
    yield Metric("seamstep_tdx_running", "Whether a TDX module runs (1) or not (0).", running)
    yield Metric("seamstep_tdx_lost", "Whether TDX is lost and only a reboot helps.", running and _one(tdx == "lost"))
    yield Metric("seamstep_module_info", "The running TDX module.", _info(version=status.get("module_version")))
    yield Metric("seamstep_seamldr_info", "The P-SEAMLDR.", _info(version=status.get("seamldr_version")))
    yield Metric("seamstep_remaining_updates", "Updates that P-SEAMLDR has left until reboot.", _one(remaining))
    yield Metric("seamstep_running_tds", "TDs on this host, those being built too.", _one(status.get("running_tds")))
    yield Metric("seamstep_reboot_needed", "Whether the host needs a reboot.", _one(status.get("reboot_needed")))
    info = permitted or {}
    held = info.get("held_up") or {}
    policy = _info(
        outcome=info.get("outcome"),
        policy=info.get("policy"),
        target=info.get("target"),
        held_up=held.get("version"),
        rules=",".join(held.get("rules", ())) or None,
    )
    told = "What the policy permits: the outcome of planning, the target, and the release that rules hold up."
    yield Metric("seamstep_permitted_info", told, policy)
    window = info.get("window")
    now = window is None or window["open"]
    wanted = _one(info.get("outcome") == "update" and now) if permitted else ()
    yield Metric("seamstep_update_permitted", "Whether the policy permits an update now.", wanted)
    yield Metric("seamstep_window_open", "Whether a maintenance window is open.", _one(now) if window else ())
    opens = _one(_seconds(window["opens"])) if window else ()
    yield Metric("seamstep_window_opens_timestamp_seconds", "When a maintenance window opens next.", opens)


def _tcb(tcb: Mapping[str, Any] | None) -> Iterator[Metric]:
    if not tcb:
        return
    status = tcb["status"] or "unknown"
    states = tuple(((("status", name),), float(name == status)) for name in TCB_STATUSES)
    yield Metric("seamstep_tcb_status", "The running module's TCB status: 1 for it, 0 for the others.", states)
    told_all = all(one["status"] for one in tcb["documents"])
    known = tcb["status"] and (len(tcb["advisories"]) or (0 if told_all else None))
    yield Metric("seamstep_tcb_open_advisories", "Advisories that are open in the running module.", _one(known))
    closing = {one: by["version"] for one, by in (tcb["closed_by"] or {}).items() if by and by["reachable"]}
    each = tuple(((("advisory", one), ("closed_by", closing.get(one) or "")), 1.0) for one in tcb["advisories"])
    told = "An advisory that is open, and the nearest release within reach that closes it, or an empty text."
    yield Metric("seamstep_tcb_advisory_info", told, each)
    since = _one(_seconds(tcb["since"])) if tcb["status"] not in {None, "UpToDate"} else ()
    yield Metric("seamstep_tcb_behind_since_timestamp_seconds", "Since when the running module is behind.", since)


def _hold(status: Mapping[str, Any]) -> Iterator[Metric]:
    if "hold" not in status or "hold" in status.get("unknown", {}):
        return
    held = status.get("hold")
    yield Metric("seamstep_held", "Whether the host is held, so that no update begins.", _one(held is not None))
    info = _info(reason=held["reason"], by=held["by"]) if held else ()
    yield Metric("seamstep_hold_info", "Why the host is held, and by whom.", info)
    since = _one(_seconds(held["since"])) if held else ()
    yield Metric("seamstep_hold_since_timestamp_seconds", "Since when the host is held.", since)


def _last_run(run: Mapping[str, Any] | None) -> Iterator[Metric]:
    run = run or {}
    outcome = run.get("outcome")
    names = dict.fromkeys((*OUTCOMES, outcome)) if outcome else ()
    states = tuple(((("outcome", name),), float(name == outcome)) for name in names)
    yield Metric("seamstep_last_run_outcome", "How the last run ended: 1 for its outcome, 0 for the others.", states)
    info = _info(source=run.get("source"), target=run.get("target"), policy=run.get("policy"))
    yield Metric("seamstep_last_run_info", "From where to where the last run was to go.", info)
    started, ended = _seconds(run.get("started")), _seconds(run.get("ended"))
    yield Metric("seamstep_last_run_start_timestamp_seconds", "When the last run began.", _one(started))
    yield Metric("seamstep_last_run_end_timestamp_seconds", "When the last run ended.", _one(ended))
    this_boot = _one(run.get("this_boot"))
    yield Metric("seamstep_last_run_this_boot", "Whether the last run was since the host booted.", this_boot)


def _record(status: Mapping[str, Any], written: float) -> Iterator[Metric]:
    problems = status.get("journal", {}).get("problems")
    count = None if problems is None else len(problems)
    yield Metric("seamstep_journal_problems", "What is wrong with seamstep's record of runs.", _one(count))
    unknown = tuple(((("fact", str(fact)),), 1.0) for fact in sorted(status.get("unknown", {})))
    yield Metric("seamstep_fact_unknown", "A fact that could not be read; it has no other series.", unknown)
    yield Metric("seamstep_written_timestamp_seconds", "When these metrics were written.", _one(written))


def _one(value: float | None) -> tuple[tuple[Labels, float], ...]:
    return () if value is None else (((), float(value)),)


def _info(**labels: str | None) -> tuple[tuple[Labels, float], ...]:
    known = tuple((name, text) for name, text in labels.items() if text is not None)
    return ((known, 1.0),) if known else ()


def _seconds(moment: str | None) -> float | None:
    """A time in ISO 8601 (UTC if it has no offset) in seconds since 1970; None if it is missing or malformed."""
    try:
        parsed = datetime.fromisoformat(moment or "")
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _escaped(text: str) -> str:
    r"""A label's value: the format escapes ``\\``, ``\"`` and ``\n``; other unprintable characters are replaced."""
    text = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
