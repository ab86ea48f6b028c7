"""The core of a rollout: one pure function, :func:`step`. It knows no transport, no clock and no disk.

What it promises is stated in docs/rollout.md, and checked there by a checker that shares no code with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from seamstep.fleet import gates, waves
from seamstep.fleet.messages import (
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
    Observation,
    Planned,
    Rejected,
    Report,
    Resume,
    Resumed,
    Stop,
)
from seamstep.fleet.settling import Settling
from seamstep.fleet.state import IN_FLIGHT, UNAVAILABLE, Halt, Host, Moment, Phase, State
from seamstep.fleet.turn import boots, words


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


class _Turn(Settling):
    """One call of :func:`step`: it takes each observation."""

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
            host = host._replace(boots=boots(old))
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
        if same and words(class_.steps[0]) in same.tried:
            return Phase.FAILED, f"{words(class_.steps[0])} was tried in this boot already"
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
        self.move(host, Phase.LEASED, words(step), lease=lease, open=True, begun=False, expires=expires)
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
