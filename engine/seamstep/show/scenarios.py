"""Results of policy scenarios as text, as a document and as JUnit XML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seamstep.analysis.scenarios import Coverage, Result
from seamstep.show.formats import junit
from seamstep.show.text import printable

SCHEMA = "seamstep/scenario-results/v1"


def results_text(results: Sequence[Result], covered: Sequence[Coverage], fail_under: float) -> str:
    """A line for each difference, a line for each policy's coverage, and a summary."""
    lines = [
        f"FAILED {result.scenario.place}: {result.scenario.name}: {message}"
        for result in results
        for message in _messages(result)
    ]
    lines += [_coverage_line(one, fail_under) for one in covered]
    return "\n".join(map(printable, [*lines, _summary(results)]))


def _messages(result: Result) -> list[str]:
    note = result.scenario.expected.note
    return [f"{difference} ({note})" if note else difference for difference in result.differences]


def _coverage_line(one: Coverage, fail_under: float) -> str:
    line = f"coverage {one.name}: {len(one.parts) - len(one.missed)} of {len(one.parts)} ({one.percent}%)"
    if one.below(fail_under):
        line += f", below {fail_under:g}%"
    return line + (f"; not exercised: {'; '.join(map(str, one.missed))}" if one.missed else "")


def _summary(results: Sequence[Result]) -> str:
    if not results:
        return "no scenario was found, so nothing was tested"
    passed = sum(result.passed for result in results)
    plural = "" if len(results) == 1 else "s"
    return f"{len(results)} scenario{plural}: {passed} passed, {len(results) - passed} failed"


def results_document(results: Sequence[Result], covered: Sequence[Coverage], *, passed: bool) -> dict[str, Any]:
    """JSON-able data: each scenario with the expected and the actual result, and the coverage of each policy."""
    return {
        "schema": SCHEMA,
        "passed": passed,
        "scenarios": [_result_document(result) for result in results],
        "coverage": [
            {
                "policy": {"name": one.name, "sha256": one.sha256},
                "percent": one.percent,
                "parts": [{"kind": part.kind, "text": part.text} for part in one.parts],
                "not_exercised": [{"kind": part.kind, "text": part.text} for part in one.missed],
            }
            for one in covered
        ],
    }


def _result_document(result: Result) -> dict[str, Any]:
    scenario, expected = result.scenario, result.scenario.expected
    return {
        "name": scenario.name,
        "place": scenario.place,
        "policy": {"name": scenario.policy.name, "sha256": scenario.policy.sha256},
        "passed": result.passed,
        "expected": {
            "outcome": expected.outcome.value,
            "path": [str(version) for version in expected.path],
            "refused": list(expected.refused),
            "note": expected.note,
        },
        "came": {"outcome": result.outcome.value, "path": [str(version) for version in result.path]},
        "differences": list(result.differences),
    }


def results_junit(results: Sequence[Result], covered: Sequence[Coverage], fail_under: float) -> str:
    """JUnit XML in ASCII: a test case for each scenario and one for each policy's coverage. Without any scenario there
    is one failed test case."""
    scenarios = [junit.Case(one.scenario.document.source, one.scenario.name, _messages(one)) for one in results]
    none = junit.Case("seamstep", "there are scenarios", [_summary(results)])
    coverage = []
    for one in covered:
        line = _coverage_line(one, fail_under)
        coverage.append(junit.Case("coverage", one.name, [line] if one.below(fail_under) else []))
    return junit.xml("seamstep policy test", {"scenarios": scenarios or [none], "coverage": coverage})
