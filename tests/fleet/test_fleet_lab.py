"""The lab is what it says: hosts on which the real command makes system calls, and faults that look real from there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.driver import LAB, Lab, Ran, run, seamstep
from fleet.engine import Engine
from fleet.prepare import SEAMSTEP
from fleet.proof import Proof

pytestmark = pytest.mark.fleet


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("lab"), hosts=8) as lab:
        yield lab


@pytest.fixture(autouse=True)
def rebooted(lab: Lab) -> Iterator[None]:
    """Hosts begin each test well, with their first module."""
    yield
    lab("clear", "all")
    lab("fault", "all", "reboot=0")
    deadline = time.monotonic() + 10
    while any(lab.ssh(host, "true").code == 255 for host in ("h01", "h02")) and time.monotonic() < deadline:
        time.sleep(0.05)


def planning(lab: Lab) -> list[str]:
    return ["--catalog", f"{lab.folder}/catalog", "--signer", (lab.folder / "signer").read_text().strip()]


def apply(lab: Lab, host: str) -> Ran:
    return lab.ssh(host, str(SEAMSTEP), "apply", *planning(lab), "--yes", "--json")


def command(lab: Lab, host: str, *words: str) -> Any:
    return json.loads(lab.ssh(host, str(SEAMSTEP), *words, "--json").out)


def test_hosts_differ_as_machines_do(lab: Lab) -> None:
    facts = [command(lab, host, "facts") for host in lab.hosts]
    assert [one["hostname"] for one in facts] == list(lab.hosts)
    assert len({one["boot_id"] for one in facts}) == len(facts)
    assert {one["cpu_signatures"][0] for one in facts} == {"0x806F8", "0xC06F2", "0xA06D1"}
    assert all(one["unknown"] == {} and one["simulated"] for one in facts)


def test_an_update_is_done_by_the_real_command(lab: Lab) -> None:
    before = lab.see("h02")
    assert apply(lab, "h02").json["applied"] == [{"from": "1.5.28", "to": "1.5.34"}]
    seen = lab.see("h02")
    assert (seen["version"], seen["boot_id"]) == ("1.5.34", before["boot_id"])
    assert seen["remaining_updates"] == before["remaining_updates"] - 1
    assert lab.see("h05")["version"] == "1.5.28", "other hosts are as they were"
    assert command(lab, "h02", "status")["last_run"]["outcome"] == "applied"
    assert command(lab, "h05", "status")["last_run"] is None


def test_two_runs_meet_on_one_host_only(lab: Lab) -> None:
    lab("fault", "all", "slow=0.4")
    first = subprocess.Popen(
        [sys.executable, LAB, "run", lab.folder, "h02", SEAMSTEP, "apply", *planning(lab), "--yes"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not lab.see("h02")["uploads"]:
        time.sleep(0.02)
    assert apply(lab, "h02").code == 4
    assert apply(lab, "h05").code == 0
    assert first.wait() == 0


@pytest.mark.parametrize(
    ("fault", "code", "version"),
    [
        ("lost", 7, None),
        ("lost=1.5.34", 7, None),
        ("lost=1.5.28", 0, "1.5.34"),
        ("failed", 6, "1.5.28"),
        ("busy=30", 4, "1.5.28"),
    ],
)
def test_a_fault_shows_as_the_exit_code_of_apply(lab: Lab, fault: str, code: int, version: str | None) -> None:
    lab("fault", "emr", fault)
    assert apply(lab, "h02").code == code
    assert lab.see("h02")["version"] == version
    assert command(lab, "h02", "status")["tdx"] == ("running" if version else "lost")


def test_a_reboot_brings_the_first_module_and_another_boot(lab: Lab) -> None:
    lab("fault", "h02", "lost")
    apply(lab, "h02")
    before = lab.see("h02")
    lab("fault", "h02", "reboot=0.5")
    assert lab.ssh("h02", "true").code == 255
    time.sleep(0.7)
    status = command(lab, "h02", "status")
    assert (status["tdx"], status["module_version"]) == ("running", "1.5.28")
    assert status["boot_id"] != before["boot_id"]
    assert lab.ssh("h02", "cat /proc/sys/kernel/random/boot_id").out.strip() == status["boot_id"]
    assert status["last_run"]["outcome"] == "lost", "the journal outlives the boot"


def test_a_reboot_ends_what_runs(lab: Lab) -> None:
    sleeper = subprocess.Popen([sys.executable, LAB, "run", lab.folder, "h01", "sleep", "60"])
    while "sleep" not in lab.ssh("h01", "cat /proc/*/comm 2> /dev/null").out:
        time.sleep(0.02)
    lab("fault", "h01", "reboot=0")
    assert sleeper.wait(timeout=10) != 0


def test_a_host_that_is_cut_off_goes_on(lab: Lab) -> None:
    lab("fault", "h02", "slow=0.3")
    words = [str(SEAMSTEP), "apply", *planning(lab), "--yes", "--json", "2> /dev/null > /run/said"]
    client = subprocess.Popen([*lab.login("h02"), " ".join(words)], stderr=subprocess.DEVNULL)
    while not lab.see("h02")["uploads"]:
        time.sleep(0.02)
    lab("fault", "h02", "unreachable")
    assert client.wait(timeout=10) == 255
    assert lab.ssh("h02", "true").code == 255
    said = ""
    while not said:
        time.sleep(0.1)
        said = run(sys.executable, LAB, "run", lab.folder, "h02", "cat", "/run/said").out
    assert json.loads(said)["exit_code"] == 0
    assert lab.see("h02")["version"] == "1.5.34"
    lab("clear", "h02")
    assert lab.ssh("h02", "true").code == 0


def test_tds_are_counted_and_spoilt(lab: Lab) -> None:
    lab("fault", "h02", "tds=2", "building=1")
    assert command(lab, "h02", "facts")["running_tds"] == 3
    lab("clear", "h02")
    assert command(lab, "h02", "facts")["running_tds"] == 0


def test_what_a_host_writes_is_its_own(lab: Lab) -> None:
    files = [f"{place}/seamstep-lab-was-here" for place in ("/etc", "/opt", "/usr/local", "/var/lib", "/run")]
    assert lab.ssh("h01", "touch", *files, "&&", "ls", *files).code == 0
    assert lab.ssh("h02", "ls", *files).out == ""
    assert not any(Path(file).exists() for file in files)


def test_a_host_runs_nothing_of_this_machines_root(lab: Lab) -> None:
    assert lab.ssh("h01", "echo $HOME $0; ls -A").out == "/var/lib/lab-root sh\n"


@pytest.mark.parametrize("lie", ["said and not done", "done and not said"])
def test_a_rollout_that_lies_is_found_out(tmp_path: Path, lie: str) -> None:
    with Lab(tmp_path / "lab", hosts=5) as lab:
        engine = Engine(lab, tmp_path)
        engine.start(lab.folder / "rollout.yaml")
        Proof(lab, engine.ledger, tmp_path).check()
        lease = seamstep("fleet", "next", "--ledger", engine.ledger, "--limit", 1, "--json").json["leases"][0]
        about = ("--ledger", engine.ledger, "--host", lease["host"], "--lease", lease["lease"])
        if lie == "said and not done":
            assert seamstep("fleet", "begin", *about, "--boot-id", lease["boot_id"]).code == 0
            said = {"schema": "seamstep/run/v1", "exit_code": 0, "module_version": lease["step"]["to"]}
            (tmp_path / "said.json").write_text(json.dumps({**said, "boot_id": lease["boot_id"]}))
            assert seamstep("fleet", "record", *about, tmp_path / "said.json").code == 0
        else:
            assert apply(lab, lease["host"]).code == 0
        with pytest.raises(AssertionError, match="did nothing" if lie == "said and not done" else "was not begun"):
            Proof(lab, engine.ledger, tmp_path).check()


@pytest.mark.parametrize("fault", ["no-such", "lost=x", "busy=-1", "unreachable=3", "tds=many"])
def test_what_is_no_fault_is_refused(lab: Lab, fault: str) -> None:
    ran = run(sys.executable, LAB, "fault", lab.folder, "h01", fault)
    assert (ran.code, ran.err.startswith("lab: ")) == (1, True)


def left_of(folder: Path) -> list[str]:
    """Processes and mounts that a lab in this folder left."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            mounts = (process / "mountinfo").read_text()
        except OSError:
            continue
        if f"{folder}/" in words or f" {folder}/" in mounts:
            found.append(f"{process.name} {words}")
    return found


def test_down_leaves_nothing_and_a_second_lab_is_apart(lab: Lab, tmp_path: Path) -> None:
    with Lab(tmp_path, hosts=2) as other:
        assert other.ssh("h01", "true").code == 0
        assert other.inventory["vars"]["ansible_port"] != lab.inventory["vars"]["ansible_port"]
        other("fault", "h01", "lost")
        assert lab.see("h01")["faults"] == {}
        ran = run(sys.executable, LAB, "up", tmp_path)
        assert (ran.code, "the lab is up" in ran.err) == (1, True)
    assert left_of(tmp_path) == []
    assert run(sys.executable, LAB, "down", tmp_path).code == 1
    with Lab(tmp_path, hosts=2) as again:
        assert again.ssh("h02", "true").code == 0


@pytest.mark.parametrize("how", ["the test is killed", "the folder is removed"])
def test_a_lab_ends_with_what_it_is_for(tmp_path: Path, how: str) -> None:
    code = "import sys, time; from pathlib import Path; from fleet.driver import Lab; Lab(Path(sys.argv[1]), 2)"
    user = subprocess.Popen(
        [sys.executable, "-c", f"{code}; print('up', flush=True); time.sleep(600)", tmp_path],
        env={**os.environ, "PYTHONPATH": str(LAB.parents[1])},
        stdout=subprocess.PIPE,
    )
    assert user.stdout is not None
    assert user.stdout.readline() == b"up\n"
    assert left_of(tmp_path) != []
    try:
        if how == "the test is killed":
            user.send_signal(signal.SIGKILL)
        else:
            (tmp_path / "control").unlink()
        deadline = time.monotonic() + 15
        while (left := [one for one in left_of(tmp_path) if not one.startswith(f"{user.pid} ")]) and (
            time.monotonic() < deadline
        ):
            time.sleep(0.1)
        assert left == []
    finally:
        user.kill()
        user.wait()
        user.stdout.close()
