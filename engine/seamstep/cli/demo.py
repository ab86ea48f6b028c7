"""``seamstep demo``."""

from __future__ import annotations

import argparse
from typing import Any

from seamstep.base.errors import ExitCode
from seamstep.cli import options as shared
from seamstep.cli.output import checked, emit, say, to_json
from seamstep.show.text import printable

_FILES = {"catalog": "catalog", "facts": "facts.json", "signer": "signer"}


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        description="Facts, the plan under two policies, the update, and the facts afterwards, all on a"
        " simulated host: nothing on this machine is read or changed.",
    )
    parser.add_argument(
        "--into",
        metavar="DIR",
        type=shared.given,
        help="play nothing; write catalog, facts.json and signer to a new DIR",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, errors included")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> ExitCode:
    """Play the demonstration."""
    import sys
    from pathlib import Path

    from seamstep import demo

    if options.into:
        demo.write_into(Path(options.into))
        document = {name: f"{options.into}/{file}" for name, file in _FILES.items()}
        text = "\n".join(f"{name:<8} {printable(path)}" for name, path in document.items())
        emit({"schema": "seamstep/demo-files/v1", **document}, text, as_json=options.json)
        return ExitCode.DONE
    if options.json:
        say(to_json(demo.play_quietly()))
        return ExitCode.DONE
    with checked():
        return demo.play(sys.stdout)
