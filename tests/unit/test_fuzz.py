"""The readers of untrusted documents, on their seeds and on some changed ones; .ci/run fuzzes them for longer."""

from __future__ import annotations

import json
import random

import pytest
from mutations import changed, parsed, pool_of, written
from readers import READERS

from conftest import THOROUGH


@pytest.mark.parametrize("name", READERS)
def test_seeds_are_accepted_and_refused(name: str) -> None:
    """A reader whose seeds are all refused is not fuzzed beyond its first check."""
    reader = READERS[name]
    answers = [reader.read(seed) for seed in reader.seeds()]
    assert any(answers)
    assert all(len(seed) <= reader.length for seed in reader.seeds())


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if reader.text])
def test_changed_values_are_answered(name: str) -> None:
    reader, rng = READERS[name], random.Random(0)
    seeds = list(reader.seeds())
    values = [value for value in (parsed(seed, reader.text) for seed in seeds) if value]
    pool = pool_of(seeds, reader.text)
    for _ in range(2000 if THOROUGH else 100):
        reader.read(written(changed(rng.choice(values), pool, rng), reader.text))


def test_a_plan_whose_facts_lack_keys_is_shown() -> None:
    """Facts that a document does not have are unknown; the text of such a plan was a KeyError."""
    reader = READERS["plan"]
    plan = json.loads(next(seed for seed in reader.seeds() if reader.read(seed)))
    facts = {key: plan["host"][key] for key in ("schema", "module_version")}
    up_to_date: dict[str, object] = {
        "outcome": "up-to-date",
        "target": None,
        "hops": [],
        "rejected": [],
        "alternatives": [],
    }
    assert reader.read(json.dumps(plan | up_to_date | {"host": facts}).encode())
