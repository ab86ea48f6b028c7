"""A run as a transaction: under the lock, recorded in the journal, after recovery of an earlier run that was killed.

Order of a run:

1. Take the locks: one run at a time writes to the journal, and one at a time works on the host.
2. Read what the journal has about this host. If the last run was killed, or one of this boot ended without knowing its
   outcome, determine that outcome and record it; refuse if an operator has to act.
3. Run the commands 'after' that killed runs left undone.
4. Refuse steps that failed in this boot, and all steps if records of this boot are missing, unless ``retry_failed`` is
   set.
5. Record the start, perform the plan, record the end.

``seamstep apply`` adds the command line. Rules, policies and graphs are unknown here.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from seamstep.base.errors import ExitCode, NotUpdatableError, RefusedError, TdxLostError
from seamstep.host.base import Host
from seamstep.host.read_facts import read_facts
from seamstep.plan import windows
from seamstep.plan.document import Hop, Plan
from seamstep.run import past_runs
from seamstep.run.executor import LOST, Executor, Reporter, RunResult, State, Stop, kernel, refuse_unfit
from seamstep.run.executor.commands import Commands
from seamstep.run.executor.signals import deferred_signals
from seamstep.run.journal import Journal, open_folder, read, recorded_host
from seamstep.run.judging import Judge
from seamstep.run.lock import host_locked, locked
from seamstep.run.recovery import Finding
from seamstep.run.settling import settle


class Transaction(NamedTuple):
    """An open run, under the lock.

    Attributes:
        host: the host.
        boot_id: the present boot.
        journal: the journal to write to; None in a dry run.
        past: the runs on this host before this one, oldest first.
        finding: the outcome of one of them that this run determined: of the last if it was killed, or of one that ended
            without knowing it; None otherwise.
        doubt: the reason why the journal may lack records of this boot; empty if it can't.
    """

    host: Host
    boot_id: str
    journal: Journal | None
    past: list[past_runs.PastRun]
    finding: Finding | None
    doubt: str = ""

    def check(
        self,
        plan: Plan,
        judge: Judge,
        *,
        reporter: Reporter | None = None,
        limit: int | None = None,
        retry_failed: bool = False,
        rehearsal: bool = False,
    ) -> RunResult:
        """The result of performing ``plan`` that can be told without changing or waiting for anything: what it would
        stop with, or that it could be performed now. Arguments and errors are those of :meth:`perform`."""
        start = self._first(plan, limit, retry_failed=retry_failed)
        if start == len(plan.hops):
            return self._already_done(plan)
        last_applied = past_runs.last_applied(self.past, self.boot_id)
        executor = Executor(self.host, reporter, judge=judge, rehearsal=rehearsal, last_applied=last_applied)
        result = executor.check(plan, start=start)
        return result or _would_do(plan, start, limit, self.host.wall(), executor.soak_left(plan))

    def perform(
        self,
        plan: Plan,
        judge: Judge,
        *,
        reporter: Reporter | None = None,
        limit: int | None = None,
        retry_failed: bool = False,
        rehearsal: bool = False,
        committed: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
        commands: bool = True,
        held: Callable[[], str] = str,
    ) -> RunResult:
        """Perform ``plan``, starting after the hops that earlier runs of the same plan applied in this boot.

        Args:
            plan: a plan whose outcome is an update.
            judge: the rules and releases that every hop is judged by again.
            reporter: receives the progress.
            limit: perform at most this many hops; None for all.
            retry_failed: also perform steps that failed in this boot.
            rehearsal: see :class:`Executor`; without a journal every run is one.
            committed: see :class:`Executor`.
            commands: whether to run the policy's commands.
            held: see :class:`Executor`.

        Raises:
            TdxLostError: TDX is lost.
            RefusedError: the plan can't be performed on any host; a step failed in this boot, or may have because
                records of this boot are missing; or the journal can't be written. Nothing was changed.
            KeyboardInterrupt: interrupted while commands of an earlier run were made up for.
        """
        if commands:
            self.make_up(plan, reporter)
        journal = self.journal
        if journal is None:
            return self.check(plan, judge, reporter=reporter, limit=limit, retry_failed=retry_failed, rehearsal=True)
        start = self._first(plan, limit, retry_failed=retry_failed)
        if start == len(plan.hops):
            return self._already_done(plan)
        policy = str(plan.document["policy"]["name"])
        self._begin(journal, plan, start, policy)
        executor = Executor(
            self.host,
            reporter,
            record=_rotating(journal),
            judge=judge,
            rehearsal=rehearsal,
            committed=committed,
            commands=Commands(plan.settings, self._variables(plan, start), journal.append) if commands else None,
            last_applied=past_runs.last_applied(self.past, self.boot_id),
            held=held,
        )
        result = executor.run(plan, start=start, limit=limit)
        try:
            journal.append("run-ended", **_ended(result))
        except OSError as error:
            warning = f"the end of the run could not be written to the journal: {error.strerror or error}"
            result = result._replace(warnings=(*result.warnings, warning))
        return result

    def make_up(self, plan: Plan, reporter: Reporter | None = None) -> None:
        """Run the commands 'after' that killed runs of this boot left undone; does nothing in a dry run.

        Otherwise a host would stay quiesced if the run after a killed one has nothing to do. Only runs whose commands
        'after' equal those of ``plan`` count: commands that a policy no longer has must not run.

        Raises:
            KeyboardInterrupt: a signal arrived meanwhile; the commands were run.
        """
        owed = past_runs.left_quiesced(self.past, self.boot_id, plan.settings.after_sha256) if self.journal else []
        for run in owed:
            variables = {
                "SEAMSTEP_TRANSACTION": run.transaction,
                "SEAMSTEP_PLAN": run.plan,
                "SEAMSTEP_SOURCE": run.source,
                "SEAMSTEP_TARGET": run.target,
            }
            (reporter or Reporter()).note(
                f"running the commands 'after' of the run {run.transaction}, which was killed"
            )
            with deferred_signals() as interrupted:
                made_up = Commands(plan.settings, variables, self._about(run))
                for problem in made_up.after(run.outcome or State.UNKNOWN.value):
                    (reporter or Reporter()).note(problem)
            self.past[self.past.index(run)] = run._replace(quiesced=False)
            interrupted.check()

    def _about(self, run: past_runs.PastRun) -> Callable[..., None]:
        """A function that writes records about the earlier run ``run`` to the journal."""

        def record(event: str, **details: Any) -> None:
            if self.journal:
                self.journal.append(event, of=run.transaction, **details)

        return record

    def _begin(self, journal: Journal, plan: Plan, start: int, policy: str) -> None:
        try:
            journal.append(
                "run-started",
                plan=plan.id,
                policy=policy,
                source=str(plan.hops[start].source),
                target=str(plan.hops[-1].target),
                hops=len(plan.hops) - start,
                pid=os.getpid(),
            )
        except OSError as error:
            raise _unwritable(error) from None

    def _variables(self, plan: Plan, start: int) -> dict[str, str]:
        return {
            "SEAMSTEP_TRANSACTION": self.journal.transaction if self.journal else "",
            "SEAMSTEP_PLAN": plan.id,
            "SEAMSTEP_SOURCE": str(plan.hops[start].source),
            "SEAMSTEP_TARGET": str(plan.hops[-1].target),
        }

    def _first(self, plan: Plan, limit: int | None, *, retry_failed: bool) -> int:
        """The index of the first hop to perform. Raises TdxLostError and RefusedError as :meth:`perform`."""
        if kernel.version_now(self.host)[1]:
            raise TdxLostError(LOST)
        refuse_unfit(plan)
        start = self._start(plan)
        if not retry_failed:
            self._refuse_failed(plan.hops[start:] if limit is None else plan.hops[start : start + limit])
        return start

    def _start(self, plan: Plan) -> int:
        """The index of the first hop to perform.

        Hops that the journal records as applied by this plan in this boot are skipped if the host is in the state that
        they lead to. Otherwise the index is 0, and preflight reports a plan that does not fit as stale.
        """
        steps = [(str(hop.source), str(hop.target), _digest(hop)) for hop in plan.hops]
        applied = past_runs.applied_steps(self.past, self.boot_id, plan.id)
        count = len(applied)
        if not count or applied != steps[:count]:
            return 0
        expected = plan.host.after(plan.hops[count - 1].target, count)
        return 0 if expected.differences(read_facts(self.host)) else count

    def _already_done(self, plan: Plan) -> RunResult:
        version = plan.hops[-1].target
        return RunResult(State.APPLIED, version, (), f"nothing to do: this plan was performed already; {version} runs")

    def _refuse_failed(self, hops: tuple[Hop, ...]) -> None:
        failed = past_runs.failed_steps(self.past, self.boot_id)
        for hop in hops:
            why = failed.get((str(hop.source), str(hop.target), _digest(hop)))
            if why is not None:
                raise RefusedError(
                    f"{hop} was tried in this boot and did not succeed ({why}); it is not retried automatically: remove"
                    " the cause, then give --retry-failed; nothing was changed"
                )
            if self.doubt:
                raise RefusedError(
                    f"{hop} may have been tried in this boot and have failed: the record of this boot is incomplete"
                    f" ({self.doubt}); it is not tried automatically: look at seamstep history and at the host, then"
                    " give --retry-failed; nothing was changed"
                )


@contextlib.contextmanager
def begun(host: Host, folder: str, *, reporter: Reporter | None = None, dry_run: bool = False) -> Iterator[Transaction]:
    """Take the locks, open the journal, and determine the outcome of the last run if it was killed.

    Args:
        host: the host.
        folder: the path of the state folder; created if missing.
        reporter: receives problems of the journal and the outcome of a killed run.
        dry_run: read the journal without writing to it.

    Raises:
        BusyError: another run holds a lock, in this state folder or on this host.
        RefusedError: the state folder can't be used; nothing was changed.
        NotUpdatableError: the boot id can't be read, so records could not be assigned to a boot.
        TdxLostError: TDX was lost in the killed run.
        UnknownOutcomeError: the outcome of the killed run is unknown.
    """
    reporter = reporter or Reporter()
    facts = read_facts(host)
    if facts.boot_id is None:
        raise NotUpdatableError(
            f"this host can't be updated: its boot_id is not known ({facts.why_unknown('boot_id')}), so the"
            " outcome of a killed run could not be determined"
        )
    with contextlib.ExitStack() as stack:
        try:
            descriptor = open_folder(folder, create=True)
        except OSError as error:
            raise RefusedError(f"can't use the state folder {folder}: {error.strerror}; nothing was changed") from None
        stack.callback(os.close, descriptor)
        stack.enter_context(locked(descriptor, folder))
        stack.enter_context(host_locked(host, facts.profile))
        journal: Journal | None = None
        whose = recorded_host(host)
        try:
            if dry_run:
                history = read(descriptor)
            else:
                journal = Journal(descriptor, facts.boot_id, host.monotonic, host.wall, whose)
                stack.callback(journal.close)
                history = journal.history
            for note in (journal.notes if journal else ()) or history.problems:
                reporter.note(note)
            past = past_runs.runs(history.of(whose).records)
            finding = settle(host, past, facts.boot_id, journal, reporter)
        except OSError as error:
            raise _unwritable(error) from None
        yield Transaction(host, facts.boot_id, journal, past, finding, history.doubt(whose))


def _rotating(journal: Journal) -> Callable[..., None]:
    """A function that writes records to ``journal``. The journal is rotated only before a hop, so that no rotation can
    fail between a commit and its outcome."""

    def record(event: str, **details: Any) -> None:
        if event == "preflight":
            journal.put_away_if_large()
        journal.append(event, **details)

    return record


def _digest(hop: Hop) -> str:
    return hop.image.upload_sha256 if hop.image else ""


def _ended(result: RunResult) -> dict[str, object]:
    return {
        "state": result.stopped.value if _stopped_early(result) and result.stopped else result.state.value,
        "exit_code": int(result.exit_code),
        "version": str(result.version) if result.version else None,
        "applied": len(result.applied),
        "message": result.message,
        "warnings": len(result.warnings),
    }


def _stopped_early(result: RunResult) -> bool:
    return result.exit_code not in {ExitCode.LOST, ExitCode.UNKNOWN}


def _would_do(plan: Plan, start: int, limit: int | None, now: float, soak_left: float) -> RunResult:
    hops = plan.hops[start:] if limit is None else plan.hops[start : start + limit]
    steps = ", ".join(map(str, hops))
    source = hops[0].source
    why = windows.closed(plan.settings.windows, now)
    if soak_left:
        soaking = f"{math.ceil(soak_left)} s of the soak time after the last hop are left"
        why = f"{soaking}; {why}" if why else soaking
    could = f"could be performed, but not now, {why}" if why else "could be performed now"
    message = f"dry run: {steps} {could}; nothing was changed, {source} runs"
    return RunResult(State.PREFLIGHT, source, (), message, Stop.DRY_RUN)


def _unwritable(error: OSError) -> RefusedError:
    return RefusedError(f"the journal can't be written: {error.strerror or error}; nothing was changed")
