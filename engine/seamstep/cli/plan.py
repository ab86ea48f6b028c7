"""``seamstep plan``."""

from __future__ import annotations

import argparse
from typing import Any

from seamstep.base.errors import ExitCode
from seamstep.cli import options as shared
from seamstep.cli.output import emit, plan_for_people


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "plan",
        description="Plan the update of one host: which releases, in which steps, and why not otherwise.",
    )
    shared.add_planning(parser)
    shared.add_config(parser)
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
    plan = shared.plan_from(options, without_images=options.without_images).plan
    code = ExitCode.UPDATE_AVAILABLE if options.exit_code and plan.hops else plan.exit_code
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
