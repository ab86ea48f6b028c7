"""What the page on rollouts says is so."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from test_rollout_core import FAULTS

import rollout_year
from seamstep.fleet import rollout_file
from seamstep.fleet.state import Phase

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "rollout.md").read_text("utf-8")


def test_the_example_is_the_one_that_was_simulated() -> None:
    assert f"```yaml\n{rollout_year.EXAMPLE.read_text('utf-8')}```" in PAGE
    assert rollout_file.load(str(rollout_year.EXAMPLE)).canaries == 3


def test_all_invariants_gates_and_states_are_on_the_page() -> None:
    assert re.findall(r"^\| ([0-9]) \|", PAGE, re.MULTILINE) == list("12345678")
    for code in ("domain", "fleet", "canary", "wave", "soak", "halt", "busy", "allow-list", "reserve"):
        assert f"`{code}`" in PAGE
    for phase in Phase:
        assert f"`{phase}`" in PAGE
    assert f"{len(FAULTS)} planted faults" in PAGE


def test_a_small_year() -> None:
    """Of a bad release that says what it does, one host is lost; of one that is silent, the canaries are."""
    made = rollout_year.fleet(random.Random(1), 500)
    rollout = rollout_file.load(str(rollout_year.EXAMPLE))
    results = {}
    for silent in (False, True):
        month = rollout_year.Month(made, bad=True, silent=silent, chance=random.Random(7))
        results[silent] = month.run(rollout)
        batches = rollout_year.in_batches(made, [50], silent=silent)
        assert results[silent].lost < batches.lost
    assert results[False].lost == 1
    assert results[True].lost <= 3 * len(rollout_year.KERNELS)
    good = rollout_year.Month(made, bad=False, silent=False, chance=random.Random(3)).run(rollout)
    assert good.reached > 450


@pytest.mark.slow
@pytest.mark.parametrize("script", ["docs/rollout_year.py", "tests/benchmarks/fleet_next.py"])
def test_the_figures_on_the_page(script: str) -> None:
    subprocess.run([sys.executable, DOCS.parent / script, "--check"], check=True)
