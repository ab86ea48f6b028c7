"""One attempt at one hop: stage, commit, read back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from seamstep.base.errors import InputError, StalePlanError
from seamstep.base.versions import ModuleVersion
from seamstep.host.base import Host, Profile
from seamstep.host.upload import UploadPort
from seamstep.plan.document import Hop
from seamstep.run.executor import kernel
from seamstep.run.executor.outcome import IDLE_TIMEOUT, LOST, classify
from seamstep.run.executor.reporter import Quietly
from seamstep.run.executor.signals import Interrupted
from seamstep.run.executor.states import Machine, RunResult, State, Stop

_TOLD = 50  # the largest number of progress reports while an image is staged

#: A function that writes a record of the journal: it takes the event and its details by name, returns once the record
#: is on disk, and raises OSError if that fails.
Record = Callable[..., None]


class RecordLostError(Exception):
    """The record of an intended action can't be written, so the action is not taken."""


class Attempt(NamedTuple):
    """One attempt at one hop.

    Attributes:
        host: the host.
        profile: the host's sysfs layout.
        hop: the hop.
        number: the number of the attempt at this hop, from 1.
        remaining: the remaining updates before the hop; None if not known.
        changes: reads the facts that the hop depends on again; gives those that changed since preflight, as clauses.
        machine: the state of the hop.
        record: writes a record of the journal.
        tell: the reporter.
        warn: takes a warning that does not change the outcome.
        committed: makes a context manager that is held from staging until the outcome was recorded.
        interrupted: whether a signal arrived.
    """

    host: Host
    profile: Profile
    hop: Hop
    number: int
    remaining: int | None
    changes: Callable[[], Iterable[str]]
    machine: Machine
    record: Record
    tell: Quietly
    warn: Callable[[str], None]
    committed: Callable[[], AbstractContextManager[object]]
    interrupted: Interrupted

    def perform(self, image: Callable[[], bytes]) -> RunResult:
        """Upload the bytes that ``image`` returns, and return the outcome. ``image`` may raise InputError, OSError or
        ValueError."""
        port = UploadPort(self.host, self.profile.upload_path)
        with _held(self.committed):
            problem = self._stage_and_commit(port, image)
            if problem:
                return problem
            self.machine.move(State.COMMITTED)
            idle = kernel.wait_until_idle(self.host, port, self.tell.phase)
            seen = kernel.read_back(self.host, port, self.profile, idle=idle)
            state, message = classify(self.hop, self.remaining, seen)
            if state is State.FAILED and kernel.is_open(port):
                state, message = (
                    State.UNKNOWN,
                    f"{self.hop}: {seen.version} runs; the kernel has not taken the commit yet",
                )
            self._write_down_outcome(
                state.value, message, version=_text(seen.version), reported=seen.reported, remaining=seen.remaining
            )
            return self._end(state, seen.version, message)

    def _stage_and_commit(self, port: UploadPort, image: Callable[[], bytes]) -> RunResult | None:
        """Stage the image and commit it. Returns None once committed, otherwise the result of the abandoned attempt."""
        try:
            self._write_down("preflight")
            self._stage(port, image())
            self.machine.move(State.STAGED)
            try:
                self._write_down("staged")
                self.interrupted.check()
                self._write_down("committing")
                self._refuse_changes()
                kernel.commit(port)
            except BaseException:
                kernel.abandon(port)
                raise
        except KeyboardInterrupt:
            return self._not_committed(port, "interrupted", Stop.INTERRUPTED)
        except RecordLostError as error:
            return self._not_committed(port, str(error), Stop.REFUSED)
        except StalePlanError as error:
            return self._not_committed(port, str(error), Stop.STALE)
        except (OSError, ValueError, InputError) as error:
            return self._not_committed(port, f"the image could not be staged: {kernel.reason(error)}")
        return None

    def _refuse_changes(self) -> None:
        """Raise StalePlanError if a fact that the hop depends on changed while the image was verified and staged."""
        found = list(self.changes())
        if found:
            raise StalePlanError(f"the host changed before the commit: {'; '.join(found)}")

    def _stage(self, port: UploadPort, image: bytes) -> None:
        told = 0

        def progress(done: int) -> None:
            nonlocal told
            self.interrupted.check()
            if done == len(image) or (done - told) * _TOLD >= len(image):
                told = done
                self.tell.staged(done, len(image))

        kernel.stage(port, image, progress)

    def _not_committed(self, port: UploadPort, why: str, stop: Stop | None = None) -> RunResult:
        """The result of an attempt that was abandoned before the commit; ``why`` is the cause.

        The version is read back even so: another program may have updated the module. Its update may still be under
        way; then the version is that after its end.
        """
        hop = self.hop
        others = kernel.under_way(port)
        if others:
            self.tell.note(f"{hop}: {why}; another program's update is under way ({others}); waiting for its end")
        idle = not others or kernel.wait_until_idle(self.host, port, self.tell.phase)
        version, lost, unreadable = kernel.version_now(self.host)
        running = f"{version} runs" if version else f"the running version can't be read: {unreadable}"
        if lost:
            state, message = State.LOST, LOST
        elif others and idle and version:
            message = f"{hop} was not begun: another program's update was under way ({others}); {running}; try again"
            self._write_down_outcome("not-started", message, version=_text(version))
            return RunResult(State.PREFLIGHT, version, (), message, Stop.NOT_NOW)
        elif others:
            late = "" if idle else f", and the kernel is not done after {IDLE_TIMEOUT:.0f} s"
            state, message = State.UNKNOWN, f"{hop}: another program's update is under way{late}; {running}"
        elif version != hop.source:
            state, message = State.UNKNOWN, f"{hop}: {why}; {running}"
        else:
            state, message = State.FAILED, f"{hop}: {why}; nothing was changed, {version} and its TDs run on"
        known = "not-started" if state is State.FAILED else state.value
        self._write_down_outcome(known, message, version=_text(version))
        return self._end(state, version, message, stop)

    def _end(self, state: State, version: ModuleVersion | None, message: str, stop: Stop | None = None) -> RunResult:
        self.machine.move(state)
        return RunResult(state, version, (), message, stop)

    # -- the record

    def _about(self) -> dict[str, Any]:
        image = self.hop.image
        return {
            "source": str(self.hop.source),
            "target": str(self.hop.target),
            "image": image.upload_sha256 if image else None,
        }

    def _write_down(self, event: str) -> None:
        """Record an intended action. Raises RecordLostError."""
        try:
            self.record(event, **self._about(), attempt=self.number, remaining_before=self.remaining)
        except OSError as error:
            raise RecordLostError(f"the journal can't be written: {error.strerror or error}") from error

    def _write_down_outcome(self, state: str, message: str, **details: Any) -> None:
        """Record the outcome. A failure is a warning, because the outcome stands."""
        try:
            self.record("outcome", **self._about(), state=state, message=message, **details)
        except OSError as error:
            self.warn(
                f"the outcome could not be written to the journal ({error.strerror or error}); the outcome"
                " shown here stands, and the next run determines it again"
            )


@contextlib.contextmanager
def _held(make: Callable[[], AbstractContextManager[object]]) -> Iterator[None]:
    """Hold the context manager that ``make`` returns. Its errors are ignored: they must not stop an update."""
    manager: AbstractContextManager[object] | None = None
    with contextlib.suppress(Exception):
        entering = make()
        entering.__enter__()
        manager = entering
    try:
        yield
    finally:
        if manager is not None:
            with contextlib.suppress(Exception):
                manager.__exit__(None, None, None)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
