"""What a report says of a host: whether it is believed, and what it settles."""

from __future__ import annotations

from seamstep.fleet.messages import Accepted, Outcome, Report
from seamstep.fleet.settings import UNKNOWN
from seamstep.fleet.state import IN_FLIGHT, UNAVAILABLE, Host, Phase, Progress, Step
from seamstep.fleet.turn import Turn, words

#: What a report of each outcome makes of a host whose lease is open, and of its attempt.
_PHASES = {
    Outcome.FAILED: Phase.FAILED,
    Outcome.LOST: Phase.LOST,
    Outcome.UNKNOWN: Phase.UNKNOWN,
}
#: Bad news of a host is believed without a lease: it permits nothing.
_AWAY = {Outcome.UNREACHABLE: Phase.UNREACHABLE, Outcome.REBOOTING: Phase.REBOOTING}
_BAD = {**_AWAY, Outcome.LOST: Phase.LOST}


class Settling(Turn):
    """The part of a turn that takes reports."""

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
            reason = f"it reports {given.version}, and its lease was for {words(step) if step else 'nothing'}"
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
