"""``seamstep hold``."""

from __future__ import annotations

import argparse
from typing import Any

from seamstep.base.errors import ExitCode, InputError, Problem
from seamstep.cli import configuration
from seamstep.cli import options as shared
from seamstep.cli.output import emit


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "hold",
        description="Hold this host: no update begins, also when it reboots and its own service would make one, until"
        " the hold is released. A run that is under way stops before its next hop. Without --reason and --release, show"
        " the hold.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--reason", metavar="TEXT", type=shared.given, help="hold the host, for this reason")
    what.add_argument("--release", action="store_true", help="release the host")
    parser.add_argument("--by", metavar="NAME", type=shared.given, help="who holds or releases it")
    shared.add_sysroot(parser)
    shared.add_state_dir(parser)
    shared.add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> ExitCode:
    """Hold, release, or show the hold."""
    from seamstep.run import hold
    from seamstep.show.text import printable

    shared.check_output(options)
    for name, limit in (("reason", 1000), ("by", 100)):
        if len(getattr(options, name) or "") > limit:
            raise InputError(Problem(f"--{name}", f"more than {limit} characters"))
    folder = shared.state_folder(options)
    if options.release:
        before = hold.release(folder)
        held = configuration.held(folder)  # the configuration may hold it too
        lines = [f"released; it was held: {before.reason}" if before else "this host was not held"]
        lines += [f"but its configuration holds it: {held}"] if held else []
    else:
        before = hold.read(folder)
        held = hold.put(folder, options.reason, options.by) if options.reason else configuration.held(folder)
        lines = [str(held) if held else "this host is not held"]
    document = {
        "schema": "seamstep/held/v1",
        "held": held is not None,
        "hold": held._asdict() if held else None,
        "before": before._asdict() if before else None,
        "by": options.by,
    }
    emit(
        document,
        "\n".join(map(printable, lines)),
        as_json=options.json,
        output=options.output,
        replace=options.force,
    )
    return ExitCode.DONE
