"""``seamstep explain``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from seamstep.base.errors import ExitCode, InputError, Problem
from seamstep.cli import options as shared
from seamstep.cli.output import emit, on_terminal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seamstep.base.versions import ModuleVersion
    from seamstep.planning.graph import Judgement, VersionGraph


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "explain",
        description="Why the plan goes where it goes, or with --to why it does or does not go to a release: all"
        " verdicts of every step that matters, the runner-up, and the smallest changes that would open a path.",
    )
    shared.add_planning(parser)
    shared.add_config(parser)
    parser.add_argument("--to", metavar="VERSION", type=shared.given, help="a release, instead of the target")
    parser.add_argument("--unmet", action="store_true", help="show only the rules that are not met; JSON has all")
    parser.add_argument("--without-images", action="store_true", help="leave rules that need an image open")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--facts", metavar="FILE", type=shared.given, help="facts that seamstep facts --json wrote")
    shared.add_sysroot(source)
    shared.add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> ExitCode:
    """Explain. NO where there is no path."""
    from seamstep.plan.document import PlanOutcome
    from seamstep.planning import advisories, explain
    from seamstep.planning.planner import nothing_wanted, why_nothing_newer
    from seamstep.show.explanation import unmet

    shared.check_output(options)
    if options.to and options.target:
        raise InputError(Problem("--to", "names the release; leave --target out"))
    options.target = options.target or options.to
    inputs = shared.inputs(options, without_images=options.without_images)
    situation = explain.Situation(inputs.catalog.releases, inputs.host, inputs.policy, options.without_images)
    to = _version(options.to)
    graph = situation.graph(to)
    if to and to not in graph.steps:
        raise InputError(Problem("--to", f"the mapping file does not list {to}"))
    if inputs.policy.target.closes:
        advisories.check_known(graph, inputs.policy)
    router = situation.router(graph)
    best = router.best(inputs.policy.choice)
    goal = to or router.target or (router.wanted[-1] if router.wanted else None)
    steps = explain.steps_that_matter(graph, router, goal, best) if goal else []
    reachable = best is not None and best.versions[-1] == goal
    second = router.runner_up(inputs.policy.choice) if reachable else None
    changes = explain.smallest_changes(situation, graph, goal) if goal and not reachable else explain.Changes((), 0)
    document = {
        "schema": "seamstep/explanation/v1",
        "running": str(graph.running),
        "to": str(goal) if goal else None,
        "policy": inputs.policy.name,
        "objective": inputs.policy.choice.value,
        "nothing_newer": None if goal else why_nothing_newer(graph, inputs.policy, inputs.catalog.mapping),
        "path": [str(version) for version in best.versions] if best else None,
        "cost": best.cost if best else None,
        "runner_up": {"path": [str(v) for v in second.versions], "cost": second.cost} if second else None,
        "steps": [_step(judgement, inputs, graph) for judgement in steps],
        "changes": [list(texts) for texts in changes.sets],
        "changes_untried": changes.untried,
    }
    document["expired"] = _expired(document, inputs)
    if inputs.tcb:
        document["tcb"] = advisories.tcb_document(
            inputs.catalog.releases, graph.running, goal or graph.running, inputs.tcb
        )
    done = reachable or (goal is None and nothing_wanted(graph, inputs.policy) is PlanOutcome.UP_TO_DATE)
    code = ExitCode.DONE if done else ExitCode.NO
    emit(
        document,
        _for_people(unmet(document) if options.unmet else document),
        as_json=options.json,
        code=code,
        output=options.output,
        replace=options.force,
    )
    return code


def _expired(document: dict[str, Any], inputs: shared.Inputs) -> list[str]:
    from seamstep.planning import expiry

    verdicts = ((step["to"], verdict) for step in document["steps"] for verdict in step["verdicts"])
    refused = [(target, verdict["rule"]) for target, verdict in verdicts if verdict["effect"] == "blocks"]
    return expiry.sentences(inputs.policy, (document["path"] or [])[1:], refused)


def _for_people(document: Mapping[str, Any]) -> str:
    if on_terminal(sys.stdout):
        from seamstep.show.screen import explanation_screen

        return explanation_screen(document, sys.stdout)
    from seamstep.show.explanation import explanation_text

    return explanation_text(document)


def _version(text: str | None) -> ModuleVersion | None:
    from seamstep.base.versions import ModuleVersion

    try:
        return ModuleVersion(text) if text else None
    except ValueError as error:
        raise InputError(Problem("--to", str(error))) from None


def _step(judgement: Judgement, inputs: shared.Inputs, graph: VersionGraph) -> dict[str, Any]:
    from seamstep.planning.explain import cost_parts
    from seamstep.planning.planner import td_creation

    parts = cost_parts(graph, judgement, inputs.policy) if judgement.permitted else []

    waived = {verdict.rule: [waiver.reason for waiver in waivers] for verdict, waivers in judgement.waived}
    open_rules = {verdict.rule for verdict in judgement.left_open}
    blocking = {verdict.rule for verdict in judgement.blocking}
    return {
        "from": str(judgement.step.source.version),
        "to": str(judgement.step.target.version),
        "permitted": judgement.permitted,
        "cost": judgement.cost,
        "cost_parts": [{"for": what, "cost": cost} for what, cost in parts],
        "td_creation": td_creation(judgement.step, inputs.host, held=inputs.policy.creation_held),
        "verdicts": [
            verdict.to_document()
            | {
                "effect": "waived"
                if verdict.rule in waived
                else "open"
                if verdict.rule in open_rules
                else "blocks"
                if verdict.rule in blocking
                else "none"
            }
            for verdict in judgement.verdicts
        ],
    }
