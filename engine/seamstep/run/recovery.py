"""The outcome of a run that was killed, or ended without knowing it. Pure: derived from the run's records and the
host's present state."""

from __future__ import annotations

from typing import NamedTuple

from seamstep.base.versions import ModuleVersion
from seamstep.plan.document import Hop
from seamstep.run.executor import LOST, ReadBack, State, classify
from seamstep.run.past_runs import COMMITTING, NOT_STARTED, PastHop, PastRun

_BEFORE_COMMIT = frozenset({"preflight", "staged"})


class Now(NamedTuple):
    """The state of the host after the run.

    Attributes:
        boot_id: the present boot.
        seen: version, remaining updates and upload status, as read now.
        loading: whether an upload is open (``loading`` reads 1); None if the attribute can't be read.
    """

    boot_id: str
    seen: ReadBack
    loading: bool | None


class Finding(NamedTuple):
    """The outcome of a run that was killed, or ended without knowing it.

    Attributes:
        run: the run.
        hop: its last hop; None if it recorded none.
        state: ``not-started``, or the final state of the last hop.
        version: the version that runs now; None if it can't be read or the run belongs to an earlier boot.
        message: the outcome as a clause for messages.
        here: whether the run belongs to the present boot.
        settled: whether the outcome is final; false while the kernel is still busy with the hop.
    """

    run: PastRun
    hop: PastHop | None
    state: str
    version: ModuleVersion | None
    message: str
    here: bool
    settled: bool

    @property
    def refuses(self) -> bool:
        """Whether a new run must stop until an operator has examined the host."""
        return self.here and self.state in {State.LOST, State.UNKNOWN}


def classify_interrupted(run: PastRun, now: Now) -> Finding:
    """The outcome of ``run``, whose records lack an end."""
    hop = run.hops[-1] if run.hops else None
    here = run.boot_id == now.boot_id
    state, message = _judge(run, hop, now) if here else _judge_history(hop)
    applied = [f"{one.source} → {one.target}" for one in run.hops if one.state == State.APPLIED]
    if applied and state == NOT_STARTED:
        message = f"{', '.join(applied)} applied; {message}"
    if run.quiesced:
        message += "; its commands 'before' were run, and those 'after' were not"
    under_way = here and hop is not None and hop.state == COMMITTING and not now.seen.idle
    return Finding(run, hop, state, now.seen.version if here else None, message, here, not under_way)


def classify_again(run: PastRun, now: Now) -> Finding | None:
    """The outcome of ``run``, of this boot, which ended with a hop whose outcome is unknown. None as long as the host's
    state does not tell it."""
    hop = run.hops[-1] if run.hops else None
    if hop is None or hop.state not in {State.UNKNOWN, COMMITTING} or not now.seen.idle or now.seen.version is None:
        return None
    before = hop._replace(state=COMMITTING if hop.committed else "staged")
    state, message = _judge(run, before, now._replace(loading=None))
    if state in {State.LOST, State.UNKNOWN}:
        return None
    return Finding(run, hop, state, now.seen.version, message, here=True, settled=True)


def _judge(run: PastRun, hop: PastHop | None, now: Now) -> tuple[str, str]:
    seen = now.seen
    if seen.lost:
        return State.LOST, LOST
    if hop is None or hop.state in _BEFORE_COMMIT:
        return _judge_uncommitted(run, hop, seen)
    step = f"{hop.source} → {hop.target}"
    if hop.state != COMMITTING:
        return hop.state, hop.message or f"{step}: {hop.state}"
    try:
        planned = Hop(ModuleVersion(hop.source), ModuleVersion(hop.target), None)
    except ValueError as error:
        return State.UNKNOWN, f"the journal does not say which step it was: {error}"
    unchanged = seen.version == planned.source and hop.remaining is not None and seen.remaining == hop.remaining
    if now.loading and seen.idle and unchanged:
        return NOT_STARTED, f"{step}: it was killed right before the commit; the kernel still waits for it"
    return classify(planned, hop.remaining, seen)


def _judge_uncommitted(run: PastRun, hop: PastHop | None, seen: ReadBack) -> tuple[str, str]:
    """The outcome of a run whose records end before the commit. A host that differs from them makes it unknown: records
    are missing, or another program updated the module."""
    source, remaining = (hop.source, hop.remaining) if hop else (run.source, None)
    if seen.version is not None and str(seen.version) != source:
        return State.UNKNOWN, f"the record ends before the commit, with {source} running, yet {seen.version} runs"
    if None not in {remaining, seen.remaining} and remaining != seen.remaining:
        counts = f"remaining updates went from {remaining} to {seen.remaining}"
        return State.UNKNOWN, f"the record ends before the commit, yet {counts}"
    if hop is None:
        return NOT_STARTED, "it was killed before its first hop; nothing was changed"
    step = f"{hop.source} → {hop.target}"
    return NOT_STARTED, f"{step}: it was killed before the commit; nothing was handed to the kernel"


def _judge_history(hop: PastHop | None) -> tuple[str, str]:
    """The outcome of a run of an earlier boot. It never refuses a new run: a module that was loaded at run time is gone
    after a reboot."""
    if hop is None or hop.state in _BEFORE_COMMIT:
        return NOT_STARTED, "it was killed before the commit, in an earlier boot"
    if hop.state != COMMITTING:
        return hop.state, f"{hop.source} → {hop.target}: {hop.state}, in an earlier boot"
    return State.UNKNOWN, f"{hop.source} → {hop.target}: the host was rebooted before its outcome was read back"
