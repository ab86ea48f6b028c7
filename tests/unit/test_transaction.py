"""Runs as transactions: what one leaves behind, the next one heeds."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from crashing import again, run_to
from test_crash import applied_hops, history
from test_executor import V24, V28, V34, Recorder, simulated

from conftest import judge_for, plan_for
from seamstep.base.errors import ExitCode, NotUpdatableError, RefusedError, UnknownOutcomeError
from seamstep.domain.facts import HostFacts
from seamstep.host.read_facts import read_facts
from seamstep.host.simulated import Fault, SimulatedHost
from seamstep.plan.document import Plan, seal
from seamstep.run import transaction
from seamstep.run.executor import Executor, ReadBack, RunResult, State, Stop
from seamstep.run.executor.commands import Commands
from seamstep.run.hooks import HookResult
from seamstep.run.past_runs import PastHop, PastRun
from seamstep.run.recovery import Now, classify_interrupted

HW_ERROR = Fault(error="hw-error")
BUSY = Fault(error="device-busy")
NIGHT = datetime(2026, 11, 23, 23, 0, tzinfo=UTC).timestamp()


def with_settings(plan: Plan, **settings: Any) -> Plan:
    """The same plan with other settings under 'apply'."""
    document = {key: value for key, value in plan.document.items() if key not in {"schema", "id"}}
    return seal(document | {"apply": settings}, plan.host)


# -- recovery, as a table

OK = ReadBack(V28, lost=False, unreadable="", reported="", unreported="", idle=True, remaining=4)
SAME = OK._replace(version=V24, remaining=5)


def past(state: str, boot_id: str = "here", **changes: Any) -> PastRun:
    hop = PastHop("1.5.24", "1.5.28", "aa", 5, state, "", 0.0)._replace(**changes)
    return PastRun("t", boot_id, "", "plan", "policy", "1.5.24", "1.5.28", (hop,))


@pytest.mark.parametrize(
    ("run", "seen", "loading", "state", "refuses"),
    [
        (past("preflight")._replace(hops=()), SAME, False, "not-started", False),
        (past("preflight"), SAME, True, "not-started", False),
        (past("staged"), SAME, True, "not-started", False),
        (past("staged"), SAME._replace(version=None, unreadable="EIO", remaining=None), True, "not-started", False),
        (past("staged"), OK, False, "unknown", True),
        (past("staged"), SAME._replace(remaining=4), False, "unknown", True),
        (past("preflight")._replace(hops=()), OK, False, "unknown", True),
        (past("committing"), SAME, True, "not-started", False),
        (past("committing"), OK, False, "applied", False),
        (past("committing"), OK, True, "applied", False),
        (past("committing"), SAME._replace(reported="programming:device-busy"), False, "busy", False),
        (past("committing"), SAME._replace(reported="programming:hw-error"), False, "failed", False),
        (past("committing"), SAME, False, "failed", False),
        (past("committing"), SAME, None, "failed", False),
        (past("committing"), SAME._replace(remaining=4), True, "failed", False),
        (past("committing"), OK._replace(version=None, lost=True), False, "lost", True),
        (past("staged"), OK._replace(version=None, lost=True), False, "lost", True),
        (past("committing"), OK._replace(version=None, unreadable="EIO"), False, "unknown", True),
        (past("committing"), OK._replace(version=V34), False, "unknown", True),
        (past("committing"), OK._replace(remaining=5), False, "unknown", True),
        (past("committing"), OK._replace(remaining=None), False, "unknown", True),
        (past("committing"), OK._replace(reported=None, unreported="EBUSY"), False, "unknown", True),
        (past("committing"), SAME._replace(idle=False), False, "unknown", True),
        (past("committing", remaining=None), OK, False, "unknown", True),
        (past("committing", source="garbage"), OK, False, "unknown", True),
        (past("applied"), OK, False, "applied", False),
        (past("busy"), SAME, False, "busy", False),
        (past("failed"), SAME, False, "failed", False),
        (past("committing", "another boot"), SAME, False, "unknown", False),
        (past("staged", "another boot"), SAME, False, "not-started", False),
        (past("applied", "another boot"), SAME, False, "applied", False),
    ],
)
def test_what_came_of_a_killed_run(
    run: PastRun, seen: ReadBack, loading: bool | None, state: str, refuses: bool
) -> None:
    finding = classify_interrupted(run, Now("here", seen, loading))
    assert (finding.state, finding.refuses) == (state, refuses)
    assert finding.settled is (seen.idle or run.boot_id != "here")


# -- what failed is not tried again


def test_a_step_that_failed_is_not_tried_again_in_this_boot(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan = plan_for(spr, images)
    host = simulated(plan, HW_ERROR)
    assert again(plan, host, tmp_path).exit_code is ExitCode.FAILED
    for other in (plan, with_settings(plan, soak=1)):
        with pytest.raises(RefusedError, match=r"1.5.24 → 1.5.28 was tried in this boot .*hw-error.*--retry-failed"):
            again(other, host, tmp_path)
    assert host.uploads == 1
    assert again(plan_for(spr, images, "fewest-hops"), simulated(plan), tmp_path).state is not State.BUSY, (
        "another step"
    )
    assert again(plan, host, tmp_path, retry_failed=True).version == V34


def test_what_failed_in_another_boot_is_history(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan = plan_for(spr, images)
    again(plan, simulated(plan, HW_ERROR), tmp_path)
    rebooted = plan_for(spr._replace(boot_id="another"), images)
    assert again(rebooted, simulated(rebooted), tmp_path).version == V34


@pytest.mark.parametrize("fault", [BUSY, None])
def test_what_was_busy_or_not_started_may_be_tried_again(
    spr: HostFacts, images: Path, tmp_path: Path, fault: Fault | None
) -> None:
    plan = plan_for(spr, images)
    host = simulated(plan, fault, rawio=bool(fault))
    assert not again(plan, host, tmp_path).applied
    assert again(plan, simulated(plan), tmp_path).version == V34


# -- going on where a run left off


def test_max_hops_and_the_rest_of_the_plan(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan = plan_for(spr, images)
    host = simulated(plan)
    first = again(plan, host, tmp_path, limit=1)
    assert (first.exit_code, first.version, first.applied) == (0, V28, plan.hops[:1])
    assert first.message == "1.5.28 runs; stopped here as asked, 1 more hop to 1.5.34"
    second = again(plan, host, tmp_path)
    assert (second.exit_code, second.version, second.applied) == (0, V34, plan.hops[1:])
    third = again(plan, host, tmp_path)
    assert (third.exit_code, third.applied, host.uploads) == (0, (), 2)
    assert "performed already" in third.message
    assert again(plan, simulated(plan), tmp_path / "new", limit=9).applied == plan.hops
    elsewhere = again(plan, SimulatedHost(read_facts(host)._replace(remaining_updates=1), {}), tmp_path)
    assert elsewhere.exit_code is ExitCode.STALE, "done once is not done now"


def test_two_hosts_in_one_journal_prove_nothing(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan = plan_for(spr, images)
    for _ in range(2):
        host = simulated(plan)
        assert again(plan, host, tmp_path, limit=1).version == V28
    assert again(plan, host, tmp_path).exit_code is ExitCode.STALE


def test_a_plan_goes_on_only_where_the_journal_proves_it(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan = plan_for(spr, images)
    host = simulated(plan)
    again(plan, host, tmp_path / "state", limit=1)
    for folder, other in [("elsewhere", plan), ("state", with_settings(plan, soak=1))]:
        result = again(other, host, tmp_path / folder)
        assert (result.exit_code, host.uploads) == (ExitCode.STALE, 1)
        assert "module_version was 1.5.24, is 1.5.28" in result.message
    rebooted = SimulatedHost(read_facts(host)._replace(boot_id="another"), {})
    assert again(plan, rebooted, tmp_path / "state").exit_code is ExitCode.STALE


def test_a_run_that_was_killed_while_its_outcome_is_unknown_waits_for_somebody(
    spr: HostFacts, images: Path, tmp_path: Path
) -> None:
    plan = plan_for(spr, images)
    fault = Fault(version=V28, keeps_count=True)
    whole = run_to(plan, simulated(plan, fault), tmp_path / "whole", None)
    host = simulated(plan, fault)
    run_to(plan, host, tmp_path / "state", whole.interactions.index("state committed"))
    with pytest.raises(UnknownOutcomeError, match="remaining updates went from 5 to 5"):
        again(plan, host, tmp_path / "state")
    fresh = plan_for(read_facts(host), images)
    assert again(fresh, host, tmp_path / "state").version == V34, "once told, another step is open"


def test_without_a_boot_id_nothing_is_done(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan = plan_for(spr._replace(boot_id=None), images)
    with pytest.raises(NotUpdatableError, match="boot_id is not known"):
        again(plan, simulated(plan), tmp_path)


# -- busy


def perform(host: SimulatedHost, plan: Plan, **settings: Any) -> tuple[RunResult, list[float]]:
    waits: list[float] = []

    class Waits(Recorder):
        def waiting(self, why: str, seconds: float) -> None:
            waits.append(seconds)
            self.events.append(why)

    return Executor(host, Waits(), **settings).run(plan), waits


def test_only_busy_is_retried_within_bounds_and_backing_off(spr: HostFacts, images: Path) -> None:
    plan = with_settings(plan_for(spr, images), busy={"retries": 4, "wait": 30})
    host = simulated(plan, *[BUSY] * 4)
    result, waits = perform(host, plan, jitter=lambda: 1.0)
    assert (result.version, host.uploads, waits) == (V34, 6, [30, 60, 120, 240])
    host = simulated(plan, *[BUSY] * 9)
    result, waits = perform(host, plan, jitter=lambda: 0.0)
    assert (result.state, result.exit_code, host.uploads, waits) == (State.BUSY, 4, 5, [15, 30, 60, 120])
    assert "a TD is being built or migrated" in result.message
    result, waits = perform(simulated(plan, HW_ERROR), plan)
    assert (result.state, waits) == (State.FAILED, [])
    many = with_settings(plan, busy={"retries": 12, "wait": 30})
    assert max(perform(simulated(many, *[BUSY] * 12), many, jitter=lambda: 1.0)[1]) == 600


def test_preflight_comes_again_before_every_retry(spr: HostFacts, images: Path) -> None:
    plan = with_settings(plan_for(spr, images), busy={"retries": 4, "wait": 30})

    class Offline(SimulatedHost):
        def read(self, path: str, limit: int) -> bytes:
            return b"0-7\n" if self.uploads and path.endswith("cpu/online") else super().read(path, limit)

    host = Offline(plan.host, {}, faults=[BUSY])
    result, _ = perform(host, plan)
    assert (result.exit_code, host.uploads) == (ExitCode.STALE, 1)
    assert "cpus_online was 0-223, is 0-7" in result.message


# -- soak and windows


def test_soak_between_hops_also_across_runs(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan = with_settings(plan_for(spr, images), soak=600)
    host = simulated(plan)
    result, waits = perform(host, plan)
    assert (result.version, len(waits)) == (V34, 1)
    assert 599 < waits[0] <= 600
    host, recorder = simulated(plan), Recorder()
    again(plan, host, tmp_path, limit=1)
    host.sleep(200)
    begun = host.monotonic()
    assert again(plan, host, tmp_path, recorder).version == V34
    assert 399 < host.monotonic() - begun < 402


def test_a_dry_run_tells_that_a_real_one_would_soak(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan = with_settings(plan_for(spr, images), soak=600)
    host = simulated(plan)
    assert again(plan, host, tmp_path, limit=1).version == V28
    host.sleep(100)
    with transaction.begun(host, str(tmp_path), dry_run=True) as begun:
        result = begun.perform(plan, judge_for(plan))
    assert "1.5.28 → 1.5.34 could be performed, but not now, 500 s of the soak time" in result.message
    host.sleep(500)
    with transaction.begun(host, str(tmp_path), dry_run=True) as begun:
        assert "1.5.28 → 1.5.34 could be performed now" in begun.perform(plan, judge_for(plan)).message


def test_an_interrupt_ends_soaking(spr: HostFacts, images: Path) -> None:
    plan = with_settings(plan_for(spr, images), soak=600)

    class Interrupting(SimulatedHost):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if seconds == 1.0:
                os.kill(os.getpid(), 15)

    host = Interrupting(plan.host, {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image})
    result = Executor(host).run(plan)
    assert (result.exit_code, result.version, result.applied) == (ExitCode.INTERRUPTED, V28, plan.hops[:1])
    assert host.monotonic() < 3


def test_outside_the_windows_nothing_begins(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    windows = [{"from": "22:00", "to": "23:10", "timezone": "UTC"}]
    plan = with_settings(plan_for(spr, images), windows=windows)
    host = simulated(plan, epoch=NIGHT - 7200)
    result = again(plan, host, tmp_path)
    assert (result.exit_code, result.stopped, host.uploads) == (ExitCode.BUSY, Stop.NOT_NOW, 0)
    assert "1.5.24 → 1.5.28 was not begun" in result.message
    assert "the next opens 2026-11-23 22:00 (UTC)" in result.message
    soaking = with_settings(plan, windows=windows, soak=900)
    host = simulated(plan, epoch=NIGHT)
    result = again(soaking, host, tmp_path / "soaking")
    assert (result.exit_code, result.version, result.applied) == (ExitCode.BUSY, V28, plan.hops[:1])
    assert "1.5.28 → 1.5.34 was not begun: outside" in result.message
    host.sleep(86400 - 900)
    assert again(soaking, host, tmp_path / "soaking").version == V34, "the next night"


# -- commands


def hook(code: int, *words: str) -> Callable[..., HookResult]:
    def run(argv: tuple[str, ...], variables: Any, stop: Callable[[], bool]) -> HookResult:
        ran.append((argv, dict(variables)))
        problem = f"ended with exit code {code}" if argv[0] in words else ""
        return HookResult(argv, code, problem, "said\n")

    ran: list[Any] = []
    run.ran = ran  # type: ignore[attr-defined]
    return run


@pytest.mark.parametrize(
    ("failing", "fault", "code", "version", "ran", "outcome"),
    [
        ((), None, 0, V34, ["quiesce", "tell", "resume", "report"], "applied"),
        ((), HW_ERROR, 6, V24, ["quiesce", "tell", "resume", "report"], "failed"),
        (("quiesce",), None, 1, V24, ["quiesce", "resume", "report"], "refused"),
        (("resume",), None, 0, V34, ["quiesce", "tell", "resume", "report"], "applied"),
    ],
)
def test_commands(
    spr: HostFacts, images: Path, failing: Any, fault: Any, code: int, version: Any, ran: list[str], outcome: str
) -> None:
    settings = {"before": [["quiesce", "all"], ["tell"]], "after": [["resume"], ["report"]]}
    plan = with_settings(plan_for(spr, images), **settings)
    run: Any = hook(3, *failing)
    records: list[tuple[str, Any]] = []

    def record(event: str, **details: Any) -> None:
        records.append((event, details))

    commands = Commands(plan.settings, {"SEAMSTEP_PLAN": plan.id}, record, run)
    result = Executor(simulated(plan, fault), commands=commands).run(plan)
    assert (result.exit_code, result.version) == (code, version)
    assert [argv[0] for argv, _ in run.ran] == ran
    assert run.ran[0][1] == {"SEAMSTEP_PLAN": plan.id}
    assert run.ran[-1][1] == {"SEAMSTEP_PLAN": plan.id, "SEAMSTEP_OUTCOME": outcome}
    assert [details["argv"][0] for event, details in records if event == "hook"] == ran
    if "quiesce" in failing:
        assert result.message == "the command quiesce all ended with exit code 3: said; nothing was changed"
    told = ("the command resume ended with exit code 3: said; the outcome of the update stands",)
    assert result.warnings == (told if "resume" in failing else ())


@pytest.mark.parametrize(
    ("failing", "code", "version", "ran", "message"),
    [
        (
            "before-hooks",
            1,
            V24,
            ["resume"],
            "the journal can't be written: No space left on device; nothing was changed",
        ),
        ("hook before", 1, V24, ["quiesce", "resume"], "the journal can't be written: No space left on device"),
        ("hook after", 0, V34, ["quiesce", "resume"], "1.5.34 runs"),
        ("after-hooks", 0, V34, ["quiesce", "resume"], "1.5.34 runs"),
    ],
)
def test_commands_that_can_not_be_recorded(
    spr: HostFacts, images: Path, failing: str, code: int, version: Any, ran: list[str], message: str
) -> None:
    """Before the first hop that stops the run; after the last the outcome stands. Those after are run in any case."""
    plan = with_settings(plan_for(spr, images), before=[["quiesce"]], after=[["resume"]])
    run: Any = hook(0)

    def record(event: str, **details: Any) -> None:
        if f"{event} {details.get('phase', '')}".strip() == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    result = Executor(simulated(plan), commands=Commands(plan.settings, {}, record, run)).run(plan)
    assert (result.exit_code, result.version, [argv[0] for argv, _ in run.ran]) == (code, version, ran)
    assert message in result.message
    assert len(result.warnings) == (failing in {"hook after", "after-hooks"})


def test_commands_after_are_run_also_when_seamstep_itself_breaks(
    spr: HostFacts, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> RunResult:
        raise MemoryError

    plan = with_settings(plan_for(spr, images), after=[["resume"]])
    run: Any = hook(0)
    executor = Executor(simulated(plan), commands=Commands(plan.settings, {}, lambda *_, **__: None, run))
    monkeypatch.setattr(executor, "_hop", broken)
    with pytest.raises(MemoryError):
        executor.run(plan)
    assert run.ran == [(("resume",), {"SEAMSTEP_OUTCOME": "unknown"})]


def test_commands_run_for_real_and_not_in_vain(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    """A stale plan disturbs nobody; a command that hangs is another test's affair."""
    note = tmp_path / "note"
    script = f'echo "$SEAMSTEP_SOURCE $SEAMSTEP_TARGET $SEAMSTEP_OUTCOME" >> {note}'
    plan = with_settings(plan_for(spr, images), before=[["sh", "-c", script]], after=[["sh", "-c", script]])
    stale = SimulatedHost(spr._replace(remaining_updates=4), {})
    assert again(plan, stale, tmp_path / "stale").exit_code is ExitCode.STALE
    assert not note.exists()
    assert again(plan, simulated(plan), tmp_path / "state").version == V34
    assert note.read_text() == "1.5.24 1.5.34 \n1.5.24 1.5.34 applied\n"
    events = [record.event for record in history(tmp_path / "state").records]
    assert events[:3] == ["run-started", "before-hooks", "hook"]
    assert events[-3:] == ["hook", "after-hooks", "run-ended"]


def test_a_killed_run_that_left_the_host_quiesced_is_told(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan = with_settings(plan_for(spr, images), before=[["true"]], after=[["true"]])
    whole = run_to(plan, simulated(plan), tmp_path / "whole", None)
    host = simulated(plan)
    run_to(plan, host, tmp_path / "state", whole.interactions.index("state staged"))
    recorder = Notes()
    assert again(plan, host, tmp_path / "state", recorder).version == V34
    assert any("its commands 'before' were run, and those 'after' were not" in note for note in recorder.notes)


@pytest.mark.parametrize(
    ("killed_at", "made_up"),
    [("state staged", "after not-started, before, after applied"), ("state applied", "after applied")],
)
def test_commands_after_that_a_killed_run_owes_are_made_up_for_once(
    spr: HostFacts, images: Path, tmp_path: Path, killed_at: str, made_up: str
) -> None:
    """Also where there is nothing else to do: TD builds must not stay quiesced until somebody notices."""
    note = tmp_path / "note"

    def said() -> str:
        text = ", ".join(note.read_text().splitlines()) if note.exists() else ""
        note.unlink(missing_ok=True)
        return text

    after = [["sh", "-c", f"echo after $SEAMSTEP_OUTCOME >> {note}"]]
    plan = with_settings(
        plan_for(spr, images, "fewest-hops"), before=[["sh", "-c", f"echo before >> {note}"]], after=after
    )
    at = run_to(plan, simulated(plan), tmp_path / "whole", None).interactions.index(killed_at)
    assert said() == "before, after applied"
    host, state = simulated(plan), tmp_path / "state"
    run_to(plan, host, state, at)
    assert said() == "before"
    other = with_settings(plan, before=plan.document["apply"]["before"], after=[["true"]])
    recorder = Notes()
    with transaction.begun(host, str(state), dry_run=True) as begun:
        begun.make_up(plan)
    with transaction.begun(host, str(state)) as begun:
        begun.make_up(other)
    assert said() == "", "neither in a dry run nor for other commands"
    assert again(plan, host, state, recorder).version == V34
    assert said() == made_up
    assert any("running the commands 'after' of the run" in note for note in recorder.notes)
    assert again(plan, host, state).version == V34
    assert said() == "", "once is enough"


class Notes(Recorder):
    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


# -- the rest


def test_a_dry_run_changes_nothing(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan = with_settings(plan_for(spr, images), before=[["false"]])

    class ReadOnly(SimulatedHost):
        def write(self, path: str, data: bytes, offset: int = 0) -> int:
            raise AssertionError("nothing is written in a dry run")

    def dry(host: SimulatedHost, **settings: Any) -> RunResult:
        with transaction.begun(host, str(tmp_path), dry_run=True) as begun:
            return begun.perform(plan, judge_for(plan), **settings)

    result = dry(ReadOnly(plan.host, {}))
    assert (result.exit_code, result.version, result.applied) == (0, V24, ())
    assert "1.5.24 → 1.5.28, 1.5.28 → 1.5.34 could be performed now; nothing was changed" in result.message
    assert "1.5.24 → 1.5.28 could" in dry(ReadOnly(plan.host, {}), limit=1).message
    assert dry(ReadOnly(plan.host._replace(cpus_online="0-7"), {})).exit_code is ExitCode.STALE
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_whoever_holds_while_committed_can_not_disturb(spr: HostFacts, images: Path) -> None:
    import contextlib

    events: list[str] = []
    plan = plan_for(spr, images)

    class Host(SimulatedHost):
        def write(self, path: str, data: bytes, offset: int = 0) -> int:
            if (path.rpartition("/")[2], data) == ("loading", b"0"):
                events.append("commit")
            return super().write(path, data, offset)

    @contextlib.contextmanager
    def holding() -> Iterator[None]:
        events.append("held")
        yield
        events.append("let go")
        raise OSError("gone")

    def failing() -> Any:
        raise OSError("no bus")

    modules = {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image}
    assert Executor(Host(spr, modules), committed=holding).run(plan).version == V34
    assert events == ["held", "commit", "let go"] * 2
    assert Executor(Host(spr, modules), committed=failing).run(plan).version == V34


def test_constraints_are_judged_again_and_not_only_compared(spr: HostFacts, images: Path) -> None:
    """A plan that nobody checked, for a host that was unfit from the start."""
    plan = plan_for(spr, images)
    unfit = spr._replace(cpus_online="0-7")
    host = SimulatedHost(unfit, {})
    result = Executor(host).run(plan._replace(host=unfit))
    assert (result.exit_code, host.uploads) == (ExitCode.STALE, 0)
    assert "need all CPUs online" in result.message


def test_the_end_of_the_kernel_s_work_is_noticed_within_20_ms(spr: HostFacts, images: Path) -> None:
    """And the slow P-SEAMLDR attributes are not read while waiting for it."""
    plan = plan_for(spr, images, "fewest-hops")

    class Timed(SimulatedHost):
        idle_seen = 0.0
        slow: list[float]

        def read(self, path: str, limit: int) -> bytes:
            content = super().read(path, limit)
            if self.uploads and not self.idle_seen:
                assert path.endswith("/status"), "nothing else is polled"
                if content == b"idle\n":
                    self.idle_seen = self.monotonic()
            return content

    for phase_seconds in (0.0001, 0.0007, 0.003, 0.01, 0.05, 0.3, 1.7, 20.0):
        modules = {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image}
        host = Timed(plan.host, modules, phase_seconds=phase_seconds)
        assert Executor(host).run(plan).version == V34
        assert 0 <= host.idle_seen - 4 * phase_seconds <= 0.020


def test_every_record_tells_whose_it_is(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan = plan_for(spr, images, "fewest-hops")
    again(plan, simulated(plan, epoch=NIGHT), tmp_path)
    records = history(tmp_path).records
    assert [record.event for record in records] == [
        "run-started",
        "preflight",
        "staged",
        "committing",
        "outcome",
        "run-ended",
    ]
    assert {record.boot_id for record in records} == {spr.boot_id}
    assert len({record.transaction for record in records}) == 1
    assert [record.seq for record in records] == [1, 2, 3, 4, 5, 6]
    assert {record.time[:16] for record in records} == {"2026-11-23T23:00"}
    started, _, _, committing, outcome, ended = records
    assert (started.text("plan"), started.text("policy")) == (plan.id, "fewest-hops")
    image = plan.hops[0].image
    assert image
    assert (committing.text("image"), committing.integer("remaining_before")) == (image.upload_sha256, 5)
    assert (outcome.text("state"), outcome.text("version"), outcome.integer("remaining")) == ("applied", "1.5.34", 4)
    assert (ended.integer("exit_code"), ended.integer("applied")) == (0, 1)
    assert applied_hops(tmp_path) == {("1.5.24", "1.5.34"): 1}
    assert json.loads(json.dumps(dict(ended.data))) == dict(ended.data)
