"""Run all benchmarks: ``python tests/benchmarks/run.py`` writes docs/benchmarks.md and docs/images/growth.svg;
``--check`` holds the figures against budget.toml instead, in about two minutes; ``--fleets`` measures fleets alone, and
writes their part of the page and docs/images/fleets.svg.

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
import fleets  # noqa: E402
import page  # noqa: E402
import plot  # noqa: E402
import processes  # noqa: E402
from figures import Budget, Figure, Fleet, Process  # noqa: E402

_DISTRIBUTIONS = ("seamstep", "networkx", "jsonschema", "cryptography", "PyYAML", "cedarpy", "regopy")
_ATTEMPTS = 2


class Results(NamedTuple):
    """What was measured: commands, seconds in the process by benchmark, and fleets."""

    processes: dict[str, Process]
    speeds: dict[str, float]
    fleets: dict[Fleet, Process]

    @property
    def figures(self) -> list[Figure]:
        """The figures of it."""
        return [
            *figures.of_processes(self.processes),
            *figures.of_speeds(self.speeds, self.processes[figures.BARE].busy),
            *figures.of_fleets(self.fleets, self.processes[figures.BARE].busy),
        ]


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done, or within budget; 1: over budget."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="fail where a figure is over its budget; write nothing")
    parser.add_argument("--fleets", action="store_true", help="measure fleets alone")
    options = parser.parse_args(arguments)
    allowed = budgets()
    if options.fleets:
        return fleets_alone(allowed)
    if options.check:
        return check(allowed)
    about = _about()
    results = measured(rounds=31, seconds=5.0, sizes=fleets.Sizes(figures.FLEETS, 3))
    part = page.fleets(results.fleets, results.processes, results.figures, allowed, about)
    text = page.page(results.processes, results.speeds, results.figures, allowed, about, part)
    picture = plot.svg("Time by the number of releases", page.growths(results.speeds))
    (ROOT / "docs" / "images" / "growth.svg").write_text(picture, encoding="utf-8")
    _draw_fleets(results.fleets, results.processes)
    (ROOT / "docs" / "benchmarks.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def fleets_alone(allowed: dict[str, Budget]) -> int:
    """Measure fleets, and replace their part of the page."""
    about = _about()
    with tempfile.TemporaryDirectory(prefix="seamstep-benchmarks-") as name:
        folder = Path(name)
        processes.write_inputs(folder)
        commands = {name: processes.commands(folder)[name] for name in page.ONE_BY_ONE}
        alone = processes.measure(commands, 11)
        found = fleets.measure(folder, fleets.Sizes(figures.FLEETS, 3))
    of_fleets = list(figures.of_fleets(found, alone[figures.BARE].busy))
    part = page.fleets(found, alone, of_fleets, allowed, about)
    path = ROOT / "docs" / "benchmarks.md"
    before, _, rest = path.read_text(encoding="utf-8").partition(page.FLEETS_BEGIN)
    after = rest.partition(page.FLEETS_END)[2]
    path.write_text(before + part + after, encoding="utf-8")
    _draw_fleets(found, alone)
    print(part)
    return 0


def _draw_fleets(found: dict[Fleet, Process], alone: dict[str, Process]) -> None:
    picture = plot.svg("Time by the number of hosts", page.fleet_growths(found, alone), "hosts")
    (ROOT / "docs" / "images" / "fleets.svg").write_text(picture, encoding="utf-8")


def budgets() -> dict[str, Budget]:
    """The budgets in budget.toml, by the figure's name."""
    return {name: Budget(**entry) for name, entry in tomllib.loads((HERE / "budget.toml").read_text()).items()}


def check(allowed: dict[str, Budget]) -> int:
    """Whether all figures are within budget. Bad luck on a busy machine gets a second chance, a slow program does not
    profit from one."""
    for _ in range(_ATTEMPTS):
        sizes = fleets.Sizes(figures.PROMISED, 1)
        results = measured(rounds=11, seconds=0.3, sizes=sizes, leave_out=str(max(figures.LENGTHS)))
        print(page.budget_table(results.figures, allowed))
        over = figures.breaches(results.figures, allowed)
        if not over:
            print("All figures are within budget.")
            return 0
        print("Over budget:", *over, sep="\n  ", flush=True)
    return 1


def measured(rounds: int, seconds: float, sizes: fleets.Sizes, leave_out: str = "") -> Results:
    """Measure everything: ``rounds`` of all commands, ``seconds`` for each benchmark in the process, fleets of
    ``sizes``."""
    with tempfile.TemporaryDirectory(prefix="seamstep-benchmarks-") as name:
        folder = Path(name)
        processes.write_inputs(folder)
        found = processes.measure(processes.commands(folder), rounds)
        speeds = _speeds(folder / "speeds.json", seconds, leave_out)
        return Results(found, speeds, fleets.measure(folder, sizes))


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
