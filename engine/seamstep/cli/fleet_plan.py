"""``seamstep fleet plan`` and ``seamstep fleet sql``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from seamstep.base.errors import ExitCode, InputError, Problem
from seamstep.cli import options as shared
from seamstep.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from seamstep.fleet.findings import Findings
    from seamstep.fleet.members import Members
    from seamstep.fleet.planning import FleetPlan
    from seamstep.fleet.writing import Result
    from seamstep.show.fleet_progress import FleetProgress

DIALECTS = ("duckdb", "spark", "bigquery", "trino")


def add(commands: Any) -> None:
    """Add the commands."""
    _add_plan(commands)
    _add_sql(commands)


def _add_plan(commands: Any) -> None:
    parser = commands.add_parser(
        "plan",
        help="plan for all hosts of an inventory",
        description="Plan the updates of many hosts. Hosts whose facts are alike but for name, boot, labels and the"
        " number of TDs are planned for once.",
    )
    parser.add_argument(
        "inventory",
        metavar="INVENTORY",
        nargs="+",
        type=shared.given,
        help="facts documents: a file with one on each line, a folder of files, a Parquet file, or - (standard input)",
    )
    parser.add_argument(
        "--labels",
        metavar="FILE",
        type=shared.given,
        help="labels of hosts: CSV with the column host, or JSON Lines, each with host and labels",
    )
    shared.add_planning(parser)
    parser.add_argument("--without-images", action="store_true", help="leave rules that need an image open")
    parser.add_argument("--rollout", metavar="FILE", type=shared.given, help="the rollout that gives hosts their waves")
    parser.add_argument("--json", action="store_true", help="print the classes as JSON, errors included")
    parser.add_argument("--html", metavar="FILE", type=shared.given, help="write one HTML page as well")
    parser.add_argument(
        "-o", "--output", metavar="OUT", type=shared.given, help="write fleet.json and hosts.jsonl into the folder OUT"
    )
    parser.add_argument(
        "--parquet", action="store_true", help="write OUT/hosts.parquet as well (takes seamstep[fleet])"
    )
    parser.add_argument("--force", action="store_true", help="let -o and --html overwrite files")
    parser.set_defaults(run=run_plan)


def _add_sql(commands: Any) -> None:
    parser = commands.add_parser(
        "sql",
        help="print the two statements that plan where the inventory lives",
        description="Print two SQL statements. The first groups the hosts of a table by their facts; the second gives"
        " every host the outcome of its group.",
    )
    parser.add_argument("--dialect", choices=DIALECTS, default="duckdb", help="default: duckdb")
    parser.add_argument(
        "--inventory", metavar="TABLE", type=shared.given, default="inventory", help="default: inventory"
    )
    parser.add_argument("--outcomes", metavar="TABLE", type=shared.given, default="outcomes", help="default: outcomes")
    parser.add_argument("--json", action="store_true", help="print JSON, errors included")
    parser.set_defaults(run=run_sql)


def run_plan(options: argparse.Namespace) -> ExitCode:
    """Plan for all hosts. NO if there are mistakes in the inventory; the rest is planned."""
    from seamstep.fleet import inventory, labels, planning, writing
    from seamstep.fleet.classes import Classes
    from seamstep.fleet.findings import Findings
    from seamstep.fleet.members import Members, spool
    from seamstep.show.fleet_progress import progress

    _check(options)
    catalog, policy, as_of, tcb = shared.catalog_and_policy(options, without_images=options.without_images)
    waves = _Waves(options.rollout) if options.rollout else None
    findings, classes = Findings(), Classes()
    with spool(options.output) as hosts_file, spool(options.output) as plans_file:
        with progress(sys.stderr) as shown:
            by_file = labels.load(options.labels, findings) if options.labels else None
            watch = shown.stage("reading", inventory.size(options.inventory) if shown.visible else None)
            hosts = inventory.hosts(options.inventory, classes, findings, watch)
            members = Members(hosts, findings, by_file, hosts_file)
            planned = shown.stage("planning", len(members.groups))
            ground = planning.Ground(
                catalog.mapping, catalog.releases, policy, as_of, as_of != shared.today(), options.without_images, tcb
            )
            plan = planning.FleetPlan(ground, classes.facts, members.groups, plans_file, lambda: planned(1))
            if options.output:
                _write(options, writing.Result(plan, members, findings), waves, shown)
        code = ExitCode.NO if findings.count else ExitCode.DONE
        if options.html:
            _write_page(options, plan, findings)
        _tell(findings)
        if options.json:
            for piece in writing.document(plan, findings, None):
                say(piece.decode("ascii"), code)
        else:
            from seamstep.show.fleet_plan import fleet_text

            say(fleet_text(plan.head(findings), [one.document for one in plan.classes]) + "\n", code)
    return code


def run_sql(options: argparse.Namespace) -> ExitCode:
    """Print the statements."""
    from seamstep.cli.output import to_json
    from seamstep.fleet import sql

    try:
        pair = sql.statements(options.dialect, options.inventory, options.outcomes)
    except ValueError as error:
        raise InputError(Problem("--inventory, --outcomes", str(error))) from None
    if options.json:
        say(to_json({"schema": "seamstep/fleet-sql/v1", "dialect": options.dialect, **pair._asdict()}))
    else:
        say(f"-- the groups of hosts that are alike\n{pair.group};\n\n-- every host with its class\n{pair.join};\n")
    return ExitCode.DONE


def _check(options: argparse.Namespace) -> None:
    """Check where the results go, before the work begins."""
    from pathlib import Path

    from seamstep.base.writing import check_writable
    from seamstep.fleet import writing

    if options.inventory.count("-") > 1:
        raise InputError(Problem("-", "standard input can be read once"))
    for name in ("rollout", "parquet"):
        if getattr(options, name) and not options.output:
            raise InputError(Problem(f"--{name}", "is about hosts.jsonl, which takes -o OUT"))
    if options.parquet:
        from seamstep.fleet import on_duckdb

        on_duckdb.connect().close()
    if options.html:
        check_writable(Path(options.html), replace=options.force)
    if options.output:
        writing.check_folder(options.output, replace=options.force)


def _write(options: argparse.Namespace, result: Result, waves: _Waves | None, shown: FleetProgress) -> None:
    import os

    from seamstep.fleet import writing

    written = shown.stage("writing", len(result.members))
    numbers = waves.of(result.plan, result.members) if waves else None
    writing.write(options.output, result, numbers, written)
    if options.parquet:
        from seamstep.fleet import on_duckdb

        on_duckdb.write_parquet(os.path.join(options.output, writing.HOSTS))


def _write_page(options: argparse.Namespace, plan: FleetPlan, findings: Findings) -> None:
    from pathlib import Path

    from seamstep import __version__
    from seamstep.base.writing import write_atomic
    from seamstep.show.fleet_page import fleet_page

    text = fleet_page(plan.head(findings), [one.document for one in plan.classes], __version__)
    write_atomic(Path(options.html), text.encode(), replace=options.force)


def _tell(findings: Findings) -> None:
    """Print the mistakes in the inventory on standard error."""
    from seamstep.show.text import printable

    for problem in findings.problems:
        print(f"seamstep: {printable(problem)}", file=sys.stderr)
    more = findings.count - len(findings.problems)
    if more:
        print(f"seamstep: and {more:,} findings more", file=sys.stderr)


class _Waves:
    """The waves that a rollout gives to hosts."""

    def __init__(self, path: str) -> None:
        """Read the rollout. Raises InputError if it is invalid."""
        import importlib

        self._rollout = importlib.import_module("seamstep.fleet.rollout_file").load(path)

    def of(self, plan: FleetPlan, members: Members) -> Iterator[int]:
        """The waves of the hosts that are to be updated, in their order. Classes of the same platform, module,
        P-SEAMLDR and kernel share their canaries."""
        import importlib

        from seamstep.fleet.members import Waiting

        waves = importlib.import_module("seamstep.fleet.waves")
        names = [
            waves.group(*(one.document[key] for key in ("platform", "module", "seamldr", "kernel")))
            if one and one.document["outcome"] == "update"
            else None
            for one in plan.of_group
        ]
        waiting: Iterable[tuple[str, str, dict[str, str]]] = Waiting(members, names)
        found: Iterator[int] = iter(waves.assign(self._rollout, waiting))
        return found
