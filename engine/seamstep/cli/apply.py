"""``seamstep apply``."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from seamstep.cli import options as shared
from seamstep.cli.output import emit
from seamstep.cli.plan import exit_code
from seamstep.errors import ExitCode, InputError, Problem, RefusedError, StalePlanError
from seamstep.report.text import plan_text, printable

if TYPE_CHECKING:
    from seamstep.host.base import Host
    from seamstep.plan import Plan

_PLANNING = ("mapping", "images", "catalog", "policy", "signer", "target", "as_of")


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "apply",
        help="perform a plan",
        description="Perform a saved plan, or plan and perform in one go. Shows what it will do and asks first.",
    )
    parser.add_argument("plan", nargs="?", metavar="PLAN", help="a plan that seamstep plan -o wrote")
    shared.add_planning(parser)
    shared.add_sysroot(parser)
    parser.add_argument(
        "--simulate", action="store_true", help="rehearse a saved PLAN on a simulated host like its own"
    )
    parser.add_argument("--yes", action="store_true", help="don't ask")
    shared.add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> ExitCode:
    """Perform a plan on the host and tell what came of it."""
    from seamstep.executor import Executor
    from seamstep.plan import PlanOutcome
    from seamstep.report.progress import reporter

    plan = _plan(options)
    if plan.outcome is not PlanOutcome.UPDATE:
        emit(
            plan.document,
            plan_text(plan.document),
            as_json=options.json,
            output=options.output,
            replace=options.force,
        )
        return exit_code(plan)
    if plan.provisional:
        raise RefusedError("the plan is provisional: rules that need an image were left open; plan with --images")
    if options.plan:
        _refuse_drift(plan)
    host = _host(options, plan)
    _confirm(options, plan)
    with reporter() as progress:
        result = Executor(host, progress).run(plan)
    document = {
        "schema": "seamstep/run/v1",
        "plan": plan.id,
        "state": result.state.value,
        "exit_code": int(result.exit_code),
        "module_version": str(result.version) if result.version else None,
        "applied": [{"from": str(hop.source), "to": str(hop.target)} for hop in result.applied],
        "message": result.message,
    }
    applied = [f"{hop} applied" for hop in result.applied]
    text = "\n".join([*applied, printable(result.message)])
    emit(document, text, as_json=options.json, output=options.output, replace=options.force)
    return result.exit_code


def _plan(options: argparse.Namespace) -> Plan:
    from seamstep import plan

    if not options.plan:
        if options.simulate:
            raise InputError(Problem("--simulate", "needs a saved PLAN; make one with seamstep plan -o"))
        return shared.make_plan(options)
    given = [f"--{name.replace('_', '-')}" for name in _PLANNING if getattr(options, name)]
    if given:
        raise InputError(Problem(given[0], "is for planning; a saved plan already says what to do"))
    return plan.load(options.plan)


def _refuse_drift(plan: Plan) -> None:
    """Raise StalePlanError if the mapping file or the policy is not what the plan was made from."""
    import hashlib
    from pathlib import Path

    from seamstep import resources

    drifted = []
    references = [("mapping", plan.document["mapping"])]
    references += [("policy", layer) for layer in plan.document["policy"]["layers"]]
    for what, reference in references:
        path = reference.get("path")
        try:
            content = Path(path).read_bytes() if path else resources.policies()[reference["name"]].read_bytes()
        except (OSError, KeyError):
            drifted.append(f"the {what} it was made from can't be read: {path or reference.get('name')}")
            continue
        if hashlib.sha256(content).hexdigest() != reference.get("sha256"):
            drifted.append(f"the {what} changed: {path or reference.get('name')}")
    if drifted:
        raise StalePlanError(f"stale plan: {'; '.join(drifted)}; plan again")


def _host(options: argparse.Namespace, plan: Plan) -> Host:
    if options.simulate:
        from seamstep.host.simulated import SimulatedHost

        return SimulatedHost(plan.host, {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image})
    from seamstep.host.sysfs import SysfsHost

    if options.sysroot == "/" and os.geteuid() != 0:
        raise RefusedError("an update needs root (CAP_SYS_RAWIO, and the P-SEAMLDR's version is readable by root only)")
    return SysfsHost(options.sysroot)


def _confirm(options: argparse.Namespace, plan: Plan) -> None:
    if options.yes:
        return
    print(plan_text(plan.document), file=sys.stderr)
    if not sys.stdin or not sys.stdin.isatty():
        raise RefusedError("there is no terminal to ask on; give --yes to update without asking")
    print("\nUpdate this host now? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise RefusedError("nothing was changed")
