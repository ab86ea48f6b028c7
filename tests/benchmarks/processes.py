"""Whole-process figures: what a user waits for. Every command is started as a user would, by its console script, in an
isolated interpreter (``-I``) with its modules compiled; rounds are interleaved, so that what else the machine does hits
all alike."""

from __future__ import annotations

import os
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
_MODULES = """import sys
sys.argv = ["seamstep", *sys.argv[1:]]
from seamstep.cli import entry
try:
    entry()
finally:
    print("\\nMODULES", *(name for name in sys.modules if not name.startswith("__")))
"""
_OUTSIDE = """import importlib, sys, time
for name in sys.argv.pop(1).split():
    try:
        importlib.import_module(name)
    except ImportError:
        pass
from seamstep.cli import entry
begun = time.perf_counter()
try:
    entry()
finally:
    print("\\nSECONDS", time.perf_counter() - begun)
"""


def write_inputs(folder: Path) -> None:
    """What the commands read."""
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
        "plan": ("plan", "--mapping", str(LATEST), "--without-images", "--facts", str(FACTS)),
        "plan --catalog": ("plan", "--catalog", catalog, *TRUST, "--facts", str(FACTS)),
        "apply PLAN": ("apply", plan, *TRUST, "--simulate", "--yes"),
        "lint": ("lint", str(LATEST)),
        "image verify": ("image", "verify", catalog, *TRUST),
    }


def measure(named: Mapping[str, Command], rounds: int) -> dict[str, Process]:
    """Measure the commands and a bare start, all in each round.

    Raises:
        RuntimeError: a command failed, so that its time means nothing.
    """
    lines = {BARE: (*_PYTHON, "-c", "pass")} | {
        name: (*_PYTHON, str(_SCRIPT), *command) for name, command in named.items()
    }
    walls = _interleaved(lines, rounds)
    peaks = {BARE: _told((*_PYTHON, "-c", _PEAK), "PEAK")}
    outside = {BARE: [0.0]} | {name: [] for name in named}
    modules = {}
    for name, command in named.items():
        peaks[name] = _told((*_PYTHON, "-c", _RUN, *command), "PEAK")
        modules[name] = _told((*_PYTHON, "-c", _MODULES, *command), "MODULES")
    for _ in range(max(rounds // 2, 3)):
        for name, command in named.items():
            outside[name].append(float(_told((*_PYTHON, "-c", _OUTSIDE, modules[name], *command), "SECONDS")))
    return {name: Process(median(walls[name]), median(outside[name]), int(peaks[name]) * 1024) for name in lines}


def _interleaved(lines: Mapping[str, Sequence[str]], rounds: int) -> dict[str, list[float]]:
    """The wall times of each command in seconds; a first round compiles what is not compiled, and is not counted."""
    walls: dict[str, list[float]] = {name: [] for name in lines}
    for number in range(rounds + 1):
        for name, line in lines.items():
            begun = time.perf_counter()
            done = subprocess.run(
                line, env=_ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
            )
            took = time.perf_counter() - begun
            if done.returncode not in _expected(name):
                raise RuntimeError(f"{name} failed: {done.stderr.decode(errors='replace')}")
            if number:
                walls[name].append(took)
    return walls


def _told(line: Sequence[str], word: str) -> str:
    """What the process says in its last line, after ``word``."""
    done = subprocess.run(line, env=_ENVIRONMENT, capture_output=True, text=True, check=False)
    begin, _, rest = done.stdout.rstrip().rpartition("\n")[2].partition(" ")
    if begin != word:
        raise RuntimeError(f"{line[-1]}: {done.stderr or done.stdout}")
    return rest


def _expected(name: str) -> set[int]:
    """The exit codes of a command that did its work; the real mapping file has findings."""
    return {0, 1} if name == "lint" else {0}
