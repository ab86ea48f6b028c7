"""``seamstep demo``."""

from __future__ import annotations

import argparse
from typing import Any

from seamstep.cli.output import to_json
from seamstep.errors import ExitCode


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        description="Facts, the plan under two policies, the update, and the facts afterwards, all on a"
        " simulated host: nothing on this machine is read or changed.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, errors included")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> ExitCode:
    """Play the demonstration."""
    import sys

    from seamstep import demo

    if options.json:
        sys.stdout.write(to_json(demo.play_quietly()))
        return ExitCode.DONE
    return demo.play(sys.stdout)
