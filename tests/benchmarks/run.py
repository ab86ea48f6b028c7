"""Run all benchmarks: ``python tests/benchmarks/run.py`` writes docs/benchmarks.md and docs/images/growth.svg;
``--check`` holds the figures against budget.toml instead, in less than two minutes.

Needs ``pip install -e '.[test,bench]'``. Takes a few minutes; the quieter the machine, the better the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent)]

import figures  # noqa: E402
import page  # noqa: E402
import plot  # noqa: E402
import processes  # noqa: E402
from figures import Figure, Process, Speed  # noqa: E402

#: Building this eagerly takes more than a minute; --check leaves it out.
_SLOW = frozenset({f"{figures.graph(1000)}, against networkx"})
_DISTRIBUTIONS = (
    "seamstep",
    "cryptography",
    "jsonschema",
    "PyYAML",
    "networkx",
    "regopy",
    "cedarpy",
    "pytest-benchmark",
)
_ATTEMPTS = 2


class Results(NamedTuple):
    """What was measured, and the figures of it."""

    processes: dict[str, Process]
    speeds: dict[str, Speed]

    @property
    def figures(self) -> list[Figure]:
        return [*figures.of_processes(self.processes), *figures.of_speeds(self.speeds)]


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done, or within budget; 1: over budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="fail where a figure is over its budget; write nothing")
    options = parser.parse_args(arguments)
    allowed = figures.budgets(tomllib.loads((HERE / "budget.toml").read_text()))
    if options.check:
        return check(allowed)
    began = datetime.now(UTC)
    results = measured(rounds=31, seconds=5.0)
    text = page.page(results.processes, results.speeds, results.figures, allowed, about=_about(began))
    picture = plot.svg("Graph and best path, by number of releases", page.growths(results.speeds))
    (ROOT / "docs" / "images").mkdir(exist_ok=True)
    (ROOT / "docs" / "images" / "growth.svg").write_text(picture, encoding="utf-8")
    (ROOT / "docs" / "benchmarks.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def check(allowed: dict[str, figures.Budget]) -> int:
    """Whether all figures are within budget. Bad luck on a busy machine gets a second chance, a slow program does not
    profit from one."""
    for _ in range(_ATTEMPTS):
        results = measured(rounds=5, seconds=0.3, leave_out="graph_networkx and 1000")
        print(page.budget_table(results.figures, allowed))
        _say("could get ten times worse unseen; tighten budget.toml:", figures.slack(results.figures, allowed))
        over = figures.breaches(results.figures, allowed, _SLOW)
        if not over:
            print(f"\n{len(results.figures)} figures are within budget")
            return 0
        _say("over budget:", over)
    return 1


def _say(title: str, lines: Sequence[str]) -> None:
    if lines:
        print(f"\n{title}", *lines, sep="\n  ", flush=True)


def measured(rounds: int, seconds: float, leave_out: str = "") -> Results:
    """Measure everything: ``rounds`` of all commands, ``seconds`` for each benchmark in the process."""
    with tempfile.TemporaryDirectory(prefix="seamstep-benchmarks-") as name:
        folder = Path(name)
        processes.write_inputs(folder)
        found = processes.measure(processes.commands(folder), rounds)
        return Results(found, _speeds(folder / "speeds.json", seconds, leave_out))


def _speeds(path: Path, seconds: float, leave_out: str) -> dict[str, Speed]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "bench_speed.py")]
    command += [
        f"--benchmark-json={path}",
        f"--benchmark-max-time={seconds}",
        "--benchmark-disable-gc",
        "--benchmark-quiet",
    ]
    command += ["-k", f"not ({leave_out})"] if leave_out else []
    subprocess.run(command, cwd=ROOT, check=True)
    return {one["name"].removeprefix("test_"): _speed(one) for one in json.loads(path.read_text())["benchmarks"]}


def _speed(one: dict[str, Any]) -> Speed:
    """The least of all rounds: what else the machine did can only add."""
    least, extra = one["stats"]["min"], one["extra_info"]
    return Speed(least / extra["per"], extra["bytes"] / least)


def _about(began: datetime) -> dict[str, str]:
    """Machine, versions and date; nothing that tells whose machine it is."""
    described = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in described.splitlines() if line.startswith("model name")]
    found = []
    for name in _DISTRIBUTIONS:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name} is not installed: left out")
    kernel = ".".join(platform.release().split(".")[:2])
    return {
        "date": f"{began:%Y-%m-%d}",
        "machine": f"{names[0] if names else platform.machine()}, {os.cpu_count()} CPUs, {platform.system()} {kernel}",
        "load": f"{os.getloadavg()[2]:.1f} on average in the last 15 minutes, of which the benchmarks are less than 1",
        "versions": f"{platform.python_implementation()} {platform.python_version()}, {', '.join(found)}",
    }


if __name__ == "__main__":
    sys.exit(main())
