"""The readers of untrusted documents, on their seeds and on some changed ones; .ci/run fuzzes them for longer."""

from __future__ import annotations

import json
import random
from pathlib import Path

import kept
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


def test_inputs_that_reached_new_code_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the seeds, which the reader has, and long ones; the same inputs make the same archive."""
    monkeypatch.setattr(kept, "_FOLDER", tmp_path)
    corpus, again = tmp_path / "corpus", tmp_path / "again"
    for folder in (corpus, again):
        folder.mkdir()
    for name, content in {"b": b"\xff\x00", "a": b"{}", "seed-0": b"x", "long": b"x" * 9000}.items():
        (corpus / name).write_bytes(content)
    kept.unpack("facts", again)
    assert not list(again.iterdir()), "nothing was kept yet"
    kept.pack("facts", corpus)
    first = (tmp_path / "facts.zip").read_bytes()
    kept.unpack("facts", again)
    assert {path.name: path.read_bytes() for path in again.iterdir()} == {"a": b"{}", "b": b"\xff\x00"}
    kept.pack("facts", again)
    assert (tmp_path / "facts.zip").read_bytes() == first


@pytest.mark.parametrize("archive", sorted(kept._FOLDER.glob("*.zip")), ids=lambda path: path.stem)
def test_what_is_kept_is_for_a_reader(archive: Path, tmp_path: Path) -> None:
    """A new reader has nothing yet; an archive of a reader that is gone, or inputs that are too long, are of no use."""
    kept.unpack(archive.stem, tmp_path)
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert 0 < max(sizes) <= READERS[archive.stem].length
