"""What the records say of earlier runs. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from seamstep.run.executor import State
from seamstep.run.journal import Record

NOT_STARTED = "not-started"
COMMITTING = "committing"
_HOP_EVENTS = {"preflight": "preflight", "staged": "staged", COMMITTING: COMMITTING}
#: Outcomes after which the same step is not tried again on the same boot by itself.
_NOT_AGAIN = frozenset({State.FAILED.value, State.LOST.value, State.UNKNOWN.value})


class PastHop(NamedTuple):
    """A hop of an earlier run: the step, how many updates remained before it, and its ``state``: how far it came
    (``preflight``, ``staged``, ``committing``), or what came of it (a final state, or ``not-started``), at
    ``monotonic``."""

    source: str
    target: str
    image: str
    remaining: int | None
    state: str
    message: str
    monotonic: float

    @property
    def step(self) -> tuple[str, str, str]:
        """What the hop was to do."""
        return self.source, self.target, self.image


class PastRun(NamedTuple):
    """An earlier run. ``ended`` is None while it has not ended, or was killed; ``recovered`` is whether a later run
    found out what came of it; ``quiesced`` whether its commands before were begun and those after not ended, and
    ``after_sha256`` which those are; ``pid`` its process."""

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
    """All runs, oldest first."""
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
    return list(found.values())


def _after(run: PastRun, record: Record) -> PastRun:
    event = record.event
    if event in _HOP_EVENTS:
        hops = run.hops[:-1] if run.hops and run.hops[-1].state in _HOP_EVENTS else run.hops
        return run._replace(hops=(*hops, _hop(record, _HOP_EVENTS[event])))
    if event == "outcome":
        hops = run.hops[:-1] if run.hops and run.hops[-1].state in _HOP_EVENTS else run.hops
        remaining = run.hops[-1].remaining if run.hops else None
        return run._replace(hops=(*hops, _hop(record, record.text("state"))._replace(remaining=remaining)))
    if event in {"before-hooks", "after-hooks"}:
        return run._replace(quiesced=event == "before-hooks", after_sha256=record.text("after_sha256"))
    if event in {"run-ended", "recovered"}:
        state, recovered = record.text("state"), event == "recovered"
        if recovered and run.hops and run.hops[-1].state in _HOP_EVENTS:
            last = run.hops[-1]._replace(state=state, message=record.text("message"), monotonic=record.monotonic)
            run = run._replace(hops=(*run.hops[:-1], last))
        return run._replace(ended=record.time, outcome=state, message=record.text("message"), recovered=recovered)
    return run


def _hop(record: Record, state: str) -> PastHop:
    return PastHop(
        record.text("source"),
        record.text("target"),
        record.text("image"),
        record.integer("remaining_before"),
        state,
        record.text("message"),
        record.monotonic,
    )


def failed_steps(past: Iterable[PastRun], boot_id: str) -> dict[tuple[str, str, str], str]:
    """The steps that went wrong in this boot and have not gone well since, each with what was said of it."""
    failed: dict[tuple[str, str, str], str] = {}
    for run in past:
        for hop in run.hops if run.boot_id == boot_id else ():
            if hop.state in _NOT_AGAIN:
                failed[hop.step] = hop.message
            elif hop.state == State.APPLIED:
                failed.pop(hop.step, None)
    return failed


def applied_steps(past: Iterable[PastRun], boot_id: str, plan_id: str) -> list[tuple[str, str, str]]:
    """The steps of one plan that were applied in this boot, in their order."""
    return [
        hop.step
        for run in past
        if run.boot_id == boot_id and run.plan == plan_id
        for hop in run.hops
        if hop.state == State.APPLIED
    ]


def last_applied(past: Iterable[PastRun], boot_id: str) -> float | None:
    """When the last hop of this boot was applied, on the monotonic clock."""
    times = [hop.monotonic for run in past if run.boot_id == boot_id for hop in run.hops if hop.state == State.APPLIED]
    return times[-1] if times else None


def left_quiesced(past: Iterable[PastRun], boot_id: str, after_sha256: str) -> list[PastRun]:
    """The runs of this boot that were killed between their commands before and the end of those after, which are those
    that ``after_sha256`` identifies."""
    return [
        run
        for run in past
        if run.boot_id == boot_id
        and run.quiesced
        and run.after_sha256 == after_sha256
        and (run.recovered or run.ended is None)
    ]


def unfinished(past: list[PastRun]) -> PastRun | None:
    """The last run, if nobody wrote down how it ended."""
    return past[-1] if past and past[-1].ended is None else None
