"""How a rollout stands, in one document, ``seamstep/fleet-status/v1``: what stands still, since when, which invariant
keeps it, and who can do what about it.

Shape: ``{schema, as_of, ledger, rollout: {name, sha256}, state: "finished" | "halted" | "running" | "waiting", asked,
totals: {hosts, unavailable, limit, phases: {phase: hosts}}, halts: [{scope, kind, reason, since, by, who, command}],
blocked: [{group, classes, from, to, hosts, example, invariant, code, reason, since, until, remedy}], free: hosts,
steps: [{group, classes, from, to, stage, stages, succeeded, in_flight}], unavailable: [HOST], soaking: [HOST],
aside: [HOST], outside: {reason: hosts}}`` with ``HOST = {host, class, group, domain, phase, note, remedy, since, lease,
boot_id}``. Times are in ISO 8601, UTC. ``asked`` is when a controller asked last; ``free`` are hosts that may begin as
soon as one asks; ``soaking`` are canaries on whose success others wait, for an engine to look at.
"""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from seamstep.fleet.gates import Gates, Held
from seamstep.fleet.state import CANDIDATES, UNAVAILABLE, Halt, Host, Phase, State, Step

SCHEMA = "seamstep/fleet-status/v1"
FINISHED, HALTED, RUNNING, WAITING = "finished", "halted", "running", "waiting"
_REMEDIES = {
    Phase.LEASED: "wait for its report",
    Phase.UNREACHABLE: "reach it, then record its status",
    Phase.REBOOTING: "wait until it is up, then record its status",
    Phase.UNKNOWN: "look at it, then record its status",
    Phase.LOST: "reboot it, record its status, then plan it again",
    Phase.FAILED: "see its journal; it is not tried again in this boot",
    Phase.REFUSED: "see the reason, then plan it again",
    Phase.VOID: "plan it again",
}
_ASIDE = frozenset({Phase.FAILED, Phase.REFUSED, Phase.VOID, Phase.WAITING})


def status(state: State, ledger: str, wall: float, asked: float | None) -> dict[str, Any]:
    """The status document.

    Args:
        state: the state of this moment.
        ledger: the path of the ledger, for the commands that the document names.
        wall: this moment, in seconds since the epoch.
        asked: when a controller asked last, in seconds since the epoch; None if none ever did.
    """
    now = Gates(state)
    shown = Shown(state, ledger, wall)
    phases = Counter(str(host.phase) for host in state.hosts.values())
    held, free = blocked(now, shown)
    outside = Counter(host.note for host in state.hosts.values() if host.phase is Phase.OUTSIDE)
    return {
        "schema": SCHEMA,
        "as_of": _iso(wall),
        "ledger": ledger,
        "rollout": {"name": state.rollout.name, "sha256": state.rollout.sha256},
        "state": whole(state, free),
        "asked": None if asked is None else _iso(asked),
        "totals": {
            "hosts": len(state.hosts),
            "unavailable": now.total,
            "limit": state.rollout.limit(len(state.hosts), domain=False),
            "phases": {str(phase): phases[phase] for phase in Phase if phases[phase]},
        },
        "halts": [shown.halt(halt) for halt in state.halts],
        "blocked": held,
        "free": free,
        "steps": [_step(now, shown, step) for step in sorted(now.members)],
        "unavailable": [shown.host(host) for host in shown.unavailable],
        "soaking": [shown.host(host) for host in state.hosts.values() if _soaks(now, host)],
        "aside": [shown.host(host) for host in state.hosts.values() if host.phase in _ASIDE],
        "outside": dict(sorted(outside.items())),
    }


def whole(state: State, free: int) -> str:
    """The state of the rollout in a word; ``free`` is the number of hosts that may begin."""
    if any(not halt.group for halt in state.halts):
        return HALTED
    phases = {host.phase for host in state.hosts.values()}
    if not phases & (CANDIDATES | {Phase.LEASED}):
        groups = bool(state.halts)
        return HALTED if groups else FINISHED if not phases & UNAVAILABLE else WAITING
    return RUNNING if free or Phase.LEASED in phases else HALTED if state.halts else WAITING


class Shown:
    """Writes parts of a state for people."""

    def __init__(self, state: State, ledger: str, wall: float) -> None:
        self.state, self.ledger = state, ledger
        self._offset = wall - state.clock.time
        self.unavailable = [host for host in state.hosts.values() if host.phase in UNAVAILABLE]
        self.operators = ", ".join(state.rollout.operators) or "every user with access to the ledger"
        self.names: defaultdict[str, list[str]] = defaultdict(list)
        for class_ in state.classes.values():
            if class_.steps:
                self.names[class_.group].append(class_.name)

    def time(self, moment: float | None) -> str | None:
        """A time of the rollout's clock."""
        return None if moment is None else _iso(self._offset + moment)

    def resume(self, group: str) -> str:
        of = f" --class {self.names[group][0]}" if group and self.names[group] else ""
        return f"seamstep fleet resume --ledger {self.ledger}{of} --by NAME --reason TEXT"

    def halt(self, halt: Halt) -> dict[str, Any]:
        return {
            "scope": halt.group or "fleet",
            "kind": halt.kind,
            "reason": halt.reason,
            "since": self.time(halt.since),
            "by": halt.by or None,
            "who": self.operators,
            "command": self.resume(halt.group),
        }

    def host(self, host: Host) -> dict[str, Any]:
        class_ = self.state.classes[host.class_id]
        return {
            "host": host.name,
            "class": class_.name,
            "group": class_.group,
            "domain": host.domain or None,
            "phase": str(host.phase),
            "note": host.note,
            "remedy": _REMEDIES.get(host.phase, ""),
            "since": self.time(host.since),
            "lease": host.lease or None,
            "boot_id": host.boot_id or None,
        }

    def remedy(self, held: Held, group: str, domain: str) -> str:
        if held.code == "halt":
            own = all(halt.group for halt in self.state.halts)
            return f"{self.operators}: {self.resume(group if own else '')}"
        if held.code == "allow-list":
            return f"seamstep fleet record --ledger {self.ledger} --allow-list FILE, once the verifier allows them"
        if held.code in {"domain", "fleet"}:
            return f"bring back, and record as seen: {self.away(domain if held.code == 'domain' else None)}"
        if held.until is not None:
            return "wait; nothing to do"
        return f"wait for, or bring back: {self.away(None, group) or 'nothing; a controller has to ask'}"

    def away(self, domain: str | None, group: str = "") -> str:
        names = [
            f"{host.name} ({host.phase})"
            for host in self.unavailable
            if domain in {None, host.domain} and group in {"", self.state.classes[host.class_id].group}
        ]
        return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def blocked(now: Gates, shown: Shown) -> tuple[list[dict[str, Any]], int]:
    """What keeps hosts that have steps to take, by step and gate; and the number of hosts that nothing keeps."""
    state, free = now.state, 0
    found: dict[tuple[Step, str, str], Counter[str]] = {}
    first: dict[tuple[Step, str, str], tuple[Host, Held]] = {}
    for held, hosts in _alike(now):
        if held is None:
            free += len(hosts)
            continue
        host = hosts[0]
        key = (now.next_step(host), held.code, host.domain if held.code == "domain" else "")
        first.setdefault(key, (host, held))
        found.setdefault(key, Counter())[host.class_id] += len(hosts)
    listed = []
    for key, counts in sorted(found.items(), key=lambda item: item[0]):
        step, code, domain = key
        host, held = first[key]
        listed.append(
            {
                "group": step.group,
                "classes": sorted(state.classes[class_id].name for class_id in counts),
                "from": step.source,
                "to": step.target,
                "hosts": counts.total(),
                "example": host.name,
                "invariant": held.invariant,
                "code": code,
                "reason": held.reason,
                "since": shown.time(_since(shown, held, domain)),
                "until": shown.time(held.until),
                "remedy": shown.remedy(held, step.group, domain),
            }
        )
    return listed, free


def _alike(now: Gates) -> Iterator[tuple[Held | None, list[Host]]]:
    """The candidates, in lists of hosts of a class that the same gate keeps, each with that gate (None: no gate).

    A gate is asked once for all hosts that it treats alike.
    """
    at_step: defaultdict[tuple[str, int], list[Host]] = defaultdict(list)
    for host in now.state.hosts.values():
        if host.phase in CANDIDATES:
            at_step[host.class_id, host.done].append(host)
    of_limits = functools.cache(now.of_limits)
    for (class_id, _), hosts in at_step.items():
        held = now.of_class(class_id)
        if held:
            yield held, hosts
            continue
        own = {host.name: now.of_host(host) for host in hosts if host.proved or host.phase is Phase.WAITING}
        yield from ((reason, [host]) for host in hosts if (reason := own.get(host.name)))
        others = [host for host in hosts if not own.get(host.name)]
        stage = now.of_stage(now.next_step(others[0])) if others else None
        if stage:
            yield stage, others
            continue
        in_domain: defaultdict[str, list[Host]] = defaultdict(list)
        for host in others:
            in_domain[host.domain].append(host)
        yield from ((of_limits(domain), members) for domain, members in in_domain.items())


def _soaks(now: Gates, host: Host) -> bool:
    """Whether the host is a canary whose success counts, in a soak that is not over."""
    return bool(
        host.proved and not now.progress(host.proved).stage and now.proves(host) and host.phase not in UNAVAILABLE
    )


def _since(shown: Shown, held: Held, domain: str) -> float | None:
    """Since when a gate is closed. For the limits: since the last host became unavailable."""
    if held.code not in {"domain", "fleet"}:
        return held.since
    return max(
        (host.since for host in shown.unavailable if held.code == "fleet" or host.domain == domain), default=None
    )


def _step(now: Gates, shown: Shown, step: Step) -> dict[str, Any]:
    progress = now.progress(step)
    return {
        "group": step.group,
        "classes": sorted(shown.names[step.group]),
        "from": step.source,
        "to": step.target,
        "stage": progress.stage,
        "stages": list(now.stages(step)),
        "succeeded": progress.succeeded,
        "in_flight": now.flight[step],
    }


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
