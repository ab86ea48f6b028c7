"""Whole-process figures: what a user waits for. Every command is started as a user would, by its console script, in an
isolated interpreter (``-I``) with its modules compiled; rounds are interleaved, so that what else the machine does hits
all alike."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import inputs
from figures import BARE, Process

from conftest import FACTS, LATEST, TRUST

Command = tuple[str, ...]

_PYTHON = (sys.executable, "-I")
_SCRIPT = Path(sysconfig.get_path("scripts")) / "seamstep"
_ENVIRONMENT = {"PATH": os.defpath, "LANG": "C.UTF-8"}
#: VmHWM of the process itself, at its end: wait4() would count what the parent had in memory when it forked.
_PEAK = "import re; print('\\nPEAK', re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])"
_RUN = f"""import sys
sys.argv = ["seamstep", *sys.argv[1:]]
from seamstep.cli import entry
try:
    entry()
finally:
    {_PEAK}
"""


def write_inputs(folder: Path) -> None:
    """Write what the commands read."""
    catalog = inputs.write_catalog(folder / "catalog")
    inputs.write_host(folder / "host")
    inputs.write_plan(catalog, folder / "plan.json")


def commands(folder: Path) -> dict[str, Command]:
    """The commands that are measured, by name; :func:`write_inputs` wrote what they read into ``folder``."""
    catalog, host, plan = (str(folder / name) for name in ("catalog", "host", "plan.json"))
    return {
        "--version": ("--version",),
        "--help": ("--help",),
        "facts": ("facts", "--sysroot", host),
        "status": ("status", "--sysroot", host, "--state-dir", str(folder / "state")),
        "lint": ("lint", str(LATEST)),
        "plan": ("plan", "--mapping", str(LATEST), "--without-images", "--facts", str(FACTS)),
        "plan --catalog": ("plan", "--catalog", catalog, *TRUST, "--facts", str(FACTS)),
        "apply PLAN": ("apply", plan, *TRUST, "--simulate", "--yes"),
    }


def measure(named: Mapping[str, Command], rounds: int) -> dict[str, Process]:
    """Measure the commands and a bare start, all in each round.

    Raises:
        RuntimeError: a command failed, so that its time means nothing.
    """
    lines = {BARE: (*_PYTHON, "-c", "pass")} | {
        name: (*_PYTHON, str(_SCRIPT), *command) for name, command in named.items()
    }
    times = _interleaved(lines, rounds)
    peaks = {BARE: _peak("-c", _PEAK)} | {name: _peak("-c", _RUN, *command) for name, command in named.items()}
    wall, busy = ({name: median(pair[of] for pair in times[name]) for name in lines} for of in (0, 1))
    return {name: Process(wall[name], busy[name], peaks[name]) for name in lines}


def _interleaved(lines: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Wall time and processor time of each command in seconds; a first round compiles what is not compiled, and is not
    counted."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in lines}
    for number in range(rounds + 1):
        for name, line in lines.items():
            begun, before = time.perf_counter(), _busy()
            done = subprocess.run(
                line, env=_ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
            )
            took = time.perf_counter() - begun, _busy() - before
            if done.returncode not in _expected(name):
                raise RuntimeError(f"{name} failed: {done.stderr.decode(errors='replace')}")
            if number:
                times[name].append(took)
    return times


def _busy() -> float:
    """The processor time of all processes so far that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _peak(*arguments: str) -> int:
    """The peak memory in bytes of an interpreter that ends by printing it."""
    done = subprocess.run((*_PYTHON, *arguments), env=_ENVIRONMENT, capture_output=True, text=True, check=False)
    word, _, kilobytes = done.stdout.rstrip().rpartition("\n")[2].partition(" ")
    if word != "PEAK":
        raise RuntimeError(f"{arguments[-1]}: {done.stderr or done.stdout}")
    return int(kilobytes) * 1024


def once(command: Command) -> Process:
    """Measure one run of a command. Raises RuntimeError if it failed."""
    begun, before = time.perf_counter(), _busy()
    peak = _peak("-c", _RUN, *command)
    return Process(time.perf_counter() - begun, _busy() - before, peak)


def _expected(name: str) -> set[int]:
    """The exit codes of a command that did its work; the real mapping file has findings."""
    return {0, 1} if name == "lint" else {0}
