"""``seamstep diff``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seamstep.base.errors import ExitCode
from seamstep.cli import notes
from seamstep.cli import options as shared
from seamstep.cli.output import deliver, to_json

if TYPE_CHECKING:
    from seamstep.analysis.diff.difference import Difference, Side
    from seamstep.analysis.diff.hosts import Hosts

_CONDITIONS = ("opened", "closed", "removed", "stranded", "any")


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "diff",
        description="Compare two mapping files, or two folders laid out as Intel's repository (mapping_file.json, and"
        " images below it): releases, steps that open and close, paths that change, releases that become stranded.",
    )
    parser.add_argument("old", metavar="OLD", type=shared.given, help="a mapping file, or a folder with one and images")
    parser.add_argument("new", metavar="NEW", type=shared.given, help="the same, as it is to become")
    shared.add_policy(parser)
    shared.add_signer(parser)
    parser.add_argument(
        "--facts",
        metavar="FILE|DIR",
        type=shared.given,
        help="count the hosts affected: a facts file, a folder of *.json, or a file with a facts document a line",
    )
    parser.add_argument("--format", choices=("text", "json", "markdown"), default="text", help="default: text")
    parser.add_argument("--json", action="store_true", help="the same as --format json, errors included")
    parser.add_argument(
        "--fail-on",
        choices=_CONDITIONS,
        help="exit with 1 when a step opened or closed, a release was removed or became stranded, or anything changed",
    )
    shared.add_destination(parser)
    parser.set_defaults(run=run, target=None)


def run(options: argparse.Namespace) -> ExitCode:
    """Compare two catalogs. NO if a change meets ``--fail-on``."""
    from seamstep.analysis.diff import difference

    shared.check_output(options)
    chosen = shared.policy(options, shared.day(options))
    trusted = chosen.signers
    sides = [_side(path, trusted) for path in (options.old, options.new)]
    hosts = hosts_of(options.facts) if options.facts else None
    found = difference.compare(sides[0], sides[1], chosen, hosts)
    failed = options.fail_on and difference.CONDITIONS[options.fail_on](found)
    code = ExitCode.NO if failed else ExitCode.DONE
    text = _text(options, found, chosen.name)
    deliver(text, options.output, code, replace=options.force)
    return code


def hosts_of(path: str) -> list[Hosts]:
    """The hosts of an inventory by groups that are alike. Raises InputError, with all problems, if there are any."""
    import json

    from seamstep.analysis.diff.hosts import Hosts
    from seamstep.fleet import inventory
    from seamstep.fleet.classes import Classes
    from seamstep.fleet.findings import Findings

    classes, findings = Classes(), Findings()
    names: dict[int, list[str]] = {}
    for host in inventory.hosts([path], classes, findings, lambda _read: None):
        names.setdefault(host.group, []).append(json.loads(host.name) or host.place)
    findings.require_none()
    return [Hosts(classes.facts[group], found) for group, found in names.items()]


def _side(path: str, signers: frozenset[str]) -> Side:
    """One side of the comparison: a mapping file without images, or a folder with both."""
    from seamstep.analysis.diff.difference import Side
    from seamstep.image import catalog
    from seamstep.image.files import TRUSTED

    folder = Path(path).is_dir()
    mapping = str(Path(path, catalog.MAPPING_FILE)) if folder else path
    loaded = catalog.load(mapping, path if folder else None, TRUSTED | signers, found=folder)
    notes.tell_of_images(loaded)
    return Side(loaded.mapping, loaded.releases, folder)


def _text(options: argparse.Namespace, found: Difference, policy: str) -> str:
    from seamstep.show.difference import difference_document
    from seamstep.show.difference_text import difference_markdown, difference_text

    if options.json or options.format == "json":
        return to_json(difference_document(found, options.old, options.new, policy))
    return (difference_markdown if options.format == "markdown" else difference_text)(found) + "\n"
