"""The executor against the simulated host: what it says is what happened."""

from __future__ import annotations

import errno
import os
import re
import signal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from conftest import plan_for
from seamstep.base.errors import ExitCode, InputError, Problem, RefusedError
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import HostFacts
from seamstep.host.read_facts import read_facts
from seamstep.host.simulated import Fault, SimulatedHost
from seamstep.plan.document import Hop, Plan
from seamstep.run.executor import MOVES, Executor, Reporter, RunResult, State
from seamstep.run.executor.states import Machine
from seamstep.run.executor.upload_image import read_for_upload

V24, V28, V34 = ModuleVersion("1.5.24"), ModuleVersion("1.5.28"), ModuleVersion("1.5.34")


class Recorder(Reporter):
    def __init__(self) -> None:
        self.events: list[str] = []

    def hop(self, hop: Hop, number: int, total: int) -> None:
        self.events.append(f"{number}/{total} {hop}")

    def moved(self, state: State) -> None:
        self.events.append(state.value)

    def staged(self, done: int, total: int) -> None:
        self.events.append("all staged") if done == total else None

    def phase(self, status: str) -> None:
        self.events.append(f"kernel {status}")


def simulated(plan: Plan, *faults: Fault | None, **settings: Any) -> SimulatedHost:
    modules = {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image}
    return SimulatedHost(plan.host, modules, faults=faults, **settings)


def test_all_hops_are_performed_in_order(spr: HostFacts, images: Path) -> None:
    plan = plan_for(spr, images)
    host, recorder = simulated(plan), Recorder()
    result = Executor(host, recorder).run(plan)
    assert (result.state, result.version, result.exit_code) == (State.APPLIED, V34, ExitCode.DONE)
    assert result.applied == plan.hops
    assert read_facts(host) == spr.after(V34, 2)
    phases = ["kernel receiving", "kernel preparing", "kernel transferring", "kernel programming", "kernel idle"]
    one_hop = ["all staged", "staged", "committed", *phases, "applied"]
    assert recorder.events == ["1/2 1.5.24 → 1.5.28", *one_hop, "2/2 1.5.28 → 1.5.34", "preflight", *one_hop]


class Trouble(NamedTuple):
    fault: Fault
    state: State
    version: ModuleVersion | None
    says: str


ERRORS = [
    "hw-error",
    "timeout",
    "user-abort",
    "invalid-file-size",
    "read-write-error",
    "flash-wearout",
    "firmware-invalid",
]
TROUBLES = [
    *(
        Trouble(Fault(phase, error), State.FAILED, V24, f"{phase}:{error}; 1.5.24 and its TDs run on")
        for phase in ("preparing", "transferring", "programming")
        for error in [*ERRORS, "brand-new-error"]
    ),
    Trouble(Fault(error="device-busy"), State.BUSY, V24, "try again later"),
    Trouble(Fault(error="firmware-invalid", lost=True), State.LOST, None, "only a reboot"),
    Trouble(Fault(lost=True), State.LOST, None, "only a reboot"),
    Trouble(Fault(version=V24), State.FAILED, V24, "reports success, but it is none"),
    Trouble(Fault(version=V34), State.UNKNOWN, V34, "1.5.34 runs, which is neither"),
    Trouble(Fault(version=V28, keeps_count=True), State.UNKNOWN, V28, "remaining updates went from 5 to 5"),
    Trouble(Fault(stuck=True), State.UNKNOWN, V24, "the kernel is not done after"),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda t: f"{t.fault.phase}-{t.fault.error}-{t.state}")
def test_the_first_trouble_stops_the_run_and_is_told_truthfully(spr: HostFacts, images: Path, trouble: Trouble) -> None:
    plan = plan_for(spr, images)
    host = simulated(plan, trouble.fault)
    result = Executor(host).run(plan)
    assert (result.state, result.version, result.applied) == (trouble.state, trouble.version, ())
    assert trouble.says in result.message
    assert host.uploads == 1
    now = read_facts(host)
    assert now.module_version == trouble.version


def test_trouble_on_the_second_hop_keeps_the_first(spr: HostFacts, images: Path) -> None:
    plan = plan_for(spr, images)
    host = simulated(plan, None, Fault(error="device-busy"))
    result = Executor(host).run(plan)
    assert (result.state, result.version, result.exit_code) == (State.BUSY, V28, ExitCode.BUSY)
    assert result.applied == plan.hops[:1]
    assert read_facts(host) == spr.after(V28, 1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"remaining_updates": 4}, "remaining_updates was 5, is 4"),
        ({"module_version": V28}, "module_version was 1.5.24, is 1.5.28"),
        ({"boot_id": "another"}, "boot_id was"),
        ({"hostname": "host-b"}, "hostname was host-a, is host-b"),
        ({"cpus_online": "0-7"}, "cpus_online was 0-223, is 0-7"),
        ({"cpu_signatures": (0xC06F2,)}, "cpu_signatures was 0x806F8, is 0xC06F2"),
        ({"upload": None}, "upload was"),
        ({"seamldr_version": None}, "seamldr_version was 1.5.02, is unknown"),
    ],
)
def test_a_host_that_changed_makes_the_plan_stale(spr: HostFacts, images: Path, changes: Any, says: str) -> None:
    plan = plan_for(spr, images)
    host = SimulatedHost(spr._replace(**changes), {})
    result = Executor(host).run(plan)
    assert (result.exit_code, host.uploads) == (ExitCode.STALE, 0)
    assert says in result.message


def test_tdx_lost_before_the_run(spr: HostFacts, images: Path) -> None:
    plan = plan_for(spr, images)
    host = simulated(plan, Fault(error="firmware-invalid", lost=True))
    assert Executor(host).run(plan).exit_code is ExitCode.LOST
    again = Executor(host).run(plan)
    assert (again.state, again.version, host.uploads) == (State.LOST, None, 1)


def test_images_are_checked_before_the_first_hop(spr: HostFacts, images: Path) -> None:
    plan = plan_for(spr, images)
    last = plan.hops[-1].image
    assert last

    def tampered(image: Any, trusted: frozenset[str]) -> bytes:
        if image == last:
            raise ValueError(f"the image {image.path} is not the one the plan was made with")
        return read_for_upload(image, trusted)

    def unreadable(image: Any, trusted: frozenset[str]) -> bytes:
        raise InputError(Problem(image.path, "can't read the TDX module image: Permission denied"))

    for reader, says in [(tampered, "not the one"), (unreadable, "Permission denied")]:
        host = simulated(plan)
        result = Executor(host, image_bytes=reader).run(plan)
        assert (result.exit_code, host.uploads, result.applied) == (ExitCode.STALE, 0, ())
        assert says in result.message


class Meddled(SimulatedHost):
    """A simulated host where one kind of write goes wrong."""

    meddle = ""

    def write(self, path: str, data: bytes, offset: int = 0) -> int:
        name = path.rpartition("/")[2]
        if self.meddle == "takes nothing" and name == "data":
            return 0
        if self.meddle == "takes 7 bytes" and name == "data":
            return super().write(path, data[:7], offset)
        if self.meddle == "flips a bit" and name == "data" and offset == 4096:
            data = bytes([data[0] ^ 1]) + data[1:]
        if self.meddle == "ENOMEM" and name == "data" and offset:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM), path)
        if self.meddle == "EBUSY at commit" and (name, data) == ("loading", b"0"):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
        if self.meddle == "interrupt" and name == "data" and offset:
            raise KeyboardInterrupt
        return super().write(path, data, offset)

    def loading(self) -> bytes:
        return self.read("/sys/class/firmware/tdx_module/loading", 9)


@pytest.mark.parametrize(
    ("meddle", "says"),
    [
        ("takes nothing", "the kernel took no byte"),
        ("flips a bit", "does not hold the bytes that were written"),
        ("ENOMEM", "Cannot allocate memory"),
        ("EBUSY at commit", "busy"),
    ],
)
def test_staging_that_goes_wrong_changes_nothing(spr: HostFacts, images: Path, meddle: str, says: str) -> None:
    plan = plan_for(spr, images)
    host = Meddled(plan.host, {})
    host.meddle = meddle
    result = Executor(host).run(plan)
    assert (result.state, result.version, host.uploads) == (State.FAILED, V24, 0)
    assert says in result.message
    assert "nothing was changed" in result.message
    assert host.loading() == b"0\n"
    assert read_facts(host) == spr


def test_short_writes_are_continued(spr: HostFacts, images: Path) -> None:
    plan = plan_for(spr, images, "fewest-hops")
    host = Meddled(plan.host, {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image})
    host.meddle = "takes 7 bytes"
    assert Executor(host).run(plan).state is State.APPLIED


def test_an_interrupt_while_staging_abandons_the_upload(spr: HostFacts, images: Path) -> None:
    plan = plan_for(spr, images)
    host = Meddled(plan.host, {})
    host.meddle = "interrupt"
    result = Executor(host).run(plan)
    assert (result.exit_code, result.version) == (ExitCode.INTERRUPTED, V24)
    assert "interrupted; nothing was changed, 1.5.24 and its TDs run on" in result.message
    assert (host.loading(), host.uploads) == (b"0\n", 0)


def test_a_signal_that_was_ignored_stays_ignored(spr: HostFacts, images: Path) -> None:
    """nohup(1) has the terminal's end ignored: a run that was started so goes on."""

    class HungUp(SimulatedHost):
        def write(self, path: str, data: bytes, offset: int = 0) -> int:
            os.kill(os.getpid(), signal.SIGHUP)
            return super().write(path, data, offset)

    plan = plan_for(spr, images)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        result = Executor(HungUp(plan.host, simulated(plan)._modules)).run(plan)
        assert (result.exit_code, result.version) == (ExitCode.DONE, V34)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert Executor(HungUp(plan.host, simulated(plan)._modules)).run(plan).exit_code is ExitCode.INTERRUPTED


def test_missing_cap_sys_rawio_is_named(spr: HostFacts, images: Path) -> None:
    plan = plan_for(spr, images)
    result = Executor(simulated(plan, rawio=False)).run(plan)
    assert result.exit_code is ExitCode.FAILED
    assert "CAP_SYS_RAWIO" in result.message


class Unreadable(SimulatedHost):
    """After the update, one attribute answers with something else."""

    answer: bytes | OSError = b""
    attribute = ""

    def read(self, path: str, limit: int) -> bytes:
        if self.uploads and path.endswith(self.attribute):
            if isinstance(self.answer, OSError):
                raise self.answer
            return self.answer
        return super().read(path, limit)


@pytest.mark.parametrize(
    ("attribute", "answer", "says"),
    [
        ("tdx_host/version", OSError(errno.EIO, "Input/output error"), "can't be read: Input/output error"),
        ("tdx_host/version", b"garbage\n", "can't be read: 'garbage'"),
        ("tdx_host/version", b"\xff", "can't be read: it is not text"),
        (
            "tdx_module/error",
            OSError(errno.EBUSY, "Device or resource busy"),
            "reports nothing (Device or resource busy)",
        ),
        ("num_remaining_updates", OSError(errno.EIO, "Input/output error"), "went from 5 to None"),
    ],
)
def test_never_success_on_what_can_not_be_read(
    spr: HostFacts, images: Path, attribute: str, answer: Any, says: str
) -> None:
    plan = plan_for(spr, images)
    host = Unreadable(plan.host, {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image})
    host.attribute, host.answer = attribute, answer
    result = Executor(host).run(plan)
    assert (result.state, result.exit_code, result.applied) == (State.UNKNOWN, ExitCode.UNKNOWN, ())
    assert says in result.message


def test_refuses_what_is_no_update(spr: HostFacts, images: Path) -> None:
    with pytest.raises(RefusedError, match="up-to-date"):
        Executor(SimulatedHost(spr, {})).run(plan_for(spr._replace(module_version=V34), images))
    with pytest.raises(RefusedError, match="provisional"):
        Executor(SimulatedHost(spr, {})).run(plan_for(spr, images)._replace(provisional=True))


def test_illegal_moves_raise() -> None:
    machine = Machine(lambda state: None)
    for state in State:
        for move in State:
            machine.state = state
            if move in MOVES[state]:
                machine.move(move)
            else:
                with pytest.raises(AssertionError, match="must not go"):
                    machine.move(move)


def test_every_end_has_an_exit_code() -> None:
    ends = {state for state, moves in MOVES.items() if not moves} | {State.APPLIED, State.BUSY, State.PREFLIGHT}
    codes = {RunResult(state, None, (), "").exit_code for state in ends}
    assert len(codes) == len(ends)


def test_the_diagram_shows_the_moves() -> None:
    page = (Path(__file__).parents[2] / "docs" / "executor.md").read_text()
    drawn = set(re.findall(r"^    (\S+) --> (\S+)$", page, re.MULTILINE))
    moves = {(state.value, move.value) for state, targets in MOVES.items() for move in targets}
    ends = {(state.value, "[*]") for state in (State.APPLIED, State.BUSY, State.FAILED, State.LOST, State.UNKNOWN)}
    assert drawn == moves | ends | {("[*]", "preflight")}
