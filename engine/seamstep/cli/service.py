"""``seamstep service install`` and ``seamstep service show``."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from seamstep.base.errors import ExitCode, InputError, Problem
from seamstep.cli import options as shared
from seamstep.cli.output import say, to_json
from seamstep.show.text import printable

_NEXT = """
Next:
  edit {settings}
  systemctl daemon-reload
  systemctl enable seamstep.service                  # converge after every boot, before VMs start
  systemctl enable --now seamstep.timer              # and in maintenance windows
  systemctl enable --now seamstep-metrics.timer      # metrics for node_exporter
"""
#: The same for another root, which no command for the systemd of this host is about.
_NEXT_BELOW = """
Next:
  edit {settings}
  enable in that root: seamstep.service, and as you like seamstep.timer and seamstep-metrics.timer
"""


def add(commands: Any) -> None:
    """Add the commands."""
    parser = commands.add_parser(
        "service",
        description="The systemd units that bring a host to what the policy permits, after every boot and in windows.",
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    install = actions.add_parser(
        "install",
        help="write the units",
        description="Write the units where systemd finds them: /etc/systemd/system, or below another --root "
        "usr/lib/systemd/system. The settings file etc/seamstep/seamstep.env is written once and then left alone.",
    )
    install.add_argument("--root", metavar="DIR", type=shared.given, default="/", help="install below DIR")
    install.add_argument("--force", action="store_true", help="replace units that were changed by hand")
    _common(install)
    install.set_defaults(run=run_install)
    show = actions.add_parser("show", help="print the units", description="Print the units and the settings file.")
    _common(show)
    show.set_defaults(run=run_show)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--exec",
        metavar="PATH",
        dest="command",
        type=shared.given,
        help="the seamstep that the units run (default: the one running)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, errors included")


def run_install(options: argparse.Namespace) -> ExitCode:
    """Write the units and print the next steps."""
    from seamstep.service import SETTINGS, install

    root = Path(options.root)
    done = install(root, _command(options), force=options.force)
    document = {
        "schema": "seamstep/service-install/v1",
        "files": [{"path": str(file.path), "fate": file.fate.name.lower()} for file in done],
    }
    following = _NEXT if root.resolve() == Path("/") else _NEXT_BELOW
    lines = [printable(f"{file.fate.value}: {file.path}") for file in done]
    text = "\n".join(lines) + "\n" + following.format(settings=printable(root / SETTINGS))
    say(to_json(document) if options.json else text)
    return ExitCode.DONE


def run_show(options: argparse.Namespace) -> ExitCode:
    """Print the units and the settings file."""
    from seamstep.service import SETTINGS, UNITS, settings, unit

    command = _command(options)
    texts = {name: unit(name, command) for name in UNITS} | {f"/{SETTINGS}": settings()}
    text = "\n".join(f"# {name}\n{text}" for name, text in texts.items())
    say(to_json({"schema": "seamstep/service/v1", "files": texts}) if options.json else text)
    return ExitCode.DONE


def _command(options: argparse.Namespace) -> str:
    if options.command:
        return str(options.command)
    beside = Path(sys.executable).parent / "seamstep"
    for candidate in (Path(sys.argv[0]), beside):
        if candidate.name == "seamstep" and os.access(candidate, os.X_OK) and candidate.is_file():
            return str(candidate.resolve())
    raise InputError(Problem("--exec", "there is no seamstep command beside this Python; name it with --exec PATH"))
