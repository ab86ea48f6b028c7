"""``seamstep policy test``."""

from __future__ import annotations

import argparse
from typing import Any

from seamstep.base.errors import ExitCode
from seamstep.cli import options as shared
from seamstep.cli.output import say, to_json


def add(actions: Any) -> None:
    """Add the action."""
    parser = actions.add_parser(
        "test",
        help="run scenarios: does each policy plan what it should?",
        description="Run scenario files: each names a host, releases and a policy, and what the plan has to come to."
        " Says which rules, denials, waivers and waypoints of the policies no scenario exercised.",
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        type=shared.given,
        help="a scenario file, or a folder of them (default: the scenarios of the policies that ship with seamstep)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--format", choices=("text", "json", "junit"), default="text", help="how to print the results")
    form.add_argument("--json", action="store_true", help="print JSON, errors included")
    parser.add_argument(
        "--fail-under",
        metavar="PERCENT",
        type=_percent,
        default=0.0,
        help="fail if less than that of any policy was exercised",
    )
    parser.set_defaults(run=run)


def _percent(text: str) -> float:
    try:
        percent = float(text)
    except ValueError:
        percent = -1
    if not 0 <= percent <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a percentage from 0 to 100")
    return percent


def run(options: argparse.Namespace) -> ExitCode:
    """Run the scenarios and show the results. NO if one fails, coverage is too low, or there is no scenario."""
    from seamstep.analysis import scenario_file, scenarios
    from seamstep.show import scenarios as report

    results = scenarios.run_all(scenario_file.load(scenario_file.find(options.paths or [scenario_file.shipped()])))
    covered = scenarios.coverage(results)
    enough = not any(one.below(options.fail_under) for one in covered)
    passed = bool(results) and enough and all(result.passed for result in results)
    code = ExitCode.DONE if passed else ExitCode.NO
    if options.json or options.format == "json":
        say(to_json(report.results_document(results, covered, passed=passed)), code)
    elif options.format == "junit":
        say(report.results_junit(results, covered, options.fail_under) + "\n", code)
    else:
        say(report.results_text(results, covered, options.fail_under) + "\n", code)
    return code
