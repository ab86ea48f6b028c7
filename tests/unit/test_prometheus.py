"""The metrics, read back with Prometheus' own parser."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from seamstep.run.executor import State
from seamstep.show.formats.prometheus import OUTCOMES, exposition

DOCS = Path(__file__).parents[2] / "docs" / "service.md"
NOW = 1_795_500_000.0
Key = tuple[str, frozenset[tuple[str, str]]]

KNOWN: dict[str, Any] = {
    "schema": "seamstep/status/v1",
    "hostname": "host-a",
    "boot_id": "b0",
    "profile": "mainline",
    "module_version": "1.5.28",
    "seamldr_version": "1.5.02",
    "remaining_updates": 4,
    "running_tds": 3,
    "tdx": "running",
    "upload_status": "idle",
    "last_run": {
        "transaction": "t1",
        "started": "2026-11-23T01:00:00Z",
        "ended": "2026-11-23T01:00:02.500000+00:00",
        "boot_id": "b0",
        "this_boot": True,
        "plan": "sha",
        "policy": "production",
        "source": "1.5.24",
        "target": "1.5.28",
        "outcome": "applied",
        "message": "1.5.28 runs",
        "recovered": None,
    },
    "permitted": {"target": "1.5.34", "hops": ["1.5.34"], "outcome": "update", "policy": "production"},
    "reboot_needed": False,
    "journal": {"problems": []},
    "unknown": {},
}
NOTHING: dict[str, Any] = {
    **dict.fromkeys(KNOWN),
    "tdx": "unknown",
    "journal": {"problems": ["the last line is torn"]},
    "unknown": {"module_version": "EACCES", "remaining_updates": "EACCES"},
}


def samples(status: dict[str, Any]) -> dict[Key, float]:
    """Every sample by name and labels, as Prometheus reads it."""
    found: dict[Key, float] = {}
    for family in text_string_to_metric_families(exposition(status, NOW)):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found
            found[key] = sample.value
    return found


def key(name: str, **labels: str) -> Key:
    return f"seamstep_{name}", frozenset(labels.items())


def test_a_host_of_which_all_is_known() -> None:
    outcomes = {key("last_run_outcome", outcome=name): float(name == "applied") for name in OUTCOMES}
    assert samples(KNOWN) == outcomes | {
        key("tdx_running"): 1,
        key("tdx_lost"): 0,
        key("module_info", version="1.5.28"): 1,
        key("seamldr_info", version="1.5.02"): 1,
        key("remaining_updates"): 4,
        key("running_tds"): 3,
        key("reboot_needed"): 0,
        key("permitted_info", outcome="update", policy="production", target="1.5.34"): 1,
        key("update_permitted"): 1,
        key("last_run_info", source="1.5.24", target="1.5.28", policy="production"): 1,
        key("last_run_start_timestamp_seconds"): 1795395600,
        key("last_run_end_timestamp_seconds"): 1795395602.5,
        key("last_run_this_boot"): 1,
        key("journal_problems"): 0,
        key("written_timestamp_seconds"): NOW,
    }


def test_what_is_unknown_has_no_series_but_is_named() -> None:
    assert samples(NOTHING) == {
        key("fact_unknown", fact="module_version"): 1,
        key("fact_unknown", fact="remaining_updates"): 1,
        key("journal_problems"): 1,
        key("written_timestamp_seconds"): NOW,
    }


@pytest.mark.parametrize(("tdx", "running", "lost"), [("running", 1, 0), ("lost", 0, 1), ("absent", 0, 0)])
def test_tdx(tdx: str, running: int, lost: int) -> None:
    found = samples({**KNOWN, "tdx": tdx})
    assert (found[key("tdx_running")], found[key("tdx_lost")]) == (running, lost)


@pytest.mark.parametrize("outcome", [*OUTCOMES, "of a later version"])
def test_exactly_one_outcome_is_set(outcome: str) -> None:
    found = samples({**KNOWN, "last_run": {**KNOWN["last_run"], "outcome": outcome}})
    set_ = [labels for (name, labels), value in found.items() if name == "seamstep_last_run_outcome" and value]
    assert set_ == [frozenset({("outcome", outcome)})]


def test_every_state_that_a_run_can_end_in_is_an_outcome() -> None:
    assert set(OUTCOMES) >= set(State) - {State.STAGED, State.COMMITTED}


def test_zero_is_a_value() -> None:
    assert samples({**KNOWN, "remaining_updates": 0})[key("remaining_updates")] == 0


def test_a_run_that_has_not_ended() -> None:
    found = samples({**KNOWN, "last_run": {**KNOWN["last_run"], "ended": None, "outcome": None}})
    assert key("last_run_start_timestamp_seconds") in found
    assert key("last_run_end_timestamp_seconds") not in found
    assert not any(name == "seamstep_last_run_outcome" for name, _ in found)


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [("2026-11-23T01:00:00", 1795395600), ("2026-11-23T02:00:00+01:00", 1795395600), ("soon", None), ("", None)],
)
def test_moments(monkeypatch: pytest.MonkeyPatch, moment: str, seconds: float | None) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        found = samples({**KNOWN, "last_run": {**KNOWN["last_run"], "ended": moment}})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert found.get(key("last_run_end_timestamp_seconds")) == seconds


def test_labels_arrive_as_they_were() -> None:
    text = 'a "quoted" \\ back\\nslash\nand a line, {braces}'
    found = samples({**KNOWN, "last_run": {**KNOWN["last_run"], "policy": text}})
    assert key("last_run_info", source="1.5.24", target="1.5.28", policy=text) in found


@given(st.text())
def test_no_text_can_add_a_sample(text: str) -> None:
    """A policy's name is anybody's text."""
    status = {**KNOWN, "last_run": {**KNOWN["last_run"], "policy": text}, "unknown": {text: "x"}}
    found = samples(status)
    assert len(found) == len(samples(KNOWN)) + 1
    if text.isprintable():
        assert key("fact_unknown", fact=text) in found


OUTSIDE = {"outcome": "update", "window": {"open": False, "opens": "2026-11-28T00:00:00+00:00"}}


def test_outside_the_windows_no_update_is_permitted() -> None:
    found = samples(KNOWN | {"permitted": OUTSIDE})
    assert {(key("update_permitted"), 0), (key("window_open"), 0)} <= {*found.items()}
    assert found[key("window_opens_timestamp_seconds")] == 1795824000
    inside = {"outcome": "update", "window": {"open": True, "opens": None}}
    assert samples(KNOWN | {"permitted": inside})[key("update_permitted")] == 1


def test_all_metrics_are_documented() -> None:
    rows = re.findall(r"^\| (`seamstep_.*?) \|", DOCS.read_text(), re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(seamstep_[a-z_]+)", row)}
    hold = {"reason": "x", "by": "y", "since": "2026-11-23T01:00:00+00:00"}
    advisories = ["INTEL-SA-01099"]
    tcb = {"status": "OutOfDate", "since": "2024-11-13", "advisories": advisories, "closed_by": None, "documents": []}
    full = samples({**KNOWN, "permitted": OUTSIDE, "hold": hold, "tcb": tcb})
    assert documented == {name for name, _ in samples(KNOWN) | samples(NOTHING) | full}
