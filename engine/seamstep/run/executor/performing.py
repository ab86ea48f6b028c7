"""The executor: a plan's hops in order, with windows, soak time, retries and the policy's commands."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime

from seamstep.base.documents import read_regular
from seamstep.base.errors import InputError, RefusedError
from seamstep.domain.facts import HostFacts
from seamstep.host.base import PROFILES, Host
from seamstep.host.read_facts import read_facts
from seamstep.host.upload import IDLE
from seamstep.image.files import TRUSTED
from seamstep.image.layout import SIZE_MAX
from seamstep.plan import windows
from seamstep.plan.document import Hop, Plan, PlannedImage, PlanOutcome, contradictions
from seamstep.run.executor import kernel
from seamstep.run.executor.attempt import Attempt, Record
from seamstep.run.executor.commands import Commands
from seamstep.run.executor.outcome import BUSY_CAUSE, LOST
from seamstep.run.executor.recheck import changes, td_hazard
from seamstep.run.executor.reporter import Quietly, Reporter
from seamstep.run.executor.signals import Interrupted, deferred_signals
from seamstep.run.executor.states import Machine, RunResult, State, Stop
from seamstep.run.executor.upload_image import read_for_upload
from seamstep.run.judging import Judge

_BUSY_WAIT_MAX = 600.0  # seconds; doubling does not lengthen a shorter wait beyond this


class Executor:
    """Performs one plan on one host.

    Args:
        host: the host.
        reporter: receives the progress; its errors are ignored.
        image_bytes: returns the verified bytes of an image, given the trusted signers; None to read its file.
        record: writes a record of the journal; None for no journal.
        committed: makes a context manager that is held from staging until the outcome was recorded, such as a lock
            against shutdown; its errors are ignored.
        judge: the rules and releases that every hop is judged by again; None where the caller made the plan itself,
            for the same host.
        rehearsal: whether nothing is changed on a host, so that maintenance windows need not be open.
        commands: the policy's commands; None leaves them out.
        last_applied: the time of the last applied hop of this boot, in seconds on the host's monotonic clock; None if
            there is none.
        jitter: returns a number from 0 to 1 that shortens the wait before a retry; None for a random one.
        held: returns the reason why no hop may begin, as a sentence; empty if one may. Asked before each attempt.
    """

    def __init__(
        self,
        host: Host,
        reporter: Reporter | None = None,
        image_bytes: Callable[[PlannedImage, frozenset[str]], bytes] | None = None,
        *,
        record: Record | None = None,
        judge: Judge | None = None,
        rehearsal: bool = False,
        committed: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
        commands: Commands | None = None,
        last_applied: float | None = None,
        jitter: Callable[[], float] | None = None,
        held: Callable[[], str] = str,
    ) -> None:
        self._host = host
        self._tell = Quietly(reporter or Reporter())
        self._image_bytes = image_bytes or functools.partial(read_for_upload, verified=set())
        self._record = record or _forget
        self._judge = judge
        self._rehearsal = rehearsal
        self._committed = committed
        self._commands = commands
        self._last_applied = last_applied
        self._jitter = jitter or _random
        self._held = held
        self._machine = Machine(self._tell.moved)
        self._trusted = TRUSTED
        self._warnings: list[str] = []
        self._facts = HostFacts()  # read by the last preflight

    # -- a whole plan

    def run(self, plan: Plan, *, start: int = 0, limit: int | None = None) -> RunResult:
        """Perform the hops of ``plan`` in order, until one is not applied.

        Args:
            plan: the plan.
            start: the index of the first hop to perform.
            limit: perform at most this many hops; None for all.

        Raises:
            RefusedError: the plan's outcome is no update, or the plan is provisional or hypothetical.
        """
        with self._prepared(plan) as interrupted:
            result = self._ready(plan, start, interrupted)
            if not result:
                result = self._run(plan, start, limit, interrupted)
        return result._replace(warnings=tuple(self._warnings))

    def check(self, plan: Plan, *, start: int = 0) -> RunResult | None:
        """Check images, maintenance windows and preflight of the hop at index ``start``, without waiting or writing.

        Returns None if the plan can be performed now, otherwise the result that :meth:`run` would stop with. Raises as
        :meth:`run` does.
        """
        with self._prepared(plan):
            return self._check_images(plan, start) or self._open(plan, plan.hops[start]) or self._preflight(plan, start)

    def _prepared(self, plan: Plan) -> AbstractContextManager[Interrupted]:
        refuse_unfit(plan)
        self._trusted = TRUSTED | plan.signers
        return deferred_signals()

    def _ready(self, plan: Plan, start: int, interrupted: Interrupted) -> RunResult | None:
        """The checks before the policy's commands, so that a run that can't begin does not disturb the host."""
        return (
            self._check_images(plan, start)
            or self._wait_to_begin(plan, plan.hops[start], interrupted)
            or self._preflight(plan, start)
        )

    def _run(self, plan: Plan, start: int, limit: int | None, interrupted: Interrupted) -> RunResult:
        """Run the commands 'before', the hops, and the commands 'after'; the last also if an error occurs."""
        try:
            problem = self._commands.before(lambda: bool(interrupted)) if self._commands else ""
            if problem:
                stop = Stop.INTERRUPTED if interrupted else Stop.REFUSED
                version = kernel.version_now(self._host)[0]
                result = RunResult(State.PREFLIGHT, version, (), f"{problem}; nothing was changed", stop)
            else:
                result = self._hops(plan, start, limit, interrupted)
        except BaseException:
            self._after(State.UNKNOWN.value)
            raise
        self._after(result.stopped.value if result.stopped else result.state.value)
        return result

    def _after(self, outcome: str) -> None:
        for problem in self._commands.after(outcome) if self._commands else ():
            self._warn(problem)

    def _hops(self, plan: Plan, start: int, limit: int | None, interrupted: Interrupted) -> RunResult:
        applied: tuple[Hop, ...] = ()
        chosen = plan.hops[start:] if limit is None else plan.hops[start : start + limit]
        for number, hop in enumerate(chosen, start):
            if interrupted:
                break
            self._tell.hop(hop, number + 1, len(plan.hops))
            if applied:
                self._machine.move(State.PREFLIGHT)
            result = self._hop(plan, number, interrupted)
            if result.state is not State.APPLIED or result.stopped:
                return result._replace(applied=applied)
            applied = (*applied, hop)
        version = applied[-1].target if applied else plan.hops[start].source
        if len(applied) < len(chosen):
            return RunResult(State.APPLIED, version, applied, f"interrupted; {version} runs", Stop.INTERRUPTED)
        left = len(plan.hops) - start - len(applied)
        more = f"; stopped here as asked, {left} more hop{'s' if left > 1 else ''} to {plan.hops[-1].target}"
        return RunResult(State.APPLIED, version, applied, f"{version} runs{more if left else ''}")

    def _warn(self, text: str) -> None:
        self._warnings.append(text)
        self._tell.note(text)

    # -- one hop

    def _hop(self, plan: Plan, number: int, interrupted: Interrupted) -> RunResult:
        """Perform one hop. While the host is busy it is retried, as often as the policy says."""
        hop, settings = plan.hops[number], plan.settings
        attempt = 0
        while True:
            attempt += 1
            result = (
                self._wait_to_begin(plan, hop, interrupted)
                or self._preflight(plan, number)
                or self._attempt(plan, number, attempt, interrupted)
            )
            if result.state is not State.BUSY or attempt > settings.busy_retries:
                return result
            seconds = min(settings.busy_wait * 2.0 ** (attempt - 1), max(_BUSY_WAIT_MAX, settings.busy_wait))
            seconds *= 0.5 + self._jitter() / 2
            self._tell.waiting(f"{BUSY_CAUSE}; retry {attempt} of {settings.busy_retries}", seconds)
            if not kernel.wait(self._host, seconds, lambda: bool(interrupted)):
                return result._replace(stopped=Stop.INTERRUPTED)
            self._machine.move(State.PREFLIGHT)

    def _check_images(self, plan: Plan, start: int) -> RunResult | None:
        """Verify all images before the first hop, so that a bad one can't strand the host half way. The image that
        identified the running module has to be unchanged too."""
        try:
            for hop in plan.hops[start:]:
                self._image(hop)
            if plan.running_image:
                _check_unchanged(*plan.running_image)
        except (InputError, ValueError) as error:
            return self._stopped(Stop.STALE, f"stale plan: {error}")
        return None

    def _stopped(self, stop: Stop, message: str) -> RunResult:
        return RunResult(State.PREFLIGHT, kernel.version_now(self._host)[0], (), message, stop)

    def _image(self, hop: Hop) -> bytes:
        if hop.image is None:
            raise ValueError(f"the plan has no image for {hop}")
        return self._image_bytes(hop.image, self._trusted)

    def _wait_to_begin(self, plan: Plan, hop: Hop, interrupted: Interrupted) -> RunResult | None:
        """Wait for the soak time, then check the windows and the hold. Returns None if the hop may begin."""
        left = self.soak_left(plan)
        if left > 0:
            self._tell.waiting(f"soaking {plan.settings.soak} s after the last hop", left)
            if not kernel.wait(self._host, left, lambda: bool(interrupted)):
                return self._stopped(Stop.INTERRUPTED, f"interrupted before {hop}; {hop.source} runs")
        return self._open(plan, hop)

    def soak_left(self, plan: Plan) -> float:
        """The seconds until the soak time after the last applied hop is over."""
        if self._last_applied is None or not plan.settings.soak:
            return 0.0
        passed = self._host.monotonic() - self._last_applied
        return max(plan.settings.soak - max(passed, 0.0), 0.0)

    def _open(self, plan: Plan, hop: Hop) -> RunResult | None:
        why = windows.closed(plan.settings.windows, self._host.wall())
        if why and self._rehearsal:
            self._tell.note(f"a real run would not begin {hop} now: {why}")
            return None
        why = why or self._held()
        return self._stopped(Stop.NOT_NOW, f"{hop} was not begun: {why}; {hop.source} runs") if why else None

    def _preflight(self, plan: Plan, number: int) -> RunResult | None:
        """Read all facts again, and check the rest of the plan against them. Returns None if the hop may begin."""
        self._facts = facts = read_facts(self._host)
        if facts.module_version is None and facts.why_unknown("module_version").startswith("ENXIO"):
            self._machine.move(State.LOST)
            return RunResult(State.LOST, None, (), LOST)
        hop = plan.hops[number]
        if facts.upload and facts.upload.status not in {None, IDLE}:
            message = f"{hop} was not begun: another program's update is under way ({facts.upload.status}); try later"
            return RunResult(State.PREFLIGHT, facts.module_version, (), message, Stop.NOT_NOW)
        differences = plan.host.after(hop.source, number).differences(facts)
        if differences:
            message = f"stale plan: the host changed since the plan was made: {'; '.join(differences)}"
            return RunResult(State.PREFLIGHT, facts.module_version, (), message, Stop.STALE)
        hazard = td_hazard(plan, hop, facts.running_tds, facts.running_tds)
        if hazard:
            return RunResult(State.PREFLIGHT, facts.module_version, (), f"stale plan: {hop}: {hazard}", Stop.STALE)
        problem = next(contradictions(plan, number, facts), None)
        refusals = [f"its hops {problem}"] if problem else list(self._refusals(plan, number, facts))
        if refusals:
            message = f"stale plan: {'; '.join(refusals)}"
            return RunResult(State.PREFLIGHT, facts.module_version, (), message, Stop.STALE)
        return None

    def _refusals(self, plan: Plan, number: int, facts: HostFacts) -> Iterator[str]:
        """The reasons why the hops from ``number`` on may not be performed on a host with ``facts`` any more: the day,
        and the rules. Later hops are judged by the facts predicted for them."""
        day = datetime.fromtimestamp(self._host.wall(), UTC).date()
        if not plan.decides(day):
            until = f" to {plan.valid_until}" if plan.valid_until else " on"
            yield f"its policy decides so from {plan.as_of}{until}, and today is {day}"
        for updates, hop in enumerate(plan.hops[number:] if self._judge else ()):
            yield from self._refused(hop, facts.after(hop.source, updates))

    def _refused(self, hop: Hop, facts: HostFacts) -> Iterator[str]:
        for reason in self._judge.refusals(hop, facts) if self._judge else ():
            yield f"{hop} is refused: {reason}"

    def _attempt(self, plan: Plan, number: int, attempt: int, interrupted: Interrupted) -> RunResult:
        hop, before = plan.hops[number], plan.host.after(plan.hops[number].source, number)
        result = Attempt(
            host=self._host,
            profile=PROFILES[before.profile or ""],
            hop=hop,
            number=attempt,
            remaining=before.remaining_updates,
            changes=functools.partial(changes, self._host, plan, hop, self._facts, self._refused),
            machine=self._machine,
            record=self._record,
            tell=self._tell,
            warn=self._warn,
            committed=self._committed,
            interrupted=interrupted,
        ).perform(lambda: self._image(hop))
        if result.state is State.APPLIED:
            self._last_applied = self._host.monotonic()
        return result


def refuse_unfit(plan: Plan) -> None:
    """Raise RefusedError for a plan that can't be performed on any host."""
    if plan.outcome is not PlanOutcome.UPDATE:
        raise RefusedError(f"the plan holds no update: its outcome is {plan.outcome.value}")
    if plan.provisional:
        raise RefusedError("the plan is provisional: rules that need an image were left open; plan with --images")
    refuse_hypothetical(plan)


def refuse_hypothetical(plan: Plan) -> None:
    """Raise RefusedError for a plan that was made as of another day: what it says is not so today."""
    if plan.hypothetical:
        raise RefusedError(f"the plan is hypothetical: it was made as of {plan.as_of}, another day; plan again")


def _random() -> float:
    return int.from_bytes(os.urandom(4)) / 0xFFFFFFFF


def _forget(_event: str, **_details: object) -> None:
    """The record function of an executor without a journal."""


def _check_unchanged(path: str, sha256: str) -> None:
    content = read_regular(path, SIZE_MAX, "TDX module image")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"the image {path} is not the one the plan was made with")
