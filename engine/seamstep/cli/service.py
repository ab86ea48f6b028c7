"""``seamstep service install``, ``show``, ``check`` and ``look``."""

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
  edit {config}, and see what it comes to: seamstep service check, seamstep service show
  systemctl daemon-reload
  systemctl enable seamstep.service                  # converge after every boot, before VMs start
  systemctl enable --now seamstep.timer              # and in maintenance windows
  systemctl enable --now seamstep-metrics.timer      # metrics for node_exporter
"""
#: The same for another root, which no command for the systemd of this host is about.
_NEXT_BELOW = """
Next:
  edit {config}, and check it: seamstep service check --root {root}
  enable in that root: seamstep.service, and as you like seamstep.timer and seamstep-metrics.timer
"""


def add(commands: Any) -> None:
    """Add the commands."""
    parser = commands.add_parser(
        "service",
        description="The systemd units that bring a host to what the policy permits, after every boot and in windows,"
        " and the configuration that they read, /etc/seamstep/config.yaml.",
    )
    actions = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    install = actions.add_parser(
        "install",
        help="write the units",
        description="Write the units where systemd finds them: /etc/systemd/system, or below another --root "
        "usr/lib/systemd/system. The configuration etc/seamstep/config.yaml is written once and then left alone; it "
        "takes over the settings of earlier versions, etc/seamstep/seamstep.env.",
    )
    install.add_argument("--root", metavar="DIR", type=shared.given, default="/", help="install below DIR")
    install.add_argument("--force", action="store_true", help="replace units that were changed by hand")
    _add_exec(install)
    _add_json(install)
    install.set_defaults(run=run_install)
    show = actions.add_parser(
        "show",
        help="show what the configuration comes to",
        description="Show what the configuration comes to: each value and where it is from, the policy, its target and "
        "windows, the releases of the catalog, the hold. With --units print the units and the configuration that ships "
        "instead.",
    )
    _add_config(show)
    show.add_argument("--units", action="store_true", help="print the units and the configuration that ships")
    _add_exec(show)
    _add_json(show)
    show.set_defaults(run=run_show)
    check = actions.add_parser(
        "check",
        help="find mistakes in the configuration and the units",
        description="Find mistakes: in the configuration, its policies, its catalog and its notification, in settings "
        "of earlier versions, and in the units. Exit code 0: none but warnings; 1: some; 2: an input can't be read or "
        "is invalid.",
    )
    _add_config(check)
    _add_json(check)
    check.set_defaults(run=run_check)
    look = actions.add_parser(
        "look",
        help="have the enabled service look at the catalog again",
        description="Ask systemd to have seamstep.service run once, if it or its timer is enabled. For package managers"
        " that changed the catalog: nothing is applied by this command, and its exit code is 0 whatever happens.",
    )
    _add_json(look)
    look.set_defaults(run=run_look)


def _add_exec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--exec",
        metavar="PATH",
        dest="command",
        type=shared.given,
        help="the seamstep that the units run (default: the one running)",
    )


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", metavar="DIR", type=shared.given, default="/", help="of the machine below DIR")
    text = "read this configuration (default: etc/seamstep/config.yaml below --root)"
    parser.add_argument("--config", metavar="FILE", type=shared.given, help=text)


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON, errors included")


def run_install(options: argparse.Namespace) -> ExitCode:
    """Write the units and print the next steps."""
    from seamstep.service import CONFIG, install

    root = Path(options.root)
    done = install(root, _command(options), force=options.force)
    old = _not_carried(root)
    document = {
        "schema": "seamstep/service-install/v1",
        "files": [{"path": str(file.path), "fate": file.fate.name.lower()} for file in done],
        "not_carried_over": old,
    }
    following = _NEXT if root.resolve() == Path("/") else _NEXT_BELOW
    lines = [printable(f"{file.fate.value}: {file.path}") for file in done]
    lines += [printable(f"not carried over: {problem}") for problem in old]
    places = {"config": printable(root / CONFIG), "root": printable(root)}
    say(to_json(document) if options.json else "\n".join(lines) + "\n" + following.format(**places))
    return ExitCode.DONE


def _not_carried(root: Path) -> list[str]:
    """The settings of earlier versions that the configuration does not have, as sentences."""
    from seamstep.base.rooted import below
    from seamstep.service import CONFIG, configuration, old_settings

    try:
        old = old_settings.load(below(str(root), f"/{old_settings.NAME}"))
        return list(map(str, old.differences(configuration.load(str(root / CONFIG))))) if old else []
    except InputError as error:
        return list(map(str, error.problems))


def run_show(options: argparse.Namespace) -> ExitCode:
    """Show what the configuration comes to, or print the units."""
    if options.units:
        return _show_units(options)
    if options.command:
        raise InputError(Problem("--exec", "is for --units"))
    from seamstep.base import places
    from seamstep.base.rooted import below, is_there
    from seamstep.service import configuration
    from seamstep.service.showing import shown, shown_text

    root = _root(options)
    place = options.config or below(root, places.CONFIG)
    present = bool(options.config) or is_there(root, places.CONFIG)
    config = configuration.load(place) if present else configuration.Configuration(place)
    document = shown(config, root, below(root, shared.STATE_FOLDER), shared.today())
    say(to_json(document) if options.json else shown_text(document) + "\n")
    return ExitCode.DONE


def _show_units(options: argparse.Namespace) -> ExitCode:
    from seamstep.service import CONFIG, UNITS, default_config, unit

    command = _command(options)
    texts = {name: unit(name, command) for name in UNITS} | {f"/{CONFIG}": default_config()}
    text = "\n".join(f"# {name}\n{text}" for name, text in texts.items())
    say(to_json({"schema": "seamstep/service/v1", "files": texts}) if options.json else text)
    return ExitCode.DONE


def run_check(options: argparse.Namespace) -> ExitCode:
    """Find mistakes in the configuration and the units."""
    from seamstep.service import checking

    found = checking.check(_root(options), options.config, shared.today())
    code = checking.exit_code(found)
    document = {
        "schema": checking.SCHEMA,
        "ok": code is ExitCode.DONE,
        "findings": [finding.to_document() for finding in found],
    }
    lines = [printable(f"{one.severity.value}: {one.part}: {one.problem}") for one in found] or ["no mistakes"]
    say(to_json(document) if options.json else "\n".join(lines) + "\n", code)
    return code


def run_look(options: argparse.Namespace) -> ExitCode:
    """Ask the service to look. The exit code is 0 whatever happens: a package manager calls this."""
    from seamstep.service.look import look

    done = look()
    document = {"schema": "seamstep/service-look/v1", "asked": done.asked, "message": done.message}
    say(to_json(document) if options.json else printable(done.message) + "\n", stands=True)
    return ExitCode.DONE


def _root(options: argparse.Namespace) -> str:
    if not os.path.isdir(options.root):
        raise InputError(Problem("--root", f"{options.root} is not a folder"))
    return str(options.root)


def _command(options: argparse.Namespace) -> str:
    if options.command:
        return str(options.command)
    beside = Path(sys.executable).parent / "seamstep"
    for candidate in (Path(sys.argv[0]), beside):
        if candidate.name == "seamstep" and os.access(candidate, os.X_OK) and candidate.is_file():
            return str(candidate.resolve())
    raise InputError(Problem("--exec", "there is no seamstep command beside this Python; name it with --exec PATH"))
