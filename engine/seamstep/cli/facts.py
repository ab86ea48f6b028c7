"""``seamstep facts``."""

from __future__ import annotations

import argparse
from typing import Any

from seamstep.base.errors import ExitCode
from seamstep.cli import options as shared
from seamstep.cli.output import emit


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "facts",
        description="Read the host's facts. What can't be read is unknown, with the reason; nothing is guessed.",
    )
    shared.add_sysroot(parser)
    shared.add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> ExitCode:
    """Read and show the facts."""
    from seamstep.host.read_facts import read_facts
    from seamstep.show.text import facts_text

    shared.check_output(options)
    facts = read_facts(shared.sysfs_host(options))
    emit(
        facts.to_document(),
        facts_text(facts),
        as_json=options.json,
        output=options.output,
        replace=options.force,
    )
    return ExitCode.DONE
