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
#: Pictures that are made by other programs, from an SVG.
IMAGES = frozenset({".png", ".pdf", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".eps", ".ps"})
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
    shared.add_config(parser)
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
    parser.add_argument(
        "--all",
        action="store_true",
        help="draw every release, and every refused step by itself; otherwise releases without a step are folded, and"
        " refused steps that are not on the host's way are bundled",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--format", choices=_FORMATS, help="default: what the suffix of FILE says, svg without one")
    form.add_argument("--json", action="store_const", dest="format", const="json", help="the same as --format json")
    shared.add_destination(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> ExitCode:
    """Draw the graph."""
    from seamstep.planning.explain import Situation
    from seamstep.show.drawing.choose import Blocked, Subject, scene

    shared.check_output(options)
    form = options.format or _form(options.output or "")
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
    drawn = scene(situation, blocked=Blocked(options.blocked), limit=limit, subject=subject, fold=not options.all)
    deliver(_drawn(drawn, form), options.output, replace=options.force)
    return ExitCode.DONE


def _form(name: str) -> str:
    """The format that the suffix of a file's name says: SVG if it has none. A number is no suffix.

    Raises:
        InputError: the suffix is that of another format.
    """
    from pathlib import Path

    suffix = Path(name).suffix.lower()
    if not suffix.isascii() or not suffix[1:2].isalpha():
        return "svg"
    if suffix not in _SUFFIXES:
        known = f"a picture is written as {', '.join(_SUFFIXES)}; --format chooses a format for any name"
        how = (
            f"; for {suffix[1:].upper()} write an SVG and convert it, as with rsvg-convert" if suffix in IMAGES else ""
        )
        raise InputError(Problem("--output", f"{name}: can't write {suffix}: {known}{how}"))
    return _SUFFIXES[suffix]


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
