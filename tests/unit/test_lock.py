"""One run at a time, in two real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import TRUST, Run, plan_for
from seamstep.base.errors import BusyError, RefusedError
from seamstep.cli.output import to_json
from seamstep.domain.facts import HostFacts
from seamstep.run.lock import NAME, locked

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
