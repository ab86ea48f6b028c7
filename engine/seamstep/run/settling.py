"""Determines outcomes that the journal lacks, from what is read back from the host; ``recovery`` classifies them."""

from __future__ import annotations

from datetime import UTC, datetime

from seamstep.base.errors import TdxLostError, UnknownOutcomeError
from seamstep.host.base import PROFILES, Host, Profile
from seamstep.host.read_facts import read_facts
from seamstep.host.upload import UploadPort
from seamstep.run import past_runs
from seamstep.run.executor import Reporter, State, kernel
from seamstep.run.journal import Journal
from seamstep.run.recovery import Finding, Now, classify_again, classify_interrupted


def settle(
    host: Host, past: list[past_runs.PastRun], boot_id: str, journal: Journal | None, reporter: Reporter
) -> Finding | None:
    """Determine and record the outcome of the last run if it was killed, else of a run of this boot that ended without
    knowing it.

    Args:
        host: the host.
        past: the runs on it, oldest first; the one that is settled is replaced.
        boot_id: the present boot.
        journal: the journal to write to; None in a dry run.
        reporter: receives the outcome.

    Returns:
        The outcome; None if there was none to determine.

    Raises:
        TdxLostError: TDX was lost in the killed run.
        UnknownOutcomeError: the outcome of the killed run is unknown, so an operator has to act first.
        OSError: the journal can't be written.
    """
    interrupted = past_runs.unfinished(past)
    if interrupted is None:
        return _look_again(host, past, boot_id, journal, reporter)
    finding = _find_out(host, interrupted, boot_id, reporter)
    past[-1] = _settled(finding, host)
    if journal and finding.settled:
        _write_finding(journal, finding)
    told = f"the run {interrupted.transaction} was killed before its end: {finding.state}: {finding.message}"
    reporter.note(told)
    if finding.refuses:
        raise TdxLostError(told) if finding.state == State.LOST else UnknownOutcomeError(told)
    return finding


def _look_again(
    host: Host, past: list[past_runs.PastRun], boot_id: str, journal: Journal | None, reporter: Reporter
) -> Finding | None:
    """Determine and record the outcome of a run of this boot that ended without knowing it, if it can be read now."""
    run = past_runs.unsettled(past, boot_id)
    if run is None:
        return None
    profile = _profile(host)
    port = UploadPort(host, profile.upload_path)
    done = kernel.is_idle(port) and not kernel.is_open(port)
    seen = kernel.read_back(host, port, profile, idle=done)
    finding = classify_again(run, Now(boot_id, seen, None))
    if finding is None:
        reporter.note(
            f"the outcome of the run {run.transaction} is still {run.outcome or State.UNKNOWN}: {run.message}"
        )
        return None
    past[past.index(run)] = _settled(finding, host)
    if journal:
        _write_finding(journal, finding)
    reporter.note(f"the outcome of the run {run.transaction}, which was unknown: {finding.state}: {finding.message}")
    return finding


def _find_out(host: Host, run: past_runs.PastRun, boot_id: str, reporter: Reporter) -> Finding:
    """Read the host back once the kernel has finished the upload that the killed run committed."""
    profile = _profile(host)
    port = UploadPort(host, profile.upload_path)
    idle = True
    if run.boot_id == boot_id and run.hops and run.hops[-1].state == past_runs.COMMITTING:
        idle = kernel.wait_until_idle(host, port, reporter.phase)
    try:
        loading = port.loading()
    except OSError:
        loading = None
    return classify_interrupted(run, Now(boot_id, kernel.read_back(host, port, profile, idle=idle), loading))


def _profile(host: Host) -> Profile:
    return PROFILES[read_facts(host).profile or "mainline"]


def _settled(finding: Finding, host: Host) -> past_runs.PastRun:
    time = datetime.fromtimestamp(host.wall(), UTC).isoformat(timespec="milliseconds")
    return past_runs.recovered(finding.run, finding.state, finding.message, time, host.monotonic())


def _write_finding(journal: Journal, finding: Finding) -> None:
    hop = finding.hop
    about = {"source": hop.source, "target": hop.target, "image": hop.image} if hop else {}
    version = str(finding.version) if finding.version else None
    journal.append(
        "recovered", of=finding.run.transaction, **about, state=finding.state, version=version, message=finding.message
    )
