"""What engines hand over becomes observations, and nothing becomes good news that is not."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamstep.base.documents import Document
from seamstep.base.errors import InputError
from seamstep.fleet import reports
from seamstep.fleet.messages import Outcome, Report


def read(data: Any) -> Report:
    return reports.report(Document("x", data, "", lambda _: None))


def ran(**keys: Any) -> Report:
    return read({"host": "h", "lease": "l", "run": {"schema": "seamstep/run/v1", "boot_id": "b", **keys}})


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        *((0, "applied"), (1, "refused"), (2, "refused"), (3, "refused"), (4, "busy"), (5, "refused"), (6, "failed")),
        *((7, "lost"), (8, "unknown"), (70, "unknown"), (130, "unknown"), (None, "unknown"), ("0", "unknown")),
        (True, "unknown"),
    ],
)
def test_exit_codes_of_apply(code: Any, outcome: str) -> None:
    report = ran(exit_code=code, module_version="1.5.06", message="so it was")
    assert report == Report("h", Outcome(outcome), "l", "b", "1.5.06", "so it was")


def test_a_run_that_changed_nothing_may_be_tried_again() -> None:
    assert ran(exit_code=130, stopped="interrupted").outcome is Outcome.BUSY
    assert ran(exit_code=0, stopped="dry-run").outcome is Outcome.BUSY
    assert ran(exit_code=8, state="unknown", stopped=None).outcome is Outcome.UNKNOWN


def test_errors_and_plans_of_apply() -> None:
    error = {"schema": "seamstep/error/v1", "exit_code": 5, "error": "stale plan"}
    report = read({"host": "h", "lease": "l", "boot_id": "b", "run": error})
    assert (report.outcome, report.note) == (Outcome.REFUSED, "stale plan")
    assert read({"host": "h", "boot_id": "b", "run": {**error, "exit_code": 0}}).outcome is Outcome.UNKNOWN
    plan = {"schema": "seamstep/plan/v1", "outcome": "up-to-date", "host": {"module_version": "1.5.06"}, "reason": "r"}
    report = read({"host": "h", "boot_id": "b", "run": plan})
    assert (report.outcome, report.version) == (Outcome.APPLIED, "1.5.06")
    assert read({"host": "h", "boot_id": "b", "run": {**plan, "outcome": "no-path"}}).outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ({"tdx": "running", "module_version": "1.5.06"}, "seen"),
        ({"tdx": "running", "module_version": None}, "unreachable"),
        ({"tdx": "lost"}, "lost"),
        ({"tdx": "absent"}, "unreachable"),
        ({"tdx": "unknown"}, "unreachable"),
        ({}, "unreachable"),
        ({"tdx": "running", "module_version": "1.5.06", "last_run": {"outcome": "running"}}, "running"),
    ],
)
def test_what_a_status_says(status: dict[str, Any], outcome: str) -> None:
    report = read({"host": "h", "status": {"schema": "seamstep/status/v1", "boot_id": "b", **status}})
    assert (report.outcome, report.boot_id) == (Outcome(outcome), "b")


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"host": ""},
        {"host": "h"},
        {"host": "h", "outcome": "applied"},
        {"host": "h", "outcome": "unreachable", "run": {"schema": "seamstep/run/v1"}},
        {"host": "h", "run": {"schema": "seamstep/facts/v1"}},
        {"host": "h", "run": []},
        {"host": "h", "outcome": "unreachable", "extra": 1},
        {"host": "h", "boot_id": "a", "run": {"schema": "seamstep/run/v1", "boot_id": "b"}},
    ],
)
def test_refused(data: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        read(data)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(
    st.sampled_from(["host", "run", "status", "outcome", "schema", "boot_id", "exit_code", "tdx", "last_run"]), inner)
)  # fmt: skip


@given(JSON)
def test_nothing_breaks_the_reader(data: Any) -> None:
    with contextlib.suppress(InputError):
        read(data if isinstance(data, dict) else {"host": "h", "run": data})
