"""Hosts, controllers and a network for the core to be tried in. Everything that can go wrong does, on request; what was
said and done goes to the independent checker."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rollout_checker import Checker, Rules

from seamstep.fleet import rollout as core
from seamstep.fleet.messages import (
    Action,
    Allowed,
    Ask,
    Assigned,
    Begin,
    Begun,
    Denied,
    Expired,
    Granted,
    Observation,
    Outcome,
    Planned,
    Rejected,
    Report,
    Resume,
    Stop,
)
from seamstep.fleet.settings import Amount, Rollout
from seamstep.fleet.state import Class, Moment, State

LEASE, SOAK, RETRY = 100, 300, 50
MEASURED = frozenset({"m1", "m2", "m3"})
STRICT = Rollout(
    name="strict",
    sha256="0" * 64,
    domain="rack",
    unavailable_in_domain=Amount(1),
    unavailable_in_all=Amount(40, percent=True),
    canaries=1,
    canary_soak=SOAK,
    waves=(Amount(2),),
    wave_soak=SOAK // 2,
    reserve=1,
    allow_list=True,
    lease=LEASE,
    retry=RETRY,
)


def klass(name: str, group: str, *versions: str, remaining: int | None = 9) -> Class:
    """A class whose measurements are those of its versions."""
    return Class(f"id-{name}", name, group, versions, remaining, tuple(f"m{version}" for version in versions))


CLASSES = (
    klass("c1", "g1", "1", "2", "3"),
    klass("c2", "g1", "1", "2", "3", remaining=4),
    klass("c3", "g2", "2", "3"),
    klass("short", "g2", "2", "3", remaining=1),
)


@dataclass
class Truth:
    """A host as it is."""

    class_: Class
    domain: str
    boots: int = 0
    steps: int = 0
    lost: bool = False

    @property
    def version(self) -> str:
        return self.class_.versions[self.steps]


@dataclass
class Controller:
    """A controller's machine: its boot, and when that was in true time."""

    name: str
    boots: int = 0
    booted: float = 0.0


@dataclass
class World:
    """A fleet under a rollout.

    Attributes:
        log: what was said and done, as the checker reads it.
        leases: what controllers hold: leases that nobody has acted on yet.
        mail: reports that are under way; any may come late, twice or never.
    """

    rollout: Rollout = STRICT
    classes: Sequence[Class] = CLASSES
    hosts: dict[str, Truth] = field(default_factory=dict)
    time: float = 0.0
    leases: list[Granted] = field(default_factory=list)
    mail: list[Report] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.controllers = [Controller("a"), Controller("b", booted=-7777.0)]
        self.active = self.controllers[0]
        self.state = State(self.rollout, "secret")
        rollout = self.rollout
        self.checker = Checker(
            Rules(
                in_domain=_plain(rollout.unavailable_in_domain) if rollout.domain else None,
                in_all=_plain(rollout.unavailable_in_all),
                canaries=rollout.canaries,
                soak=rollout.canary_soak,
                reserve=rollout.reserve,
                allow_list=rollout.allow_list,
            )
        )

    def start(self) -> None:
        """Hand the fleet to the core."""
        self.tell(Planned(tuple(self.classes)), first=True)
        self.replan(*self.hosts)

    def boot(self, name: str) -> str:
        return f"{name}-boot{self.hosts[name].boots}"

    # the controller

    def now(self) -> Moment:
        return Moment(f"{self.active.name}{self.active.boots}", self.time - self.active.booted)

    def tell(self, *observations: Observation, first: bool = False) -> tuple[Action, ...]:
        """Give observations to the core, one by one, and everything to the checker."""
        said: list[Action] = []
        for observation in observations:
            step = core.begin if first else core.step
            self.state, actions = step(self.state, [observation], self.now())
            said += actions
            clock = self.state.clock.time
            for action in actions:
                if isinstance(action, Expired):
                    self.note("expired", host=action.host, lease=action.lease)
            self.observed(observation, actions)
            for action in actions:
                if isinstance(action, Granted):
                    self.leases.append(action)
                    self.note(
                        "lease",
                        host=action.host,
                        lease=action.lease,
                        source=action.source,
                        target=action.target,
                        boot=action.boot_id,
                        expires=action.expires,
                        clock=clock,
                    )
                elif isinstance(action, Begun):
                    self.note("begun", host=action.host, lease=action.lease, clock=clock)
        return tuple(said)

    def observed(self, observation: Observation, actions: Sequence[Action]) -> None:
        if isinstance(observation, Assigned):
            if not any(isinstance(action, Rejected) for action in actions):
                class_ = next(one for one in self.classes if one.id == observation.class_id)
                self.note(
                    "assigned",
                    host=observation.host,
                    boot=observation.boot_id,
                    group=class_.group,
                    domain=observation.domain,
                    path=class_.versions,
                    remaining=class_.remaining,
                    measurements=class_.measurements,
                )
        elif isinstance(observation, Begin):
            if any(isinstance(action, Denied) and action.code == "rebooted" for action in actions):
                seen = Report(observation.host, Outcome.SEEN, observation.lease, observation.boot_id)
                self.note("report", **seen._asdict() | {"boot": seen.boot_id})
        elif isinstance(observation, Report):
            self.note("report", **observation._asdict() | {"boot": observation.boot_id})
        elif isinstance(observation, Allowed):
            self.note("allowed", measurements=observation.measurements)
        elif isinstance(observation, Resume):
            self.note("resumed", group=observation.group)
        elif isinstance(observation, Stop):
            self.note("stopped", group=observation.group)
        elif isinstance(observation, Ask):
            self.note("asked")

    def note(self, event: str, **details: Any) -> None:
        entry = {"event": event, "time": self.time, **details}
        self.log.append(entry)
        self.checker.see(entry)

    def ask(self, limit: int | None = None) -> list[Granted]:
        return [action for action in self.tell(Ask(limit)) if isinstance(action, Granted)]

    def allow(self, measurements: frozenset[str] = MEASURED) -> None:
        self.tell(Allowed(measurements))

    def reboot_controller(self) -> None:
        self.active.boots += 1
        self.active.booted = self.time

    # hosts

    def replan(self, *names: str, other: bool = False) -> None:
        """Plan hosts by their facts of this moment; ``other``: by facts that changed, so that their class is another
        with the same path."""
        for name in names:
            truth = self.hosts[name]
            at = next(
                (one for one in self.classes if one.versions[0] == truth.version and one.group == truth.class_.group),
                None,
            )
            if at and not truth.lost:
                alike = [one for one in self.classes if one[2:4] == at[2:4] and one.remaining != 1]
                at = truth.class_ if truth.steps == 0 else at
                at = alike[-1] if other and alike else at
                truth.class_, truth.steps = at, 0
                self.tell(Assigned(name, self.boot(name), at.id, truth.domain))

    def act(self, lease: Granted, outcome: Outcome, *, begin: bool = True) -> Report | None:
        """The host does what its lease says, with an outcome. Returns the report that is under way then."""
        truth = self.hosts[lease.host]
        if begin:
            said = self.tell(Begin(lease.host, lease.lease, self.boot(lease.host)))
            if not any(isinstance(action, Begun) for action in said):
                return self.post(Report(lease.host, Outcome.NOT_BEGUN, lease.lease))
        if truth.lost:
            outcome = Outcome.LOST
        elif outcome is Outcome.APPLIED and lease.source == truth.version:
            truth.steps += 1
        elif outcome is Outcome.APPLIED:
            outcome = Outcome.REFUSED
        elif outcome is Outcome.LOST:
            truth.lost = True
        version = None if truth.lost else truth.version
        return self.post(Report(lease.host, outcome, lease.lease, self.boot(lease.host), version))

    def post(self, report: Report) -> Report:
        self.mail.append(report)
        return report

    def reboot(self, name: str) -> None:
        """The host boots again, with its first module."""
        truth = self.hosts[name]
        truth.boots, truth.steps, truth.lost = truth.boots + 1, 0, False

    def look(self, name: str) -> Report:
        """What a controller sees of a host that it reaches."""
        truth = self.hosts[name]
        lease = self.state.hosts[name].lease
        if truth.lost:
            return Report(name, Outcome.LOST, lease, self.boot(name))
        return Report(name, Outcome.SEEN, lease, self.boot(name), truth.version)


def _plain(amount: Amount) -> int | str:
    return f"{amount.number}%" if amount.percent else amount.number


def fleet(names: Sequence[str], classes: Sequence[Class] = CLASSES, racks: int = 3) -> dict[str, Truth]:
    """Hosts with these names, spread over classes and racks."""
    return {name: Truth(classes[index % len(classes)], f"r{index % racks}") for index, name in enumerate(names)}


def made(rollout: Rollout = STRICT, hosts: int = 9, classes: Sequence[Class] = CLASSES, racks: int = 3) -> World:
    """A world whose rollout has started."""
    world = World(rollout, classes, fleet([f"h{number}" for number in range(hosts)], classes, racks))
    world.start()
    world.allow()
    return world


OUTCOMES = (
    *[Outcome.APPLIED] * 8,
    *(Outcome.BUSY, Outcome.FAILED, Outcome.LOST, Outcome.UNKNOWN, Outcome.REFUSED, Outcome.UNREACHABLE),
)


def walk(world: World, chance: random.Random, moves: int) -> None:
    """Let anything happen, ``moves`` times: often what is usual, and sometimes what is not."""
    unusual = chance.choice([0.1, 0.3, 0.6])
    for _ in range(moves):
        chance.choice(UNUSUAL if chance.random() < unusual else USUAL)(world, chance)


def _ask(world: World, chance: random.Random) -> None:
    world.ask(chance.choice([1, 2, None]))


def _act(world: World, chance: random.Random) -> None:
    if world.leases:
        lease = world.leases.pop(chance.randrange(len(world.leases)))
        report = world.act(lease, chance.choice(OUTCOMES), begin=chance.random() < 0.8)
        if report and report.outcome is Outcome.APPLIED and chance.random() < 0.05:
            world.mail[-1] = report._replace(version="9")


def _again(world: World, chance: random.Random) -> None:
    """Two engines act on one lease."""
    if world.leases:
        world.act(chance.choice(world.leases), Outcome.APPLIED)


def _deliver(world: World, chance: random.Random) -> None:
    if world.mail:
        index = chance.randrange(len(world.mail))
        report = world.mail[index]
        if chance.random() < 0.8:
            del world.mail[index]
        world.tell(report)


def _forge(world: World, chance: random.Random) -> None:
    name = chance.choice([*world.hosts, "nobody"])
    known = world.state.hosts.get(name)
    others = [host.lease for host in world.state.hosts.values() if host.lease and host.name != name]
    lease = chance.choice(["", "f0f0", *others])
    boot = chance.choice([None, "forged", known.boot_id if known else "x"])
    world.tell(Report(name, chance.choice(list(Outcome)[:7]), lease, boot if lease else None, chance.choice("123")))


def _pass(world: World, chance: random.Random) -> None:
    world.time += chance.choice([1, 10, RETRY, LEASE, SOAK, SOAK])


def _reboot(world: World, chance: random.Random) -> None:
    world.reboot(chance.choice(list(world.hosts)))


def _look(world: World, chance: random.Random) -> None:
    for name in world.hosts:
        world.tell(world.look(name))


def _away(world: World, chance: random.Random) -> None:
    name = chance.choice(list(world.hosts))
    world.tell(Report(name, chance.choice([Outcome.UNREACHABLE, Outcome.REBOOTING])))


def _replan(world: World, chance: random.Random) -> None:
    world.replan(*world.hosts, other=chance.random() < 0.3)


def _resume(world: World, chance: random.Random) -> None:
    world.tell(Resume("x", "y", chance.choice(["", "", "g1", "g2"])))


def _stop(world: World, chance: random.Random) -> None:
    world.tell(Stop("x", "y", chance.choice(["", "g1"])))


def _allow(world: World, chance: random.Random) -> None:
    world.allow(chance.choice([MEASURED, MEASURED, frozenset({"m2", "m3"}), frozenset()]))


def _controller(world: World, chance: random.Random) -> None:
    if chance.random() < 0.3:
        world.reboot_controller()
    world.active = chance.choice(world.controllers)


def _work(world: World, chance: random.Random) -> None:
    """What a controller does that works: all leases are acted on, all reports arrive."""
    world.ask()
    while world.leases:
        world.act(world.leases.pop(0), Outcome.APPLIED)
    while world.mail:
        world.tell(world.mail.pop(0))
    world.time += chance.choice([10, SOAK])


USUAL = (_ask, _ask, _act, _act, _deliver, _deliver, _deliver, _pass, _work, _work)
UNUSUAL = (
    *(_act, _again, _forge, _reboot, _look, _look, _away, _replan, _replan, _resume, _resume, _resume, _stop),
    *(_allow, _allow, _controller, _deliver, _pass),
)
