"""The core of a rollout: one pure function, :func:`step`. It knows no transport, no clock and no disk.

What it promises is stated in docs/rollout.md, and checked there by a checker that shares no code with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from seamstep.fleet import gates, waves
from seamstep.fleet.messages import (
    Accepted,
    Action,
    Advanced,
    Allowed,
    Ask,
    Assigned,
    Begin,
    Begun,
    Denied,
    Expired,
    Granted,
    Halted,
    Observation,
    Outcome,
    Planned,
    Rejected,
    Report,
    Resume,
    Resumed,
    Stop,
)
from seamstep.fleet.settings import FAILED, FLEET, LOST, UNKNOWN, UNREACHABLE
from seamstep.fleet.state import IN_FLIGHT, UNAVAILABLE, Halt, Host, Moment, Phase, Progress, State, Step

_BOOTS_MAX = 8
#: What a report of each outcome makes of a host whose lease is open, and of its attempt.
_PHASES = {
    Outcome.FAILED: Phase.FAILED,
    Outcome.LOST: Phase.LOST,
    Outcome.UNKNOWN: Phase.UNKNOWN,
}
_KINDS = {
    Phase.FAILED: FAILED,
    Phase.LOST: LOST,
    Phase.UNKNOWN: UNKNOWN,
    Phase.UNREACHABLE: UNREACHABLE,
}
#: Bad news of a host is believed without a lease: it permits nothing.
_AWAY = {Outcome.UNREACHABLE: Phase.UNREACHABLE, Outcome.REBOOTING: Phase.REBOOTING}
_BAD = {**_AWAY, Outcome.LOST: Phase.LOST}


def step(state: State, observations: Iterable[Observation], now: Moment) -> tuple[State, tuple[Action, ...]]:
    """The state after ``observations``, in their order, at ``now``; and what follows from them.

    Leases that have expired by ``now`` are settled first. Hosts begin under a lease alone, and leases are given only in
    answer to :class:`~seamstep.fleet.messages.Ask`: without a controller that asks, nothing starts.
    """
    turn = _Turn(state._replace(clock=state.clock.at(now)))
    turn.expire()
    for observation in observations:
        turn.take(observation)
    return turn.state, tuple(turn.actions)


class _Turn:
    """One call of :func:`step`. ``state`` is the state so far, ``actions`` what followed so far."""

    def __init__(self, state: State) -> None:
        self.hosts = dict(state.hosts)
        self.progress = dict(state.progress)
        self.tally = dict(state.tally)
        self.sizes = dict(state.sizes)
        self.state = state._replace(hosts=self.hosts, progress=self.progress, tally=self.tally, sizes=self.sizes)
        self.actions: list[Action] = []

    @property
    def time(self) -> float:
        return self.state.clock.time

    def take(self, observation: Observation) -> None:
        take: Any = {
            Planned: self.planned,
            Assigned: self.assigned,
            Allowed: self.allowed,
            Ask: self.ask,
            Begin: self.begin,
            Report: self.report,
            Stop: self.stop,
            Resume: self.resume,
        }[type(observation)]
        take(observation)

    # hosts and classes

    def planned(self, plan: Planned) -> None:
        classes = {**self.state.classes, **{class_.id: class_ for class_ in plan.classes}}
        self.state = self.state._replace(classes=classes)

    def assigned(self, given: Assigned) -> None:
        """Give a host the path of its class, unless a lease or its state is in the way."""
        old = self.hosts.get(given.host)
        boot_id = given.boot_id or ""
        if old:
            refusal = _not_assigned(old, boot_id)
            if refusal:
                self.actions.append(refusal)
                return
            same_plan = (old.class_id, old.boot_id, old.domain) == (given.class_id, boot_id, given.domain)
            if same_plan and old.phase not in {Phase.VOID, Phase.REFUSED}:
                return
            self.sizes[old.domain] -= 1
        self.sizes[given.domain] = self.sizes.get(given.domain, 0) + 1
        same = old if old is not None and old.boot_id == boot_id else None
        phase, note = self.starting(given, same)
        host = Host(given.host, boot_id, given.class_id, given.domain, phase, self.time, note)
        if same:
            host = host._replace(tried=same.tried, proved=same.proved, proved_at=same.proved_at, boots=same.boots)
        elif old:
            self.withdraw(old)
            host = host._replace(boots=(*old.boots, old.boot_id)[-_BOOTS_MAX:])
        self.hosts[given.host] = host._replace(lease=old.lease, begun=old.begun) if old else host

    def starting(self, given: Assigned, same: Host | None) -> tuple[Phase, str]:
        """Where a host stands at first; ``same`` is the host before, if it was in the same boot."""
        class_ = self.state.classes[given.class_id]
        if not class_.steps:
            return (Phase.DONE, same.note) if same and same.phase is Phase.DONE else (Phase.OUTSIDE, class_.reason)
        if not given.boot_id:
            return Phase.OUTSIDE, "its boot id is not known, so that a lease could not be fenced; take its facts again"
        held = gates.of_reserve(self.state, class_)
        if held:
            return Phase.OUTSIDE, held.reason
        if same and _words(class_.steps[0]) in same.tried:
            return Phase.FAILED, f"{_words(class_.steps[0])} was tried in this boot already"
        return Phase.READY, ""

    def allowed(self, given: Allowed) -> None:
        self.state = self.state._replace(allowed=given.measurements)

    # leases

    def ask(self, asked: Ask) -> None:
        """Give leases to the hosts that may begin, in their order; those that were busy come last."""
        now = self.advance()
        closed: set[tuple[str, int] | str] = set()  # classes at a step, and domains, that no host may begin of
        given = 0
        ready = [host for host in self.hosts.values() if host.phase is Phase.READY]
        for host in (*ready, *(host for host in self.hosts.values() if host.phase is Phase.WAITING)):
            if asked.limit is not None and given >= asked.limit:
                break
            at = (host.class_id, host.done)
            if at in closed or host.domain in closed:
                continue
            held = now.held(host)
            if held is None:
                now.lease(host)
                self.grant(host)
                given += 1
            elif held.code == "fleet":
                break
            elif held.code in {"halt", "allow-list", "canary", "wave"}:
                closed.add(at)
            elif held.code == "domain":
                closed.add(host.domain)

    def advance(self) -> gates.Gates:
        """Open the stages that are due; returns the gates after that."""
        now = gates.Gates(self.state)
        while due := [step for step in self.progress if now.passed(step)]:
            for step in due:
                progress = self.progress[step]
                self.progress[step] = progress._replace(stage=progress.stage + 1, since=self.time)
                self.actions.append(Advanced(*step, progress.stage + 1))
        return now

    def grant(self, host: Host) -> None:
        step = self.state.classes[host.class_id].steps[host.done]
        number = self.state.leases + 1
        self.state = self.state._replace(leases=number)
        text = f"{self.state.secret}\0{number}\0{host.name}"
        lease = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        expires = self.time + self.state.rollout.lease
        self.move(host, Phase.LEASED, _words(step), lease=lease, open=True, begun=False, expires=expires)
        self.actions.append(Granted(host.name, lease, host.class_id, step.source, step.target, host.boot_id, expires))

    def begin(self, asked: Begin) -> None:
        """Say whether a host may begin now. A lease is begun under once."""
        host = self.hosts.get(asked.host)
        denial = self.denial(host, asked)
        if denial or host is None:
            self.actions.append(Denied(asked.host, asked.lease, *(denial or ("", ""))))
            return
        self.hosts[host.name] = host._replace(begun=True)
        self.actions.append(Begun(host.name, asked.lease))

    def denial(self, host: Host | None, asked: Begin) -> tuple[str, str] | None:
        if host is None or not asked.lease or host.lease != asked.lease:
            return "no-such-lease", f"{asked.host} has no such lease"
        if not host.open or host.phase is not Phase.LEASED:
            return "closed", f"that lease is over: {host.name} is {host.phase}"
        if host.begun:
            return "begun", f"{host.name} has begun under that lease before"
        if asked.boot_id is not None and asked.boot_id != host.boot_id:
            self.reboot(host, asked.boot_id)
            return "rebooted", f"{host.name} has rebooted since it was planned; plan it again"
        class_ = self.state.classes[host.class_id]
        held = gates.of_halt(self.state, class_.group) or gates.of_measurements(self.state, class_)
        return (held.code, held.reason) if held else None

    def expire(self) -> None:
        """Make the hosts unknown whose leases expired."""
        late = [
            host for host in self.hosts.values() if host.open and host.expires <= self.time and host.phase in IN_FLIGHT
        ]
        for host in late:
            self.actions.append(Expired(host.name, host.lease))
            reason = "its lease expired without a report"
            self.move(self.attempted(host), Phase.UNKNOWN, f"{reason}; it was {host.phase}")

    # reports

    def report(self, given: Report) -> None:
        host = self.hosts.get(given.host)
        why = _not_believed(host, given)
        if host is None or why:
            self.reject(given, *(why or ("", "")))
        elif given.boot_id not in {None, host.boot_id} and given.outcome not in _AWAY:
            self.other_boot(host, given)
        elif given.outcome in _BAD and not host.open:
            self.bad_news(host, given)
        elif given.outcome in {Outcome.SEEN, Outcome.RUNNING}:
            self.seen(host, given)
        elif host.open:
            self.settle(host, given)
        elif given.outcome is Outcome.UNKNOWN and host.phase not in {Phase.LOST, Phase.UNKNOWN} and host.lease:
            self.accept(host, Phase.UNKNOWN, f"it was {host.phase}, and is reported unknown now")
        else:
            self.reject(given, "doubled", f"what came of that lease is known: {host.name} is {host.phase}")

    def bad_news(self, host: Host, given: Report) -> None:
        """A host without an open lease is gone."""
        worse = {Phase.LOST} if given.outcome is Outcome.LOST else {Phase.LOST, Phase.UNKNOWN}
        if host.phase in worse:
            self.reject(given, "doubled", f"{host.name} is {host.phase}, which is no better")
            return
        if given.outcome is Outcome.LOST:
            host = self.withdraw(host)
        if host.phase not in UNAVAILABLE:
            host = host._replace(home=host.phase, home_note=host.note)
        self.accept(host, _BAD[given.outcome], given.note)

    def other_boot(self, host: Host, given: Report) -> None:
        """The host was seen in another boot than that of its assignment, which is void by that."""
        self.reboot(host, str(given.boot_id))
        host = self.hosts[host.name]
        if given.outcome in {Outcome.LOST, Outcome.UNKNOWN}:
            self.accept(host, _PHASES[given.outcome], f"in a new boot: {given.note}")
        elif given.outcome is Outcome.RUNNING:
            host = host._replace(home=host.phase, home_note=host.note)
            self.accept(host, Phase.REBOOTING, f"in a new boot: {given.note}")
        else:
            self.actions.append(Accepted(host.name, host.phase, host.note))

    def reboot(self, host: Host, boot_id: str) -> None:
        host = self.withdraw(host)
        boots = (*host.boots, host.boot_id)[-_BOOTS_MAX:]
        note = f"rebooted ({host.boot_id} → {boot_id}) when it was {host.phase}; plan it again"
        phase = Phase.VOID if self.state.classes[host.class_id].steps else Phase.OUTSIDE
        self.move(host, phase, note, open=False, boot_id=boot_id, boots=boots, tried=(), home=None, done=0)

    def seen(self, host: Host, given: Report) -> None:
        """The host runs, in the boot of its assignment."""
        step = self.attempt(host)
        if given.outcome is Outcome.RUNNING and not (host.open and host.phase in IN_FLIGHT):
            self.reject(given, "running", "a run is under way; look again when it has ended")
        elif host.phase is Phase.LOST:
            self.reject(given, "lost", "TDX was lost in this boot, which only a reboot mends")
        elif host.phase is Phase.UNKNOWN and host.open and step and given.version == step.target:
            self.succeed(host, given, step)
        elif host.phase is Phase.UNKNOWN:
            note = f"it runs {given.version}, and what came of its attempt is not on record"
            self.accept(host, Phase.FAILED, note, open=False)
        elif host.phase not in UNAVAILABLE:
            self.actions.append(Accepted(host.name, host.phase, "it is available as before"))
        elif host.open:
            self.accept(host, Phase.LEASED, "it was away, and its lease runs")
        else:
            self.accept(host, host.home or Phase.VOID, host.home_note, home=None)

    def settle(self, host: Host, given: Report) -> None:
        """What came of an open lease."""
        step = self.attempt(host)
        if given.outcome in _AWAY:
            if host.phase is Phase.UNKNOWN:
                self.reject(given, "doubled", f"{host.name} is unknown, which is no better")
            else:
                self.accept(host, _AWAY[given.outcome], given.note)
        elif given.outcome is Outcome.APPLIED and step and given.version == step.target:
            self.succeed(host, given, step)
        elif given.outcome is Outcome.APPLIED:
            reason = f"it reports {given.version}, and its lease was for {_words(step) if step else 'nothing'}"
            if host.phase is Phase.UNKNOWN:  # its lease expired, and this is another reason to stop
                self.count(UNKNOWN, host, reason)
            self.accept(self.attempted(host), Phase.UNKNOWN, reason, open=False)
        elif given.outcome is Outcome.BUSY:
            until = self.time + self.state.rollout.retry
            self.accept(self.unattempted(host), Phase.WAITING, given.note, open=False, until=until)
        elif given.outcome is Outcome.NOT_BEGUN:
            if host.begun:
                self.reject(given, "begun", f"{host.name} has begun under that lease")
            else:
                self.accept(self.unattempted(host), Phase.READY, given.note, open=False)
        elif given.outcome is Outcome.REFUSED:  # nothing was tried; it may be once the host is planned again
            self.accept(self.unattempted(host), Phase.REFUSED, given.note, open=False)
        else:
            self.accept(self.attempted(host), _PHASES[given.outcome], given.note, open=False)

    def succeed(self, host: Host, given: Report, step: Step) -> None:
        progress = self.progress.get(step, Progress())
        self.progress[step] = progress._replace(succeeded=progress.succeeded + 1, last=self.time)
        done = host.done + 1
        phase = Phase.DONE if done == len(self.state.classes[host.class_id].steps) else Phase.READY
        host = self.unattempted(host)
        self.accept(host, phase, f"runs {given.version}", open=False, done=done, proved=step, proved_at=self.time)

    def withdraw(self, host: Host) -> Host:
        """A success does not count towards its stage any more if the host did not run on to the end of the soak."""
        if host.proved and gates.Gates(self.state).proves(host):
            progress = self.progress[host.proved]
            self.progress[host.proved] = progress._replace(succeeded=progress.succeeded - 1)
        self.hosts[host.name] = host._replace(proved=None)
        return self.hosts[host.name]

    def attempt(self, host: Host) -> Step | None:
        """The step that an open lease is for."""
        steps = self.state.classes[host.class_id].steps
        return steps[host.done] if host.open and host.done < len(steps) else None

    def attempted(self, host: Host) -> Host:
        step = self.attempt(host)
        return host if step is None else host._replace(tried=tuple(dict.fromkeys((*host.tried, _words(step)))))

    def unattempted(self, host: Host) -> Host:
        step = self.attempt(host)
        kept = (words for words in host.tried if step is None or words != _words(step))
        return host._replace(tried=tuple(kept))

    def accept(self, host: Host, phase: Phase, reason: str, **changes: Any) -> None:
        self.actions.append(Accepted(host.name, phase, reason))
        self.move(host, phase, reason, **changes)

    def reject(self, given: Report, code: str, reason: str) -> None:
        self.actions.append(Rejected(given.host, code, reason))

    def move(self, host: Host, phase: Phase, note: str, **changes: Any) -> None:
        """Put a host into a phase, and halt if that is what the rollout says."""
        since = host.since if host.phase is phase else self.time
        self.hosts[host.name] = host._replace(phase=phase, note=note, since=since, **changes)
        if phase in _KINDS and host.phase is not phase:
            self.count(_KINDS[phase], host, note)

    # halts

    def count(self, kind: str, host: Host, note: str) -> None:
        threshold = self.state.rollout.halts.get(kind)
        if threshold is None:
            return
        group = "" if threshold.of == FLEET else self.state.classes[host.class_id].group
        count = self.tally[(kind, group)] = self.tally.get((kind, group), 0) + 1
        if count >= threshold.hosts and not any((halt.kind, halt.group) == (kind, group) for halt in self.state.halts):
            class_ = self.state.classes[host.class_id]
            many = f" ({count} hosts since the last resume)" if count > 1 else ""
            self.halt(Halt(group, kind, f"{host.name} of {class_.name} is {kind}: {note}{many}", self.time))

    def halt(self, halt: Halt) -> None:
        self.state = self.state._replace(halts=(*self.state.halts, halt))
        self.actions.append(Halted(halt.group, halt.kind, halt.reason))

    def stop(self, given: Stop) -> None:
        self.halt(Halt(given.group, "person", given.reason, self.time, given.by))

    def resume(self, given: Resume) -> None:
        """Take back halts; what counted towards them counts no more."""
        kept = tuple(halt for halt in self.state.halts if given.group and halt.group != given.group)
        gone = [key for key in self.tally if not given.group or key[1] == given.group]
        for key in gone:
            del self.tally[key]
        count = len(self.state.halts) - len(kept)
        self.state = self.state._replace(halts=kept)
        self.actions.append(Resumed(given.group, given.by, given.reason, count))


def begin(state: State, observations: Iterable[Observation], now: Moment) -> tuple[State, tuple[Action, ...]]:
    """As :func:`step`, with the hosts put into the order in which they are taken."""
    state, actions = step(state, observations, now)
    ordered = dict(sorted(state.hosts.items(), key=lambda item: waves.rank(item[0])))
    return state._replace(hosts=ordered), actions


def _not_believed(host: Host | None, given: Report) -> tuple[str, str] | None:
    """Why a report is not believed. Good news has to name the host's last lease and its boot; bad news of no lease
    permits nothing, and is believed without."""
    if host is None:
        return "no-such-host", "there is no such host in this rollout"
    if given.lease and given.lease != host.lease:
        return "other-lease", "it is about a lease that is not the host's last one"
    if given.boot_id in host.boots:
        return "earlier-boot", "it comes from an earlier boot of the host"
    if given.outcome in _BAD:
        return None
    if host.lease and not given.lease:
        return "no-lease", "it has to name the host's last lease"
    if given.boot_id is None and given.outcome is not Outcome.NOT_BEGUN:
        return "no-boot", "it has to name the boot in which the host was seen"
    return None


def _not_assigned(host: Host, boot_id: str) -> Rejected | None:
    """Why a host can't be planned again now."""
    if host.phase in UNAVAILABLE:
        reason = f"it is {host.phase}; plan it again once it was seen"
        return Rejected(host.name, "unavailable", reason)
    if boot_id in host.boots:
        return Rejected(host.name, "earlier-boot", "its facts come from an earlier boot; take them again")
    if host.phase is Phase.VOID and boot_id != host.boot_id:
        return Rejected(host.name, "other-boot", "its facts come from another boot than it was seen in last")
    return None


def _words(step: Step) -> str:
    return f"{step.source} → {step.target}"
