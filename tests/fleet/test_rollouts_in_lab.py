"""Rollouts on the lab by the real ansible-playbook, with what goes wrong in them. What the ledger and the playbook say
is held against the hosts' own files, and its log against the invariants of docs/rollout.md."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from fleet.driver import Lab, Ran, seamstep
from fleet.engine import Engine
from fleet.playbook import Play
from fleet.prepare import POLICY, ROLLOUT
from fleet.proof import Proof

pytestmark = pytest.mark.fleet

#: Canaries soak for a moment, and no host waits for another's rack: for scenarios of a few hosts.
SMALL = ROLLOUT.replace("hosts: 2", "hosts: 1").replace("soak: 3s", "soak: 1s").replace("20%", "50%")
PEOPLE = ("--by", "alice", "--reason", "a test")


class Scenario:
    """A lab, a rollout on it, and the playbook."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.engine = Engine(lab, folder)
        self.plays: list[Play] = []

    def start(self, rollout: str = SMALL, *, again: bool = False, hosts: Sequence[str] = ()) -> None:
        """Read facts, plan, and start the rollout, or bring the new plan into it; of all hosts, or of these."""
        (self.folder / "rollout.yaml").write_text(rollout)
        self.engine.start(self.folder / "rollout.yaml", again=again, hosts=hosts)

    def begin(self, **variables: object) -> Play:
        """Begin the playbook."""
        self.plays.append(Play(self.lab, self.folder, self.engine.ledger, **variables))
        return self.plays[-1]

    def play(self, **variables: object) -> int:
        """Run the playbook to its end; returns its exit code."""
        return self.begin(**variables).wait()

    def fleet(self, command: str, *words: object) -> Ran:
        """Run a command of the rollout."""
        return seamstep("fleet", command, "--ledger", self.engine.ledger, *words)

    def state(self) -> str:
        """How the rollout stands, in a word."""
        found: str = self.fleet("status", "--json").json["state"]
        return found

    def has_begun(self, updates: int) -> bool:
        """Whether hosts have begun so many updates."""
        return self.uploads() >= updates

    def kills_in_an_update(self, play: Play) -> bool:
        """Kill the playbook, unless a host is about to begin: it would become unknown, which needs a person."""
        with play.frozen():
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline:
                if self.begun() == self.uploads():
                    play.kill()
                    return True
                time.sleep(0.2)
        return False

    def begun(self) -> int | None:
        """How many updates the ledger let begin; None while a command that stands still has the ledger."""
        with contextlib.closing(sqlite3.connect(self.engine.ledger, timeout=1)) as connection:
            try:
                found: int = connection.execute("SELECT count(*) FROM events WHERE kind = 'begun'").fetchone()[0]
            except sqlite3.OperationalError:
                return None
        return found

    def soaking(self) -> list[str]:
        """The hosts that soak as canaries."""
        return [one["host"] for one in self.fleet("status", "--json").json["soaking"]]

    def uploads(self) -> int:
        """How many updates hosts have begun."""
        return len(self.lab.events("upload"))

    def proved(self) -> Proof:
        """All that was said was so, and every invariant held: raises AssertionError otherwise."""
        proof = Proof(self.lab, self.engine.ledger, self.folder)
        proof.check()
        for host in self.lab.hosts:
            told = sum(play.green[host] for play in self.plays)
            took = sum(one.host == host and one.version == one.target for one in proof.uploads)
            assert told <= took, f"the playbook said {told} steps of {host}, and it took {took}"
        return proof

    def measurements(self) -> list[tuple[str, str]]:
        """The measurements of the paths that were planned, with their versions."""
        state = self.proved().state
        return [
            pair for class_ in state.classes.values() for pair in zip(class_.versions, class_.measurements, strict=True)
        ]

    def versions(self, group: str) -> set[str | None]:
        """What the hosts of a group run."""
        return {self.lab.see(host)["version"] for host in self.lab.members(group)}


@pytest.fixture
def scenario(tmp_path: Path) -> Iterator[Callable[[int], Scenario]]:
    """Makes the scenario on a lab of so many hosts."""
    made: list[Scenario] = []

    def make(hosts: int) -> Scenario:
        made.append(Scenario(Lab(tmp_path / "lab", hosts), tmp_path))
        return made[-1]

    yield make
    for one in made:
        for play in one.plays:
            play.kill()
        one.lab("down")


def test_fifty_hosts_and_all_is_well(scenario: Callable[[int], Scenario]) -> None:
    fifty = scenario(50)
    fifty.start(ROLLOUT)
    assert fifty.play(rollout_at_once=6) == 0
    proof = fifty.proved()
    assert proof.hosts("done") == set(fifty.lab.hosts)
    assert fifty.versions("spr") | fifty.versions("emr") == {"1.5.34"}
    assert fifty.versions("gnr") == {"2.0.18"}
    assert sum(fifty.plays[0].green.values()) == len(proof.uploads)
    assert fifty.play() == 0
    assert not fifty.plays[1].green, "a second run changes nothing"
    assert fifty.uploads() == len(proof.uploads)


def test_a_release_that_loses_tdx_on_one_platform_reaches_its_canaries_only(
    scenario: Callable[[int], Scenario],
) -> None:
    bad = scenario(14)
    bad.lab("fault", "spr", "lost=1.5.34")
    bad.start(SMALL.replace("hosts: 1", "hosts: 2"))
    assert bad.play() != 0
    proof = bad.proved()
    reached = [one for one in proof.uploads if one.host in bad.lab.members("spr") and one.target == "1.5.34"]
    assert 0 < len(reached) <= 4, "two canaries each of two classes"
    assert bad.state() == "halted"
    halted = proof.times("halted")[0]
    assert not [when for when in proof.times("begun") if when > halted]
    assert "TDX is lost" in bad.plays[0].text


def test_a_rack_that_is_not_reached_waits_and_the_others_go_on(scenario: Callable[[int], Scenario]) -> None:
    cut = scenario(10)
    cut.start()
    cut.lab("fault", "rack_b", "unreachable")
    assert cut.play(rollout_wait=3) != 0
    proof = cut.proved()
    assert proof.hosts("done") == set(cut.lab.hosts) - set(cut.lab.members("rack_b"))
    assert cut.state() != "halted"
    cut.lab("clear", "rack_b")
    assert cut.play() == 0
    assert cut.proved().hosts("done") == set(cut.lab.hosts)


def test_a_canary_that_reboots_in_its_soak_does_not_count(scenario: Callable[[int], Scenario]) -> None:
    soaking = scenario(5)
    pair = soaking.lab.members("emr")
    soaking.start(SMALL.replace("soak: 1s", "soak: 20s", 1), hosts=pair)
    play = soaking.begin()
    play.until(soaking.soaking)
    (canary,) = soaking.soaking()
    (other,) = set(pair) - {canary}
    soaking.lab("fault", canary, "reboot=1")
    assert play.wait() != 0
    proof = soaking.proved()
    assert proof.hosts("void") == {canary}
    assert proof.hosts("done") == {other}, "another canary took its place"
    rebooted = [one["time"] for one in soaking.lab.events("booted") if one["host"] == canary][-1]
    assert proof.uploads[-1].host == other
    assert proof.uploads[-1].time > rebooted
    soaking.start(hosts=pair, again=True)
    assert soaking.play() == 0
    assert soaking.proved().hosts("done") == set(pair)


def test_a_controller_is_killed_and_started_again(scenario: Callable[[int], Scenario]) -> None:
    killed = scenario(8)
    killed.lab("fault", "all", "slow=0.3")
    killed.start()
    for updates in (2, 5):
        play = killed.begin()
        play.until(functools.partial(killed.has_begun, updates))
        while not killed.kills_in_an_update(play):
            time.sleep(1)
    assert killed.play(rollout_wait=60) == 0
    assert killed.proved().hosts("done") == set(killed.lab.hosts)


def test_nothing_begins_after_a_halt_until_a_person_resumes(scenario: Callable[[int], Scenario]) -> None:
    halted = scenario(6)
    halted.start()
    play = halted.begin()
    play.until(lambda: halted.uploads() >= 2)
    assert halted.fleet("halt", *PEOPLE).code == 0
    when = time.time()
    assert play.wait() != 0
    proof = halted.proved()
    assert not [one for one in proof.times("begun") if one > when]
    assert "a test" in play.text
    before = halted.uploads()
    assert halted.play() != 0
    assert halted.uploads() == before
    assert halted.fleet("resume", *PEOPLE).code == 0
    assert halted.play() == 0
    assert halted.proved().hosts("done") == set(halted.lab.hosts)


def test_two_controllers_share_a_rollout(scenario: Callable[[int], Scenario]) -> None:
    shared = scenario(8)
    shared.start()
    plays = [shared.begin(rollout_at_once=2) for _ in range(2)]
    assert [play.wait() for play in plays] == [0, 0]
    assert all(play.green for play in plays)
    proof = shared.proved()
    assert proof.hosts("done") == set(shared.lab.hosts)
    assert sum(play.green.total() for play in plays) == len(proof.uploads)


def test_a_policy_that_changes_in_the_middle_voids_what_was_approved(scenario: Callable[[int], Scenario]) -> None:
    changed = scenario(6)
    changed.start()
    play = changed.begin()
    play.until(lambda: changed.uploads() >= 2)
    (changed.lab.folder / "policy.yaml").write_text(POLICY.replace("shortest-path", "fewest-hops"))
    when = time.time()
    assert play.wait() != 0
    proof = changed.proved()
    assert not [one for one in proof.uploads if one.time > when + 5]
    assert proof.hosts("refused")
    assert "stale plan" in changed.fleet("status").out
    changed.start(again=True)
    assert changed.play() == 0
    assert changed.proved().hosts("done") == set(changed.lab.hosts)


def test_no_host_begins_that_the_verifier_would_not_know(scenario: Callable[[int], Scenario]) -> None:
    listed = scenario(6)
    listed.start(f"{SMALL}allow_list: required\n")
    known = listed.measurements()
    allowed = listed.folder / "allowed"
    allowed.write_text("".join(f"{mrseam}\n" for version, mrseam in known if version != "1.5.34"))
    assert listed.fleet("record", "--allow-list", allowed).code == 0
    assert listed.play(rollout_wait=3) != 0
    assert listed.versions("gnr") == {"2.0.18"}
    assert {one.target for one in listed.proved().uploads} == {"2.0.18"}
    assert "allow-list lacks 1.5.34" in listed.plays[0].text
    allowed.write_text("".join(f"{mrseam}\n" for _, mrseam in known))
    assert listed.fleet("record", "--allow-list", allowed).code == 0
    assert listed.play() == 0
    assert listed.proved().hosts("done") == set(listed.lab.hosts)
