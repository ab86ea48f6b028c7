"""An outcome that is unknown or lost stays on the record until it is settled, whatever later runs do not do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crashing import again, run_to
from test_crash import history
from test_executor import V24, V28, V34, simulated
from test_fault_matrix import Troubled
from test_transaction import past, with_settings

from conftest import judge_for, plan_for
from seamstep.base.errors import RefusedError, SeamstepError
from seamstep.domain.facts import HostFacts
from seamstep.host.read_facts import read_facts
from seamstep.host.simulated import Fault, SimulatedHost
from seamstep.plan.document import Plan
from seamstep.run import status, transaction
from seamstep.run.past_runs import PastRun, runs, unsettled
from seamstep.show.formats.prometheus import exposition
from seamstep.show.status import status_text

COUNT_STAYS = Fault(version=V28, keeps_count=True)
STUCK = Fault(stuck=True)


def seen(host: SimulatedHost, folder: Path, **changes: Any) -> dict[str, Any]:
    """The status, and what it is in the metrics and in the exit code."""
    facts = read_facts(host)._replace(**changes)
    document = status.status(facts, *status.read_history(str(folder)), None)
    last = document["last_run"]
    assert f'seamstep_last_run_outcome{{outcome="{last["outcome"]}"}} 1' in exposition(document, 0.0)
    return {"code": int(status.exit_code(document)), "text": status_text(document), **last}


def stale(plan: Plan, host: SimulatedHost, folder: Path) -> None:
    assert again(plan, host, folder, retry_failed=True).exit_code == 5


def refused(plan: Plan, host: SimulatedHost, folder: Path) -> None:
    with pytest.raises(RefusedError):
        again(plan, host, folder)


def outside_the_windows(plan: Plan, host: SimulatedHost, folder: Path) -> None:
    windows = [{"from": "22:00", "to": "22:10", "timezone": "UTC"}]
    assert again(with_settings(plan, windows=windows), host, folder, retry_failed=True).exit_code == 4


def only_looked(plan: Plan, host: SimulatedHost, folder: Path) -> None:
    with transaction.begun(host, str(folder)):
        pass


IDLE_RUNS: list[Callable[[Plan, SimulatedHost, Path], None]] = [stale, refused, outside_the_windows, only_looked]


@pytest.mark.parametrize("later", IDLE_RUNS)
def test_a_run_that_does_nothing_settles_nothing(
    spr: HostFacts, images: Path, tmp_path: Path, later: Callable[[Plan, SimulatedHost, Path], None]
) -> None:
    plan = plan_for(spr, images)
    host = simulated(plan, COUNT_STAYS, epoch=1_795_446_000.0)
    assert again(plan, host, tmp_path).exit_code == 8
    before = seen(host, tmp_path)
    assert (before["code"], before["outcome"], before["later_runs"]) == (8, "unknown", 0)
    for _ in range(2):
        later(plan, host, tmp_path)
    after = seen(host, tmp_path)
    assert (after["code"], after["outcome"], after["message"]) == (8, "unknown", before["message"])
    written = later in {stale, outside_the_windows}
    assert after["later_runs"] == 2 * written
    assert ("2 runs since did not settle this" in after["text"]) is written


def test_a_later_hop_settles_it(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan = plan_for(spr, images)
    host = simulated(plan, COUNT_STAYS)
    again(plan, host, tmp_path)
    assert again(plan_for(read_facts(host), images), host, tmp_path).version == V34
    assert (seen(host, tmp_path)["code"], seen(host, tmp_path)["outcome"]) == (0, "applied")


def test_a_new_boot_settles_it(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan = plan_for(spr, images)
    host = simulated(plan, COUNT_STAYS)
    again(plan, host, tmp_path)
    stale(plan, host, tmp_path)
    after = seen(host, tmp_path, boot_id="another")
    assert (after["code"], after["outcome"], after["this_boot"]) == (0, "stale", False)


def test_what_can_be_read_later_settles_it(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    """The kernel was not done in time. A run while it still works claims nothing, one that finds it done tells."""
    plan = plan_for(spr, images)
    host = simulated(plan, STUCK)
    assert again(plan, host, tmp_path).exit_code == 8
    only_looked(plan, host, tmp_path)
    assert seen(host, tmp_path)["outcome"] == "unknown"
    host.unstick()
    with transaction.begun(host, str(tmp_path), dry_run=True) as begun:
        assert begun.finding
        assert begun.finding.state == "applied"
    assert seen(host, tmp_path)["outcome"] == "unknown", "a dry run records nothing"
    with transaction.begun(host, str(tmp_path)) as begun:
        assert begun.finding
        assert (begun.finding.state, begun.finding.refuses) == ("applied", False)
        assert begun.perform(plan, judge_for(plan)).applied == plan.hops[1:], "and the plan goes on"
    after = seen(host, tmp_path)
    assert (after["code"], after["outcome"], host.uploads) == (0, "applied", 2)
    assert [record.text("state") for record in history(tmp_path).records if record.event == "recovered"] == ["applied"]


def test_a_version_that_could_not_be_read_before_the_commit(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    class Odd(SimulatedHost):
        broken, staging = True, False

        def write(self, path: str, data: bytes, offset: int = 0) -> int:
            if self.broken and path.endswith("/data"):
                self.staging = True
                raise OSError(12, "Cannot allocate memory", path)
            return super().write(path, data, offset)

        def read(self, path: str, limit: int) -> bytes:
            if self.broken and self.staging and path.endswith("tdx_host/version"):
                raise OSError(5, "Input/output error", path)
            return super().read(path, limit)

    plan = plan_for(spr, images)
    host = Odd(plan.host, {})
    assert again(plan, host, tmp_path).exit_code == 8
    host.broken = False
    only_looked(plan, host, tmp_path)
    after = seen(host, tmp_path)
    assert (after["code"], after["outcome"]) == (0, "not-started")


@pytest.mark.parametrize("later", [stale, only_looked])
def test_a_loss_is_settled_by_a_boot_alone(
    spr: HostFacts, images: Path, tmp_path: Path, later: Callable[[Plan, SimulatedHost, Path], None]
) -> None:
    """Also where a module seems to run again: that contradicts the loss."""
    plan = plan_for(spr, images)
    host = Troubled(plan.host, {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image})
    host.trouble = "ENXIO after the commit"
    assert again(plan, host, tmp_path).exit_code == 7
    host.trouble = ""
    later(plan, host, tmp_path)
    after = seen(host, tmp_path)
    assert (after["code"], after["outcome"]) == (7, "lost")
    assert "reboot needed      yes: TDX was lost in this boot" in after["text"]
    assert seen(host, tmp_path, boot_id="another")["code"] == 0


def test_which_run_is_unsettled() -> None:
    unknown, lost = past("unknown", "here")._replace(outcome="unknown"), past("lost", "here")._replace(outcome="lost")
    nothing = past("not-started")._replace(outcome="stale", hops=())
    elsewhere = unknown._replace(boot_id="before")
    cases: list[tuple[list[PastRun], PastRun | None]] = [
        ([], None),
        ([unknown], unknown),
        ([unknown, nothing], unknown),
        ([unknown, past("not-started")], unknown),
        ([lost, nothing], lost),
        ([lost, unknown, nothing], unknown),
        ([unknown, nothing._replace(outcome="unknown")], nothing._replace(outcome="unknown")),
        *(([unknown, past(state)], None) for state in ("applied", "busy", "failed")),
        ([past("applied"), unknown], unknown),
        ([elsewhere, nothing], None),
    ]
    for known, expected in cases:
        assert unsettled(known, "here") == expected


# -- killed between two hops


def test_a_run_that_applied_a_hop_is_not_one_that_was_not_started(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    """A hop is applied, the run is killed in the next one, a run finds that out and is killed as well."""
    plan, state = plan_for(spr, images), tmp_path / "state"
    whole = run_to(plan, simulated(plan), tmp_path / "whole", None)
    at = [number for number, one in enumerate(whole.interactions) if one == "state staged"][1]
    host = simulated(plan)
    run_to(plan, host, state, at)
    with transaction.begun(host, str(state)) as begun:  # and ends here
        assert begun.finding
        assert begun.finding.state == "not-started", "of the hop"
    last = seen(host, state)
    assert (last["outcome"], last["recovered"]) == ("interrupted", True)
    step = "1.5.28 → 1.5.34: it was killed before the commit; nothing was handed to the kernel"
    assert last["message"] == f"1.5.24 → 1.5.28 applied; {step}"
    (run,) = runs(history(state).records)
    assert [hop.state for hop in run.hops] == ["applied", "not-started"]
    assert again(plan, host, state).version == V34


def test_a_run_that_was_killed_in_its_first_hop_is_not_started(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan, state = plan_for(spr, images), tmp_path / "state"
    at = run_to(plan, simulated(plan), tmp_path / "whole", None).interactions.index("state staged")
    host = simulated(plan)
    run_to(plan, host, state, at)
    only_looked(plan, host, state)
    assert (seen(host, state)["outcome"], read_facts(host).module_version) == ("not-started", V24)


def test_an_outcome_that_was_found_unknown_stays_too(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan, state = plan_for(spr, images), tmp_path / "state"
    at = run_to(plan, simulated(plan, COUNT_STAYS), tmp_path / "whole", None).interactions.index("state committed")
    host = simulated(plan, COUNT_STAYS)
    run_to(plan, host, state, at)
    with pytest.raises(SeamstepError):
        again(plan, host, state)
    stale(plan, host, state)
    assert (seen(host, state)["code"], seen(host, state)["outcome"]) == (8, "unknown")
