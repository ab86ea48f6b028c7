#!/usr/bin/env python3
"""Fuzz every reader of untrusted documents, two at a time, and say how many inputs each was given.

    python tests/fuzz/fuzz_all.py [--seconds N] [READER ...]

SEAMSTEP_FUZZ_SECONDS is the time for each reader where --seconds is not given; 60 without either. Exit code 1 if a
reader raised anything but our own errors, broke a promise, or took too long; the input is kept in --artifacts.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from readers import READERS

_SLOW = 30  # seconds for one input
_MEMORY = 2048  # MiB


def fuzzed(name: str, seconds: int, artifacts: Path) -> str:
    """Fuzz one reader. Returns the report; raises RuntimeError with the end of the output if it failed."""
    with tempfile.TemporaryDirectory(prefix="corpus-") as corpus:
        limits = [f"-max_total_time={seconds}", f"-timeout={_SLOW}", f"-rss_limit_mb={_MEMORY}"]
        script = str(Path(__file__).with_name("fuzz.py"))
        ran = subprocess.run(
            [sys.executable, script, name, corpus, *limits, f"-artifact_prefix={artifacts}/{name}-"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    runs = re.search(r"^Done (\d+) runs in (\d+) second", ran.stdout, re.MULTILINE)
    if ran.returncode or not runs:
        raise RuntimeError(f"{name} failed (exit code {ran.returncode}):\n{ran.stdout[-6000:]}")
    return f"{name:<10} {int(runs[1]):>10,} inputs in {runs[2]} s"


def main() -> int:
    """Fuzz the readers that are named, or all."""
    parser = argparse.ArgumentParser(description="Fuzz every reader of untrusted documents.")
    parser.add_argument("readers", nargs="*", choices=[[], *READERS], metavar="READER")
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("SEAMSTEP_FUZZ_SECONDS", "60")))
    parser.add_argument("--artifacts", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    options.artifacts.mkdir(parents=True, exist_ok=True)
    failed = False
    with ThreadPoolExecutor(max_workers=2) as pool:
        names = options.readers or list(READERS)
        for future in [pool.submit(fuzzed, name, options.seconds, options.artifacts) for name in names]:
            try:
                print(future.result(), flush=True)
            except RuntimeError as error:
                failed = True
                print(error, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
