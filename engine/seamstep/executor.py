"""Perform a plan, hop by hop, and say truthfully what came of it.

Success is one thing only: the running version reads back as the hop's target and the remaining updates went down by
one. The executor knows no rules, no policy and no graph; it acts on a plan and a Host, and stops at the first surprise.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from seamstep.documents import read_regular
from seamstep.errors import ExitCode, InputError, RefusedError
from seamstep.facts import HostFacts
from seamstep.host.base import PROFILES, Host, Profile
from seamstep.host.read_facts import module_version, read_facts, remaining_updates
from seamstep.host.upload import IDLE, UploadPort
from seamstep.image.files import TRUSTED, read_for_upload
from seamstep.image.layout import SIZE_MAX
from seamstep.plan import Hop, Plan, PlannedImage, PlanOutcome
from seamstep.versions import ModuleVersion

_IDLE_TIMEOUT = 600.0  # seconds; an update takes well under a second, so this is long past any doubt
_POLL_FIRST, _POLL_LONGEST = 0.001, 0.010  # seconds
_BUSY = "device-busy"


class State(StrEnum):
    """Where a hop is."""

    PREFLIGHT = "preflight"
    STAGED = "staged"
    COMMITTED = "committed"
    APPLIED = "applied"
    BUSY = "busy"
    FAILED = "failed"
    LOST = "lost"
    UNKNOWN = "unknown"


#: The moves a hop may make; :class:`Executor` raises on any other.
MOVES: dict[State, frozenset[State]] = {
    State.PREFLIGHT: frozenset({State.STAGED, State.FAILED, State.LOST, State.UNKNOWN}),
    State.STAGED: frozenset({State.COMMITTED, State.FAILED, State.LOST, State.UNKNOWN}),
    State.COMMITTED: frozenset({State.APPLIED, State.BUSY, State.FAILED, State.LOST, State.UNKNOWN}),
    State.APPLIED: frozenset({State.PREFLIGHT}),
    State.BUSY: frozenset(),
    State.FAILED: frozenset(),
    State.LOST: frozenset(),
    State.UNKNOWN: frozenset(),
}

_EXIT_CODES = {
    State.PREFLIGHT: ExitCode.STALE,
    State.APPLIED: ExitCode.DONE,
    State.BUSY: ExitCode.BUSY,
    State.FAILED: ExitCode.FAILED,
    State.LOST: ExitCode.LOST,
    State.UNKNOWN: ExitCode.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended: the last hop's ``state``, the ``version`` that runs (None if none does or it can't be read),
    the hops that were ``applied``, a sentence for people, and whether it was ``interrupted`` before all was done."""

    state: State
    version: ModuleVersion | None
    applied: tuple[Hop, ...]
    message: str
    interrupted: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """What the command ends in."""
        return ExitCode.INTERRUPTED if self.interrupted else _EXIT_CODES[self.state]


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What the host says once a hop was committed: the ``version`` that runs (None if it can't be read, and why in
    ``unreadable``), whether TDX is ``lost``, what the kernel ``reported``, whether it became ``idle``, and the
    ``remaining`` updates."""

    version: ModuleVersion | None
    lost: bool
    unreadable: str
    reported: str
    idle: bool
    remaining: int | None


class Reporter:
    """Hears what the executor does. Does nothing by itself."""

    def hop(self, hop: Hop, number: int, total: int) -> None:
        """A hop begins, the ``number``-th of ``total``."""

    def moved(self, state: State) -> None:
        """The hop is in another state."""

    def staged(self, done: int, total: int) -> None:
        """The kernel has ``done`` of ``total`` bytes."""

    def phase(self, status: str) -> None:
        """The kernel's upload is in another phase."""


class Executor:
    """Performs one plan on one host."""

    def __init__(
        self,
        host: Host,
        reporter: Reporter | None = None,
        image_bytes: Callable[[PlannedImage, frozenset[str]], bytes] = read_for_upload,
    ) -> None:
        self._host = host
        self._tell = _Quietly(reporter or Reporter())
        self._image_bytes = image_bytes
        self._state = State.PREFLIGHT
        self._trusted = TRUSTED

    def run(self, plan: Plan) -> RunResult:
        """Perform all hops of ``plan``, or as many as go well.

        Raises:
            RefusedError: the plan is no update, or provisional.
        """
        if plan.outcome is not PlanOutcome.UPDATE:
            raise RefusedError(f"the plan holds no update: its outcome is {plan.outcome.value}")
        if plan.provisional:
            raise RefusedError("the plan is provisional: rules that need an image were left open; plan with --images")
        self._trusted = TRUSTED | plan.signers
        with deferred_signals() as interrupted:
            return self._run(plan, interrupted)

    def _run(self, plan: Plan, interrupted: Interrupted) -> RunResult:
        result = self._check_images(plan)
        applied: tuple[Hop, ...] = ()
        for number, hop in enumerate(plan.hops):
            if result or interrupted:
                break
            self._tell.hop(hop, number + 1, len(plan.hops))
            if number:
                self._move(State.PREFLIGHT)
            expected = plan.host.after(hop.source, number)
            result = self._preflight(expected) or self._hop(hop, expected, interrupted)
            if result.state is State.APPLIED:
                applied = (*applied, hop)
                result = None
        if result:
            return replace(result, applied=applied)
        version = applied[-1].target if applied else plan.source
        if len(applied) < len(plan.hops):
            return RunResult(State.APPLIED, version, applied, f"interrupted; {version} runs", interrupted=True)
        return RunResult(State.APPLIED, version, applied, f"{version} runs")

    def _move(self, state: State) -> None:
        if state not in MOVES[self._state]:
            raise AssertionError(f"a hop must not go from {self._state} to {state}")
        self._state = state
        self._tell.moved(state)

    def _end(self, state: State, version: ModuleVersion | None, message: str) -> RunResult:
        self._move(state)
        return RunResult(state, version, (), message)

    def _check_images(self, plan: Plan) -> RunResult | None:
        """All images, before the first hop, so that a bad one can't strand the host half way; and the one that told
        what the running module is."""
        try:
            for hop in plan.hops:
                self._image(hop)
            if plan.running_image:
                _check_unchanged(*plan.running_image)
        except (InputError, ValueError) as error:
            return RunResult(State.PREFLIGHT, self._version_now()[0], (), f"stale plan: {error}")
        return None

    def _image(self, hop: Hop) -> bytes:
        if hop.image is None:
            raise ValueError(f"the plan has no image for {hop}")
        return self._image_bytes(hop.image, self._trusted)

    def _preflight(self, expected: HostFacts) -> RunResult | None:
        facts = read_facts(self._host)
        if facts.module_version is None and facts.why_unknown("module_version").startswith("ENXIO"):
            return self._end(State.LOST, None, _LOST)
        differences = expected.differences(facts)
        if differences:
            message = f"stale plan: the host changed since the plan was made: {'; '.join(differences)}"
            return RunResult(State.PREFLIGHT, facts.module_version, (), message)
        return None

    def _hop(self, hop: Hop, before: HostFacts, interrupted: Interrupted) -> RunResult:
        profile = PROFILES[before.profile or ""]
        port = UploadPort(self._host, profile.upload_path)
        try:
            self._stage(port, self._image(hop), interrupted)
            self._move(State.STAGED)
            self._commit(port)
        except KeyboardInterrupt:
            result = self._not_committed(hop, "interrupted")
            return replace(result, interrupted=result.state is State.FAILED)
        except (OSError, ValueError, InputError) as error:
            return self._not_committed(hop, f"the image could not be staged: {_reason(error)}")
        self._move(State.COMMITTED)
        seen = self._read_back(port, profile, idle=self._wait_until_idle(port))
        state, message = classify(hop, before.remaining_updates, seen)
        return self._end(state, seen.version, message)

    def _stage(self, port: UploadPort, image: bytes, interrupted: Interrupted) -> None:
        """Stage, and read back what the kernel holds. On any trouble nothing stays staged."""

        def progress(done: int) -> None:
            interrupted.check()
            self._tell.staged(done, len(image))

        port.start()
        try:
            port.stage(image, progress)
            _check_staged(port, image)
            interrupted.check()
        except BaseException:
            with contextlib.suppress(OSError):
                port.abandon()
            raise

    def _commit(self, port: UploadPort) -> None:
        try:
            port.commit()
        except OSError:
            with contextlib.suppress(OSError):
                port.abandon()
            raise

    def _not_committed(self, hop: Hop, reason: str) -> RunResult:
        """Nothing was handed to the kernel's worker; what runs is read all the same."""
        version, lost, unreadable = self._version_now()
        if lost:
            return self._end(State.LOST, None, _LOST)
        if version != hop.source:
            state = f"{version} runs" if version else f"the running version can't be read: {unreadable}"
            return self._end(State.UNKNOWN, version, f"{hop}: {reason}; {state}")
        return self._end(State.FAILED, version, f"{hop}: {reason}; nothing was changed, {version} and its TDs run on")

    def _version_now(self) -> tuple[ModuleVersion | None, bool, str]:
        """The running version, whether TDX is lost, and why the version can't be read."""
        try:
            return module_version(self._host), False, ""
        except OSError as error:
            return None, error.errno == errno.ENXIO, error.strerror or str(error)
        except ValueError as error:
            return None, False, str(error)

    def _wait_until_idle(self, port: UploadPort) -> bool:
        deadline = self._host.monotonic() + _IDLE_TIMEOUT
        pause, last = _POLL_FIRST, ""
        while self._host.monotonic() < deadline:
            with contextlib.suppress(OSError):
                status = port.status()
                if status != last:
                    self._tell.phase(status)
                    last = status
                if status == IDLE:
                    return True
            self._host.sleep(pause)
            pause = min(pause * 2, _POLL_LONGEST)
        return False

    def _read_back(self, port: UploadPort, profile: Profile, *, idle: bool) -> ReadBack:
        """What the host says after a commit."""
        version, lost, unreadable = self._version_now()
        try:
            reported = port.error()
        except OSError as error:
            reported = f"nothing ({error.strerror})"
        remaining = None if version is None else remaining_updates(self._host, profile)
        return ReadBack(version, lost, unreadable, reported, idle, remaining)


class Interrupted:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        self._asked = False

    def __bool__(self) -> bool:
        return self._asked

    def ask(self, *_: object) -> None:
        """A signal handler: remember, and go on."""
        self._asked = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if asked to stop; only where stopping leaves nothing behind."""
        if self._asked:
            raise KeyboardInterrupt


@contextlib.contextmanager
def deferred_signals() -> Iterator[Interrupted]:
    """Hold SIGINT and SIGTERM back: between a commit and the reading back of its outcome there must be no way out."""
    interrupted = Interrupted()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = {number: signal.signal(number, interrupted.ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Quietly:
    """Passes everything on to a reporter and lets none of its troubles near the update."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def __getattr__(self, name: str) -> Callable[..., None]:
        def tell(*args: object) -> None:
            with contextlib.suppress(Exception):
                getattr(self._reporter, name)(*args)

        return tell


def _check_unchanged(path: str, sha256: str) -> None:
    content = read_regular(path, SIZE_MAX, "TDX module image")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"the image {path} is not the one the plan was made with")


def _check_staged(port: UploadPort, image: bytes) -> None:
    if port.staged(len(image) + 1) != image:
        raise OSError(errno.EIO, "the kernel does not hold the bytes that were written")


def classify(hop: Hop, remaining_before: int | None, seen: ReadBack) -> tuple[State, str]:
    """What a committed hop came to, and a sentence for people. The version has the last word.

    ``remaining_before`` is the number of remaining updates before the commit.
    """
    version = seen.version
    if seen.lost:
        return State.LOST, _LOST
    if version is None:
        return State.UNKNOWN, f"{hop}: the running version can't be read: {seen.unreadable}"
    if not seen.idle:
        return State.UNKNOWN, f"{hop}: the kernel is not done after {_IDLE_TIMEOUT:.0f} s; {version} runs"
    if version == hop.source and not seen.reported.startswith("nothing"):
        return _classify_unchanged(hop, seen.reported)
    if version not in {hop.source, hop.target}:
        return State.UNKNOWN, f"{hop}: {version} runs, which is neither"
    if seen.reported:
        return State.UNKNOWN, f"{hop}: {version} runs, yet the kernel reports {seen.reported}"
    if remaining_before is None or seen.remaining != remaining_before - 1:
        counts = f"remaining updates went from {remaining_before} to {seen.remaining}"
        return State.UNKNOWN, f"{hop}: {version} runs, but {counts}"
    return State.APPLIED, f"{version} runs"


def _classify_unchanged(hop: Hop, reported: str) -> tuple[State, str]:
    alive = f"{hop.source} and its TDs run on"
    if reported.endswith(f":{_BUSY}"):
        cause = "an update-sensitive operation is under way (a TD is being built or migrated)"
        return State.BUSY, f"{hop}: {cause}; {alive}; try again later"
    cause = f"the kernel reports {reported}" if reported else "the kernel reports success, but it is none"
    return State.FAILED, f"{hop} failed: {cause}; {alive}"


_LOST = "TDX is lost: no module runs and all TDs are dead; only a reboot brings TDX back"


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.EPERM:
        return f"{error.strerror} (writing it needs CAP_SYS_RAWIO)"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
