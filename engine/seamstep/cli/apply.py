"""``seamstep apply``."""

from __future__ import annotations

import argparse
import contextlib
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

from seamstep.base.errors import ExitCode, InputError, Problem, RefusedError, StalePlanError
from seamstep.cli import apply_holds, configuration
from seamstep.cli import options as shared
from seamstep.cli.apply_privileges import refuse_user
from seamstep.cli.output import emit, plan_for_people
from seamstep.show.text import printable

if TYPE_CHECKING:
    from seamstep.base.versions import ModuleVersion
    from seamstep.host.base import Host
    from seamstep.plan.approved import Approved
    from seamstep.plan.at_hand import AtHand
    from seamstep.plan.document import Plan
    from seamstep.run.executor import Reporter, RunResult
    from seamstep.run.journald import JournalReporter
    from seamstep.run.transaction import Transaction
    from seamstep.service.configuration import Configuration

_ANSWER_SECONDS = 600.0
#: A function that takes the end of a run: exit code, message, and the result if hops were to be performed.
Ended = Callable[[ExitCode, str, "RunResult | None", "Transaction"], None]


class Told(NamedTuple):
    """The receivers of the end of a run: the systemd journal, and the function ``ended``."""

    journal: JournalReporter
    ended: Ended


def _ignore(_code: ExitCode, _message: str, _result: RunResult | None, _begun: Transaction) -> None:
    pass


def add(commands: Any) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "apply",
        description="Perform a saved plan, or plan and perform in one go. Shows what it will do and asks first.",
    )
    parser.add_argument("plan", nargs="?", metavar="PLAN", help="a plan that seamstep plan -o wrote")
    shared.add_planning(parser)
    shared.add_config(parser)
    shared.add_sysroot(parser)
    parser.add_argument(
        "--simulate", action="store_true", help="rehearse a saved PLAN on a simulated host like its own"
    )
    parser.add_argument(
        "--approved",
        metavar="CLASS_ID|FILE",
        type=shared.given,
        help="plan on this host, and go on only if the plan's class_id is this one, or that of the plan in FILE",
    )
    parser.add_argument("--yes", action="store_true", help="don't ask")
    parser.add_argument(
        "--configured",
        action="store_true",
        help="as the service does: plan by the configuration alone, leave updates to a rollout if it says so, and send"
        " its notification",
    )
    parser.add_argument("--max-hops", metavar="N", type=shared.count, help="stop after N hops")
    parser.add_argument("--dry-run", action="store_true", help="do everything up to staging; nothing is changed")
    parser.add_argument(
        "--despite-hold", action="store_true", help="go on although the host is held (seamstep hold); it is recorded"
    )
    parser.add_argument("--retry-failed", action="store_true", help="try steps again that went wrong in this boot")
    shared.add_state_dir(parser)
    shared.add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> ExitCode:
    """Perform a plan on the host and report the result."""
    shared.check_output(options)
    refuse_user(options)
    config = _configuration(options)
    if config and options.configured:
        from seamstep.cli.apply_configured import as_service

        return as_service(options, config, _run)
    return _run(options, config)


def _configuration(options: argparse.Namespace) -> Configuration | None:
    """The configuration of the host; None if there is none. A saved plan and a rehearsal take nothing from it."""
    if options.configured:
        from seamstep.cli.apply_configured import require_configured_alone

        require_configured_alone(options)
    if options.simulate:
        return None
    if not options.plan:
        return configuration.configure(options, trusted=True, needed=options.configured)
    return configuration.configuration_of(options, trusted=True)


def _run(options: argparse.Namespace, config: Configuration | None, ended: Ended = _ignore) -> ExitCode:
    """Perform a plan; ``ended`` takes its end."""
    from seamstep.run.journald import SOCKET, JournalReporter
    from seamstep.show.progress import LineReporter

    approved = _approved(options)
    saved = _saved_plan(options)
    host = _host(options, saved and saved.plan)
    with _state_folder(options) as folder:
        from seamstep.run import transaction

        journal = JournalReporter(path=SOCKET if _is_real(options) else "")
        heard = _beside(LineReporter(sys.stderr), journal)
        with transaction.begun(host, folder, reporter=heard, dry_run=options.dry_run) as begun:
            if begun.journal:
                journal.transaction = begun.journal.transaction
            if begun.finding:
                journal.recovered(begun.finding.state, begun.finding.run.transaction, begun.finding.message)
            at_hand = saved or shared.plan_from(options)
            if not options.simulate:  # whatever stops this run, the host does not stay quiesced
                begun.make_up(at_hand.plan, heard)
            if approved:
                approved.require(at_hand.plan)
            apply_holds.respect_hold(options, folder, begun, at_hand)
            if config and options.configured:
                apply_holds.respect_rollout(config, at_hand)
            return _perform(options, begun, at_hand, Told(journal, ended), apply_holds.reasons(options, folder))


def _is_real(options: argparse.Namespace) -> bool:
    return not options.simulate and not options.dry_run and shared.is_real(options)


def _beside(reporter: Reporter, journal: JournalReporter) -> Reporter:
    """Both reporters, but ``journal`` alone if standard error is the journal, as in a service: it would get each event
    twice."""
    from seamstep.run.journald import stderr_is_journal
    from seamstep.show.progress import Reporters

    return journal if stderr_is_journal() else Reporters(reporter, journal)


def _perform(
    options: argparse.Namespace, begun: Transaction, at_hand: AtHand, told: Told, held: Callable[[], str]
) -> ExitCode:
    from seamstep.plan.document import PlanOutcome
    from seamstep.run.executor import Stop
    from seamstep.run.judging import Judge
    from seamstep.show.progress import reporter

    plan = at_hand.plan
    if plan.outcome is not PlanOutcome.UPDATE:
        return _nothing_to_do(options, plan, begun, told)
    judge = Judge(at_hand.policy.applied_rules(), {release.version: release for release in at_hand.releases})
    if not options.yes and not options.dry_run:
        result = begun.check(
            plan, judge, limit=options.max_hops, retry_failed=options.retry_failed, rehearsal=options.simulate
        )
        if result.stopped is not Stop.DRY_RUN:
            return _tell(options, begun, plan, result, told)
        _confirm(at_hand, begun, rehearsal=options.simulate)
    with reporter() as progress:
        result = begun.perform(
            plan,
            judge,
            reporter=_beside(progress, told.journal),
            limit=options.max_hops,
            retry_failed=options.retry_failed,
            rehearsal=options.simulate,
            committed=_committed(options),
            commands=not options.simulate,
            held=held,
        )
    return _tell(options, begun, plan, result, told)


def _tell(options: argparse.Namespace, begun: Transaction, plan: Plan, result: RunResult, told: Told) -> ExitCode:
    """Report the result of a run."""
    told.journal.ended(result)
    told.ended(result.exit_code, result.message, result, begun)
    document = {
        "schema": "seamstep/run/v1",
        "transaction": begun.journal.transaction if begun.journal else None,
        "plan": plan.id,
        "boot_id": begun.boot_id,
        "state": result.state.value,
        "stopped": result.stopped.value if result.stopped else None,
        "exit_code": int(result.exit_code),
        "module_version": str(result.version) if result.version else None,
        "applied": [{"from": str(hop.source), "to": str(hop.target)} for hop in result.applied],
        "message": result.message,
        "warnings": list(result.warnings),
        "recovered": _recovered(begun),
    }
    lines = [*(f"{hop} applied" for hop in result.applied), *result.warnings, result.message]
    _report(document, "\n".join(map(printable, lines)), options, result.exit_code)
    return result.exit_code


def _committed(options: argparse.Namespace) -> Callable[[], AbstractContextManager[object]]:
    """The context manager that delays shutdown during a commit; it does nothing unless a real host is updated."""
    if not _is_real(options):
        return contextlib.nullcontext
    from seamstep.host.inhibit import inhibited

    return inhibited


def _recovered(begun: Transaction) -> dict[str, str] | None:
    found = begun.finding
    if found is None:
        return None
    return {"transaction": found.run.transaction, "state": str(found.state), "message": found.message}


@contextlib.contextmanager
def _state_folder(options: argparse.Namespace) -> Iterator[str]:
    """The folder of the journal; a rehearsal without ``--state-dir`` has a temporary one."""
    if not options.simulate or options.state_dir:
        yield shared.state_folder(options)
        return
    import tempfile

    try:
        folder = tempfile.TemporaryDirectory(prefix="seamstep-rehearsal-", ignore_cleanup_errors=True)
    except OSError as error:
        raise InputError(Problem("--simulate", f"can't make a folder for the rehearsal: {error}")) from None
    with folder as path:
        yield path


def _report(document: object, text: str, options: argparse.Namespace, code: ExitCode) -> None:
    """Print the result of a run. A failure to write it, or its copy to a file, does not change the exit code."""
    try:
        emit(
            document,
            text,
            as_json=options.json,
            code=code,
            output=options.output,
            replace=options.force,
            private=True,
            stands=True,
        )
    except (RefusedError, InputError) as error:
        with contextlib.suppress(OSError):
            print(f"seamstep: {printable(error)}", file=sys.stderr)


def _nothing_to_do(options: argparse.Namespace, plan: Plan, begun: Transaction, told: Told) -> ExitCode:
    """Show a plan without an update. Raises StalePlanError if the host's facts differ from those in the plan, and
    RefusedError if the plan was made as of another day: it then says nothing about the host."""
    from seamstep.host.read_facts import read_facts
    from seamstep.run.executor import refuse_hypothetical

    refuse_hypothetical(plan)
    differences = plan.host.differences(read_facts(begun.host))
    if differences:
        raise StalePlanError(f"stale plan: the host changed since the plan was made: {'; '.join(differences)}")
    code = plan.exit_code
    told.ended(code, plan.document["reason"], None, begun)
    emit(
        plan.document,
        plan_for_people(plan.document, sys.stdout),
        as_json=options.json,
        code=code,
        output=options.output,
        replace=options.force,
        private=True,
        stands=True,
    )
    return code


def _refuse_signers(plan: Plan, options: argparse.Namespace) -> None:
    """Raise RefusedError unless ``--signer`` names every signer that a saved plan trusts besides Intel: a file must not
    be able to add signers by itself."""
    unnamed = sorted(plan.signers - shared.signers(options))
    if unnamed:
        flags = " ".join(f"--signer {signer}" for signer in unnamed)
        raise RefusedError(f"the plan trusts signers besides Intel; to trust them too, give {flags}")


def _saved_plan(options: argparse.Namespace) -> AtHand | None:
    """The saved plan with what it was made from; None without one."""
    from seamstep.plan import document
    from seamstep.plan.at_hand import Named, at_hand

    if not options.plan:
        if options.simulate:
            raise InputError(Problem("--simulate", "needs a saved PLAN; make one with seamstep plan -o"))
        return None
    if options.as_of:
        raise InputError(Problem("--as-of", "is for planning; a saved plan already says what to do"))
    mapping, images = shared.named_sources(options)
    plan = document.load(options.plan)
    _refuse_signers(plan, options)
    target = shared.target(options)
    named = Named(mapping, bool(options.catalog), images, options.policy or (), target, options.tcb_info)
    return at_hand(plan, named, shared.today(), strict=not options.simulate)


def _approved(options: argparse.Namespace) -> Approved | None:
    """The plan that was approved; None without ``--approved``."""
    if not options.approved:
        return None
    from seamstep.plan.approved import Approved

    if options.plan:
        raise InputError(Problem("--approved", "is for a plan that is made on this host; a saved PLAN is another way"))
    return Approved.of(options.approved)


def _host(options: argparse.Namespace, plan: Plan | None) -> Host:
    if plan and options.simulate:
        from seamstep.host.simulated import SimulatedHost

        return SimulatedHost(plan.host, {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image})
    return shared.sysfs_host(options)


def _standing(at_hand: AtHand, first: ModuleVersion, last: ModuleVersion) -> dict[str, Any] | None:
    """The TCB status before and after the update by the documents at hand; what a saved plan says of it is not
    shown."""
    if at_hand.tcb is None:
        return None
    from seamstep.planning.advisories import tcb_document

    return tcb_document(at_hand.releases, first, last, at_hand.tcb)


def _confirm(at_hand: AtHand, begun: Transaction, *, rehearsal: bool) -> None:
    """Show what is going to be done on this host, and ask. A saved plan is a proposal, so nothing that it says of its
    hops is shown: the rules are asked about them, on this host."""
    from seamstep.host.read_facts import read_facts
    from seamstep.planning.planner import hops_again

    plan, host = at_hand.plan, read_facts(begun.host)
    hops = hops_again(plan, at_hand.releases, host, at_hand.policy)
    versions = [hops[0]["from"], *(hop["to"] for hop in hops)]
    shown = {
        "host": host.to_document(),
        "source": versions[0],
        "hops": hops,
        "reason": f"{' → '.join(versions)}, {len(hops)} hop{'' if len(hops) == 1 else 's'}",
        "policy": {**plan.document["policy"], "name": at_hand.policy.name},
        "tcb": _standing(at_hand, plan.source, plan.hops[-1].target),
    }
    print(plan_for_people({**plan.document, **shown}, sys.stderr), file=sys.stderr)
    if not sys.stdin or not sys.stdin.isatty():
        raise RefusedError("there is no terminal to ask on; give --yes to update without asking")
    question = "Rehearse this now, without the commands?" if rehearsal else "Update this host now?"
    print(f"\n{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if not select.select([sys.stdin], [], [], _ANSWER_SECONDS)[0]:  # other runs find the host busy meanwhile
        raise RefusedError(f"no answer within {_ANSWER_SECONDS:g} s; nothing was changed")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise RefusedError("nothing was changed")
