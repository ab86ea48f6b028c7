"""What all observations of a rollout do to it: hosts change their phase, and bad news halts."""

from __future__ import annotations

from typing import Any

from seamstep.fleet import gates
from seamstep.fleet.messages import Accepted, Action, Halted, Rejected, Report
from seamstep.fleet.settings import FAILED, FLEET, LOST, UNKNOWN, UNREACHABLE
from seamstep.fleet.state import Halt, Host, Phase, State, Step

_BOOTS_MAX = 8
#: The phases that count towards a halt, and what they count as.
_KINDS = {
    Phase.FAILED: FAILED,
    Phase.LOST: LOST,
    Phase.UNKNOWN: UNKNOWN,
    Phase.UNREACHABLE: UNREACHABLE,
}


class Turn:
    """The rollout in the course of one call of :func:`~seamstep.fleet.rollout.step`.

    Attributes:
        state: the state so far; ``hosts``, ``progress``, ``tally`` and ``sizes`` are its parts, copied to be changed.
        actions: what followed so far.
    """

    def __init__(self, state: State) -> None:
        self.hosts = dict(state.hosts)
        self.progress = dict(state.progress)
        self.tally = dict(state.tally)
        self.sizes = dict(state.sizes)
        self.state = state._replace(hosts=self.hosts, progress=self.progress, tally=self.tally, sizes=self.sizes)
        self.actions: list[Action] = []

    @property
    def time(self) -> float:
        """Seconds on the rollout's clock."""
        return self.state.clock.time

    def accept(self, host: Host, phase: Phase, reason: str, **changes: Any) -> None:
        """Believe a report: put the host into a phase."""
        self.actions.append(Accepted(host.name, phase, reason))
        self.move(host, phase, reason, **changes)

    def reject(self, given: Report, code: str, reason: str) -> None:
        """Leave the host as it is, and say why the report changes nothing."""
        self.actions.append(Rejected(given.host, code, reason))

    def move(self, host: Host, phase: Phase, note: str, **changes: Any) -> None:
        """Put a host into a phase, and halt if that is what the rollout says."""
        since = host.since if host.phase is phase else self.time
        self.hosts[host.name] = host._replace(phase=phase, note=note, since=since, **changes)
        if phase in _KINDS and host.phase is not phase:
            self.count(_KINDS[phase], host, note)

    # hosts

    def reboot(self, host: Host, boot_id: str) -> None:
        """Void the assignment of a host that was seen in another boot."""
        host = self.withdraw(host)
        note = f"rebooted ({host.boot_id} → {boot_id}) when it was {host.phase}; plan it again"
        phase = Phase.VOID if self.state.classes[host.class_id].steps else Phase.OUTSIDE
        self.move(host, phase, note, open=False, boot_id=boot_id, boots=boots(host), tried=(), home=None, done=0)

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
        """The host, whose open lease counts as the one attempt at its step in this boot."""
        step = self.attempt(host)
        return host if step is None else host._replace(tried=tuple(dict.fromkeys((*host.tried, words(step)))))

    def unattempted(self, host: Host) -> Host:
        """The host, which may try the step of its open lease again."""
        step = self.attempt(host)
        kept = (tried for tried in host.tried if step is None or tried != words(step))
        return host._replace(tried=tuple(kept))

    # halts

    def count(self, kind: str, host: Host, note: str) -> None:
        """Count bad news, and halt at the number that the rollout sets."""
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
        """Stop the fleet, or a group of classes, until a person resumes."""
        self.state = self.state._replace(halts=(*self.state.halts, halt))
        self.actions.append(Halted(halt.group, halt.kind, halt.reason))


def words(step: Step) -> str:
    """A step for people: ``1.5.24 → 1.5.28``."""
    return f"{step.source} → {step.target}"


def boots(host: Host) -> tuple[str, ...]:
    """The last boots of a host, with its present one; reports from them are late."""
    return (*host.boots, host.boot_id)[-_BOOTS_MAX:]
