"""One run at a time, in two real processes."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_executor import simulated
from test_host_facts import COMMON, DOUBLE, LAYOUTS, tree

from conftest import TRUST, Run, plan_for
from seamstep.base.errors import BusyError, RefusedError
from seamstep.cli.output import to_json
from seamstep.domain.facts import HostFacts
from seamstep.host.sysfs import SysfsHost
from seamstep.run import transaction
from seamstep.run.lock import NAME, host_locked, locked

HOLDER = """
import os, sys, time
from seamstep.run.lock import locked
with locked(os.open(sys.argv[1], os.O_RDONLY), sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_told_who_the_first_is(run: Run, spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan, state = tmp_path / "plan.json", tmp_path / "state"
    plan.write_text(to_json(plan_for(spr, images).document))
    state.mkdir(mode=0o700)
    apply = ("apply", plan, *TRUST, "--simulate", "--yes", "--state-dir", state)
    with subprocess.Popen([sys.executable, "-c", HOLDER, state], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        ran = run(*apply)
        assert (ran.code, ran.out) == (4, "")
        assert f"another run of seamstep (process {holder.pid}) holds {state}/lock; try later" in ran.err
        assert run("status", "--state-dir", state).code == 3, "reading takes no lock"
        assert run("history", "--state-dir", state).code == 0
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert (state / NAME).exists()
    assert run(*apply).code == 0
    assert (state / NAME).read_text() == f"{os.getpid()}\n"


def test_a_lock_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    folder = os.open(tmp_path, os.O_RDONLY)
    with pytest.raises(RefusedError, match="can't open"), locked(folder, str(tmp_path)):
        pass
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).write_text("\x1b[2Jnot a pid")
    with locked(folder, "x"), pytest.raises(BusyError, match=r"process \d+"), locked(folder, "x"):
        pass
    os.close(folder)


# -- the lock of the host

BEGUN = """
import sys, time
from seamstep.host.sysfs import SysfsHost
from seamstep.run import transaction
with transaction.begun(SysfsHost(sys.argv[1]), sys.argv[2]):
    print("held", flush=True)
    time.sleep(60)
"""
ATTRIBUTE = "sys/devices/faux/tdx_host/num_remaining_updates"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tree(tmp_path / "root", COMMON, LAYOUTS["mainline"], DOUBLE, {"sys/devices/faux/tdx_host/version": "1.5.24\n"})
    return tmp_path / "root"


@contextlib.contextmanager
def at_work(root: Path, state: Path) -> Iterator[subprocess.Popen[str]]:
    """A run in another process."""
    with subprocess.Popen([sys.executable, "-c", BEGUN, root, state], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.parametrize("has_run", [False, True])
def test_two_state_folders_are_no_two_hosts(run: Run, images: Path, tmp_path: Path, root: Path, has_run: bool) -> None:
    if has_run:
        (root / "run").mkdir()
    apply = ("apply", "--catalog", images, *TRUST, "--sysroot", root, "--yes", "--state-dir", tmp_path / "b")
    with at_work(root, tmp_path / "a") as other:
        for more in ((), ("--dry-run",)):
            ran = run(*apply, *more)
            assert (ran.code, ran.out) == (4, "")
            assert f"another run of seamstep (process {other.pid}) holds {root}/{ATTRIBUTE}; try later" in ran.err
        link = tmp_path / "link"
        link.symlink_to(root)
        assert run(*apply, "--sysroot", link).code == 4, "by whichever path"
        assert run("status", "--sysroot", root).code == 0, "reading takes no lock"
    assert run(*apply, "--dry-run").code == 0
    assert (root / "run/seamstep/lock").exists() is has_run


def test_a_sysfs_with_other_inodes(run: Run, images: Path, tmp_path: Path, root: Path) -> None:
    """A network namespace may have one. /run is common to it and the host."""
    (root / "run").mkdir()
    apply = ("apply", "--catalog", images, *TRUST, "--sysroot", root, "--dry-run", "--state-dir", tmp_path / "b")
    with at_work(root, tmp_path / "a"):
        (root / ATTRIBUTE).unlink()
        (root / ATTRIBUTE).write_text("5\n")
        ran = run(*apply)
        assert (ran.code, f"holds {root}/run/seamstep/lock; try later" in ran.err) == (4, True)


def test_a_run_folder_that_can_not_be_written_to(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that another run made there is heeded; to lock is not to write."""
    (root / "run/seamstep").mkdir(parents=True, mode=0o700)
    opened = os.open

    def read_only(path: str, flags: int, *arguments: int, **named: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return opened(path, flags, *arguments, **named)

    monkeypatch.setattr(os, "open", read_only)
    host = SysfsHost(str(root))
    with host_locked(host, "mainline"):
        pass
    (root / "run/seamstep/lock").write_text("")
    (root / ATTRIBUTE).unlink()
    with host_locked(host, "mainline"), pytest.raises(BusyError), host_locked(host, "mainline"):
        pass
    (root / "sys/class/firmware/tdx_module").rename(root / "gone")
    with host_locked(host, "mainline"), pytest.raises(BusyError, match="/run/seamstep/lock"):
        host_locked(host, "mainline").__enter__()


def test_simulated_hosts_have_the_lock_of_their_folder_alone(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan = plan_for(spr, images)
    with (
        transaction.begun(simulated(plan), str(tmp_path / "a")),
        transaction.begun(simulated(plan), str(tmp_path / "b")),
    ):
        pass
    with (
        transaction.begun(simulated(plan), str(tmp_path / "a")),
        pytest.raises(BusyError),
        transaction.begun(simulated(plan), str(tmp_path / "a")),
    ):
        pass
