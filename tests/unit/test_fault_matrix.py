"""Everything that can go wrong, a row each: the exit code, and what the journal says came of the hop."""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from crashing import again
from test_crash import history
from test_executor import ERRORS, V24, V28, V34

from conftest import THOROUGH, judge_for, plan_for
from seamstep.base.errors import SeamstepError
from seamstep.domain.facts import HostFacts
from seamstep.host.bounded import BoundedHost
from seamstep.host.read_facts import read_facts
from seamstep.host.simulated import Fault, SimulatedHost
from seamstep.plan.document import Plan, seal
from seamstep.run import transaction
from seamstep.run.executor import Stop
from seamstep.run.journal import NAME

NODE = "/sys/class/firmware/tdx_module"


class Troubled(SimulatedHost):
    """A host where something goes wrong that no fault of the simulated kernel covers."""

    trouble = ""
    staging = False

    def write(self, path: str, data: bytes, offset: int = 0) -> int:  # noqa: C901, PLR0912 - a table
        name = path.rpartition("/")[2]
        what = f"{name} {data.decode()}" if name == "loading" else name
        self.staging = self.staging or name == "data"
        match self.trouble, what:
            case ("the write of data hangs", "data") | ("the commit hangs", "loading 0"):
                self.hang()
            case "takes nothing", "data":
                return 0
            case "takes 7 bytes", "data":
                data = data[:7]
            case "EIO while staging", "data" if offset:
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)
            case "EPERM while staging", "data":
                raise OSError(errno.EPERM, os.strerror(errno.EPERM), path)
            case "EINTR while staging", "data" if offset:
                raise InterruptedError(errno.EINTR, os.strerror(errno.EINTR), path)
            case "EIO at the commit", "loading 0":
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)
            case "EIO at the commit, which goes on", "loading 0":
                super().write(path, data, offset)
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)
            case "zero bytes", "data":
                return len(data)
            case "another writer stages", "data" if offset:
                super().write(f"{NODE}/loading", b"1")
            case "another writer abandons", "loading 0":
                super().write(f"{NODE}/loading", b"-1")
            case (
                ("another update begins before staging" | "another update never ends" | "another update loses TDX"),
                ("loading 1"),
            ):
                self.upload_of_another()
            case "another update begins while staging", "data" if offset:
                self.upload_of_another()
            case "another update begins before the commit", "loading 0":
                raise AssertionError("it is seen, and nothing is committed")
            case "another writer commits its own", "loading 0":
                super().write(f"{NODE}/loading", b"1")
                super().write(f"{NODE}/data", b"not an image")
        return super().write(path, data, offset)

    def hang(self) -> None:
        """Do not return for as long as a test takes."""
        threading.Event().wait(3.0)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def read(self, path: str, limit: int) -> bytes:
        content = super().read(path, limit)
        hanging = {"status": "status hangs", "version": "version hangs", "error": "error hangs"}
        if self.uploads and self.trouble == hanging.get(path.rpartition("/")[2]):
            self.hang()
        if self.staging and self.trouble == "the remaining updates hang" and path.endswith("num_remaining_updates"):
            self.hang()
        if self.trouble == "an unprivileged user" and path.endswith(("seamldr_version", "num_remaining_updates")):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        if self.trouble == "read-back differs" and path.endswith("/data"):
            return content[:-1] + bytes([content[-1] ^ 1])
        if self.trouble == "zero bytes" and path.endswith("/data"):
            return self.pretend
        if self.trouble == "another update begins before the commit" and path.endswith("/data"):
            self.upload_of_another()
        if self.trouble == "status can't be read" and self.uploads and path.endswith("/status"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        if self.trouble == "ENXIO after the commit" and self.uploads and path.endswith("tdx_host/version"):
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO), path)
        return content

    pretend = b""
    theirs = b""

    def upload_of_another(self) -> None:
        """What another program does, once."""
        if not self.uploads:
            super().write(f"{NODE}/loading", b"1")
            for offset in range(0, len(self.theirs), 4096):
                super().write(f"{NODE}/data", self.theirs[offset : offset + 4096], offset)
            super().write(f"{NODE}/loading", b"0")

    def wall(self) -> float:
        jumps = {
            "the wall clock jumps": 10.0**8 * (self.uploads % 2),
            "the wall clock jumps back": -3600.0 * self.uploads,
            "the wall clock jumps back by years": -(10.0**8) * self.uploads,
        }
        return super().wall() + jumps.get(self.trouble, 0)

    def monotonic(self) -> float:
        match self.trouble:
            case "the monotonic clock stands still":
                return 0.0
            case "the monotonic clock jumps":
                return super().monotonic() + 10.0**6 * self.uploads
        return super().monotonic()


@dataclass(frozen=True)
class Row:
    """What goes wrong, the exit code, the states in the journal, what is told, what runs, and how many uploads there
    were."""

    name: str
    code: int
    states: tuple[str, ...]
    says: str
    version: object = V24
    uploads: int = 1
    faults: tuple[Fault | None, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)


def all_errors() -> Iterator[Row]:
    for phase in ("receiving", "preparing", "transferring", "programming"):
        for error in (*ERRORS, "brand-new-error"):
            fault = Fault(phase, error)
            yield Row(
                f"{phase}:{error}", 6, ("failed",), f"{phase}:{error}; 1.5.24 and its TDs run on", faults=(fault,)
            )
            lost = Fault(phase, error, lost=True)
            yield Row(f"{phase}:{error}, lost", 7, ("lost",), "only a reboot", None, faults=(lost,))
        busy = Fault(phase, "device-busy")
        yield Row(f"{phase}:device-busy", 4, ("busy",), "a TD is being built or migrated", faults=(busy,))


OTHERS = "1.5.24 → 1.5.28 was not begun: another program's update was under way"
ALIVE = "nothing was changed, 1.5.24 and its TDs run on"
ROWS = [
    *all_errors(),
    Row("no fault", 0, ("applied", "applied"), "1.5.34 runs", V34, 2),
    Row("the second hop fails", 6, ("applied", "failed"), "hw-error", V28, 2, (None, Fault(error="hw-error"))),
    Row("takes 7 bytes", 0, ("applied", "applied"), "1.5.34 runs", V34, 2),
    Row("takes nothing", 6, ("not-started",), f"the kernel took no byte; {ALIVE}", uploads=0),
    Row("EIO while staging", 6, ("not-started",), f"Input/output error; {ALIVE}", uploads=0),
    Row("EPERM while staging", 6, ("not-started",), "CAP_SYS_RAWIO", uploads=0),
    Row("EINTR while staging", 6, ("not-started",), f"Interrupted system call; {ALIVE}", uploads=0),
    Row("EIO at the commit", 6, ("not-started",), f"Input/output error; {ALIVE}", uploads=0),
    Row("EIO at the commit, which goes on", 0, ("applied", "applied"), "1.5.34 runs", V34, 2),
    Row("read-back differs", 6, ("not-started",), f"does not hold the bytes that were written; {ALIVE}", uploads=0),
    Row("another writer stages", 6, ("not-started",), "does not hold the bytes that were written", uploads=0),
    Row("another writer abandons", 6, ("failed",), "the kernel reports success, but it is none", uploads=0),
    Row("another writer commits its own", 6, ("failed",), "firmware-invalid; 1.5.24 and its TDs run on"),
    Row("another update begins before staging", 4, ("not-started",), f"{OTHERS} (receiving); 1.5.34 runs", V34),
    Row("another update begins while staging", 4, ("not-started",), f"{OTHERS} (receiving); 1.5.34 runs", V34),
    Row("another update begins before the commit", 4, ("not-started",), f"{OTHERS} (receiving); 1.5.34 runs", V34),
    Row("another update never ends", 8, ("unknown",), "not done after 600 s; 1.5.24 runs", faults=(Fault(stuck=True),)),
    Row("another update loses TDX", 7, ("lost",), "only a reboot", None, faults=(Fault(lost=True),)),
    Row("zero bytes", 6, ("failed",), "the kernel reports success, but it is none", uploads=0),
    Row("a status that is never idle", 8, ("unknown",), "not done after 600 s", faults=(Fault(stuck=True),)),
    Row("status can't be read", 8, ("unknown",), "not done after 600 s; 1.5.28 runs", V28),
    Row("a version that does not change", 6, ("failed",), "but it is none", faults=(Fault(version=V24),)),
    Row("a third version", 8, ("unknown",), "1.5.34 runs, which is neither", V34, faults=(Fault(version=V34),)),
    Row("ENXIO after the commit", 7, ("lost",), "only a reboot", None),
    Row("success, and lost", 7, ("lost",), "only a reboot", None, faults=(Fault(lost=True),)),
    Row(
        "a count that stays",
        8,
        ("unknown",),
        "remaining updates went from 5 to 5",
        V28,
        faults=(Fault(version=V28, keeps_count=True),),
    ),
    Row("the wall clock jumps", 0, ("applied", "applied"), "1.5.34 runs", V34, 2),
    Row("the wall clock jumps back", 0, ("applied", "applied"), "1.5.34 runs", V34, 2),
    Row("the wall clock jumps back by years", 5, ("applied",), "its policy decides so from", V28, 1),
    Row("an unprivileged user", 5, (), "seamldr_version was 1.5.02, is unknown", uploads=0),
    Row("status hangs", 8, ("unknown",), "not done after 600 s; 1.5.28 runs", V28),
    Row("version hangs", 8, ("unknown",), "the running version can't be read: no answer within", None),
    Row("error hangs", 8, ("unknown",), "1.5.28 runs, yet the kernel reports nothing (no answer within", V28),
    Row("the write of data hangs", 6, ("not-started",), f"no answer within 0.05 s; {ALIVE}", uploads=0),
    Row("the remaining updates hang", 5, ("not-started",), "updates remained, now unknown", uploads=0),
    Row("the commit hangs", 8, ("unknown",), "1.5.24 runs; the kernel has not taken the commit yet", uploads=0),
    Row("the monotonic clock stands still", 0, ("applied", "applied"), "1.5.34 runs", V34, 2),
    Row("the monotonic clock jumps", 0, ("applied", "applied"), "1.5.34 runs", V34, 2),
    Row("the monotonic clock stands still", 8, ("unknown",), "not done after 600 s", faults=(Fault(stuck=True),)),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_faults(spr: HostFacts, images: Path, tmp_path: Path, row: Row) -> None:
    plan = plan_for(spr, images)
    modules = {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image}
    host = Troubled(plan.host, modules, faults=row.faults)
    host.trouble = row.name
    assert plan.hops[-1].image
    host.theirs = Path(plan.hops[-1].image.path).read_bytes()
    if row.name == "zero bytes" and plan.hops[0].image:
        host.pretend = Path(plan.hops[0].image.path).read_bytes()
    result = again(plan, BoundedHost(host, 0.05) if "hang" in row.name else host, tmp_path)
    assert (result.exit_code, result.version, host.uploads) == (row.code, row.version, row.uploads), result.message
    assert row.says in result.message
    read = history(tmp_path)
    outcomes = tuple(record.text("state") for record in read.records if record.event == "outcome")
    assert (outcomes, read.problems) == (row.states, ())
    last = read.records[-1]
    assert (last.event, last.integer("exit_code"), last.text("message")) == ("run-ended", row.code, result.message)
    if "not-started" in row.states:
        assert host.read(f"{NODE}/loading", 9) == b"0\n", "what was staged is abandoned"


def test_another_update_is_under_way_at_first(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    """The host is busy, and the plan not stale: once that update is over, the plan may still be good."""
    plan = plan_for(spr, images)
    modules = {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image}
    host = Troubled(plan.host, modules, faults=[Fault(error="hw-error")])
    host.theirs = Path(plan.hops[-1].image.path).read_bytes() if plan.hops[-1].image else b""
    host.upload_of_another()
    for dry_run in (True, False):
        with transaction.begun(host, str(tmp_path), dry_run=dry_run) as begun:
            result = begun.perform(plan, judge_for(plan))
        assert (result.exit_code, result.stopped, result.version) == (4, Stop.NOT_NOW, V24)
        assert "another program's update is under way (receiving); try later" in result.message
    host.sleep(1.0)
    assert again(plan, host, tmp_path).version == V34


# -- a journal that can't be written


class Disk:
    """A disk that is full when ``fails`` says so of what is to be written; with ``partly`` it takes 20 bytes first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.folder = folder
        self.fails: Callable[[bytes], bool] = lambda data: False
        self.partly = False
        self.error = errno.ENOSPC
        self.began = False
        self.write = os.write
        monkeypatch.setattr(os, "write", self.failing)

    def failing(self, descriptor: int, data: bytes) -> int:
        if self.began or (b"seamstep/record" in data and self.fails(bytes(data))):
            self.began = self.partly and not self.began
            if self.began:
                return self.write(descriptor, data[:20])
            raise OSError(self.error, os.strerror(self.error))
        return self.write(descriptor, data)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Disk:
    return Disk(monkeypatch, tmp_path)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EINTR])
@pytest.mark.parametrize("partly", [False, True])
@pytest.mark.parametrize("event", ["run-started", "preflight", "staged", "committing"])
def test_what_can_not_be_recorded_is_not_done(
    spr: HostFacts, images: Path, disk: Disk, event: str, partly: bool, error: int
) -> None:
    plan = plan_for(spr, images)
    host = SimulatedHost(plan.host, {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image})
    disk.fails = lambda data: f'"event":"{event}"'.encode() in data
    disk.partly, disk.error = partly, error

    def tell() -> tuple[int, str]:
        try:
            result = again(plan, host, disk.folder)
        except SeamstepError as refused:
            return refused.exit_code, str(refused)
        return result.exit_code, result.message

    code, message = tell()
    assert code == 1
    assert "the journal can't be written" in message
    assert "nothing was changed" in message
    assert (host.uploads, host.read(f"{NODE}/loading", 9)) == (0, b"0\n")
    disk.fails = lambda data: False
    assert tell()[0] == 0, "once there is room again"
    assert host.uploads == 2
    assert not [problem for problem in history(disk.folder).problems if "no record" in problem]


@pytest.mark.parametrize("partly", [False, True])
def test_what_was_done_is_told_though_it_can_not_be_recorded(
    spr: HostFacts, images: Path, disk: Disk, partly: bool
) -> None:
    """The disk is full from the commit on: the update goes to its end, and the next run finds out what it was."""
    plan = plan_for(spr, images, "fewest-hops")
    host = SimulatedHost(plan.host, {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image})
    disk.fails, disk.partly = lambda data: b'"event":"committing"' not in data and host.uploads > 0, partly
    result = again(plan, host, disk.folder)
    assert (result.exit_code, result.version) == (0, V34)
    assert "could not be written to the journal (No space left on device)" in result.warnings[0]
    assert [record.event for record in history(disk.folder).records][-1] == "committing"
    disk.fails = lambda data: False
    done = again(plan, host, disk.folder)
    assert (done.exit_code, done.applied, host.uploads) == (0, (), 1)
    assert "performed already; 1.5.34 runs" in done.message
    (found,) = [record for record in history(disk.folder).records if record.event == "recovered"]
    assert found.text("state") == "applied"
    assert not [problem for problem in history(disk.folder).problems if "no record" in problem]


class Nth:
    """Lets the ``number``-th write, or fsync, of the journal fail, and with ``lasting`` all later ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, call: str, error: int) -> None:
        self.count, self.number, self.lasting = 0, -1, False
        self._call, self._error = getattr(os, call), error
        monkeypatch.setattr(os, call, self)

    def __call__(self, descriptor: int, *data: bytes) -> Any:
        if data and b"seamstep/record" not in data[0]:
            return self._call(descriptor, *data)
        self.count += 1
        if self.count - 1 == self.number or (self.lasting and self.count > self.number >= 0):
            raise OSError(self._error, os.strerror(self._error))
        return self._call(descriptor, *data)


_ERRORS = (errno.EIO, errno.EINTR, errno.ENOSPC)


@pytest.mark.thorough
@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize("error", _ERRORS)
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_an_error_at_every_write_of_the_journal(
    spr: HostFacts, images: Path, place: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: int, lasting: bool
) -> None:
    """Whichever record can't be written: what is told is what happened, and the next run goes on from there. Each write
    meets each error in a thorough run, and one of them in a quick one."""
    plan = plan_with_commands(spr, images)
    modules = {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image}
    failing = Nth(monkeypatch, call, error)
    again(plan, SimulatedHost(plan.host, modules), place / "whole")
    writes, failing.count = failing.count, 0
    assert writes > 12
    for number in range(writes) if THOROUGH else range(_ERRORS.index(error), writes, len(_ERRORS)):
        host, folder = SimulatedHost(plan.host, modules), place / str(number)
        failing.count, failing.number, failing.lasting = 0, number, lasting
        code, message = told(plan, host, folder)
        version = read_facts(host).module_version
        assert code == (0 if version == V34 else 1), message
        assert ("nothing was changed" in message) == (version != V34), message
        assert (f"{version} runs" if version == V34 else os.strerror(error)) in message
        failing.number = -1
        code, message = told(plan, host, folder)
        if code:  # the intent was on disk, its fate was not: one refusal too many is better than a blind retry
            assert (code, "--retry-failed" in message) == (1, True), message
            code, message = told(plan, host, folder, retry_failed=True)
        assert (code, read_facts(host).module_version, host.uploads) == (0, V34, 2), message
        assert not [problem for problem in history(folder).problems if "no record" in problem]


def plan_with_commands(spr: HostFacts, images: Path) -> Plan:
    document = dict(plan_for(spr, images).document)
    document = {key: value for key, value in document.items() if key not in {"schema", "id"}}
    return seal(document | {"apply": {"before": [["true"]], "after": [["true"]]}}, spr)


def told(plan: Plan, host: SimulatedHost, folder: Path, **settings: Any) -> tuple[int, str]:
    """Exit code and message of a run."""
    try:
        result = again(plan, host, folder, **settings)
    except SeamstepError as refused:
        return refused.exit_code, str(refused)
    return result.exit_code, result.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_unprivileged_user_and_the_state_folder_of_root(spr: HostFacts, images: Path) -> None:
    """Refused before anything is done, and said as what it is."""
    plan = plan_for(spr, images)
    with tempfile.TemporaryDirectory() as state:  # 0700, as ours
        child = os.fork()
        if not child:
            os.setuid(65534)
            code, message = told(plan, SimulatedHost(spr, {}), Path(state))
            os._exit(0 if code == 1 and f"can't use the state folder {state}: Permission denied" in message else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_an_fsync_that_fails_is_a_journal_that_can_not_be_written(
    spr: HostFacts, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_for(spr, images)
    host = SimulatedHost(plan.host, {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image})
    fsync = os.fsync

    def failing(descriptor: int) -> None:
        lines = (tmp_path / NAME).read_bytes().splitlines() if (tmp_path / NAME).exists() else []
        if lines and b'"event":"committing"' in lines[-1]:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    result = again(plan, host, tmp_path)
    assert (result.exit_code, host.uploads) == (1, 0)
    assert "the journal can't be written: Input/output error" in result.message
