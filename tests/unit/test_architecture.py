"""Imports point one way. ARROWS says which layers each layer may import; everything else is a mistake."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import seamstep

PACKAGE = Path(seamstep.__file__).parent

# A layer is a module or a package below seamstep. Values first, then what reads them, then what acts, then what shows.
BASE = {"errors", "positions", "documents", "resources", "validation", "installed_packages"}
VALUES = BASE | {"versions", "features", "cpus", "facts", "model"}
ARROWS: dict[str, set[str]] = {
    "values": set(),  # the base class of values: every layer may import it
    "errors": set(),
    "positions": {"errors"},
    "documents": {"errors", "positions"},
    "resources": set(),
    "installed_packages": set(),
    "validation": {"errors", "documents", "resources"},
    "yaml_text": {"errors", "positions", "documents"},
    "versions": set(),
    "features": set(),
    "cpus": set(),
    "facts": BASE | {"versions", "cpus"},
    "inventory": BASE | {"versions", "facts"},
    "model": {"versions"},
    "mapping": VALUES,
    "image": VALUES | {"plan"},
    "catalog": VALUES | {"mapping", "image"},
    "rules": VALUES,
    "policy": VALUES | {"rules"},
    "policy_layers": VALUES | {"rules", "policy"},
    "policy_file": VALUES | {"rules", "policy", "policy_layers", "yaml_text"},
    "search": set(),
    "host": {"versions", "cpus", "facts"},
    "rule_order": VALUES | {"rules"},
    "graph": VALUES | {"rules", "rule_order"},
    "plan_checks": {"documents", "versions", "facts", "cpus"},
    "windows": set(),
    "apply_settings": {"documents", "windows"},
    "plan": {"errors", "documents", "versions", "facts", "plan_checks", "apply_settings"},
    "planner": VALUES | {"rules", "policy", "graph", "search", "mapping", "plan"},
    "explain": VALUES | {"rules", "policy", "graph", "planner"},
    "environments": VALUES | {"rules", "policy", "graph", "planner"},
    "policy_review": VALUES | {"rules", "policy", "policy_file", "environments"},
    "diff": VALUES
    | {"rules", "policy", "graph", "planner", "plan", "mapping", "environments", "policy_review", "inventory"},
    "scenario_file": VALUES
    | {"rules", "policy", "policy_layers", "policy_file", "yaml_text", "mapping", "plan", "scenarios"},
    "scenarios": VALUES | {"rules", "policy", "graph", "planner", "mapping", "plan"},
    "lint": VALUES | {"rules", "graph", "environments", "mapping", "catalog", "image", "yaml_text"},
    "measurements": VALUES,
    "hooks": set(),
    "lock": {"errors"},
    "executor": {"errors", "documents", "versions", "facts", "host", "plan", "plan_checks", "image"}
    | {"windows", "hooks", "apply_settings"},
    "journal": {"errors", "documents"},
    "past_runs": {"executor", "journal"},
    "recovery": {"versions", "plan", "executor", "past_runs"},
    "transaction": {"errors", "host", "plan", "executor", "lock", "journal", "past_runs", "recovery"},
    "status": {"errors", "facts", "host", "journal", "lock", "past_runs"},
    "journald": {"errors", "executor", "plan"},
    "service": {"errors", "documents"},
    "completion": set(),
    "report": VALUES
    | {"plan", "executor", "journal", "status", "policy", "policy_layers", "policy_review", "environments", "scenarios"}
    | {"lint", "diff"},
    "drawing": VALUES | {"rules", "policy", "graph", "planner", "explain", "report"},
    "review": VALUES | {"rules", "policy", "plan", "measurements", "lint", "drawing", "report"},
    "demo": VALUES | {"catalog", "image", "planner", "policy_file", "plan", "host", "executor", "report"},
    "cli": {"*"},
    "__main__": {"cli"},
    "__init__": set(),
}


def layer_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_layers(source: str) -> Iterator[str]:
    """All layers that a module imports, also late and for typing."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = (
                [node.module or ""] if node.module != "seamstep" else [f"seamstep.{alias.name}" for alias in node.names]
            )
        else:
            assert not isinstance(node, ast.ImportFrom), "relative imports hide where they point"
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "seamstep" and rest and not rest.startswith("__"):
                yield rest.partition(".")[0]


def wrong_arrows(layer: str, source: str) -> set[str]:
    allowed = ARROWS[layer] | {layer, "values"}
    return set() if "*" in allowed else set(imported_layers(source)) - allowed


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_arrows(path: Path) -> None:
    assert wrong_arrows(layer_of(path), path.read_text()) == set()


@pytest.mark.parametrize(
    ("layer", "source", "wrong"),
    [
        ("model", "from seamstep.rules import HARD_RULES", {"rules"}),
        ("executor", "def late():\n    import seamstep.policy", {"policy"}),
        ("planner", "from seamstep import host", {"host"}),
        ("rules", "import typing\nif typing.TYPE_CHECKING:\n    from seamstep.graph import VersionGraph", {"graph"}),
        ("report", "from seamstep.cli import output", {"cli"}),
        ("graph", "import networkx\nfrom seamstep import model, __version__", set()),
    ],
)
def test_an_arrow_turned_round_is_noticed(layer: str, source: str, wrong: set[str]) -> None:
    assert wrong_arrows(layer, source) == wrong


def test_the_arrows_have_no_cycle() -> None:
    from graphlib import TopologicalSorter

    order = tuple(TopologicalSorter({layer: targets - {"*"} for layer, targets in ARROWS.items()}).static_order())
    assert set(order) == {layer_of(path) for path in PACKAGE.rglob("*.py")}


@pytest.mark.parametrize(
    "layer",
    [
        *("graph", "rule_order", "search", "planner", "explain", "environments", "rules", "model", "versions", "plan"),
        *("plan_checks", "past_runs", "recovery", "diff", "completion"),
    ],
)
def test_the_core_does_no_input_and_output(layer: str) -> None:
    """Only hosts, loaders, the executor and the command line touch the world."""
    files = [PACKAGE / f"{layer}.py"] if (PACKAGE / f"{layer}.py").exists() else sorted((PACKAGE / layer).glob("*.py"))
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"os", "sys", "subprocess", "socket", "time", "io", "shutil", "tempfile"}
            assert not (isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"open", "print", "input"})
