"""The invariants of docs/rollout.md, checked from the event log alone: assignments, leases, begins, reports and times.

It shares no code with the core, and knows none of its states. Each entry is a plain dict; ``time`` is the true time.

- ``{"event": "assigned", host, boot, group, domain, path, remaining, measurements}``; one without a path has no update
- ``{"event": "allowed", measurements}``, ``{"event": "resumed", group}``, ``{"event": "stopped", group}``
- ``{"event": "asked"}``: a controller asked; leases follow it directly
- ``{"event": "lease", host, lease, source, target, boot, expires, clock}``, ``{"event": "begun", host, lease, clock}``
- ``{"event": "expired", host, lease}``
- ``{"event": "report", host, outcome, lease, boot, version}``: what a controller was told, true or not
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ALIVE = {"applied", "busy", "failed", "refused", "not-begun", "seen"}
AWAY = {"unreachable", "rebooting"}


class BrokenInvariantError(AssertionError):
    """An invariant does not hold; the first word is its number."""


@dataclass
class Lease:
    host: str
    step: tuple[str, str, str]
    boot: str
    expires: float
    time: float
    known: bool = False
    attempt: bool = True
    begun: bool = False


@dataclass
class Success:
    host: str
    time: float
    broken: float = float("inf")  # when the host rebooted, lost TDX, or went on to another step


@dataclass
class Seen:
    """What the log tells of one host."""

    boot: str
    group: str
    domain: str
    path: tuple[str, ...]
    remaining: int | None
    measurements: tuple[str, ...]
    away: str = ""
    lease: str = ""
    planned: bool = True
    boots: set[str] = field(default_factory=set)

    @property
    def steps(self) -> list[tuple[str, str, str]]:
        return [(self.group, *pair) for pair in zip(self.path, self.path[1:], strict=False)]


@dataclass
class Rules:
    """The settings that the invariants need. The most unavailable hosts, in a domain (None: no domains) and in
    all, are a number or a text such as 10%."""

    in_domain: int | str | None
    in_all: int | str
    canaries: int
    soak: float
    reserve: int
    allow_list: bool


class Checker:
    """Reads a log entry by entry, and raises BrokenInvariantError at the first lease or begin that must not be."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.hosts: dict[str, Seen] = {}
        self.leases: dict[str, Lease] = {}
        self.attempts: dict[tuple[str, str, tuple[str, str, str]], list[str]] = {}
        self.successes: dict[tuple[str, str, str], list[Success]] = {}
        self.proven: set[tuple[str, str, str]] = set()
        self.stopped: set[str] = set()
        self.fleet_stopped = False
        self.allowed: frozenset[str] | None = None
        self.may_lease = False

    def see(self, entry: Mapping[str, Any]) -> None:
        self.prove(entry["time"])
        event = entry["event"]
        if event not in {"lease", "expired"}:
            self.may_lease = event == "asked"
        getattr(self, f"on_{event}")(entry)

    def asserted(self, invariant: int, holds: object, message: str) -> None:
        if not holds:
            raise BrokenInvariantError(f"{invariant} {message}")

    # what is given

    def on_asked(self, entry: Mapping[str, Any]) -> None: ...

    def on_assigned(self, entry: Mapping[str, Any]) -> None:
        name, boot = entry["host"], entry["boot"]
        old = self.hosts.get(name)
        seen = Seen(
            boot,
            entry["group"],
            entry["domain"],
            tuple(entry["path"]),
            entry["remaining"],
            tuple(entry["measurements"]),
        )
        if old:
            seen.lease, seen.away = old.lease, old.away
            seen.boots = old.boots | ({old.boot} if old.boot != boot else set())
            if old.boot != boot:
                self.break_successes(name, entry["time"])
        self.hosts[name] = seen

    def on_allowed(self, entry: Mapping[str, Any]) -> None:
        self.allowed = frozenset(entry["measurements"])

    def on_resumed(self, entry: Mapping[str, Any]) -> None:
        if entry["group"]:
            self.stopped.discard(entry["group"])
        else:
            self.stopped.clear()
            self.fleet_stopped = False

    def on_stopped(self, entry: Mapping[str, Any]) -> None:
        if entry["group"]:
            self.stopped.add(entry["group"])
        else:
            self.fleet_stopped = True

    # what was decided

    def on_lease(self, entry: Mapping[str, Any]) -> None:
        host = self.hosts[entry["host"]]
        step = (host.group, entry["source"], entry["target"])
        now = entry["time"]
        self.asserted(7, self.may_lease, "a lease was given, and no controller asked")
        old = self.leases.get(host.lease)
        self.asserted(7, not host.away, f"{entry['host']} gets a lease and is {host.away}")
        self.asserted(7, old is None or old.known, f"{entry['host']} gets a lease while another is open")
        self.asserted(6, entry["boot"] == host.boot and host.planned, f"{entry['host']} was not planned for this boot")
        self.may_begin(step, entry["host"])
        self.asserted(5, step in host.steps, f"{entry['host']} gets a step that is not on its path")
        left = host.remaining is not None and host.remaining - len(host.steps) >= self.rules.reserve
        self.asserted(5, left, f"{entry['host']} would spend the reserve")
        tried = self.attempts.setdefault((entry["host"], host.boot, step), [])
        again = [lease for lease in tried if self.leases[lease].attempt]
        self.asserted(5, not again, f"{entry['host']} tries a step twice in a boot")
        self.break_successes(entry["host"], now)
        host.away, host.lease = "in flight", entry["lease"]
        tried.append(entry["lease"])
        self.leases[entry["lease"]] = Lease(entry["host"], step, host.boot, entry["expires"], now)
        self.within_limits(host.domain)
        self.canaries_first(step)

    def on_begun(self, entry: Mapping[str, Any]) -> None:
        lease = self.leases[entry["lease"]]
        self.asserted(7, not lease.begun and not lease.known, f"{entry['host']} begins twice, or after the end")
        self.asserted(7, entry["clock"] < lease.expires, f"{entry['host']} begins after its lease expired")
        self.may_begin(lease.step, entry["host"])
        lease.begun = True

    def may_begin(self, step: tuple[str, str, str], name: str) -> None:
        self.asserted(3, not self.fleet_stopped, f"{name} begins, and the fleet is halted")
        self.asserted(3, step[0] not in self.stopped, f"{name} begins, and its class is halted")
        self.asserted(4, self.permitted(self.hosts[name]), f"{name} begins without a word of the allow-list")

    def permitted(self, host: Seen) -> bool:
        wanted = set(host.measurements)
        held = self.allowed is not None and len(wanted) == len(host.path) and wanted <= self.allowed
        return not self.rules.allow_list or held

    def within_limits(self, domain: str) -> None:
        for rule, members in (
            (self.rules.in_domain, [host for host in self.hosts.values() if host.domain == domain]),
            (self.rules.in_all, list(self.hosts.values())),
        ):
            away = sum(bool(host.away) for host in members)
            if isinstance(rule, str):
                kept = 100 * away <= int(rule.rstrip("%")) * len(members)
            else:
                kept = rule is None or away <= rule
            self.asserted(1, kept, f"{away} of {len(members)} hosts are unavailable")

    def canaries_first(self, step: tuple[str, str, str]) -> None:
        if step in self.proven:
            return
        flight = {
            lease.host
            for lease in self.leases.values()
            if lease.step == step and not lease.known and self.hosts[lease.host].away != "unknown"
        }
        standing = {one.host for one in self.successes.get(step, []) if one.broken == float("inf")}
        exposed = len(flight | standing)
        self.asserted(2, exposed <= self.wanted(step), f"{exposed} hosts began {step} before its canaries had soaked")

    def wanted(self, step: tuple[str, str, str]) -> int:
        standing = {one.host for one in self.successes.get(step, []) if one.broken == float("inf")}
        to_come = {name for name, host in self.hosts.items() if step in host.steps and self.counts(host)}
        return min(self.rules.canaries, len(standing | to_come))

    def counts(self, host: Seen) -> bool:
        return bool(host.boot) and host.remaining is not None and host.remaining - len(host.steps) >= self.rules.reserve

    def prove(self, now: float) -> None:
        """Note the steps whose canaries have succeeded and soaked."""
        for step, successes in self.successes.items():
            good = [one for one in successes if one.time + self.rules.soak <= min(now, one.broken)]
            if len(good) >= self.wanted(step) > 0:
                self.proven.add(step)

    # what became known

    def on_expired(self, entry: Mapping[str, Any]) -> None:
        self.hosts[entry["host"]].away = "unknown"
        self.fleet_stopped = True

    def on_report(self, entry: Mapping[str, Any]) -> None:
        host = self.hosts.get(entry["host"])
        if host is None or not self.believable(host, entry):
            return
        outcome = entry["outcome"]
        lease = self.leases.get(host.lease)
        rebooted = entry["boot"] not in {None, host.boot}
        is_open = lease is not None and not lease.known
        if outcome == "lost":
            self.lost(host, entry, lease, rebooted=rebooted)
        elif outcome in AWAY:
            host.away = host.away if host.away in {"lost", "unknown"} else outcome
        elif rebooted:
            self.rebooted(host, entry, lease)
        elif outcome == "unknown":
            if lease and (is_open or host.away not in {"lost", "unknown"}):
                self.gone(host, lease)
        elif outcome == "seen":
            self.seen(host, entry, lease)
        elif lease and is_open:
            self.settled(host, entry, lease)

    def believable(self, host: Seen, entry: Mapping[str, Any]) -> bool:
        """Good news has to name the last lease and a boot that is not an earlier one."""
        if (entry["lease"] and entry["lease"] != host.lease) or entry["boot"] in host.boots:
            return False
        if entry["outcome"] in {*AWAY, "lost"}:
            return True
        return (entry["lease"] or not host.lease) and (entry["boot"] is not None or entry["outcome"] == "not-begun")

    def seen(self, host: Seen, entry: Mapping[str, Any], lease: Lease | None) -> None:
        if host.away == "unknown":
            self.found(host, entry, lease)
        elif host.away in AWAY:
            host.away = "in flight" if lease and not lease.known else ""

    def lost(self, host: Seen, entry: Mapping[str, Any], lease: Lease | None, *, rebooted: bool) -> None:
        self.break_successes(entry["host"], entry["time"])
        if rebooted:
            host.boots.add(host.boot)
            host.boot, host.planned = entry["boot"], False
        if lease:
            lease.known = True
        if rebooted or host.away != "lost":
            self.fleet_stopped = True
        host.away = "lost"

    def gone(self, host: Seen, lease: Lease) -> None:
        lease.known = True
        self.fleet_stopped = self.fleet_stopped or host.away != "unknown"
        host.away = "unknown"

    def rebooted(self, host: Seen, entry: Mapping[str, Any], lease: Lease | None) -> None:
        self.break_successes(entry["host"], entry["time"])
        host.boots.add(host.boot)
        host.boot, host.planned = entry["boot"], False
        host.away = ""
        if lease:
            lease.known = True
        if entry["outcome"] == "unknown":
            host.away = "unknown"
            self.fleet_stopped = True

    def found(self, host: Seen, entry: Mapping[str, Any], lease: Lease | None) -> None:
        host.away = ""
        if lease and not lease.known and entry["version"] == lease.step[2]:
            self.succeeded(entry, lease)
        else:
            self.stopped.add(host.group)
        if lease:
            lease.known = True

    def settled(self, host: Seen, entry: Mapping[str, Any], lease: Lease) -> None:
        outcome = entry["outcome"]
        if outcome == "not-begun" and lease.begun:
            return
        lease.known = True
        host.away = ""
        if outcome == "applied":
            if entry["version"] == lease.step[2]:
                self.succeeded(entry, lease)
            else:
                host.away = "unknown"
                self.fleet_stopped = True
        elif outcome == "failed":
            self.stopped.add(host.group)
        elif outcome in {"busy", "not-begun"}:
            lease.attempt = False
        elif outcome == "refused":
            lease.attempt = host.planned = False

    def succeeded(self, entry: Mapping[str, Any], lease: Lease) -> None:
        self.successes.setdefault(lease.step, []).append(Success(lease.host, entry["time"]))

    def break_successes(self, host: str, now: float) -> None:
        for successes in self.successes.values():
            for one in successes:
                if one.host == host:
                    one.broken = min(one.broken, now)
