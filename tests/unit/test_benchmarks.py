"""What the benchmarks compute without measuring: figures, slopes, the page, the plot, and the budget."""

from __future__ import annotations

import inspect
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import bench_speed
import figures
import page
import plot
import processes
import pytest
from figures import Budget, Figure, Process, Speed

ROOT = Path(__file__).parents[2]
BUDGET = figures.budgets(tomllib.loads((ROOT / "tests" / "benchmarks" / "budget.toml").read_text()))
PROCESSES = {name: Process(2.0, 0.5, 4_000_000) for name in processes.commands(Path())} | {
    figures.BARE: Process(0.5, 0.0, 1_000_000)
}
GRAPHS = {
    f"{name}[{n}]": Speed(n**k / 1e6) for name, k in (("graph", 1), ("graph_networkx", 2)) for n in figures.LENGTHS
}
SPEEDS = GRAPHS | {
    "loop": Speed(1e-6),
    "rule": Speed(2e-6),
    "decision": Speed(4e-6),
    "plan": Speed(1e-3),
    "decision_cedar": Speed(4e-5),
    "decision_rego": Speed(8e-5),
    "verify": Speed(1e-3, 4e8),
    "verify_one_core": Speed(2e-3, 2.5e8),
    "sha384": Speed(1e-3, 5e8),
}
FIGURES = [*figures.of_processes(PROCESSES), *figures.of_speeds(SPEEDS)]
BY_NAME = {figure.name: figure for figure in FIGURES}


def test_every_figure_has_a_budget_and_every_budget_a_figure() -> None:
    assert sorted(BUDGET) == sorted(BY_NAME)


def test_every_benchmark_makes_a_figure() -> None:
    """The names above are those of the functions that measure."""
    measuring = {
        name.removeprefix("test_")
        for name, function in inspect.getmembers(bench_speed, inspect.isfunction)
        if name.startswith("test_") and "benchmark" in inspect.signature(function).parameters
    }
    assert measuring == {name.partition("[")[0] for name in SPEEDS}


def test_a_tenfold_regression_is_over_budget() -> None:
    for name, budget in BUDGET.items():
        found = [Figure(name, 1, "", budget.usual * figures.NOTICED)]
        assert figures.breaches(found, {name: budget}), name
        assert not figures.breaches([Figure(name, 1, "", budget.usual * 2)], {name: budget}), name


@pytest.mark.parametrize(
    ("name", "value", "ratio"),
    [
        ("plan: wall time", 4, 4),
        ("plan: memory", 4, 4),
        ("plan: outside imports", 500, 1),
        ("one rule", 2, 2),
        ("one decision", 250_000, 4),
        ("one decision, against Cedar", 10, 0.1),
        ("one decision, against Rego", 20, 0.05),
        ("graph of 1,000 releases, against networkx", 1000, 0.001),
        ("verification, against SHA-384", 0.8, 1.25),
        ("verification on one core, against SHA-384", 0.5, 2),
    ],
)
def test_figures(name: str, value: float, ratio: float) -> None:
    assert BY_NAME[name].value == pytest.approx(value)
    assert BY_NAME[name].ratio == pytest.approx(ratio)


def test_a_peer_that_is_not_installed_makes_no_figure_and_the_check_fails() -> None:
    without = {name: speed for name, speed in SPEEDS.items() if name != "decision_cedar"}
    found = [*figures.of_processes(PROCESSES), *figures.of_speeds(without)]
    plenty = {name: Budget(usual=1e9, margin=3) for name in BUDGET}
    assert figures.breaches(found, plenty) == ["one decision, against Cedar: was not measured"]
    assert figures.breaches(found, plenty, frozenset({"one decision, against Cedar"})) == []
    assert "| Cedar (cedarpy) | not measured: not installed |" in page.page(PROCESSES, without, found, BUDGET, {})


@pytest.mark.parametrize(
    ("budget", "value", "kept"),
    [
        (Budget(1, 3), 5, None),
        (Budget(1, 3, at_most=5), 5, True),
        (Budget(1, 3, at_most=5), 5.1, False),
        (Budget(1, 3, at_least=5), 5, True),
        (Budget(1, 3, at_least=5), 4.9, False),
    ],
)
def test_promises(budget: Budget, value: float, kept: bool | None) -> None:
    assert budget.kept(Figure("x", value, "", 1)) is kept


def test_a_budget_that_hides_a_tenfold_regression_is_told() -> None:
    figure = Figure("x", 1, "", 1.0)
    assert figures.slack([figure], {"x": Budget(3.3, 3)}) == []
    assert figures.slack([figure], {"x": Budget(3.4, 3)}) == ["x: usual = 1 would do"]


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.5, 2.0])
def test_slope(exponent: float) -> None:
    assert figures.slope({n: 3.0 * n**exponent for n in (20, 200, 1000)}) == pytest.approx(exponent)


def test_slope_is_that_of_least_squares() -> None:
    assert figures.slope({1: 1.0, 10: 10.0, 100: 10.0}) == pytest.approx(0.5)


def test_table() -> None:
    assert figures.table(["a", "b"], [["x|y", "1"]]) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (0.01234, "0.0123"), (1.5, "1.50"), (42.25, "42.2"), (123.4, "123"), (56789.1, "56,800")],
)
def test_three_digits(number: float, text: str) -> None:
    assert figures.shown(number) == text


def test_page_tells_what_is_promised_and_whether_it_is_kept() -> None:
    text = page.page(PROCESSES, SPEEDS, FIGURES, BUDGET, {"machine": "a machine"})
    assert "- machine: a machine" in text
    assert "| one decision | at least 50,000 a second | 250,000 | yes |" in text
    assert "| plan: outside imports | at most 15 ms | 500 | **no** |" in text
    assert "| `seamstep plan` | 2,000 | 4.00 | 500 | 4.00 | 4.00 |" in text
    assert "seamstep 1.00, networkx, eager 2.00" in text


def test_plot() -> None:
    drawn = plot.svg("Growth & more", page.growths(SPEEDS))
    assert drawn == plot.svg("Growth & more", page.growths(SPEEDS))
    texts = [element.text for element in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]
    assert {"Growth & more", "20", "200", "1,000", "100 µs", "1 ms", "1 s", "seamstep: slope 1.00"} <= set(texts)
    assert drawn.count("<circle") == 6


def test_published_page_is_of_these_figures() -> None:
    """docs/benchmarks.md is written by the command; it names what is measured now."""
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8").partition("## Whole processes")[0]
    for name, budget in BUDGET.items():
        promised = budget.at_most is not None or budget.at_least is not None
        assert (f"| {name} |" in text) == promised, name
    assert (ROOT / "docs" / "images" / "growth.svg").read_text().startswith("<svg")
