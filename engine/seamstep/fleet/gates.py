"""What keeps a host from beginning its next step. Each gate keeps one invariant of docs/rollout.md."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from seamstep.fleet import waves
from seamstep.fleet.state import CANDIDATES, IN_FLIGHT, UNAVAILABLE, Class, Host, Phase, Progress, State, Step


class Held(NamedTuple):
    """Why a host may not begin.

    Attributes:
        invariant: the number of the invariant in docs/rollout.md.
        code: a stable name of the gate.
        reason: the reason as a sentence, with hosts and numbers.
        since: since when, if that is known; else None.
        until: when the gate opens by itself, if it does; else None.
    """

    invariant: int
    code: str
    reason: str
    since: float | None = None
    until: float | None = None


def of_halt(state: State, group: str) -> Held | None:
    """A halt of the fleet, or of the group."""
    for halt in state.halts:
        if halt.group in {"", group}:
            by = f" by {halt.by}" if halt.by else ""
            return Held(3, "halt", f"halted{by}: {halt.reason}", halt.since)
    return None


def of_measurements(state: State, class_: Class) -> Held | None:
    """The allow-list, if the rollout asks for it."""
    if not state.rollout.allow_list:
        return None
    if state.allowed is None:
        return Held(4, "allow-list", "the verifier's allow-list was not given yet")
    if not class_.measurements:
        return Held(4, "allow-list", f"the plan of {class_.name} has no measurements to look up in the allow-list")
    missing = [
        f"{version} ({measurement})"
        for version, measurement in zip(class_.versions, class_.measurements, strict=True)
        if measurement not in state.allowed
    ]
    return Held(4, "allow-list", f"the verifier's allow-list lacks {', '.join(missing)}") if missing else None


def of_reserve(state: State, class_: Class) -> Held | None:
    """The updates that have to be left when the path is done."""
    steps, remaining, reserve = len(class_.steps), class_.remaining, state.rollout.reserve
    if remaining is not None and remaining - steps >= reserve:
        return None
    left = "an unknown number of updates remains" if remaining is None else f"{remaining} updates remain"
    return Held(5, "reserve", f"{left}; the path takes {steps}, and {reserve} have to be kept")


class Gates:
    """The gates for one state, with how many hosts stand where. :meth:`lease` counts leases that are given meanwhile.

    Attributes:
        state: the state.
        steps: the steps of each class, by its id.
        unavailable: the number of unavailable hosts in each domain.
        total: the number of unavailable hosts in all.
        flight: the number of hosts in flight for each step.
        able: the number of hosts for each step that are in flight, or may yet be given it.
        members: the number of hosts for each step whose path has it, wherever they stand.
        pending: the number of these that have not taken it in their present boot.
        away: the unavailable hosts that took a step before in their boot.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.steps = {name: class_.steps for name, class_ in state.classes.items()}
        self.unavailable: Counter[str] = Counter()
        self.flight: Counter[Step] = Counter()
        self.able: Counter[Step] = Counter()
        self.members: Counter[Step] = Counter()
        self.pending: Counter[Step] = Counter()
        self._limit_in_all = state.rollout.limit(sum(state.sizes.values()), domain=False)
        permitted = {name: of_measurements(state, class_) is None for name, class_ in state.classes.items()}
        standing = Counter(
            (host.class_id, host.done, host.phase, host.open, host.domain if host.phase in UNAVAILABLE else "")
            for host in state.hosts.values()
        )
        for (class_id, done, phase, is_open, domain), count in standing.items():
            if phase in UNAVAILABLE:
                self.unavailable[domain] += count
            if phase is Phase.OUTSIDE:
                continue
            steps = self.steps[class_id]
            in_flight = is_open and phase in IN_FLIGHT
            if in_flight:
                self.flight[steps[done]] += count
            for index, step in enumerate(steps):
                self.members[step] += count
                self.pending[step] += count * (index >= done)
            if in_flight or (phase in CANDIDATES and permitted[class_id]):
                for step in steps[done:]:
                    self.able[step] += count
        self.total = self.unavailable.total()
        self.away = [host for host in state.hosts.values() if host.proved and host.phase in UNAVAILABLE]

    def lease(self, host: Host) -> None:
        """Count one more host in flight."""
        self.unavailable[host.domain] += 1
        self.total += 1
        self.flight[self.next_step(host)] += 1

    def next_step(self, host: Host) -> Step:
        """The step that a candidate takes next."""
        return self.steps[host.class_id][host.done]

    def held(self, host: Host) -> Held | None:
        """The first gate that keeps a candidate from beginning; None if it may begin."""
        return (
            self.of_class(host.class_id)
            or self.of_host(host)
            or self.of_stage(self.next_step(host))
            or self.of_limits(host.domain)
        )

    def of_class(self, class_id: str) -> Held | None:
        """The gates that are the same for all hosts of a class."""
        class_ = self.state.classes[class_id]
        return (
            of_halt(self.state, class_.group) or of_measurements(self.state, class_) or of_reserve(self.state, class_)
        )

    def of_host(self, host: Host) -> Held | None:
        """The gates of one host alone."""
        return self.of_retry(host) or self.of_soak(host)

    def of_retry(self, host: Host) -> Held | None:
        """The wait of a busy host."""
        if host.phase is Phase.WAITING and host.until > self.state.clock.time:
            return Held(3, "busy", f"{host.name} is busy: {host.note}", host.since, host.until)
        return None

    def of_soak(self, host: Host) -> Held | None:
        """The soak of the step that the host took itself: it stays as it is until that is over."""
        step = host.proved
        if step is None or not self.proves(host):
            return None
        progress = self.state.progress[step]
        until = max(progress.last, progress.since) + self.soak(progress)
        return Held(2, "soak", f"{host.name} soaks on {step.target} for others", host.proved_at, until)

    def of_stage(self, step: Step) -> Held | None:
        """The quota of the step's present stage."""
        progress = self.progress(step)
        if progress.succeeded + self.flight[step] < self.quota(step):
            return None
        code = "wave" if progress.stage else "canary"
        kind = f"wave {progress.stage}" if progress.stage else "the canaries"
        soaked = max(progress.last, progress.since) + self.soak(progress)
        if progress.succeeded < self.quota(step):
            count = f"{progress.succeeded} of {self.quota(step)} succeeded, {self.flight[step]} in flight"
            return Held(2, code, f"{kind} of {step.source} → {step.target}: {count}", progress.since)
        if soaked > self.state.clock.time:
            return Held(2, code, f"{kind} of {step.source} → {step.target} have to soak", progress.last, soaked)
        away = self.unproven(step) or "the next stage opens when a controller asks"
        return Held(2, code, f"{kind} of {step.source} → {step.target} soaked, but {away}", progress.last)

    def of_limits(self, domain: str) -> Held | None:
        """The most hosts that may be unavailable, in a domain and in all."""
        rollout, sizes = self.state.rollout, self.state.sizes
        limit = rollout.limit(sizes.get(domain, 0), domain=True)
        if rollout.domain and self.unavailable[domain] >= limit:
            away = self.unavailable[domain]
            reason = f"{rollout.domain} {domain}: {away} host{' is' if away == 1 else 's are'} unavailable"
            return Held(1, "domain", f"{reason}, and {limit} may be")
        if self.total >= self._limit_in_all:
            reason = f"{self.total} hosts of the fleet are unavailable, and {self._limit_in_all} may be"
            return Held(1, "fleet", reason)
        return None

    def progress(self, step: Step) -> Progress:
        """How far a step has come."""
        return self.state.progress.get(step, Progress())

    def stages(self, step: Step) -> tuple[int, ...]:
        """The quotas of a step's stages."""
        return waves.stages(self.state.rollout, self.members[step])

    def quota(self, step: Step) -> int:
        """How many hosts may have begun the step at its present stage.

        A host that dropped out before it took the step may come back, so that no order of events lowers the number of
        canaries. Later waves don't wait for hosts that dropped out.
        """
        stages, progress = self.stages(step), self.progress(step)
        if progress.stage == 0:
            return min(self.state.rollout.canaries, progress.succeeded + self.pending[step])
        possible = progress.succeeded + self.able[step]
        return possible if progress.stage >= len(stages) - 1 else min(stages[progress.stage], possible)

    def soak(self, progress: Progress) -> int:
        """The soak after a step's present stage, in seconds."""
        return self.state.rollout.wave_soak if progress.stage else self.state.rollout.canary_soak

    def proves(self, host: Host) -> bool:
        """Whether the host's last success is one that the next stage of its step rests on."""
        step = host.proved
        progress = self.state.progress.get(step) if step else None
        if step is None or progress is None or progress.stage >= len(self.stages(step)) - 1:
            return False
        return host.proved_at >= progress.since

    def unproven(self, step: Step) -> str:
        """The canaries of a step, as text, that succeeded and are unavailable; empty if all run on, or if the step is
        past its canaries: one of many hosts that is away does not hold up a wave."""
        if self.progress(step).stage:
            return ""
        away = [host for host in self.away if host.proved == step and self.proves(host)]
        return ", ".join(f"{host.name} is {host.phase}" for host in away)

    def passed(self, step: Step) -> bool:
        """Whether the step's present stage is over: enough hosts succeeded, and they ran well for its soak."""
        progress = self.progress(step)
        soaked = self.state.clock.time >= max(progress.last, progress.since) + self.soak(progress)
        more = progress.stage < len(self.stages(step)) - 1
        return more and soaked and 0 < progress.succeeded >= self.quota(step) and not self.unproven(step)
