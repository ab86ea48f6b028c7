"""Simulate a year of a fleet, and put the figures into docs/rollout.md: ``python docs/rollout_year.py [--check]``.

10,000 hosts in racks of 25 get a release every month. The seventh one loses TDX on one platform. Hosts reboot, are busy
and can't be reached as they do. The rollout is the real core under docs/rollout-example.yaml; the others are what they
say they are. With ``--check`` nothing is written; the exit code is 1 if the page has other figures.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rule_pages import paragraph
from seamstep.fleet import rollout as core
from seamstep.fleet import rollout_file, waves
from seamstep.fleet.messages import Ask, Assigned, Begin, Begun, Granted, Outcome, Planned, Report, Resume
from seamstep.fleet.settings import Rollout
from seamstep.fleet.state import Class, Moment, Phase, State
from seamstep.fleet.state import Host as Standing

HERE = Path(__file__).parent
PAGE = HERE / "rollout.md"
EXAMPLE = HERE / "rollout-example.yaml"
BEGIN, END = "<!-- year: begin -->", "<!-- year: end -->"
HOSTS, RACK, MONTHS, BAD_MONTH = 10_000, 25, 12, 7
#: Platforms with their part of the fleet; the bad release harms the second.
PLATFORMS = {"0x806F8": 0.5, "0xC06F2": 0.3, "0xA06D1": 0.2}
HARMED = "0xC06F2"
KERNELS = ("6.18", "6.19", "7.0")
HOUR = 3600
BUSY, AWAY = 0.02, 0.002  # of attempts
GONE = 0.05  # of the hosts that are away: until their lease has expired
REBOOTS = 1 / (60 * 24)  # an hour: each host every 60 days
PERSON = 8  # hours until a person has looked and resumes


class Host(NamedTuple):
    """A host's name, platform, kernel and rack."""

    name: str
    platform: str
    kernel: str
    rack: str


class Result(NamedTuple):
    """What came of one release: the hosts that began it, those that lost TDX, the hours it took, and how often a person
    was called."""

    reached: int
    lost: int
    hours: int
    calls: int


def fleet(chance: random.Random, hosts: int = HOSTS) -> list[Host]:
    """The hosts. A rack has one platform and one kernel."""
    made = []
    for number in range(hosts):
        if number % RACK == 0:
            platform = chance.choices(list(PLATFORMS), list(PLATFORMS.values()))[0]
            kernel = chance.choice(KERNELS)
        made.append(Host(f"host-{number:05}", platform, kernel, f"rack-{number // RACK:03}"))
    return made


@dataclass
class Month:
    """One release under the core; ``silent``: a harmed host can't be reached any more, instead of saying what it is."""

    hosts: list[Host]
    bad: bool
    silent: bool
    chance: random.Random
    boots: dict[str, int] = field(default_factory=dict)
    reached: int = 0
    lost: int = 0
    calls: int = 0

    def run(self, rollout: Rollout) -> Result:
        """Roll out until no host is left, or until the bad release is withdrawn."""
        state, by_name = self.start(rollout), {host.name: host for host in self.hosts}
        hour, called = 0, -1
        late: list[Report] = []
        while hour < 24 * 28:
            now = Moment("controller", hour * HOUR)
            seen, late = [*late, *self.reboots(state)], []
            state, _ = core.step(state, seen, now)
            state, actions = core.step(state, [Ask()], now)
            reports = []
            for lease in (action for action in actions if isinstance(action, Granted)):
                state, answers = core.step(state, [Begin(lease.host, lease.lease)], now) if self.bad else (state, ())
                if not self.bad or any(isinstance(answer, Begun) for answer in answers):
                    report = self.attempt(by_name[lease.host], lease)
                else:
                    report = Report(lease.host, Outcome.NOT_BEGUN, lease.lease)
                if report.outcome is Outcome.UNREACHABLE and not self.bad and self.chance.random() > GONE:
                    late.append(report._replace(outcome=Outcome.NOT_BEGUN))  # reached an hour later
                if self.bad:  # one by one, so that a halt comes before the next begins
                    state, _ = core.step(state, [report], now)
                else:
                    reports.append(report)
            state, _ = core.step(state, reports, now)
            if state.halts and called < 0:
                self.calls, called = self.calls + 1, hour
            if state.halts and hour - called >= PERSON:
                if self.bad:
                    break  # the person withdraws the release
                state, _ = core.step(state, [*self.repaired(state), Resume("operator", "looked at")], now)
                called = -1
            phases = {host.phase for host in state.hosts.values()}
            if not phases & {Phase.READY, Phase.WAITING, Phase.LEASED, Phase.UNREACHABLE}:
                break
            hour += 1
        return Result(self.reached, self.lost, hour, self.calls)

    def start(self, rollout: Rollout) -> State:
        classes = {}
        for kind in itertools.product(PLATFORMS, KERNELS):
            name, group = "-".join(kind), waves.group([kind[0]], "1", "1.5.02", kind[1])
            classes[kind] = Class(name, name, group, ("1", "2"), remaining=9)
        told = [
            Assigned(host.name, f"{host.name}-0", classes[host.platform, host.kernel].id, host.rack)
            for host in self.hosts
        ]
        return core.begin(State(rollout, "x"), [Planned(tuple(classes.values())), *told], Moment("controller", 0))[0]

    def attempt(self, host: Host, lease: Granted) -> Report:
        luck = self.chance.random()
        if luck < AWAY:
            return Report(host.name, Outcome.UNREACHABLE, lease.lease, note="no route")
        if luck < AWAY + BUSY:
            return Report(host.name, Outcome.BUSY, lease.lease, lease.boot_id, note="a TD is being built")
        self.reached += 1
        if self.bad and host.platform == HARMED:
            self.lost += 1
            outcome = Outcome.UNREACHABLE if self.silent else Outcome.LOST
            return Report(host.name, outcome, lease.lease, None if self.silent else lease.boot_id)
        return Report(host.name, Outcome.APPLIED, lease.lease, lease.boot_id, lease.target)

    def repaired(self, state: State) -> list[Report]:
        """The unknown hosts, which a person rebooted."""
        return [self.rebooted(host) for host in state.hosts.values() if host.phase is Phase.UNKNOWN]

    def rebooted(self, host: Standing) -> Report:
        self.boots[host.name] = self.boots.get(host.name, 0) + 1
        return Report(host.name, Outcome.SEEN, host.lease, f"{host.name}-{self.boots[host.name]}", "1")

    def reboots(self, state: State) -> list[Report]:
        """Hosts that rebooted in the last hour, as a controller sees them."""
        seen = []
        for number in range(len(self.hosts)):
            if self.chance.random() < REBOOTS:
                host = state.hosts[self.hosts[number].name]
                if host.phase is not Phase.LOST:
                    seen.append(self.rebooted(host))
        return seen


def in_batches(hosts: Sequence[Host], sizes: Sequence[int], *, silent: bool) -> Result:
    """The bad release under ``serial`` with ``max_fail_percentage: 0``: a batch runs to its end whatever happens in it,
    the play stops after a batch with a failed host, and an unreachable host is none."""
    reached = lost = done = 0
    batches = iter(sizes)
    size = 0
    while done < len(hosts):
        size = next(batches, size)
        batch = hosts[done : done + size]
        harmed = sum(host.platform == HARMED for host in batch)
        reached, lost, done = reached + len(batch), lost + harmed, done + len(batch)
        if harmed and not silent:
            break
    return Result(reached, lost, 0, 0)


def figures(hosts: int = HOSTS) -> str:
    """The part of the page."""
    chance = random.Random(20)  # noqa: S311 - a simulation
    made = fleet(chance, hosts)
    rollout = rollout_file.load(str(EXAMPLE))
    harmed = sum(host.platform == HARMED for host in made)

    def month(number: int, *, silent: bool = False) -> Result:
        luck = random.Random(number)  # noqa: S311 - a simulation
        return Month(made, bad=number == BAD_MONTH, silent=silent, chance=luck).run(rollout)

    good = [month(number) for number in range(1, MONTHS + 1) if number != BAD_MONTH]
    told, silent = month(BAD_MONTH), month(BAD_MONTH, silent=True)
    tenth, hundredth = hosts // 10, hosts // 100
    batches = {"10%": [tenth], '[1, "1%", "10%"]': [1, hundredth, tenth]}
    serial = [tuple(in_batches(made, sizes, silent=mute) for mute in (False, True)) for sizes in batches.values()]
    rows: list[tuple[str, Result, Result]] = [
        ("seamstep, waves as in the example", told, silent),
        *((f"`serial: {name}`", said, mute) for name, (said, mute) in zip(batches, serial, strict=True)),
        ("everyone at once", Result(hosts, harmed, 0, 0), Result(hosts, harmed, 0, 0)),
    ]
    lines = [
        f"{hosts:,} hosts in racks of {RACK}; {harmed:,} of them are of the platform that the bad release harms.",
        "",
        "| | a harmed host says so: hosts reached | TDX lost | a harmed host is silent: hosts reached | TDX lost |",
        "|---|---:|---:|---:|---:|",
        *(f"| {name} | {a.reached:,} | {a.lost:,} | {b.reached:,} | {b.lost:,} |" for name, a, b in rows),
        "",
        "`serial` is Ansible's, with `max_fail_percentage: 0`.",
        "",
        paragraph(
            f"The {len(good)} good releases of that year reached {span([one.reached for one in good])} hosts each in"
            f" {span([one.hours // 24 for one in good])} days; the other hosts rebooted meanwhile, and are planned"
            f" again. A person was called {sum(one.calls for one in good)} times for hosts that could not be reached"
            f" until their lease had expired, and {told.calls} time for the bad release."
        ),
    ]
    return "\n".join(lines)


def span(values: Sequence[int]) -> str:
    """The smallest and the largest of some numbers."""
    return f"{min(values):,} to {max(values):,}"


def page(part: str) -> str:
    """The page with ``part`` between its marks."""
    text = PAGE.read_text("utf-8")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{part}\n{END}{rest.split(END)[1]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the figures, or check them; the exit code."""
    parser = argparse.ArgumentParser(description="Simulate a year of a fleet for docs/rollout.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page has other figures")
    check = parser.parse_args(arguments).check
    text = page(figures())
    if check:
        return int(text != PAGE.read_text("utf-8"))
    PAGE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
