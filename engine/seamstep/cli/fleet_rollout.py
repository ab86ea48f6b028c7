"""``seamstep fleet check``, ``start``, ``next`` and ``begin``: the commands that an engine drives a rollout with."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seamstep.base.errors import ExitCode
from seamstep.cli import options as shared
from seamstep.cli.fleet_command import command, show

if TYPE_CHECKING:
    from seamstep.fleet.messages import Granted
    from seamstep.fleet.state import State


def add(actions: Any) -> None:
    """Add the commands."""
    check = command(actions, "check", _check, "Check a rollout file.", ledger=False)
    check.add_argument("file", metavar="FILE", type=shared.given, help="a rollout, seamstep/rollout/v1")
    start = command(actions, "start", _start, "Start a rollout: put the hosts of a fleet plan into a new ledger.")
    start.add_argument("plan", metavar="OUT", type=shared.given, help="the folder that seamstep fleet plan -o wrote")
    how = start.add_mutually_exclusive_group(required=True)
    how.add_argument("--rollout", metavar="FILE", type=shared.given, help="how the fleet is updated")
    how.add_argument(
        "--again", action="store_true", help="bring a new fleet plan into the ledger: hosts that rebooted, or are new"
    )
    following = command(
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
    begin = command(
        actions,
        "begin",
        _begin,
        "Ask, directly before a host begins, whether it may: not after a halt, nor twice. Exit code 0: yes; 5: the host"
        " rebooted; 1: no.",
    )
    begin.add_argument("--host", metavar="NAME", type=shared.given, required=True, help="the host")
    begin.add_argument("--lease", metavar="ID", type=shared.given, required=True, help="its lease")
    begin.add_argument("--boot-id", metavar="ID", type=shared.given, help="the host's boot id of this moment")


def _check(options: argparse.Namespace) -> ExitCode:
    from seamstep.fleet import rollout_file

    shared.check_output(options)
    rollout = rollout_file.load(options.file)
    document = {"schema": "seamstep/rollout-check/v1", "sha256": rollout.sha256, "rollout": rollout.to_document()}
    show(document, f"{options.file}: rollout {rollout.name} is valid", options)
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
    show(document, "\n".join(lines), options)
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
    show(document, text, options, result)
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
    show(document, denied[0].reason if denied else f"{options.host} may begin now", options, code)
    return code
