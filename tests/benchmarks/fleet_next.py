"""How long the commands of a rollout take with 100,000 hosts: ``python tests/benchmarks/fleet_next.py [--check]``.

Writes the figures into docs/rollout.md. With ``--check`` nothing is written; the exit code is 1 if ``fleet next`` takes
more than a second.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from fleet_plans import fleet_class, fleet_host, write_fleet

PAGE = Path(__file__).parents[2] / "docs" / "rollout.md"
BEGIN, END = "<!-- size: begin -->", "<!-- size: end -->"
HOSTS, CLASSES, KERNELS, RACKS = 100_000, 300, 40, 2_500
LIMIT = 1.0  # seconds


def made(folder: Path) -> Path:
    """A fleet plan and, beside it, its rollout."""
    classes = [
        fleet_class(f"c{number:04}", "1.5.05", "1.5.06", kernel=f"6.{number % KERNELS}") for number in range(CLASSES)
    ]
    hosts = [
        fleet_host(f"host-{number:06}.example.net", f"c{number % CLASSES:04}", f"rack-{number % RACKS}")
        for number in range(HOSTS)
    ]
    return write_fleet(folder, classes, hosts)


def seconds(*arguments: object) -> float:
    """The time that one command takes, as a process of its own."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "seamstep", "fleet", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode in {0, 4}, done.stderr
    return time.perf_counter() - begun


def main() -> int:
    """Measure; the exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        out, ledger = made(folder), folder / "ledger"
        start = seconds("start", out, "--rollout", folder / "rollout.yaml", "--ledger", ledger)
        first = seconds("next", "--ledger", ledger, "--limit", 20)
        following = ("next", "--ledger", ledger, "--limit", 1)
        given = min(first, *(seconds(*following) for _ in range(4)))
        seconds("next", "--ledger", ledger)
        none = min(seconds(*following) for _ in range(5))
        status = min(seconds("status", "--ledger", ledger) for _ in range(5))
        size = ledger.stat().st_size >> 20
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    rows = {
        "`fleet start`": start,
        "`fleet next` with leases to give": given,
        "`fleet next` with none": none,
        "`fleet status`": status,
    }
    lines = [
        f"{HOSTS:,} hosts in {CLASSES} classes, {KERNELS} of them different to canaries, and {RACKS:,} racks; at most"
        f" {memory} MiB a process, a ledger of {size} MiB.",
        "",
        "| command | seconds |",
        "|---|---:|",
        *(f"| {name} | {value:.2f} |" for name, value in rows.items()),
    ]
    if "--check" not in sys.argv:
        text = PAGE.read_text("utf-8")
        before, rest = text.split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{rest.split(END)[1]}", "utf-8")
    print("\n".join(lines))
    return int(max(given, none) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
