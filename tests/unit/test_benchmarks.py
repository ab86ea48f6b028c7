"""What the benchmarks compute without measuring: figures, the page, the plot, and the budget."""

from __future__ import annotations

import inspect
from pathlib import Path
from xml.etree import ElementTree

import bench_speed
import decisions
import figures
import fleets
import page
import plot
import processes
import pytest
import run
from figures import Budget, Figure, Process

from seamstep.domain.model import LADDER_MAX
from seamstep.fleet import classes
from seamstep.rules import HARD_RULES

DOCS = Path(__file__).parents[2] / "docs"
BUDGET = run.budgets()
RESULTS = run.Results(
    {name: Process(3.0, 2.0, 40_000_000) for name in processes.commands(Path())}
    | {figures.BARE: Process(0.6, 0.5, 10_000_000)},
    {
        "plan": 2e-3,
        "decision": 1e-5,
        "handful": 5e-6,
        "cedar": 3e-5,
        "rego": 8e-5,
        "verify": 2e-3,
        "sha384": 1e-3,
        **{f"graph[{n}]": n / 1e3 for n in figures.LENGTHS},
        **{f"series[{n}]": n**2 / 1e5 for n in figures.LENGTHS},
    },
    {fleet: Process(5.0, 4.0, 150_000_000) for fleet in figures.FLEETS},
)
FIGURES = {figure.name: figure for figure in RESULTS.figures}


def test_every_budget_has_a_figure() -> None:
    assert BUDGET.keys() <= FIGURES.keys()


def test_every_benchmark_is_used() -> None:
    """The names above are those of the functions that measure."""
    measuring = {
        name.removeprefix("test_")
        for name, function in inspect.getmembers(bench_speed, inspect.isfunction)
        if name.startswith("test_") and "benchmark" in inspect.signature(function).parameters
    }
    assert measuring == {name.partition("[")[0] for name in RESULTS.speeds}


def test_the_handful_is_of_hard_rules_and_stands_in_what_the_peers_run() -> None:
    assert set(decisions.HANDFUL) <= set(HARD_RULES)
    for file in ("decision.cedar", "decision.rego"):
        text = (decisions.HERE / file).read_text()
        assert [name for name in HARD_RULES if f" {name}\n" in text] == list(decisions.HANDFUL), file


@pytest.mark.parametrize(
    ("name", "value", "ratio"),
    [
        ("plan: time", 4, 4),
        ("plan: memory", 40, 40),
        ("1,000,000 hosts in 300 classes: time", 4, 8),
        ("1,000,000 hosts in 3,000 classes: memory", 150, 150),
        ("one plan", 2, 2e-3 / 0.5),
        ("plan of 200 releases", 400, 0.4 / 0.5),
        ("one decision, against Cedar", 3, 1 / 3),
        ("one decision, against Rego", 8, 1 / 8),
    ],
)
def test_figures(name: str, value: float, ratio: float) -> None:
    assert FIGURES[name].value == pytest.approx(value)
    assert FIGURES[name].ratio == pytest.approx(ratio)


@pytest.mark.parametrize(
    ("budget", "value", "ratio", "kept", "passes"),
    [
        (Budget(at_most=5), 5, 1, True, True),
        (Budget(at_most=5), 5.1, 1, False, False),
        (Budget(at_least=5), 5, 1, True, True),
        (Budget(at_least=5), 4.9, 1, False, False),
        (Budget(at_most=5, usual=3), 9, 6, False, True),
        (Budget(at_most=5, usual=3), 4, 6.1, True, False),
    ],
)
def test_promises_and_what_ci_lets_pass(budget: Budget, value: float, ratio: float, kept: bool, passes: bool) -> None:
    figure = Figure("x", value, "ms", ratio)
    assert (budget.kept(figure), budget.passes(figure)) == (kept, passes)
    assert (figures.breaches([figure], {"x": budget}) == []) is passes


def test_breaches() -> None:
    found = [Figure("a", 7.123, "MB", 7.123), Figure("b", 2, "ms", 9.5), Figure("unlimited", 1, "MB", 1)]
    allowed = {"a": Budget(at_most=5), "b": Budget(at_most=5, usual=4), "c": Budget(at_most=5)}
    assert figures.breaches(found, allowed) == [
        "a: 7.12 MB, a ratio of 7.12; expected at most 5",
        "b: 2 ms, a ratio of 9.5; expected a ratio of at most 8",
        "c: was not measured",
    ]


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.5, 2.0])
def test_slope(exponent: float) -> None:
    assert figures.slope({n: 3.0 * n**exponent for n in figures.LENGTHS}) == pytest.approx(exponent)


@pytest.mark.parametrize(
    ("number", "text"), [(0.01234, "0.0123"), (1.5, "1.50"), (42.25, "42.2"), (123.4, "123"), (56789.1, "56,800")]
)
def test_three_digits(number: float, text: str) -> None:
    assert page.shown(number) == text


def test_page_says_what_is_promised_and_whether_it_is_kept() -> None:
    about = {"machine": "a machine"}
    part = page.fleets(RESULTS.fleets, RESULTS.processes, RESULTS.figures, BUDGET, about)
    text = page.page(RESULTS.processes, RESULTS.speeds, RESULTS.figures, BUDGET, about, part)
    assert text.count(page.FLEETS_BEGIN) == text.count(page.FLEETS_END) == 1
    assert "| 1,000,000 hosts in 300 classes: time | at most 8 s | 4.00 | yes |" in text
    assert "| 1,000 hosts in 300 classes | 5.00 | 4.00 | 150 | 2,000 | 500 |" in text
    assert "- machine: a machine" in text
    assert "| one plan | at most 5 ms | 2.00 | yes |" in text
    assert "| one decision, against Rego | at least 10 times as fast | 8.00 | **no** |" in text
    assert "| `seamstep plan` | 3,000 | 2,000 | 4.00 | 40.0 |" in text
    assert "| Cedar (cedarpy), the handful | 30.0 | 33,300 | 3.00 |" in text
    assert "| whole plan | 4.00 | 25.0 | 400 | 2,500 | 2.00 |" in text
    assert "| all checks | 2,000 | 2.00 |" in text


def test_plot() -> None:
    drawn = plot.svg("Growth & more", page.growths(RESULTS.speeds))
    assert drawn == plot.svg("Growth & more", page.growths(RESULTS.speeds))
    texts = {element.text for element in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")}
    assert {"Growth & more", "20", "200", "500", "1 ms", "1,000 ms", "graph", "whole plan"} <= texts
    assert drawn.count("<circle") == 8
    drawn = plot.svg("Fleets", page.fleet_growths(RESULTS.fleets, RESULTS.processes), "hosts")
    texts = {element.text for element in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")}
    assert {"hosts", "1,000,000", "fleet plan", "one by one"} <= texts


def test_an_inventory_has_the_classes_that_it_should(tmp_path: Path) -> None:
    path = tmp_path / "fleet.jsonl"
    fleets.write_inventory(path, figures.Fleet(700, 120))
    found = classes.Classes()
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        assert found.of_line(line, str(path), number)
    assert len(found.facts) == 120


def test_the_longest_series_is_the_longest_that_is_judged() -> None:
    assert max(figures.LENGTHS) == LADDER_MAX


def test_published_page_is_of_these_figures() -> None:
    """docs/benchmarks.md is written by the command."""
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8").partition("## Whole processes")[0]
    for name, budget in BUDGET.items():
        assert f"| {name} | {budget.promise} {FIGURES[name].unit} |" in text, name
    assert (DOCS / "images" / "growth.svg").read_text().startswith("<svg")
