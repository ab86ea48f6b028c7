"""What the light commands import. Each runs in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import FACTS, LATEST, TRUST

PROGRAM = "from seamstep.cli import main; code = main(sys.argv[1:])"


def modules_of(*arguments: object) -> set[str]:
    return imported(PROGRAM, *arguments)


def imported(program: str, *arguments: object) -> set[str]:
    """The names of the packages that are there when ``program`` ends."""
    program = f"import sys; {program}; print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}


@pytest.mark.parametrize("command", ["facts", "status"])
def test_what_looks_at_a_host_needs_no_library_for_documents_or_graphs(command: str) -> None:
    assert not modules_of(command) & {"networkx", "jsonschema", "yaml", "packaging", "rich"}


def test_applying_a_plan_file_needs_no_library_for_graphs(plan_file: Path) -> None:
    loaded = modules_of("apply", plan_file, *TRUST, "--simulate", "--yes")
    assert "seamstep" in loaded
    assert not loaded & {"networkx", "rich"}


def test_lines_of_facts_need_no_columnar_library() -> None:
    loaded = modules_of("fleet", "plan", FACTS, "--mapping", LATEST, "--without-images")
    assert "networkx" in loaded
    assert not loaded & {"duckdb", "pyspark", "sqlglot", "rich"}


def test_what_is_named_needs_no_configuration() -> None:
    arguments = ("plan", "--mapping", LATEST, "--without-images", "--facts", FACTS)
    program = f"{PROGRAM}; print(*(name for name in sys.modules if name.startswith('seamstep.service')))"
    command = [sys.executable, "-c", f"import sys; {program}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize("command", ["facts", "plan", "status"])
def test_other_commands_know_nothing_of_fleets(command: str) -> None:
    arguments = ("--mapping", LATEST, "--without-images", "--facts", FACTS) if command == "plan" else ()
    program = f"{PROGRAM}; print(*(name for name in sys.modules if name.startswith('seamstep.fleet')))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {program}", command, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize("command", ["facts", "plan", "status", "apply"])
def test_commands_that_get_no_tcb_info_know_nothing_of_it(command: str, plan_file: Path) -> None:
    given = {
        "plan": ("--mapping", LATEST, "--without-images", "--facts", FACTS),
        "apply": (plan_file, *TRUST, "--simulate", "--yes"),
    }
    program = f"import sys; {PROGRAM}; print(*(name for name in sys.modules if 'tcb' in name or 'advisor' in name))"
    command_line = [sys.executable, "-c", program, command, *map(str, given.get(command, ()))]
    done = subprocess.run(command_line, capture_output=True, text=True, check=False)
    parts = {"seamstep.cli.tcb_options", "seamstep.rules.tcb_status", "seamstep.domain.tcb"}  # an option, a rule
    assert set(done.stdout.splitlines()[-1].split()) == (set() if command == "facts" else parts)


@pytest.mark.parametrize("command", ["plan", "explain"])
def test_what_is_piped_needs_no_terminal_library(command: str) -> None:
    loaded = modules_of(command, "--mapping", LATEST, "--without-images", "--facts", FACTS)
    assert "networkx" in loaded
    assert "rich" not in loaded
