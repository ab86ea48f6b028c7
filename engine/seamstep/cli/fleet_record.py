"""``seamstep fleet record``: what came of leases, and what was seen of hosts."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from seamstep.base.errors import ExitCode, InputError, Problem
from seamstep.cli import options as shared
from seamstep.cli.fleet_command import command, show

if TYPE_CHECKING:
    from seamstep.fleet.messages import Action, Report

_REPORTS_LIMIT = 1 << 30


def add(actions: Any) -> None:
    """Add the command."""
    record = command(
        actions,
        "record",
        _record,
        "Record what came of leases, or what was seen of hosts: reports as JSON Lines, or with --host one document that"
        " apply --json or status --json printed. Exit code 1: some were not believed.",
    )
    record.add_argument("file", nargs="?", metavar="FILE", help="the reports; - is standard input")
    record.add_argument("--host", metavar="NAME", type=shared.given, help="the host that the one document is about")
    record.add_argument("--lease", metavar="ID", type=shared.given, help="the host's lease")
    record.add_argument("--boot-id", metavar="ID", type=shared.given, help="the boot in which the host was seen")
    outcomes = ("unreachable", "rebooting", "not-begun")
    record.add_argument("--outcome", choices=outcomes, help="what came of it where there is no document")
    record.add_argument("--note", metavar="TEXT", type=shared.given, help="the reason, with --outcome")
    record.add_argument(
        "--allow-list", metavar="FILE", type=shared.given, help="the MRSEAMs that the verifier allows now, one a line"
    )


def _record(options: argparse.Namespace) -> ExitCode:
    from seamstep.fleet import ledger
    from seamstep.fleet.messages import Allowed, Halted, Observation, Rejected

    shared.check_output(options)
    observations: list[Observation] = []
    if options.allow_list:
        observations.append(Allowed(_measurements(options.allow_list)))
    observations += _reports(options)
    with ledger.opened(options.ledger) as book:
        actions = book.step(observations)
    rejected = [action for action in actions if isinstance(action, Rejected)]
    document = {
        "schema": "seamstep/recorded/v1",
        "recorded": len(observations) - len(rejected),
        "results": [_result(action) for action in actions if not isinstance(action, Halted)],
        "halts": [action._asdict() for action in actions if isinstance(action, Halted)],
    }
    show(document, _recorded_text(document), options)
    return ExitCode.NO if any(one.code != "doubled" for one in rejected) else ExitCode.DONE


def _result(action: Action) -> dict[str, Any]:
    return {"result": type(action).__name__.lower(), **action._asdict()}


def _recorded_text(document: dict[str, Any]) -> str:
    from seamstep.show.text import printable

    lines = [f"{document['recorded']} recorded"]
    for one in document["results"]:
        if "reason" in one:
            stands = one.get("phase") or f"not believed ({one.get('code')})"
            lines.append(f"{one['host']}: {stands}: {one['reason']}")
        elif one["result"] == "expired":
            lines.append(f"{one['host']}: unknown: its lease expired")
    lines += [f"HALT of {halt['group'] or 'the fleet'}: {halt['reason']}" for halt in document["halts"]]
    return "\n".join(map(printable, lines))


def _measurements(path: str) -> frozenset[str]:
    """The MRSEAMs in an allow-list: 96 hex digits a line; empty lines and what follows a # don't count."""
    import re

    from seamstep.base.documents import decode, read_bytes

    lines = decode(read_bytes(path, 1 << 20, "allow-list", standard_input=True), path).splitlines()
    words = [(number, line.partition("#")[0].strip().lower()) for number, line in enumerate(lines, 1)]
    problems = [
        Problem(path, f"{word!r} is not an MRSEAM in 96 hex digits", (), number, 1)
        for number, word in words
        if word and not re.fullmatch("[0-9a-f]{96}", word)
    ]
    if problems:
        raise InputError(problems)
    return frozenset(word for _, word in words if word)


def _reports(options: argparse.Namespace) -> list[Report]:
    from seamstep.base.documents import Document, decode, parse_object, read_bytes
    from seamstep.fleet import reports

    if not (options.file or options.outcome):
        if options.allow_list and not options.host:
            return []
        raise InputError(Problem("fleet record", "give a FILE with reports (- for standard input), or --outcome"))
    about = {"host": options.host, "lease": options.lease, "boot_id": options.boot_id, "note": options.note}
    if options.outcome:
        if options.file or not options.host:
            raise InputError(Problem("--outcome", "is about one --host, and takes no FILE"))
        data = {**about, "outcome": options.outcome}
        source = "--outcome"
    else:
        source = options.file
        text = decode(read_bytes(source, _REPORTS_LIMIT, "report", standard_input=True), source)
        if not options.host:
            return reports.read(text.splitlines(), source)
        said = parse_object(text, source, "report")
        kind = "status" if said.get("schema") == "seamstep/status/v1" else "run"
        data = {**about, kind: said}
    document = Document(source, {key: value for key, value in data.items() if value is not None}, "", lambda _: None)
    return [reports.report(document)]
