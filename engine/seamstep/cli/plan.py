"""``seamstep plan``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from seamstep.base.errors import ExitCode
from seamstep.cli import options as shared
from seamstep.cli.output import emit, plan_for_people

if TYPE_CHECKING:
    from seamstep.plan.document import Plan

#: A path that these refuse from the first step on is refused because of the host, whatever the release.
_HOST_RULES = {"upload-interface", "updates-remaining"}


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "plan",
        description="Plan the update of one host: which releases, in which steps, and why not otherwise.",
    )
    shared.add_planning(parser)
    parser.add_argument("--without-images", action="store_true", help="leave rules that need an image open")
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--facts", metavar="FILE", type=shared.given, help="facts of another host, as seamstep facts --json wrote them"
    )
    shared.add_sysroot(source)
    shared.add_output(parser)
    parser.add_argument("--exit-code", action="store_true", help="exit with 10 when an update is available")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> ExitCode:
    """Make and show the plan."""
    import sys

    shared.check_output(options)
    plan = shared.plan_from(options, without_images=options.without_images)
    code = exit_code(plan, update=ExitCode.UPDATE_AVAILABLE if options.exit_code else ExitCode.DONE)
    document = plan.document
    emit(
        document,
        plan_for_people(document, sys.stdout),
        as_json=options.json,
        code=code,
        output=options.output,
        replace=options.force,
    )
    return code


def exit_code(plan: Plan, update: ExitCode = ExitCode.DONE) -> ExitCode:
    """The exit code that a plan's outcome means; ``update`` is the one for an update. A host can't be updated where a
    rule about the host alone says so; that it can't be told, or that an update is under way, is another answer."""
    from seamstep.plan.document import PlanOutcome

    if plan.outcome is PlanOutcome.UPDATE:
        return update
    if plan.outcome is PlanOutcome.UP_TO_DATE:
        return ExitCode.DONE
    first = [step["verdicts"] for step in plan.document["rejected"] if step["from"] == str(plan.source)]
    refusing = [verdict for verdicts in first for verdict in verdicts if verdict["outcome"] == "block"]
    if any(verdict["rule"] == "upload-interface" and "status" in verdict["evidence"] for verdict in refusing):
        return ExitCode.BUSY
    return ExitCode.NOT_UPDATABLE if _HOST_RULES & {verdict["rule"] for verdict in refusing} else ExitCode.NO
