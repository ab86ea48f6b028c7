"""Run all benchmarks: ``python tests/benchmarks/run.py`` writes docs/benchmarks.md and docs/images/growth.svg;
``--check`` holds the figures against budget.toml instead, in about a minute.

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
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent)]

import figures  # noqa: E402
import page  # noqa: E402
import plot  # noqa: E402
import processes  # noqa: E402
from figures import Budget, Figure, Process  # noqa: E402

_DISTRIBUTIONS = ("seamstep", "networkx", "jsonschema", "cryptography", "PyYAML", "cedarpy", "regopy")
_ATTEMPTS = 2


class Results(NamedTuple):
    """What was measured: commands, and seconds in the process by benchmark."""

    processes: dict[str, Process]
    speeds: dict[str, float]

    @property
    def figures(self) -> list[Figure]:
        """The figures of it."""
        return [
            *figures.of_processes(self.processes),
            *figures.of_speeds(self.speeds, self.processes[figures.BARE].busy),
        ]


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done, or within budget; 1: over budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="fail where a figure is over its budget; write nothing")
    options = parser.parse_args(arguments)
    allowed = budgets()
    if options.check:
        return check(allowed)
    about = _about()
    results = measured(rounds=31, seconds=5.0)
    text = page.page(results.processes, results.speeds, results.figures, allowed, about)
    picture = plot.svg("Time by the number of releases", page.growths(results.speeds))
    (ROOT / "docs" / "images" / "growth.svg").write_text(picture, encoding="utf-8")
    (ROOT / "docs" / "benchmarks.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def budgets() -> dict[str, Budget]:
    """The budgets in budget.toml, by the figure's name."""
    return {name: Budget(**entry) for name, entry in tomllib.loads((HERE / "budget.toml").read_text()).items()}


def check(allowed: dict[str, Budget]) -> int:
    """Whether all figures are within budget. Bad luck on a busy machine gets a second chance, a slow program does not
    profit from one."""
    for _ in range(_ATTEMPTS):
        results = measured(rounds=11, seconds=0.3, leave_out=str(max(figures.LENGTHS)))
        print(page.budget_table(results.figures, allowed))
        over = figures.breaches(results.figures, allowed)
        if not over:
            print("All figures are within budget.")
            return 0
        print("Over budget:", *over, sep="\n  ", flush=True)
    return 1


def measured(rounds: int, seconds: float, leave_out: str = "") -> Results:
    """Measure everything: ``rounds`` of all commands, ``seconds`` for each benchmark in the process."""
    with tempfile.TemporaryDirectory(prefix="seamstep-benchmarks-") as name:
        folder = Path(name)
        processes.write_inputs(folder)
        found = processes.measure(processes.commands(folder), rounds)
        return Results(found, _speeds(folder / "speeds.json", seconds, leave_out))


def _speeds(path: Path, seconds: float, leave_out: str) -> dict[str, float]:
    """The medians of all rounds, in processor time."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "bench_speed.py")]
    command += [f"--benchmark-json={path}", f"--benchmark-max-time={seconds}", "--benchmark-quiet"]
    command += ["--benchmark-timer=time.process_time"]
    command += ["-k", f"not {leave_out}"] if leave_out else []
    subprocess.run(command, cwd=ROOT, check=True)
    found = json.loads(path.read_text())["benchmarks"]
    return {one["name"].removeprefix("test_"): one["stats"]["median"] / one["extra_info"]["per"] for one in found}


def _about() -> dict[str, str]:
    """Machine, versions and date; nothing that tells whose machine it is."""
    described = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in described.splitlines() if line.startswith("model name")]
    kernel = ".".join(platform.release().split(".")[:2])
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _DISTRIBUTIONS)
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{names[0] if names else platform.machine()}, {os.cpu_count()} CPUs, {platform.system()} {kernel}",
        "load before": f"{os.getloadavg()[0]:.1f} on average in the last minute",
        "versions": f"{platform.python_implementation()} {platform.python_version()}, {versions}",
    }


if __name__ == "__main__":
    sys.exit(main())
