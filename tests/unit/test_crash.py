"""Whatever moment a run is killed at, the next one knows what happened, repeats nothing, and loses nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from crashing import again, run_to
from test_executor import V24, V28, V34, simulated

from conftest import THOROUGH, judge_for, plan_for
from seamstep.base.errors import RefusedError, SeamstepError, TdxLostError
from seamstep.domain.facts import HostFacts
from seamstep.host.read_facts import read_facts
from seamstep.host.simulated import Fault, SimulatedHost
from seamstep.plan.document import Plan
from seamstep.run import past_runs, transaction
from seamstep.run.executor import State
from seamstep.run.journal import NAME, History, open_folder, read
from seamstep.run.recovery import Finding


def history(folder: Path) -> History:
    if not folder.exists():
        return History((), ())
    descriptor = open_folder(str(folder), create=False)
    try:
        return read(descriptor)
    finally:
        os.close(descriptor)


def content(folder: Path) -> bytes:
    file = folder / NAME
    return file.read_bytes() if file.exists() else b""


def applied_hops(folder: Path) -> Counter[tuple[str, str]]:
    """How often each step was applied, as the journal has it."""
    runs = past_runs.runs(history(folder).records)
    return Counter((hop.source, hop.target) for run in runs for hop in run.hops if hop.state == State.APPLIED)


def check_finding(finding: Finding | None, host: SimulatedHost, before: bytes) -> None:
    """What the next run found out is what the world says."""
    last = [line for line in before.split(b"\n") if b'"event":"committing"' in line or b'"event":"outcome"' in line]
    if finding is None or finding.hop is None or finding.hop.state != "committing":
        return
    assert last
    now = str(read_facts(host).module_version)
    assert finding.state == ("applied" if now == finding.hop.target else "not-started")


def recover_and_finish(plan: Plan, host: SimulatedHost, folder: Path) -> None:
    """Run again to the end. Nothing may be done twice, forgotten or told wrongly."""
    before, known = content(folder), history(folder)
    assert all("torn" in problem for problem in known.problems)
    with transaction.begun(host, str(folder)) as begun:
        check_finding(begun.finding, host, before)
        result = begun.perform(plan, judge_for(plan))
    assert (result.state, result.version, result.stopped) == (State.APPLIED, V34, None), result.message
    assert host.uploads == 2
    assert read_facts(host) == plan.host.after(V34, 2)
    assert content(folder).startswith(before), "the journal is append-only"
    after = history(folder)
    assert not after.problems
    assert after.records[: len(known.records)] == known.records
    assert applied_hops(folder) == {("1.5.24", "1.5.28"): 1, ("1.5.28", "1.5.34"): 1}


@pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_every_interaction(
    spr: HostFacts, images: Path, place: Path, say: Callable[[str], None], stride: int
) -> None:
    """At every one of them with stride 1; at every seventh, before and after each change of state, in a quick run."""
    plan = plan_for(spr, images)
    whole = run_to(plan, simulated(plan), place / "whole", None)
    kinds = Counter(interaction.partition(" ")[0] for interaction in whole.interactions)
    assert whole.killed is None
    assert kinds["state"] == 7, "both hops, and the move between them"
    states = {number for number, interaction in enumerate(whole.interactions) if interaction.startswith("state ")}
    points = sorted({*range(0, len(whole.interactions), stride), *states, *(number + 1 for number in states)})
    for point in points:
        host, folder = simulated(plan), place / str(point)
        killed = run_to(plan, host, folder, point)
        assert killed.killed == whole.interactions[point], "every run takes the same way"
        host.sleep(0.0 if point % 2 else 1.0)  # the kernel's worker is still at it, or done
        recover_and_finish(plan, host, folder)
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    say(f"crash test: killed and recovered at {len(points)} of {len(whole.interactions)} points ({told})")


def test_killed_in_the_middle_of_every_write(
    spr: HostFacts, images: Path, place: Path, say: Callable[[str], None]
) -> None:
    plan = plan_for(spr, images)
    whole = run_to(plan, simulated(plan), place / "whole", None)
    points = [number for number, interaction in enumerate(whole.interactions) if interaction == "os write"]
    for point in points:
        host, folder = simulated(plan), place / str(point)
        run_to(plan, host, folder, point, tear=True)
        assert content(folder)
        assert not content(folder).endswith(b"\n")
        recover_and_finish(plan, host, folder)
    say(f"crash test: killed and recovered in the middle of {len(points)} writes")


@pytest.mark.parametrize("stride", [23, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_again_while_recovering(
    spr: HostFacts, images: Path, place: Path, say: Callable[[str], None], stride: int
) -> None:
    """The second run is killed as well, at each of its interactions, after the first was killed behind its commit."""
    plan = plan_for(spr, images)
    whole = run_to(plan, simulated(plan), place / "whole", None)
    commit = whole.interactions.index("state committed")
    host = simulated(plan)
    run_to(plan, host, place / "second", commit)
    second = run_to(plan, host, place / "second", None)
    points = range(0, len(second.interactions), stride)
    for point in points:
        host, folder = simulated(plan), place / str(point)
        run_to(plan, host, folder, commit)
        run_to(plan, host, folder, point)
        recover_and_finish(plan, host, folder)
    say(f"crash test: killed twice and recovered at {len(points)} points")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("fault", "error", "version", "state"),
    [
        (Fault("programming", "hw-error"), RefusedError, V24, "failed"),
        (Fault("transferring", "firmware-invalid", lost=True), TdxLostError, None, "lost"),
        (Fault(version=V28, keeps_count=True), SeamstepError, V28, "unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_killed_after_a_commit_that_goes_wrong(
    spr: HostFacts, images: Path, place: Path, fault: Fault, error: type[Exception], version: object, state: str
) -> None:
    """The failure is found out, told, and not repeated."""
    plan = plan_for(spr, images)
    whole = run_to(plan, simulated(plan, fault), place / "whole", None)
    committed = whole.interactions.index("state committed")
    for point in range(committed, len(whole.interactions), 1 if THOROUGH else 5):
        host, folder = simulated(plan, fault), place / str(point)
        run_to(plan, host, folder, point)
        with pytest.raises(error):
            again(plan, host, folder)
        assert host.uploads == 1
        assert read_facts(host).module_version == version
        found = [record for record in history(folder).records if record.event in {"outcome", "recovered"}]
        assert {record.text("state") for record in found} == {state}


def test_killed_while_the_kernel_is_never_done(spr: HostFacts, images: Path, place: Path) -> None:
    """Nothing is claimed of what is still under way; once it is over, it is told."""
    plan = plan_for(spr, images)
    fault = Fault(stuck=True)
    whole = run_to(plan, simulated(plan, fault), place / "whole", 400)
    host, folder = simulated(plan, fault), place / "killed"
    run_to(plan, host, folder, whole.interactions.index("state committed") + 5)
    for _ in range(2):
        with pytest.raises(SeamstepError, match="the kernel is not done after 600 s") as raised:
            again(plan, host, folder)
        assert raised.value.exit_code == 8
    assert "recovered" not in {record.event for record in history(folder).records}
    host.unstick()
    assert again(plan, host, folder).version == V34
    assert applied_hops(folder) == {("1.5.24", "1.5.28"): 1, ("1.5.28", "1.5.34"): 1}


def test_a_fresh_plan_after_a_crash(spr: HostFacts, images: Path, place: Path) -> None:
    plan = plan_for(spr, images)
    host = simulated(plan)
    whole = run_to(plan, simulated(plan), place / "whole", None)
    run_to(plan, host, place / "state", whole.interactions.index("state committed") + 1)
    with transaction.begun(host, str(place / "state")) as begun:
        assert begun.finding
        assert begun.finding.state == "applied"
        fresh = plan_for(read_facts(host), images)
        result = begun.perform(fresh, judge_for(fresh))
    assert (result.version, host.uploads) == (V34, 2)
