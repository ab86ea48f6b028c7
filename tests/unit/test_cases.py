"""Drop-in cases: each file below cases/refuse/KIND is refused with the text of its .expected beside it, each below
cases/accept/KIND is accepted. A new file is a new test. ``FILE`` in an .expected stands for the file's path."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import FACTS, LATEST, Run

CASES = Path(__file__).parents[1] / "cases"
KINDS = ("mapping", "facts", "policy", "config")


def files(verdict: str) -> list[Path]:
    found = sorted(path for kind in KINDS for path in (CASES / verdict / kind).iterdir() if path.suffix != ".expected")
    assert found
    return found


def plan_with(path: Path) -> list[object]:
    """The command that reads the file, everything else being fine."""
    inputs: dict[str, Path] = {"mapping": LATEST, "facts": FACTS}
    inputs[path.parent.name] = path
    return ["plan", "--without-images", *(part for kind, file in inputs.items() for part in (f"--{kind}", file))]


@pytest.mark.parametrize("path", files("refuse"), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_refused_with_place_and_expectation(path: Path, run: Run) -> None:
    ran = run(*plan_with(path))
    expected = path.with_suffix(".expected").read_text()
    assert ran.err.replace(str(path), "FILE") == expected
    assert (ran.code, ran.out) == (2, "")
    as_json = run(*plan_with(path), "--json")
    assert (as_json.code, as_json.json["exit_code"], as_json.err) == (2, 2, "")
    assert len(as_json.json["problems"]) == len(expected.splitlines())


@pytest.mark.parametrize("path", files("accept"), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_accepted(path: Path, run: Run) -> None:
    assert run(*plan_with(path), "--json").code in {0, 1, 3}


def test_every_expectation_has_its_case() -> None:
    for expected in CASES.glob("refuse/*/*.expected"):
        assert expected.with_suffix(".yaml" if expected.parent.name in {"policy", "config"} else ".json").exists()
