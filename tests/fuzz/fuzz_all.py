#!/usr/bin/env python3
"""Fuzz every reader of untrusted documents, some at a time, and say how many inputs each was given.

    python tests/fuzz/fuzz_all.py [--seconds N] [--at-once N] [--keep] [READER ...]

SEAMSTEP_FUZZ_SECONDS is the time for each reader where --seconds is not given; 20 without either. A run begins with the
inputs that earlier runs reached new code with (kept.py), so that a short one is not shallow; --keep adds what this run
finds, after a long run of a changed reader. Exit code 1 if a reader raised anything but our own errors, broke a
promise, or took too long; the input is kept in --artifacts.
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
import kept
from readers import READERS

_SLOW = 30  # seconds for one input
_MEMORY = 2048  # MiB
_FAST = "/dev/shm" if Path("/dev/shm").is_dir() else None


def fuzzed(name: str, seconds: int, artifacts: Path, keep: bool) -> str:
    """Fuzz one reader. Returns the report; raises RuntimeError with the end of the output if it failed."""
    folder = tempfile.TemporaryDirectory  # removed here: the fuzzer exits without a chance to
    with folder(prefix="corpus-") as corpus, folder(prefix="fuzz-", dir=_FAST) as fast:
        limits = [f"-max_total_time={seconds}", f"-timeout={_SLOW}", f"-rss_limit_mb={_MEMORY}"]
        script = str(Path(__file__).with_name("fuzz.py"))
        ran = subprocess.run(
            [sys.executable, script, name, corpus, *limits, f"-artifact_prefix={artifacts}/{name}-"],
            env={**os.environ, "TMPDIR": fast},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        runs = re.search(r"^Done (\d+) runs in (\d+) second", ran.stdout, re.MULTILINE)
        if ran.returncode or not runs:
            raise RuntimeError(f"{name} failed (exit code {ran.returncode}):\n{ran.stdout[-6000:]}")
        if keep:
            kept.pack(name, Path(corpus))
    return f"{name:<10} {int(runs[1]):>10,} inputs in {runs[2]} s"


def main() -> int:
    """Fuzz the readers that are named, or all."""
    parser = argparse.ArgumentParser(description="Fuzz every reader of untrusted documents.")
    parser.add_argument("readers", nargs="*", choices=[[], *READERS], metavar="READER")
    parser.add_argument("--seconds", type=int, default=int(os.environ.get("SEAMSTEP_FUZZ_SECONDS", "20")))
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="how many readers are fuzzed at a time")
    parser.add_argument("--keep", action="store_true", help="add the inputs that reach new code to those that are kept")
    parser.add_argument("--artifacts", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    options.artifacts.mkdir(parents=True, exist_ok=True)
    failed = False
    with ThreadPoolExecutor(max_workers=options.at_once) as pool:
        names = options.readers or list(READERS)
        for future in [pool.submit(fuzzed, name, options.seconds, options.artifacts, options.keep) for name in names]:
            try:
                print(future.result(), flush=True)
            except RuntimeError as error:
                failed = True
                print(error, flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
