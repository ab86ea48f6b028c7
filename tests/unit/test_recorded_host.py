"""Whose records they are: a run settles those of its own host, and a rehearsal is never shown as the host's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from crashing import again, run_to
from test_crash import history
from test_executor import V34, simulated
from test_host_facts import COMMON, DOUBLE, LAYOUTS, tree

from conftest import TRUST, Run, plan_for
from seamstep.base.errors import RefusedError
from seamstep.domain.facts import HostFacts
from seamstep.host.simulated import Fault, SimulatedHost
from seamstep.host.sysfs import SysfsHost
from seamstep.plan.document import Plan
from seamstep.run.journal import NAME, Record, RecordedHost, recorded_host

HERE = RecordedHost("boot-1", "/", "machine-1")


def real(plan: Plan, root: Path, *faults: Fault | None) -> SimulatedHost:
    """A host whose runs are no rehearsals: that below ``root``."""
    host = simulated(plan, *faults)
    host.sysroot = str(root)
    return host


@pytest.fixture
def root(tmp_path: Path, spr: HostFacts) -> Path:
    files = {
        "sys/devices/faux/tdx_host/version": "1.5.24\n",
        "proc/sys/kernel/random/boot_id": f"{spr.boot_id}\n",
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    }
    tree(tmp_path / "root", COMMON, LAYOUTS["mainline"], DOUBLE, files)
    return tmp_path / "root"


# -- a rehearsal in the folder of a real host


def test_a_rehearsal_does_not_settle_a_killed_run(
    run: Run, spr: HostFacts, images: Path, tmp_path: Path, root: Path, plan_file: Path
) -> None:
    plan, state = plan_for(spr, images), tmp_path / "state"
    at = run_to(plan, real(plan, root), tmp_path / "whole", None).interactions.index("state committed")
    run_to(plan, real(plan, root), state, at)
    ran = run("apply", plan_file, *TRUST, "--simulate", "--yes", "--state-dir", state, "--json")
    assert (ran.code, ran.json["recovered"], ran.json["module_version"]) == (0, None, "1.5.34")
    assert "recovered" not in {record.event for record in history(state).records}
    ran = run("status", "--sysroot", root, "--state-dir", state, "--json")
    assert (ran.code, ran.json["last_run"]["outcome"]) == (8, "unknown"), "it is still to be settled"


def test_a_real_run_heeds_no_rehearsal(spr: HostFacts, images: Path, tmp_path: Path, root: Path) -> None:
    """Neither is a step refused that failed in a rehearsal, nor does a plan go on where a rehearsal left off."""
    plan, state = plan_for(spr, images), tmp_path / "state"
    assert again(plan, simulated(plan, Fault(error="hw-error")), state).exit_code == 6
    with pytest.raises(RefusedError, match="was tried in this boot"):
        again(plan, simulated(plan), state)
    assert again(plan, simulated(plan), state, retry_failed=True).version == V34
    result = again(plan, real(plan, root), state)
    assert (result.version, result.applied) == (V34, plan.hops)
    at = run_to(plan, simulated(plan), tmp_path / "whole", None).interactions.index("state committed")
    run_to(plan, simulated(plan), state, at)
    count = len(history(state).records)
    assert again(plan, real(plan, root), state).version == V34
    assert "recovered" not in {record.event for record in history(state).records[count:]}


def test_a_rehearsal_is_never_shown_as_the_host_s(
    run: Run, tmp_path: Path, root: Path, plan_file: Path, spr: HostFacts, images: Path
) -> None:
    state = tmp_path / "state"
    assert run("apply", plan_file, *TRUST, "--simulate", "--yes", "--state-dir", state).code == 0
    look = ("--sysroot", root, "--state-dir", state)
    assert run("status", *look, "--json").json["last_run"] is None
    assert "last run           none" in run("status", *look).out
    assert "seamstep_last_run" not in run("status", *look, "--format", "prometheus").out
    lines = run("history", *look).out.splitlines()
    assert lines
    assert all(line.endswith(" (on a simulated host)") for line in lines)
    plan = plan_for(spr, images)
    run_to(plan, real(plan, root), state, None)
    assert run("apply", plan_file, *TRUST, "--simulate", "--yes", "--state-dir", state).code == 0
    last = run("status", *look, "--json").json["last_run"]
    mine = [line for line in run("history", *look).out.splitlines() if not line.endswith("(on a simulated host)")]
    assert {line.split()[1] for line in mine} == {last["transaction"]}


# -- the identity of a host


def record(**changes: Any) -> Record:
    host = HERE.to_document() | changes
    boot_id = host.pop("boot_id", "boot-0")
    return Record(1, "t", boot_id, "", 0.0, "x", {"host": host})


@pytest.mark.parametrize(
    ("theirs", "other"),
    [
        (record(), ""),
        (record(machine_id=None), ""),
        (record(machine_id="machine-2"), "on the machine machine-2"),
        (record(machine_id="machine-2", boot_id="boot-1"), ""),
        (record(machine_id=["odd"]), "on the machine ['odd']"),
        (record(sysroot="/tree"), "on the host below /tree"),
        (record(sysroot="/tree", boot_id="boot-1"), "on the host below /tree"),
        (record(simulated=True, sysroot=None), "on a simulated host"),
        (record(simulated=True, sysroot=None, boot_id="boot-1"), "on a simulated host"),
        (Record(1, "t", "boot-1", "", 0.0, "x", {}), ""),
        (Record(1, "t", "boot-0", "", 0.0, "x", {"host": "odd"}), ""),
    ],
)
def test_which_host_a_record_is_about(theirs: Record, other: str) -> None:
    assert HERE.other(theirs) == other
    rehearsal = RecordedHost("boot-1", None)
    assert bool(rehearsal.other(theirs)) is (other != "on a simulated host")


def test_records_of_earlier_versions_are_a_real_host_s(
    spr: HostFacts, images: Path, tmp_path: Path, root: Path
) -> None:
    """Below whichever root: before records named their host, a folder belonged to the host that used it."""
    plan, state = plan_for(spr, images), tmp_path / "state"
    assert again(plan, real(plan, root, Fault(error="hw-error")), state).exit_code == 6
    lines = [json.loads(line) for line in (state / NAME).read_text().splitlines()]
    assert {json.dumps(line.pop("host")) for line in lines} == {
        json.dumps({"simulated": False, "sysroot": str(root), "machine_id": None})
    }
    assert all(line.pop("crc32") for line in lines)
    (state / NAME).write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
    for place in (root, Path("/")):
        with pytest.raises(RefusedError, match="was tried in this boot"):
            again(plan, real(plan, place), state)
    assert again(plan, simulated(plan), state).version == V34, "and no rehearsal's"


def test_the_identity_is_read(root: Path) -> None:
    (root.parent / "link").symlink_to(root)
    host = recorded_host(SysfsHost(f"{root.parent}/link/"))
    boot_id = (root / "proc/sys/kernel/random/boot_id").read_text().strip()
    assert host == RecordedHost(boot_id, str(root), "0123456789abcdef0123456789abcdef")
    (root / "etc/machine-id").unlink()
    assert recorded_host(SysfsHost(str(root))).machine_id is None
    assert SysfsHost("/").sysroot == "/"


def test_a_container_s_view_of_the_host_is_the_host(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There ``/sys`` is mounted, below whatever folder: the records in the folder that both use are of one host."""
    monkeypatch.setattr("os.path.ismount", lambda path: path == f"{root}/sys")
    host = SysfsHost(str(root))
    assert (recorded_host(host).sysroot, host.sysroot) == ("/", str(root))
