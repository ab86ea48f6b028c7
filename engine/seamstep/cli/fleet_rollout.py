"""``seamstep fleet``: the commands that an engine drives a rollout with, and those of people."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seamstep.base.errors import ExitCode, InputError, Problem, RefusedError
from seamstep.cli import options as shared
from seamstep.cli.output import deliver, emit

if TYPE_CHECKING:
    from seamstep.fleet.ledger import Ledger
    from seamstep.fleet.messages import Action, Granted, Report
    from seamstep.fleet.state import State

_REPORTS_LIMIT = 1 << 30


def add(actions: Any) -> None:
    """Add the commands."""
    check = _command(actions, "check", _check, "Check a rollout file.", ledger=False)
    check.add_argument("file", metavar="FILE", type=shared.given, help="a rollout, seamstep/rollout/v1")
    start = _command(actions, "start", _start, "Start a rollout: put the hosts of a fleet plan into a new ledger.")
    start.add_argument("plan", metavar="OUT", type=shared.given, help="the folder that seamstep fleet plan -o wrote")
    how = start.add_mutually_exclusive_group(required=True)
    how.add_argument("--rollout", metavar="FILE", type=shared.given, help="how the fleet is updated")
    how.add_argument(
        "--again", action="store_true", help="bring a new fleet plan into the ledger: hosts that rebooted, or are new"
    )
    following = _command(
        actions,
        "next",
        _next,
        "Say which hosts may begin now, each under a lease. Exit code 0: there are some, or the rollout is finished; 4:"
        " none may begin now; 1: it is halted.",
    )
    following.add_argument("--limit", metavar="N", type=shared.count, help="give at most N leases")
    following.add_argument(
        "--open", action="store_true", help="give none; list those that were given and not begun under"
    )
    begin = _command(
        actions,
        "begin",
        _begin,
        "Ask, directly before a host begins, whether it may: not after a halt, nor twice. Exit code 0: yes; 5: the host"
        " rebooted; 1: no.",
    )
    begin.add_argument("--host", metavar="NAME", type=shared.given, required=True, help="the host")
    begin.add_argument("--lease", metavar="ID", type=shared.given, required=True, help="its lease")
    begin.add_argument("--boot-id", metavar="ID", type=shared.given, help="the host's boot id of this moment")
    _add_record(actions)
    status = _command(
        actions, "status", _status, "Show what stands still and why, since when, and who can do what about it."
    )
    forms = ("text", "json", "html", "prometheus")
    status.add_argument("--format", choices=forms, help="default: text; prometheus: metrics")
    for name, run, what in (("halt", _halt, "Halt"), ("resume", _resume, "Take back the halts of")):
        command = _command(actions, name, run, f"{what} the whole fleet, or one class.")
        command.add_argument("--by", metavar="NAME", type=shared.given, required=True, help="who does it")
        command.add_argument("--reason", metavar="TEXT", type=shared.given, required=True, help="why")
        command.add_argument("--class", dest="of", metavar="CLASS", type=shared.given, help="one class, such as c0001")


def _add_record(actions: Any) -> None:
    record = _command(
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


def _command(actions: Any, name: str, run: Any, text: str, *, ledger: bool = True) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text.partition(".")[0], description=text)
    if ledger:
        parser.add_argument("--ledger", metavar="FILE", type=shared.given, required=True, help="the rollout's ledger")
    shared.add_output(parser)
    parser.set_defaults(run=run)
    return parser


def _check(options: argparse.Namespace) -> ExitCode:
    from seamstep.fleet import rollout_file

    shared.check_output(options)
    rollout = rollout_file.load(options.file)
    document = {"schema": "seamstep/rollout-check/v1", "sha256": rollout.sha256, "rollout": rollout.to_document()}
    _emit(document, f"{options.file}: rollout {rollout.name} is valid", options)
    return ExitCode.DONE


def _start(options: argparse.Namespace) -> ExitCode:
    from seamstep.fleet import ledger, plan_folder, rollout_file
    from seamstep.fleet.messages import Planned, Rejected
    from seamstep.fleet.state import CANDIDATES

    shared.check_output(options)
    if options.again:
        entered = ledger.opened(options.ledger)
    else:
        rollout = rollout_file.load(options.rollout)
        plan = plan_folder.load(options.plan, rollout)
        entered = ledger.created(options.ledger, rollout)
    with entered as book:
        if options.again:
            plan = plan_folder.load(options.plan, book.state.rollout)
        actions = book.step((Planned(plan.classes), *plan.hosts), first=not options.again)
        book.note("started", plan=plan.sha256, hosts=len(plan.hosts), again=options.again)
        state = book.state
    refused = [action._asdict() for action in actions if isinstance(action, Rejected)]
    ready = sum(host.phase in CANDIDATES for host in state.hosts.values())
    document = {
        "schema": "seamstep/fleet-start/v1",
        "ledger": options.ledger,
        "rollout": state.rollout.name,
        "hosts": len(state.hosts),
        "to_update": ready,
        "rejected": refused,
    }
    lines = [f"{ready} of {len(state.hosts)} hosts are to be updated under the rollout {state.rollout.name}"]
    lines += [f"left as it is: {one['host']}: {one['reason']}" for one in refused]
    _emit(document, "\n".join(lines), options)
    return ExitCode.DONE


def _next(options: argparse.Namespace) -> ExitCode:
    from seamstep.fleet import ledger, status
    from seamstep.fleet.gates import Gates
    from seamstep.fleet.messages import Ask, Granted

    shared.check_output(options)
    with ledger.opened(options.ledger) as book:
        actions = book.step([] if options.open else [Ask(options.limit)])
        state = book.state
    leases = _open(state) if options.open else [one for one in actions if isinstance(one, Granted)]
    held: list[dict[str, Any]] = []
    code = "leases"
    if not leases and not options.open:
        held, free = status.blocked(Gates(state), status.Shown(state, options.ledger, time.time()))
        code = status.whole(state, free)
        code = "waiting" if code == status.RUNNING else code
    document = {
        "schema": "seamstep/leases/v1",
        "ledger": options.ledger,
        "code": code,
        "leases": [_lease(state, lease) for lease in leases],
        "blocked": held,
    }
    text = "\n".join(_lease_text(lease) for lease in document["leases"]) if leases else _none(code, held)
    result = {"waiting": ExitCode.BUSY, "halted": ExitCode.NO}.get(code, ExitCode.DONE)
    _emit(document, text, options, result)
    return result


def _none(code: str, held: Sequence[dict[str, Any]]) -> str:
    from seamstep.show.text import printable

    lines = [f"{one['hosts']} hosts for {one['from']} → {one['to']}: {one['reason']}" for one in held]
    return "\n".join(["no lease" if code == "leases" else code, *map(printable, lines)])


def _open(state: State) -> list[Granted]:
    """The leases that run and were not begun under."""
    from seamstep.fleet.messages import Granted
    from seamstep.fleet.state import Phase

    found = []
    for host in state.hosts.values():
        if host.open and not host.begun and host.phase is Phase.LEASED:
            step = state.classes[host.class_id].steps[host.done]
            found.append(
                Granted(host.name, host.lease, host.class_id, step.source, step.target, host.boot_id, host.expires)
            )
    return found


def _lease(state: State, lease: Granted) -> dict[str, Any]:
    from datetime import UTC, datetime

    left = lease.expires - state.clock.time
    expires = datetime.fromtimestamp(time.time() + left, UTC).isoformat(timespec="seconds")
    return {
        "host": lease.host,
        "class": state.classes[lease.class_id].name,
        "class_id": state.classes[lease.class_id].step_id(lease.source),
        "step": {"from": lease.source, "to": lease.target},
        "lease": lease.lease,
        "boot_id": lease.boot_id,
        "expires": expires,
        "seconds": int(left),
    }


def _lease_text(lease: dict[str, Any]) -> str:
    from seamstep.show.text import printable

    step = f"{lease['step']['from']} → {lease['step']['to']}"
    return printable(f"{lease['host']}  {lease['class']}  {step}  lease {lease['lease']}  until {lease['expires']}")


def _begin(options: argparse.Namespace) -> ExitCode:
    from seamstep.fleet import ledger
    from seamstep.fleet.messages import Begin, Denied

    shared.check_output(options)
    with ledger.opened(options.ledger) as book:
        actions = book.step([Begin(options.host, options.lease, options.boot_id)])
    denied = [action for action in actions if isinstance(action, Denied)]
    document = {
        "schema": "seamstep/begin/v1",
        "host": options.host,
        "lease": options.lease,
        "may_begin": not denied,
        "code": denied[0].code if denied else "begun",
        "reason": denied[0].reason if denied else "",
    }
    code = ExitCode.DONE
    if denied:
        code = ExitCode.STALE if denied[0].code == "rebooted" else ExitCode.NO
    _emit(document, denied[0].reason if denied else f"{options.host} may begin now", options, code)
    return code


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
    _emit(document, _recorded_text(document), options)
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


def _status(options: argparse.Namespace) -> ExitCode:
    from seamstep.fleet import ledger, status

    shared.check_output(options)
    with ledger.opened(options.ledger) as book:
        state, asked = book.now(), book.asked()
    document = status.status(state, options.ledger, time.time(), asked)
    code = ExitCode.NO if document["state"] == status.HALTED else ExitCode.DONE
    from seamstep.show import fleet_status

    if options.format == "html":
        deliver(fleet_status.fleet_status_page(document), options.output, replace=options.force)
        return ExitCode.DONE
    if options.format == "prometheus":
        return _metrics(fleet_status.fleet_exposition(document), options)
    options.json = options.json or options.format == "json"
    _emit(document, fleet_status.fleet_status_text(document), options, code)
    return code


def _metrics(text: str, options: argparse.Namespace) -> ExitCode:
    """Metrics are readable by all, for node_exporter."""
    from pathlib import Path

    from seamstep.base.writing import write_atomic
    from seamstep.cli.output import say

    if options.output:
        write_atomic(Path(options.output), text.encode(), replace=options.force, mode=0o644)
    else:
        say(text)
    return ExitCode.DONE


def _halt(options: argparse.Namespace) -> ExitCode:
    from seamstep.fleet.messages import Stop

    with _operated(options) as book:
        group = _group(book, options)
        book.step([Stop(options.by, options.reason, group)])
    _emit(_operation(options, group), f"halted: {group or 'the fleet'}", options)
    return ExitCode.DONE


def _resume(options: argparse.Namespace) -> ExitCode:
    from seamstep.fleet.messages import Resume, Resumed

    with _operated(options) as book:
        group = _group(book, options)
        actions = book.step([Resume(options.by, options.reason, group)])
    count = next(action.halts for action in actions if isinstance(action, Resumed))
    document = {**_operation(options, group), "halts": count}
    _emit(document, f"{count} halts of {group or 'the fleet and its classes'} are taken back", options)
    return ExitCode.DONE


def _operated(options: argparse.Namespace) -> Any:
    from seamstep.fleet import ledger

    shared.check_output(options)
    return ledger.opened(options.ledger)


def _group(book: Ledger, options: argparse.Namespace) -> str:
    """The group that ``--class`` names; empty for the fleet. Raises RefusedError unless ``--by`` may do this."""
    operators = book.state.rollout.operators
    if operators and options.by not in operators:
        told = f"the rollout names who may do this, and {options.by} is not among them"
        raise RefusedError(f"{told}: {', '.join(operators)}")
    if not options.of:
        return ""
    for class_ in book.state.classes.values():
        if options.of in {class_.name, class_.group}:
            return class_.group
    raise InputError(Problem("--class", f"this rollout has no class {options.of!r}"))


def _operation(options: argparse.Namespace, group: str) -> dict[str, Any]:
    return {
        "schema": "seamstep/fleet-operation/v1",
        "scope": group or "fleet",
        "by": options.by,
        "reason": options.reason,
    }


def _emit(document: Any, text: str, options: argparse.Namespace, code: ExitCode = ExitCode.DONE) -> None:
    emit(document, text, as_json=options.json, code=code, output=options.output, replace=options.force)
