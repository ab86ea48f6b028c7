"""The ledger of a rollout: killed at any statement it repeats nothing and loses nothing; two controllers share it."""

from __future__ import annotations

import concurrent.futures
import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rollout_world import CLASSES, MEASURED, STRICT, klass

from conftest import THOROUGH
from seamstep.base.errors import BusyError, InputError, RefusedError
from seamstep.fleet import ledger
from seamstep.fleet.messages import Allowed, Ask, Assigned, Begin, Begun, Granted, Outcome, Planned, Rejected, Report
from seamstep.fleet.settings import Amount
from seamstep.fleet.state import Phase, State

ROLLOUT = STRICT._replace(domain="", unavailable_in_all=Amount(3), canary_soak=0, wave_soak=0)
HOSTS = [Assigned(f"h{number}", f"b{number}", "id-c1", "") for number in range(6)]


def started(path: Path) -> Path:
    with ledger.created(str(path), ROLLOUT) as book:
        book.step((Planned(CLASSES), *HOSTS, Allowed(MEASURED)), first=True)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return started(tmp_path / "ledger")


def state_of(path: Path) -> State:
    with ledger.opened(str(path)) as book:
        return book.state


def asked(path: Path, limit: int | None = None) -> list[Granted]:
    with ledger.opened(str(path)) as book:
        return [action for action in book.step([Ask(limit)]) if isinstance(action, Granted)]


def applied(lease: Granted) -> Report:
    return Report(lease.host, Outcome.APPLIED, lease.lease, lease.boot_id, lease.target)


def test_a_state_is_read_back_as_it_was_written(path: Path) -> None:
    with ledger.opened(str(path)) as book:
        lease = next(action for action in book.step([Ask(1)]) if isinstance(action, Granted))
        book.step([applied(lease)])
        book.step([Ask(None), Report("h3", Outcome.UNREACHABLE), Report("h4", Outcome.LOST)])
        written = book.state
    assert written == state_of(path)
    assert written.halts
    assert written.progress
    assert list(written.hosts) != sorted(written.hosts), "hosts are kept in the order of their ranks"


def test_the_log_has_what_was_asked_and_answered(path: Path) -> None:
    lease = asked(path, 1)[0]
    with ledger.opened(str(path)) as book:
        book.step([applied(lease)])
        kinds = [event["kind"] for event in book.events()]
        assert kinds == ["allowed", "ask", "granted", "report", "accepted"]
        assert book.asked() is not None


# killed at any statement


def killed_at(statement: int, work: Callable[[], object]) -> bool:
    """Run ``work`` in a child that is killed before its SQL statement of this number; whether it came that far."""
    child = os.fork()
    if child == 0:
        connect = sqlite3.connect
        count = iter(range(10**9))

        def counting(*arguments: Any, **settings: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*arguments, **settings)
            connection.set_trace_callback(lambda _: next(count) == statement and os._exit(9))
            return connection

        sqlite3.connect = counting  # type: ignore[assignment]
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def crash_points(work: Callable[[], object], prepare: Callable[[], None]) -> Iterator[int]:
    statement = 0
    while True:
        prepare()
        if not killed_at(statement, work):
            return
        yield statement
        statement += 1


def test_a_start_that_is_killed_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "ledger"

    def fresh() -> None:
        for name in ("ledger", "ledger-journal"):
            (tmp_path / name).unlink(missing_ok=True)

    points = 0
    for _ in crash_points(lambda: started(path), fresh):
        points += 1
        try:
            assert len(state_of(path).hosts) == len(HOSTS)
        except InputError:
            started(path)
            assert len(state_of(path).hosts) == len(HOSTS)
    assert points > 15


def test_a_lease_that_nobody_learned_of_is_in_flight(tmp_path: Path) -> None:
    """Killed before the commit, ``next`` gave nothing; killed after it, the lease is there, to be found."""
    path = tmp_path / "ledger"
    outcomes = set()

    def fresh() -> None:
        for name in ("ledger", "ledger-journal"):
            (tmp_path / name).unlink(missing_ok=True)
        started(path)

    for _ in crash_points(lambda: asked(path, 1), fresh):
        flying = [host for host in state_of(path).hosts.values() if host.phase is Phase.LEASED]
        outcomes.add(len(flying))
        assert len(flying) + len(asked(path, 1)) == 1, "one canary, and no second one"
    assert outcomes == {0}
    fresh()
    assert len(asked(path, 1)) == 1  # the answer is lost here
    assert asked(path, 1) == []


def test_a_report_that_is_sent_again_after_a_crash_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    lease: list[Granted] = []

    def fresh() -> None:
        for name in ("ledger", "ledger-journal"):
            (tmp_path / name).unlink(missing_ok=True)
        started(path)
        lease[:] = asked(path, 1)

    def record() -> None:
        with ledger.opened(str(path)) as book:
            book.step([applied(lease[0])])

    for _ in crash_points(record, fresh):
        with ledger.opened(str(path)) as book:
            book.step([applied(lease[0])])
            actions = book.step([applied(lease[0])])
            assert isinstance(actions[-1], Rejected)
            assert actions[-1].code == "doubled"
            assert [one.succeeded for one in book.state.progress.values()] == [1]
            assert book.state.hosts[lease[0].host].done == 1


def test_a_begin_is_given_once_whenever_its_asker_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    lease: list[Granted] = []

    def begin() -> tuple[Any, ...]:
        with ledger.opened(str(path)) as book:
            return book.step([Begin(lease[0].host, lease[0].lease, lease[0].boot_id)])

    def fresh() -> None:
        for name in ("ledger", "ledger-journal"):
            (tmp_path / name).unlink(missing_ok=True)
        started(path)
        lease[:] = asked(path, 1)

    for _ in crash_points(begin, fresh):
        assert isinstance(begin()[-1], Begun)
        assert not isinstance(begin()[-1], Begun)


# two controllers


@pytest.mark.thorough
def test_two_controllers_give_no_lease_twice_and_keep_the_limits(tmp_path: Path) -> None:
    many = 200 if THOROUGH else 60
    path = tmp_path / "ledger"
    rollout = ROLLOUT._replace(unavailable_in_all=Amount(7), allow_list=False)
    with ledger.created(str(path), rollout) as book:
        hosts = (Assigned(f"h{number}", "b", "id", "") for number in range(many))
        book.step((Planned((klass("c1", "g1", "1", "2")._replace(id="id"),)), *hosts), first=True)

    def control(_: int) -> list[str]:
        """Ask and report until nothing is left; returns the hosts that were given."""
        given: list[str] = []
        while True:
            leases = asked(path, 3)
            if (
                not leases
                and state_of(path).hosts
                and all(host.phase is Phase.DONE for host in state_of(path).hosts.values())
            ):
                return given
            given += [lease.host for lease in leases]
            with ledger.opened(str(path)) as book:
                assert sum(host.phase is Phase.LEASED for host in book.state.hosts.values()) <= 7
                book.step([applied(lease) for lease in leases])

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        given = [host for hosts in pool.map(control, range(3)) for host in hosts]
    assert sorted(given) == sorted(f"h{number}" for number in range(many))


def test_a_controller_that_finds_the_ledger_taken_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_PATIENCE", 0.05)
    with ledger.opened(str(path)), pytest.raises(BusyError), ledger.opened(str(path)):
        pass


# files that are none


def test_a_ledger_is_not_started_over(path: Path) -> None:
    with pytest.raises(RefusedError, match="--again"):
        started(path)


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\0" + b"x" * 200, b"no"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError), ledger.opened(str(tmp_path / "x")):
        pass


def test_another_database_is_refused(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x")
    connection.execute("CREATE TABLE t (a)")
    connection.close()
    with pytest.raises(InputError, match="not the ledger"), ledger.opened(str(tmp_path / "x")):
        pass


def test_places_that_can_not_be_used(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no ledger"), ledger.opened(str(tmp_path / "none")):
        pass
    with pytest.raises(InputError, match="can't make"), ledger.created(str(tmp_path / "no" / "x"), ROLLOUT):
        pass


def test_the_secret_of_leases_is_for_the_owner_alone(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(json.loads(json.dumps(state_of(path).secret))) == 32
