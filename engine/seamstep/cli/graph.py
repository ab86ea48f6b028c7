"""``seamstep graph``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from seamstep.base.errors import ExitCode, InputError, Problem
from seamstep.cli import options as shared
from seamstep.cli.output import deliver, to_json

if TYPE_CHECKING:
    from seamstep.domain.facts import HostFacts
    from seamstep.show.drawing.scene import Scene

_SUFFIXES = {
    ".svg": "svg",
    ".html": "html",
    ".htm": "html",
    ".dot": "dot",
    ".gv": "dot",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".graphml": "graphml",
    ".json": "json",
}
_FORMATS = tuple(dict.fromkeys(_SUFFIXES.values()))
_BLOCKED = ("none", "path", "all")
#: The most steps of a series in a picture by default; formats for programs have no default limit.
_LIMIT = 100
_LIMIT_MAX = 100_000


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "graph",
        description="Draw the releases and the steps between them, for a host or for a kind of host: what is allowed,"
        " what is refused and why, and the path that the policy chooses.",
    )
    shared.add_planning(parser)
    parser.add_argument("--without-images", action="store_true", help="leave rules that need an image open")
    source = parser.add_argument_group("the host (default: this one)")
    source.add_argument("--facts", metavar="FILE", type=shared.given, help="facts that seamstep facts --json wrote")
    source.add_argument("--sysroot", metavar="DIR", type=shared.given, default="/", help="its files are below DIR")
    kind = parser.add_argument_group("or a kind of host")
    kind.add_argument(
        "--platform", metavar="CPU", type=shared.given, help="SPR, EMR, SRF, GNR, GNR-D, CWF, or such as 0x806F8"
    )
    kind.add_argument("--seamldr", metavar="VERSION", type=shared.given, help="its P-SEAMLDR")
    kind.add_argument("--running", metavar="VERSION", type=shared.given, help="its module: shows the path from there")
    kind.add_argument("--profile", choices=("mainline", "legacy"), help="its kernel's interface (default: mainline)")
    parser.add_argument(
        "--blocked",
        choices=_BLOCKED,
        default="path",
        help="how much is drawn of what is refused: nothing, what lies on the host's way (the default), or everything,"
        " also between releases that the host can't come to",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=shared.given,
        help=f"draw at most N steps of each series, what matters most first (default: {_LIMIT} in pictures; 0: all)",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--format", choices=_FORMATS, help="default: what FILE's name says, else svg")
    form.add_argument("--json", action="store_const", dest="format", const="json", help="the same as --format json")
    shared.add_destination(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> ExitCode:
    """Draw the graph."""
    from pathlib import Path

    from seamstep.planning.explain import Situation
    from seamstep.show.drawing.choose import Blocked, Subject, scene

    shared.check_output(options)
    form = options.format or _SUFFIXES.get(Path(options.output or "").suffix.lower(), "svg")
    limit = _limit(options.limit, form)
    kind = _kind_of_host(options)
    inputs = shared.inputs(options, without_images=options.without_images, host=kind)
    releases, host = inputs.catalog.releases, inputs.host
    if not releases:
        raise InputError(Problem(inputs.catalog.mapping.path, "lists no release, so there is nothing to draw"))
    subject = Subject.HOST if kind is None else Subject.KIND_RUNNING if options.running else Subject.KIND
    if subject is Subject.KIND:  # no path is searched, so any release can stand for the running one
        host = host._replace(module_version=releases[0].version)
    situation = Situation(releases, host, inputs.policy, options.without_images)
    text = _drawn(scene(situation, blocked=Blocked(options.blocked), limit=limit, subject=subject), form)
    deliver(text, options.output, replace=options.force)
    return ExitCode.DONE


def _drawn(scene: Scene, form: str) -> str:
    from seamstep.show.drawing import dot, exchange, html, mermaid, svg

    if form == "json":
        return to_json(exchange.node_link(scene))
    forms = {
        "svg": svg.svg,
        "html": html.html,
        "dot": dot.dot,
        "mermaid": mermaid.mermaid,
        "graphml": exchange.graphml,
    }
    return forms[form](scene)


def _limit(text: str | None, form: str) -> int | None:
    if text is None:
        return None if form in {"json", "graphml"} else _LIMIT
    if not text.isdecimal() or not text.isascii() or len(text) > 6 or int(text) > _LIMIT_MAX:
        raise InputError(Problem("--limit", f"{text!r} is not a number of steps from 0 to {_LIMIT_MAX}"))
    return int(text) or None


def _kind_of_host(options: argparse.Namespace) -> HostFacts | None:
    """The host that ``--platform`` describes, None without that option.

    Raises:
        InputError: an option is missing, contradicts another, or is malformed.
    """
    from seamstep.analysis.environments import Environment
    from seamstep.base import cpus
    from seamstep.base.versions import ModuleVersion, SeamldrVersion

    if not options.platform:
        for name in ("seamldr", "running", "profile"):
            if getattr(options, name):
                raise InputError(Problem(f"--{name}", "describes a kind of host; give --platform with it"))
        return None
    if options.facts or options.sysroot != "/":
        raise InputError(Problem("--platform", "stands for a host; leave --facts and --sysroot out"))
    if not options.seamldr:
        raise InputError(Problem("--seamldr", "is needed with --platform: releases name the P-SEAMLDRs they run with"))
    read = (
        ("--platform", cpus.parse_platform, options.platform),
        ("--seamldr", SeamldrVersion, options.seamldr),
        ("--running", ModuleVersion, options.running or "0.0.00"),
    )
    values: list[Any] = []
    problems = []
    for name, parse, text in read:
        try:
            values.append(parse(text))
        except ValueError as error:
            problems.append(Problem(name, str(error)))
    if problems:
        raise InputError(problems)
    platform, seamldr, running = values
    return Environment(options.profile or "mainline", seamldr, platform).host(running)
