"""Earlier runs, rebuilt from the records of the journal. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from seamstep.run.executor import State, Stop
from seamstep.run.journal import Record

NOT_STARTED = "not-started"
COMMITTING = "committing"
_HOP_EVENTS = {"preflight": "preflight", "staged": "staged", COMMITTING: COMMITTING}
#: States of a hop after which the same step is refused in the same boot, unless ``--retry-failed`` is given.
_NOT_AGAIN = frozenset({State.FAILED.value, State.LOST.value, State.UNKNOWN.value, COMMITTING})
_UNSETTLED = frozenset({State.LOST.value, State.UNKNOWN.value, COMMITTING})
_SETTLED = frozenset({State.APPLIED.value, State.BUSY.value, State.FAILED.value})


class PastHop(NamedTuple):
    """A hop of an earlier run.

    Attributes:
        source: the version before the hop.
        target: the version that the hop leads to.
        image: the SHA-256 of the uploaded bytes in hex; empty if not recorded.
        remaining: the remaining updates before the hop; None if not recorded.
        state: the last recorded stage (``preflight``, ``staged``, ``committing``) while no outcome is recorded, then
            the final state or ``not-started``.
        message: the outcome as a sentence; empty while there is none.
        monotonic: the time of the last record of the hop, in seconds on the host's monotonic clock.
        committed: whether the hop was committed, or may have been.
    """

    source: str
    target: str
    image: str
    remaining: int | None
    state: str
    message: str
    monotonic: float
    committed: bool = False

    @property
    def step(self) -> tuple[str, str, str]:
        """Source, target and image: two hops with the same step are the same update."""
        return self.source, self.target, self.image


class PastRun(NamedTuple):
    """An earlier run.

    Attributes:
        transaction: the id of the run.
        boot_id: the boot it ran in.
        started: when it began, UTC in ISO 8601.
        plan: the id of its plan.
        policy: the name of the plan's policy.
        source: the version before its first hop.
        target: the version that its plan leads to.
        hops: the hops that it began, in order.
        ended: when it ended or was recovered, UTC in ISO 8601; None if it is under way, or was killed and not yet
            recovered.
        outcome: the state it ended in, or a reason to stop early; ``interrupted`` if it was killed between two hops;
            empty while it has not ended.
        message: the outcome as a sentence.
        recovered: whether a later run determined the outcome.
        quiesced: whether its commands 'before' were begun and its commands 'after' have not ended.
        after_sha256: the digest of those commands 'after'; empty if the run has no commands.
        pid: the process of the run; None if not recorded.
    """

    transaction: str
    boot_id: str
    started: str
    plan: str
    policy: str
    source: str
    target: str
    hops: tuple[PastHop, ...] = ()
    ended: str | None = None
    outcome: str = ""
    message: str = ""
    recovered: bool = False
    quiesced: bool = False
    after_sha256: str = ""
    pid: int | None = None


def runs(records: Iterable[Record]) -> list[PastRun]:
    """All runs in ``records``, oldest first. Of a run whose beginning is missing, those that began a hop are known."""
    found: dict[str, PastRun] = {}
    for record in records:
        key = record.text("of") or record.transaction
        if record.event == "run-started":
            found[key] = PastRun(
                record.transaction,
                record.boot_id,
                record.time,
                plan=record.text("plan"),
                policy=record.text("policy"),
                source=record.text("source"),
                target=record.text("target"),
                pid=record.integer("pid"),
            )
        elif key in found:
            found[key] = _after(found[key], record)
        elif record.event in _HOP_EVENTS:
            step = record.text("source"), record.text("target")
            found[key] = _after(PastRun(key, record.boot_id, record.time, "", "", *step), record)
    return list(found.values())


def _after(run: PastRun, record: Record) -> PastRun:
    event = record.event
    if event in _HOP_EVENTS:
        hop, hops = _hop(record, _HOP_EVENTS[event]), run.hops
        if hops and hops[-1].state == COMMITTING and hops[-1].step != hop.step:
            # the executor goes on to another hop only from one that was applied; the record of that is missing
            hops = (*hops[:-1], hops[-1]._replace(state=State.APPLIED.value))
        elif hops and hops[-1].state in _HOP_EVENTS:
            hops = hops[:-1]
        return run._replace(hops=(*hops, hop))
    if event == "outcome":
        hops = run.hops[:-1] if run.hops and run.hops[-1].state in _HOP_EVENTS else run.hops
        remaining = run.hops[-1].remaining if run.hops else None
        # only the outcome of a committed hop has what the kernel reported
        hop = _hop(record, record.text("state"))._replace(remaining=remaining, committed="reported" in record.data)
        return run._replace(hops=(*hops, hop))
    if event in {"before-hooks", "after-hooks"}:
        return run._replace(quiesced=event == "before-hooks", after_sha256=record.text("after_sha256"))
    if event in {"run-ended", "recovered"}:
        state, message = record.text("state"), record.text("message")
        if event == "recovered":
            return recovered(run, state, message, record.time, record.monotonic)
        return _with_outcome(run, state, message)._replace(ended=record.time, outcome=state, message=message)
    return run


def _with_outcome(run: PastRun, state: str, message: str) -> PastRun:
    """``run``, which has ended in ``state``, with that as the outcome of a committed hop that lacks the record of its
    own; unknown if the run ended for another reason."""
    if not run.hops or run.hops[-1].state != COMMITTING:
        return run
    known = state if state in {*_SETTLED, *_UNSETTLED} else State.UNKNOWN.value
    return run._replace(hops=(*run.hops[:-1], run.hops[-1]._replace(state=known, message=message)))


def recovered(run: PastRun, state: str, message: str, time: str, monotonic: float) -> PastRun:
    """``run`` with the outcome that a later run determined.

    Args:
        run: a run that was killed, or ended without knowing its outcome.
        state: the state of its last hop, or ``not-started``.
        message: the outcome as a sentence.
        time: the time of the finding, UTC in ISO 8601.
        monotonic: the same in seconds on the host's monotonic clock.
    """
    hops = run.hops
    if hops and hops[-1].state in {*_HOP_EVENTS, State.UNKNOWN}:  # others were recorded by the run itself
        hops = (*hops[:-1], hops[-1]._replace(state=state, message=message, monotonic=monotonic))
    applied = any(hop.state == State.APPLIED for hop in hops)
    outcome = Stop.INTERRUPTED.value if state == NOT_STARTED and applied else state
    return run._replace(hops=hops, ended=run.ended or time, outcome=outcome, message=message, recovered=True)


def _hop(record: Record, state: str) -> PastHop:
    return PastHop(
        record.text("source"),
        record.text("target"),
        record.text("image"),
        record.integer("remaining_before"),
        state,
        record.text("message"),
        record.monotonic,
        committed=state == COMMITTING,
    )


def failed_steps(past: Iterable[PastRun], boot_id: str) -> dict[tuple[str, str, str], str]:
    """The steps that failed in the boot ``boot_id`` and were not applied later, each with the message of its last
    failure. Lost and unknown outcomes count as failures."""
    failed: dict[tuple[str, str, str], str] = {}
    for run in past:
        for hop in run.hops if run.boot_id == boot_id else ():
            if hop.state in _NOT_AGAIN:
                failed[hop.step] = hop.message or "its outcome is not recorded"
            elif hop.state == State.APPLIED:
                failed.pop(hop.step, None)
    return failed


def applied_steps(past: Iterable[PastRun], boot_id: str, plan_id: str) -> list[tuple[str, str, str]]:
    """The steps of the plan ``plan_id`` that were applied in the boot ``boot_id``, in order."""
    return [
        hop.step
        for run in past
        if run.boot_id == boot_id and run.plan == plan_id
        for hop in run.hops
        if hop.state == State.APPLIED
    ]


def last_applied(past: Iterable[PastRun], boot_id: str) -> float | None:
    """The time of the last applied hop of the boot ``boot_id``, in seconds on the host's monotonic clock; None if there
    is none."""
    times = [hop.monotonic for run in past if run.boot_id == boot_id for hop in run.hops if hop.state == State.APPLIED]
    return times[-1] if times else None


def left_quiesced(past: Iterable[PastRun], boot_id: str, after_sha256: str) -> list[PastRun]:
    """The runs of the boot ``boot_id`` that were killed after their commands 'before' began and until their commands
    'after' ended, if ``after_sha256`` is the digest of the latter."""
    return [
        run
        for run in past
        if run.boot_id == boot_id
        and run.quiesced
        and run.after_sha256 == after_sha256
        and (run.recovered or run.ended is None)
    ]


def unsettled(past: Iterable[PastRun], boot_id: str) -> PastRun | None:
    """The last run of the boot ``boot_id`` whose outcome is unknown or lost, unless a later hop of that boot was
    committed and its outcome read back: the state of the host is known since. None if there is no such run."""
    found = None
    for run in past:
        if run.boot_id != boot_id:
            continue
        for hop in run.hops:
            if hop.state in _SETTLED:
                found = None
            elif hop.state in _UNSETTLED:
                found = run
        if run.outcome in _UNSETTLED:
            found = run
    return found


def unfinished(past: list[PastRun]) -> PastRun | None:
    """The last run, if no record of its end exists; None otherwise."""
    return past[-1] if past and past[-1].ended is None else None
