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

_REFERENCE_LIMIT = 16 << 20
_PLANNING = ("mapping", "images", "catalog", "policy", "target", "as_of")


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
    from seamstep.journald import SOCKET, JournalReporter, stderr_is_journal
    from seamstep.plan import PlanOutcome
    from seamstep.report.progress import Reporters, reporter

    shared.check_output(options)
    _refuse_user(options)
    plan = _plan(options)
    if options.plan:
        _refuse_drift(plan)
        _refuse_signers(plan, options)
    host = _host(options, plan)
    if plan.outcome is not PlanOutcome.UPDATE:
        return _nothing_to_do(options, plan, host)
    if plan.provisional:
        raise RefusedError("the plan is provisional: rules that need an image were left open; plan with --images")
    if plan.document["apply"]:
        settings = ", ".join(plan.document["apply"])
        raise RefusedError(f"this version of seamstep can't keep the policy's settings under 'apply' yet: {settings}")
    _confirm(options, plan)
    journal = JournalReporter(path=SOCKET if _is_real(options) else "")
    with reporter() as progress:
        heard = (journal,) if stderr_is_journal() else (progress, journal)
        result = Executor(host, Reporters(*heard)).run(plan)
    journal.ended(result)
    document = {
        "schema": "seamstep/run/v1",
        "plan": plan.id,
        "state": result.state.value,
        "exit_code": int(result.exit_code),
        "module_version": str(result.version) if result.version else None,
        "applied": [{"from": str(hop.source), "to": str(hop.target)} for hop in result.applied],
        "message": result.message,
    }
    text = "\n".join([*(f"{hop} applied" for hop in result.applied), printable(result.message)])
    _report(document, text, options, result.exit_code)
    return result.exit_code


def _report(document: object, text: str, options: argparse.Namespace, code: ExitCode) -> None:
    """Print what a run came to. Its exit code stands, whatever happens to the copy in a file."""
    try:
        emit(document, text, as_json=options.json, code=code, output=options.output, replace=options.force)
    except (RefusedError, InputError) as error:
        print(f"seamstep: {printable(error)}", file=sys.stderr)


def _nothing_to_do(options: argparse.Namespace, plan: Plan, host: Host) -> ExitCode:
    """A plan without an update says something of the host it was made for; of another it says nothing."""
    from seamstep.host.read_facts import read_facts

    differences = plan.host.differences(read_facts(host))
    if differences:
        raise StalePlanError(f"stale plan: the host changed since the plan was made: {'; '.join(differences)}")
    code = exit_code(plan)
    emit(
        plan.document,
        plan_text(plan.document),
        as_json=options.json,
        code=code,
        output=options.output,
        replace=options.force,
    )
    return code


def _refuse_user(options: argparse.Namespace) -> None:
    """Raise RefusedError for anybody but root on the real host."""
    if _is_real(options) and os.geteuid() != 0:
        raise RefusedError("an update needs root (CAP_SYS_RAWIO, and the P-SEAMLDR's version is readable by root only)")


def _is_real(options: argparse.Namespace) -> bool:
    return not options.simulate and os.path.realpath(options.sysroot) == "/"


def _refuse_signers(plan: Plan, options: argparse.Namespace) -> None:
    """Raise RefusedError unless whoever applies a saved plan names the signers it trusts besides Intel: the plan is
    only a file, and must not be able to bring its own."""
    unnamed = sorted(plan.signers - shared.signers(options))
    if unnamed:
        flags = " ".join(f"--signer {signer}" for signer in unnamed)
        raise RefusedError(f"the plan trusts signers besides Intel; to trust them too, give {flags}")


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

    from seamstep import resources
    from seamstep.documents import read_regular

    drifted = []
    references = [("mapping", plan.document["mapping"])]
    references += [("policy", layer) for layer in plan.document["policy"]["layers"]]
    for what, reference in references:
        path = reference.get("path")
        try:
            if path is None:
                content = resources.policies()[reference["name"]].read_bytes()
            else:
                content = read_regular(path, _REFERENCE_LIMIT, what)
        except (OSError, KeyError, InputError):
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
    return shared.sysfs_host(options)


def _confirm(options: argparse.Namespace, plan: Plan) -> None:
    if options.yes:
        return
    print(plan_text(plan.document), file=sys.stderr)
    if not sys.stdin or not sys.stdin.isatty():
        raise RefusedError("there is no terminal to ask on; give --yes to update without asking")
    print("\nUpdate this host now? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise RefusedError("nothing was changed")
