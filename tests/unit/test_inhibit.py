"""The logind inhibitor: held while it should be, gone afterwards, and never in the way. With real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seamstep.host import inhibit
from seamstep.host.inhibit import inhibited

#: Takes a lock as systemd-inhibit does: before the command runs, and until it ends.
HOLDS = """\
echo "$@" >> {log}
while [ "${{1#--}}" != "$1" ]; do shift; done
mkdir {lock}.$$
"$@"
rmdir {lock}.$$
"""
Fake = Callable[[str], str]


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    """Puts a systemd-inhibit that does as told on a path of its own, and returns that path."""

    def put(script: str) -> str:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "systemd-inhibit"
        text = script.format(log=tmp_path / "log", lock=tmp_path / "lock", pid=tmp_path / "pid")
        program.write_text(f"#!/bin/sh\n{text}")
        program.chmod(0o755)
        return f"{folder}:{os.environ['PATH']}"

    return put


def locks(folder: Path) -> int:
    return len(list(folder.glob("lock.*")))


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def gone(condition: Callable[[], object], seconds: float = 5) -> bool:
    """Whether it stops being true in time."""
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not condition()


def test_both_locks_are_held_inside_and_released_after(fake: Fake, tmp_path: Path) -> None:
    before = children()
    with inhibited("updating", path=fake(HOLDS), logind=str(tmp_path)) as held:
        assert held
        assert locks(tmp_path) == 2
    assert locks(tmp_path) == 0
    assert children() == before
    delay, block = (tmp_path / "log").read_text().splitlines()
    assert "--mode=delay --what=shutdown:sleep " in delay
    assert "--mode=block --what=shutdown:sleep:handle-power-key" in block
    assert delay.startswith("--who=seamstep --why=updating ")


def test_released_when_the_body_fails(fake: Fake, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), inhibited(path=fake(HOLDS), logind=str(tmp_path)):
        raise ZeroDivisionError
    assert locks(tmp_path) == 0


@pytest.mark.parametrize(
    ("script", "what"),
    [
        ("exit 1\n", "refused: no bus, no permission"),
        ("cat > /dev/null\n", "no answer: it ends with the pipe, but runs nothing"),
        (
            "echo $$ > {pid}; trap '' TERM INT HUP\nwhile :; do sleep 0.1; done\n",
            "hangs, whatever it is told",
        ),
    ],
)
def test_locks_that_cannot_be_had_are_no_obstacle(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, what: str
) -> None:
    monkeypatch.setattr(inhibit, "_TAKING", 0.3)
    monkeypatch.setattr(inhibit, "_LEAVING", 0.3)
    before, started, ran = children(), time.monotonic(), False
    with inhibited(path=fake(script), logind=str(tmp_path)) as held:
        assert not held, what
        ran = True
    assert ran
    assert time.monotonic() - started < 3
    assert children() == before
    if (tmp_path / "pid").exists():
        assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_a_holder_that_will_not_leave_is_made_to(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inhibit, "_LEAVING", 0.3)
    before = children()
    with inhibited(path=fake("cat\nwhile :; do sleep 0.1; done\n"), logind=str(tmp_path)) as held:
        assert held
    assert children() == before


def test_nothing_is_started_without_logind(fake: Fake, tmp_path: Path) -> None:
    with inhibited(path=fake(HOLDS), logind=str(tmp_path / "missing")) as held:
        assert not held
    assert not (tmp_path / "log").exists()


def test_nothing_is_started_without_the_program(tmp_path: Path) -> None:
    with inhibited(path=str(tmp_path), logind=str(tmp_path)) as held:
        assert not held


def test_a_program_that_is_none(fake: Fake, tmp_path: Path) -> None:
    path = fake(HOLDS)
    (tmp_path / "bin" / "systemd-inhibit").write_bytes(b"\x7fELF garbage")
    with inhibited(path=path, logind=str(tmp_path)) as held:
        assert not held


BODY = """\
import sys, time
from seamstep.host.inhibit import inhibited
with inhibited(path=sys.argv[1], logind=sys.argv[2]) as held:
    try:
        print(held, flush=True)
        time.sleep(30)
    except KeyboardInterrupt:
        print(*__import__("pathlib").Path(sys.argv[2]).glob("lock.*"), flush=True)
"""


def run_body(path: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BODY, path, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    return process


def test_when_we_are_killed_the_locks_end(fake: Fake, tmp_path: Path) -> None:
    with run_body(fake(HOLDS), tmp_path) as process:
        assert locks(tmp_path) == 2
        process.kill()
        process.wait(5)
        assert gone(lambda: locks(tmp_path))


def test_a_terminal_s_interrupt_does_not_end_the_locks(fake: Fake, tmp_path: Path) -> None:
    with run_body(fake(HOLDS), tmp_path) as process:
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout is not None
        assert len(process.stdout.readline().split()) == 2
        assert process.wait(5) == 0
    assert locks(tmp_path) == 0
