"""The commands around a run: bounded in time and output, without a shell, and never in the way of the truth."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

import pytest

from seamstep.run import hooks
from seamstep.run.hooks import OUTPUT_MAX, HookResult, run_hook


def python(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program)


def test_what_a_command_gets() -> None:
    program = (
        "import os, sys;"
        "print(sorted(os.environ), os.getcwd(), sys.stdin.read(), os.getpgrp() == os.getpid(), flush=True);"
        "print(*sys.argv[1:], file=sys.stderr)"
    )
    result = run_hook((*python(program), "a b", "$HOME;`id`"), {"SEAMSTEP_TARGET": "1.5.34"})
    assert (result.code, result.problem) == (0, "")
    names = {"LANG", "PATH", "SEAMSTEP_TARGET", "LC_CTYPE"}
    assert all(name in names for name in re.findall(r"'(\w+)'", result.output.splitlines()[0]))
    assert result.output.splitlines()[0].endswith("/  True")
    assert result.output.splitlines()[1] == "a b $HOME;`id`"


@pytest.mark.parametrize(
    ("argv", "code", "problem"),
    [
        (python("raise SystemExit(3)"), 3, "ended with exit code 3"),
        (python("import os; os.kill(os.getpid(), 9)"), -9, "was killed by signal 9"),
        (("/nowhere/command",), None, "can't be started: No such file or directory"),
        (("/etc/passwd",), None, "can't be started: Permission denied"),
    ],
)
def test_what_does_not_go_well(argv: tuple[str, ...], code: int | None, problem: str) -> None:
    assert run_hook(argv, {}) == HookResult(argv, code, problem, "")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    child = tmp_path / "pid"
    program = (
        f"import subprocess, time; p = subprocess.Popen(['sleep', '60']); open({str(child)!r}, 'w').write(str(p.pid));"
        "print('begun', flush=True); time.sleep(60)"
    )
    began = time.monotonic()
    result = run_hook(python(program), {}, timeout=1.0)
    assert time.monotonic() - began < 5
    assert (result.problem, result.output) == ("did not end within 1 s and was killed", "begun\n")
    time.sleep(0.1)
    assert not alive(int(child.read_text()))


def test_a_command_that_ignores_everything_and_closes_its_output() -> None:
    program = "import os, signal, time; signal.signal(15, signal.SIG_IGN); os.close(1); os.close(2); time.sleep(60)"
    assert run_hook(python(program), {}, timeout=0.5).code == -9


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # that it still runs is the point
def test_one_that_can_not_be_killed_does_not_keep_the_run_from_going_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may wait in the kernel, or have become somebody whom a service without CAP_KILL may not kill."""

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "killpg", refuse)
    monkeypatch.setattr(hooks, "_LEAVING", 0.1)
    began = time.monotonic()
    result = run_hook(("sleep", "3"), {}, timeout=0.1)
    assert time.monotonic() - began < 2.5
    assert result.code is None
    found = re.fullmatch(r"did not end .* killed, to no avail: it is process (\d+), and may still .*", result.problem)
    assert found is not None
    os.kill(int(found[1]), 9)
    os.waitpid(int(found[1]), 0)


def test_an_interrupt_ends_it() -> None:
    result = run_hook(("sleep", "60"), {}, stop=lambda: True)
    assert (result.code, result.problem) == (-9, "was killed: the run was interrupted")


def test_endless_output_is_bounded() -> None:
    result = run_hook(python("import sys\nfor i in range(100000): sys.stdout.write('x' * 100)"), {})
    assert (result.code, len(result.output)) == (0, OUTPUT_MAX)


def test_what_it_leaves_behind_does_not_hold_us_up() -> None:
    """A daemon that keeps the pipe open is not waited for."""
    began = time.monotonic()
    result = run_hook(("sh", "-c", "sleep 20 & echo $!"), {})
    assert (result.code, result.problem) == (0, "")
    assert time.monotonic() - began < 5
    os.kill(int(result.output), 15)
