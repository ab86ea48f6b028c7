"""The core of rollouts keeps its invariants whatever happens, and the checker that says so finds planted faults."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from rollout_checker import BrokenInvariantError
from rollout_world import CLASSES, LEASE, MEASURED, RETRY, SOAK, STRICT, World, klass, made, walk

from conftest import THOROUGH
from seamstep.fleet import gates, settling, state, turn
from seamstep.fleet import rollout as core
from seamstep.fleet.messages import Outcome, Rejected, Report, Resume, Stop
from seamstep.fleet.settings import Amount
from seamstep.fleet.state import Phase

NAMES = st.integers(0, 5).map(lambda number: f"h{number}")


class Machine(RuleBasedStateMachine):
    """A fleet of six hosts. The checker raises in the middle of a rule if a lease or a begin breaks an invariant."""

    @initialize(canaries=st.integers(1, 2), in_all=st.sampled_from([Amount(1), Amount(3), Amount(50, percent=True)]))
    def begin(self, canaries: int, in_all: Amount) -> None:
        rollout = STRICT._replace(canaries=canaries, unavailable_in_all=in_all)
        self.world = made(rollout, hosts=6)

    @rule(limit=st.sampled_from([1, 2, None]))
    def ask(self, limit: int | None) -> None:
        self.world.ask(limit)

    @precondition(lambda self: self.world.leases)
    @rule(data=st.data(), outcome=st.sampled_from(list(Outcome)[:7]), begin=st.booleans(), kept=st.booleans())
    def act(self, data: st.DataObject, outcome: Outcome, *, begin: bool, kept: bool) -> None:
        """A host acts on a lease; another engine may do so again."""
        lease = data.draw(st.sampled_from(self.world.leases))
        if not kept:
            self.world.leases.remove(lease)
        self.world.act(lease, outcome, begin=begin)

    @precondition(lambda self: self.world.mail)
    @rule(data=st.data(), doubled=st.booleans())
    def deliver(self, data: st.DataObject, *, doubled: bool) -> None:
        """A report arrives, in any order, perhaps not for the last time."""
        report = data.draw(st.sampled_from(self.world.mail))
        if not doubled:
            self.world.mail.remove(report)
        self.world.tell(report)

    @rule(name=st.one_of(NAMES, st.just("nobody")), outcome=st.sampled_from(Outcome), boot=st.sampled_from([None, "x"]))
    def forge(self, name: str, outcome: Outcome, boot: str | None) -> None:
        """A report names a lease that was never given, or another host's."""
        others = [host.lease for host in self.world.state.hosts.values() if host.name != name and host.lease]
        lease = others[0] if others else "f0f0"
        said = self.world.tell(Report(name, outcome, lease, boot, "3"))
        assert isinstance(said[-1], Rejected)

    @rule(seconds=st.sampled_from([1, RETRY, LEASE, SOAK]))
    def passes(self, seconds: int) -> None:
        self.world.time += seconds

    @rule(name=NAMES)
    def reboot(self, name: str) -> None:
        self.world.reboot(name)

    @rule(name=NAMES)
    def look(self, name: str) -> None:
        self.world.tell(self.world.look(name))

    @rule(names=st.lists(NAMES, min_size=1), outcome=st.sampled_from([Outcome.UNREACHABLE, Outcome.REBOOTING]))
    def partition(self, names: list[str], outcome: Outcome) -> None:
        for name in names:
            self.world.tell(Report(name, outcome))

    @rule(name=NAMES)
    def replan(self, name: str) -> None:
        self.world.replan(name)

    @rule(group=st.sampled_from(["", "g1"]))
    def stop(self, group: str) -> None:
        self.world.tell(Stop("x", "y", group))

    @rule(group=st.sampled_from(["", "", "g1", "g2"]))
    def resume(self, group: str) -> None:
        self.world.tell(Resume("x", "y", group))

    @rule(allowed=st.sampled_from([MEASURED, MEASURED, frozenset({"m2", "m3"})]))
    def allow(self, allowed: frozenset[str]) -> None:
        self.world.allow(allowed)

    @rule(other=st.integers(0, 1), rebooted=st.booleans())
    def controller(self, other: int, *, rebooted: bool) -> None:
        """Another controller has the word, perhaps on a machine whose clock begins anew."""
        self.world.active = self.world.controllers[other]
        if rebooted:
            self.world.reboot_controller()

    @invariant()
    def counts(self) -> None:
        """No progress is counted below zero, and no host is in two places."""
        if hasattr(self, "world"):
            assert all(progress.succeeded >= 0 for progress in self.world.state.progress.values())
            assert sum(self.world.state.sizes.values()) == len(self.world.hosts)


TestMachine = pytest.mark.thorough(Machine.TestCase)
TestMachine.settings = hypothesis.settings(
    max_examples=1000 if THOROUGH else 60, stateful_step_count=80 if THOROUGH else 40, deadline=None
)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(1000 if THOROUGH else 100))
def test_no_walk_breaks_an_invariant(seed: int) -> None:
    walks([seed])


# planted faults


def answer(value: Any) -> Callable[..., Any]:
    return lambda *arguments, **settings: value


def free(phase: Phase) -> Callable[[pytest.MonkeyPatch], None]:
    """Hosts in this phase are not counted."""
    return lambda patch: patch.setattr(gates, "UNAVAILABLE", state.UNAVAILABLE - {phase})


def expires_to_free(patch: pytest.MonkeyPatch) -> None:
    def expire(self: Any) -> None:
        for host in list(self.hosts.values()):
            if host.open and host.expires <= self.time and host.phase in state.IN_FLIGHT:
                self.hosts[host.name] = host._replace(phase=Phase.READY, open=False)

    patch.setattr(core._Turn, "expire", expire)


def any_lease_will_do(patch: pytest.MonkeyPatch) -> None:
    believed = settling._not_believed

    def lenient(host: Any, given: Report) -> Any:
        return believed(host, given._replace(lease=host.lease) if host else given)

    patch.setattr(settling, "_not_believed", lenient)


def boots_are_not_compared(patch: pytest.MonkeyPatch) -> None:
    report = core._Turn.report

    def lenient(self: Any, given: Report) -> None:
        host = self.hosts.get(given.host)
        report(self, given._replace(boot_id=host.boot_id) if host and given.boot_id else given)

    patch.setattr(core._Turn, "report", lenient)


def rounds_up(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Amount, "of", lambda self, hosts: -(-hosts * self.number // 100) if self.percent else self.number)


def no_halt(kind: Phase) -> Callable[[pytest.MonkeyPatch], None]:
    kinds = {phase: name for phase, name in turn._KINDS.items() if phase is not kind}
    return lambda patch: patch.setattr(turn, "_KINDS", kinds)


def halts_its_class_alone(patch: pytest.MonkeyPatch) -> None:
    halt = core._Turn.halt
    patch.setattr(core._Turn, "halt", lambda self, given: halt(self, given._replace(group=given.group or "g1")))


def begins_whatever_is_halted(patch: pytest.MonkeyPatch) -> None:
    denial = core._Turn.denial

    def lenient(self: Any, host: Any, asked: Any) -> Any:
        found = denial(self, host, asked)
        return None if found and found[0] == "halt" else found

    patch.setattr(core._Turn, "denial", lenient)


def begins_twice(patch: pytest.MonkeyPatch) -> None:
    denial = core._Turn.denial

    def lenient(self: Any, host: Any, asked: Any) -> Any:
        found = denial(self, host, asked)
        return None if found and found[0] == "begun" else found

    patch.setattr(core._Turn, "denial", lenient)


def comes_back_as_ready(patch: pytest.MonkeyPatch) -> None:
    seen = core._Turn.seen

    def lenient(self: Any, host: Any, given: Report) -> None:
        away = host.done == 0 and host.home in {Phase.FAILED, Phase.VOID, Phase.REFUSED}
        seen(self, host._replace(home=Phase.READY) if away else host, given)

    patch.setattr(core._Turn, "seen", lenient)


def believes_the_wall_clock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(state.Clock, "at", lambda self, now: state.Clock(max(self.time, now.monotonic), now.boot, 0.0))


def wrong_version_is_success(patch: pytest.MonkeyPatch) -> None:
    settle = core._Turn.settle

    def lenient(self: Any, host: Any, given: Report) -> None:
        step = self.attempt(host)
        settle(self, host, given._replace(version=step.target) if step else given)

    patch.setattr(core._Turn, "settle", lenient)


def method(owner: Any, name: str, value: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(owner, name, answer(value) if not callable(value) else value)


FAULTS = {
    "unknown is free": free(Phase.UNKNOWN),
    "lost is free": free(Phase.LOST),
    "unreachable is free": free(Phase.UNREACHABLE),
    "rebooting is free": free(Phase.REBOOTING),
    "in flight is free": free(Phase.LEASED),
    "a lease expires to free": expires_to_free,
    "percentages round up": rounds_up,
    "no limit": method(gates.Gates, "of_limits", None),
    "canaries don't soak": method(gates.Gates, "soak", 0),
    "no canaries": method(gates.Gates, "of_stage", None),
    "a canary goes on in its soak": method(gates.Gates, "of_soak", None),
    "a canary that reboots in its soak counts": method(core._Turn, "withdraw", lambda self, host: host),
    "no halt": method(gates, "of_halt", None),
    "lost does not halt": no_halt(Phase.LOST),
    "unknown does not halt": no_halt(Phase.UNKNOWN),
    "failed does not halt": no_halt(Phase.FAILED),
    "a lost host halts its class alone": halts_its_class_alone,
    "no allow-list": method(gates, "of_measurements", None),
    "the reserve is spent": method(gates, "of_reserve", None),
    "steps are tried again": method(core._Turn, "attempted", lambda self, host: host),
    "any lease will do": any_lease_will_do,
    "boots are not compared": boots_are_not_compared,
    "begins in a halt": begins_whatever_is_halted,
    "begins twice": begins_twice,
    "who was set aside comes back as ready": comes_back_as_ready,
    "clocks of several machines are one": believes_the_wall_clock,
    "a wrong version is a success": wrong_version_is_success,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    FAULTS[fault](monkeypatch)
    with pytest.raises(BrokenInvariantError):
        walks(range(1500))


def walks(seeds: Iterable[int]) -> None:
    for seed in seeds:
        wide = STRICT._replace(canaries=3)
        walk(made(wide, racks=9) if seed % 3 == 0 else made(), random.Random(seed), 150)


# invariant 8


@pytest.mark.parametrize("canaries", [1, 3])
@pytest.mark.parametrize("in_all", [Amount(1), Amount(30, percent=True)])
def test_without_faults_every_permitted_host_arrives(canaries: int, in_all: Amount) -> None:
    world = made(STRICT._replace(canaries=canaries, unavailable_in_all=in_all), hosts=12)
    permitted = [name for name, truth in world.hosts.items() if truth.class_.name != "short"]
    rounds = 0
    while any(world.state.hosts[name].phase is not Phase.DONE for name in permitted):
        rounds += 1
        assert rounds <= 2 * len(permitted) * 6
        for lease in world.ask():
            world.leases.remove(lease)
            report = world.act(lease, Outcome.APPLIED)
            assert report
            world.time += 1
            world.tell(report)
        world.time += SOAK
    assert all(world.hosts[name].version == "3" for name in permitted)
    outside = [host for host in world.state.hosts.values() if host.phase is Phase.OUTSIDE]
    assert len(outside) == 3
    assert all("kept" in host.note for host in outside)


@pytest.mark.parametrize("hosts", [1, 2, 40])
def test_busy_hosts_wait_and_hold_nobody_else_up(hosts: int) -> None:
    one = (klass("c1", "g1", "1", "2"),)
    rollout = STRICT._replace(domain="", unavailable_in_all=Amount(5), waves=(Amount(10, percent=True),))
    world = made(rollout, hosts, one, racks=1)
    busy = {"h0"}
    for _ in range(100):
        for lease in world.ask():
            report = world.act(lease, Outcome.BUSY if lease.host in busy else Outcome.APPLIED)
            assert report
            world.tell(report)
        world.time += SOAK
    phases = {host.name: host.phase for host in world.state.hosts.values()}
    assert phases.pop("h0") is Phase.WAITING
    assert set(phases.values()) <= {Phase.DONE}


# every order, for few hosts


def walked(world: World) -> tuple[Any, ...]:
    """What a state and its history come to, with times as far as they matter from now on."""
    now = world.state.clock.time

    def ago(moment: float) -> float:
        return min(now - moment, SOAK)

    hosts = tuple(
        (
            host.phase, host.done, host.open, host.begun, max(host.expires - now, 0) if host.open else 0,
            max(host.until - now, 0), host.proved and (host.proved, ago(host.proved_at)), host.tried, len(host.boots),
            world.hosts[host.name].lost, world.hosts[host.name].steps, world.boot(host.name) == host.boot_id,
        )
        for host in world.state.hosts.values()
    )  # fmt: skip
    progress = tuple((step, one.succeeded, one.stage, ago(one.last)) for step, one in world.state.progress.items())
    leases = tuple(sorted(lease.host for lease in world.leases))
    return hosts, progress, tuple((halt.group, halt.kind) for halt in world.state.halts), leases


def orders(world: World) -> Iterator[Callable[[World], object]]:
    """Everything that may happen next, each as a change to a copy of the world."""
    yield lambda after: after.ask(1)
    if world.leases or any(host.proved or host.open for host in world.state.hosts.values()):
        yield lambda after: setattr(after, "time", after.time + SOAK)
    for index in range(len(world.leases)):
        for outcome in (Outcome.APPLIED, Outcome.FAILED, Outcome.LOST):
            yield lambda after, index=index, outcome=outcome: acted(after, index, outcome)  # type: ignore[misc]
    if world.state.halts:
        yield lambda after: after.tell(Resume("x", "y"))
    for name, truth in world.hosts.items():
        host = world.state.hosts[name]
        if truth.boots == 0 and (host.lease or truth.lost):
            yield lambda after, name=name: rebooted(after, name)  # type: ignore[misc]
        if host.phase not in {Phase.UNREACHABLE, Phase.LOST, Phase.UNKNOWN} and truth.boots == 0:
            yield lambda after, name=name: after.tell(Report(name, Outcome.UNREACHABLE))  # type: ignore[misc]
        if host.phase in {Phase.UNREACHABLE, Phase.UNKNOWN}:
            yield lambda after, name=name: after.tell(after.look(name))  # type: ignore[misc]


def acted(world: World, index: int, outcome: Outcome) -> None:
    report = world.act(world.leases.pop(index), outcome)
    assert report
    world.tell(world.mail.pop())


def rebooted(world: World, name: str) -> None:
    """A host boots again, is seen, and is planned again."""
    world.reboot(name)
    world.tell(world.look(name))
    world.replan(name)


def copied(world: World) -> World:
    after = copy.copy(world)
    after.checker = copy.deepcopy(world.checker)
    after.hosts = {name: copy.copy(truth) for name, truth in world.hosts.items()}
    after.leases, after.mail, after.log = list(world.leases), list(world.mail), []
    return after


SMALL = STRICT._replace(
    domain="", unavailable_in_all=Amount(2), allow_list=False, reserve=0, waves=(), canary_soak=SOAK, lease=SOAK
)


def reached(hosts: int, depth: int) -> int:
    """Walk all orders of at most ``depth`` events; returns the number of states."""
    one = (klass("c1", "g1", "1", "2"),)
    start = made(SMALL, hosts, one, racks=1)
    found = {walked(start)}
    edge = [start]
    for _ in range(depth):
        if not edge:  # every order there is
            break
        following = []
        for world in edge:
            for change in orders(world):
                after = copied(world)
                change(after)
                key = walked(after)
                if key not in found:
                    found.add(key)
                    following.append(after)
        edge = following
    return len(found)


@pytest.mark.thorough
@pytest.mark.parametrize(("hosts", "depth"), [(3, 60 if THOROUGH else 8), (4, 16 if THOROUGH else 7)])
def test_no_order_of_events_breaks_an_invariant(hosts: int, depth: int) -> None:
    assert reached(hosts, depth) > 100


def test_who_was_set_aside_comes_back_by_a_new_plan_alone() -> None:
    """A host that was refused, or that rebooted, gets no lease until it is planned again, and then does."""
    world = made(SMALL, 1, CLASSES[2:3], racks=1)
    world.act(world.ask()[0], Outcome.REFUSED)
    world.tell(world.mail.pop())
    world.time += SOAK
    assert world.ask() == []
    world.replan("h0")
    assert len(world.ask()) == 1
    rebooted(world, "h0")
    assert world.state.hosts["h0"].phase is Phase.READY
    assert len(world.ask()) == 1
    world.reboot("h0")
    world.tell(world.look("h0"))
    assert world.ask() == []
