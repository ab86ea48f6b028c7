"""What the light commands import. Each runs in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import FACTS, LATEST, TRUST, plan_for
from seamstep.cli.output import to_json
from seamstep.domain.facts import HostFacts

PROGRAM = "from seamstep.cli import main; code = main(sys.argv[1:])"

#: What checking a signature takes; some releases of the library bring a lot.
SIGNATURES = (
    "from cryptography.hazmat.primitives.asymmetric import padding, rsa; "
    "rsa.RSAPublicNumbers(65537, (1 << 3071) + 1).public_key()"
)


def modules_of(*arguments: object) -> set[str]:
    return imported(PROGRAM, *arguments)


def imported(program: str, *arguments: object) -> set[str]:
    """The names of the packages that are there when ``program`` ends."""
    program = f"import sys; {program}; print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}


@pytest.fixture
def saved_plan(spr: HostFacts, images: Path, tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(to_json(plan_for(spr, images).document))
    return path


def test_facts_is_light() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "seamstep", "facts"], capture_output=True, text=True, check=True
    )
    assert "seamstep.host.read_facts" in done.stderr
    for heavy in ("networkx", "jsonschema", "yaml", "packaging", "rich"):
        assert heavy not in done.stderr


def test_applying_a_saved_plan_is_light(saved_plan: Path) -> None:
    loaded = modules_of("apply", saved_plan, *TRUST, "--simulate", "--yes")
    assert "seamstep" in loaded
    assert not loaded & {"networkx", "jsonschema", "yaml", "packaging", "rich"}
    by_others = imported(SIGNATURES)
    assert not (loaded - by_others) & {"pathlib", "tempfile", "dataclasses", "inspect", "email", "threading"}


@pytest.mark.parametrize("command", ["plan", "explain"])
def test_what_is_piped_needs_no_terminal_library_and_what_is_whole_no_schema_library(command: str) -> None:
    loaded = modules_of(command, "--mapping", LATEST, "--without-images", "--facts", FACTS)
    assert "yaml" in loaded
    assert not loaded & {"rich", "jsonschema", "networkx", "email", "logging"}


def test_linting_a_sound_file_needs_no_schema_library() -> None:
    assert not modules_of("lint", LATEST) & {"jsonschema", "yaml", "networkx", "rich"}


def test_the_check_can_fail(spr: HostFacts, tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text("schema: seamstep/policy/v1\nname: p\n")
    planning = ("plan", "--mapping", LATEST, "--without-images", "--facts", FACTS, "--policy", policy)
    assert {"jsonschema", "yaml"} <= modules_of(*planning)
