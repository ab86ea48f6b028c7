"""The ledger of a rollout: its state and all events, in one SQLite file.

A command is one transaction: it reads the state, asks the core, and writes the events and what changed. It prints what
it decided after the commit. Killed before the commit it has decided nothing; killed after it, the leases that nobody
learned of are in the ledger, in flight, and ``fleet next --open`` lists them.

The journal mode is DELETE with synchronous=EXTRA: a committed transaction survives a power cut, and between commands
the one file is the whole ledger. WAL would keep a part of it in two other files.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from seamstep.base.errors import BusyError, InputError, Problem, RefusedError
from seamstep.fleet import rollout as core
from seamstep.fleet.messages import Action, Ask, Assigned, Observation, Planned
from seamstep.fleet.settings import Rollout
from seamstep.fleet.state import Class, Clock, Halt, Host, Moment, Phase, Progress, State, Step

_APPLICATION = 0x5EA57E9  # says in the file's header whose it is
_PATIENCE = 60  # seconds to wait for another controller
_TABLES = """
CREATE TABLE state (document TEXT NOT NULL);
CREATE TABLE classes (id TEXT PRIMARY KEY, document TEXT NOT NULL);
CREATE TABLE hosts (
  position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, boot_id TEXT NOT NULL, class_id TEXT NOT NULL,
  domain TEXT NOT NULL, phase TEXT NOT NULL, since REAL NOT NULL, note TEXT NOT NULL, done INTEGER NOT NULL,
  lease TEXT NOT NULL, open INTEGER NOT NULL, begun INTEGER NOT NULL, expires REAL NOT NULL, until REAL NOT NULL,
  more TEXT NOT NULL
);
CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, clock REAL NOT NULL, kind TEXT NOT NULL, host TEXT,
  document TEXT NOT NULL
);
CREATE INDEX events_of_kinds ON events (kind, seq);
CREATE INDEX events_of_hosts ON events (host, seq) WHERE host IS NOT NULL;
"""
_COLUMNS = 12  # the fields of Host from boot_id to until that have columns of their own, after its name
_NO_MORE = Host("", "", "", "", Phase.READY)[_COLUMNS + 1 :]
_PHASES = {str(phase): phase for phase in Phase}
_INSERT = "INSERT INTO hosts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_EVENT = "INSERT INTO events (time, clock, kind, host, document) VALUES (?, ?, ?, ?, ?)"
_UPDATE = (
    "UPDATE hosts SET boot_id = ?, class_id = ?, domain = ?, phase = ?, since = ?, note = ?, done = ?, lease = ?,"
    " open = ?, begun = ?, expires = ?, until = ?, more = ? WHERE name = ?"
)


class Ledger:
    """An open ledger, inside a transaction.

    Attributes:
        state: the state, as of the last :meth:`step`.
    """

    def __init__(self, connection: sqlite3.Connection, state: State) -> None:
        self._connection = connection
        self._saved = state
        self.state = state

    def step(self, observations: Iterable[Observation], *, first: bool = False) -> tuple[Action, ...]:
        """Ask the core, and write down what it was told, what it answered and what changed."""
        told = tuple(observations)
        self.state, actions = (core.begin if first else core.step)(self.state, told, present())
        self._write_events(told, actions)
        self._write_state()
        return actions

    def _write_events(self, told: Iterable[Observation], actions: Iterable[Action]) -> None:
        wall, clock = time.time(), self.state.clock.time
        rows = (
            (wall, clock, type(one).__name__.lower(), getattr(one, "host", None), _document(one))
            for one in (*told, *actions)
            if not isinstance(one, Assigned | Planned)
        )
        self._connection.executemany(
            "INSERT INTO events (time, clock, kind, host, document) VALUES (?, ?, ?, ?, ?)", rows
        )

    def note(self, kind: str, **details: Any) -> None:
        """Write down an event that the core has no part in."""
        self._connection.execute(_EVENT, (time.time(), self.state.clock.time, kind, None, json.dumps(details)))

    def now(self) -> State:
        """The state of this moment, which is not written down: leases that expired, and stages that are due, count."""
        return core.step(self.state, [Ask(0)], present())[0]

    def asked(self) -> float | None:
        """When a controller asked last, in seconds since the epoch; None if none ever did."""
        query = "SELECT time FROM events WHERE kind = 'ask' ORDER BY seq DESC LIMIT 1"
        row = self._connection.execute(query).fetchone()
        return row[0] if row else None

    def events(self) -> Iterator[dict[str, Any]]:
        """All events, oldest first. The kind of a halt is its ``cause``."""
        for wall, clock, kind, host, document in self._connection.execute(
            "SELECT time, clock, kind, host, document FROM events ORDER BY seq"
        ):
            told = json.loads(document)
            cause = {"cause": told.pop("kind")} if "kind" in told else {}
            yield {"time": wall, "clock": clock, "kind": kind, "host": host, **told, **cause}

    def _write_state(self) -> None:
        before, after = self._saved, self.state
        self._connection.execute("UPDATE state SET document = ?", (_state_document(after),))
        if after.classes is not before.classes:
            rows = [(name, json.dumps(class_)) for name, class_ in after.classes.items()]
            self._connection.executemany("INSERT OR REPLACE INTO classes VALUES (?, ?)", rows)
        new: list[tuple[object, ...]] = []
        changed: list[tuple[object, ...]] = []
        position = len(before.hosts)
        for name, host in after.hosts.items():
            old = before.hosts.get(name)
            if old is None:
                new.append((position + len(new), name, *_row(host)))
            elif old is not host:
                changed.append((*_row(host), name))
        self._connection.executemany(_INSERT, new)
        self._connection.executemany(_UPDATE, changed)
        self._saved = after


def present() -> Moment:
    """The present of this machine. Time during suspend counts."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return Moment(file.read().strip(), time.clock_gettime(time.CLOCK_BOOTTIME))


@contextlib.contextmanager
def created(path: str, rollout: Rollout) -> Iterator[Ledger]:
    """Context manager for a new ledger, which is written when it ends without an error.

    Raises:
        RefusedError: there is a ledger already.
        InputError: the file can't be made.
        BusyError: another command has it.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except (OSError, ValueError) as error:
        raise InputError(Problem(path, f"can't make the ledger: {error}")) from None
    with _transaction(path) as connection:
        if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            raise RefusedError(f"{path} exists; give --again to bring the hosts of a new fleet plan into its rollout")
        state = State(rollout, secret=os.urandom(16).hex())
        for statement in _TABLES.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION}")
        connection.execute("INSERT INTO state VALUES (?)", (_state_document(state),))
        yield Ledger(connection, state)


@contextlib.contextmanager
def opened(path: str) -> Iterator[Ledger]:
    """Context manager for an existing ledger. What was done is written when it ends without an error.

    Raises:
        InputError: there is no such ledger, or the file is not one.
        BusyError: another command has it.
    """
    if not os.path.isfile(path):
        raise InputError(Problem(path, "there is no ledger; make one with seamstep fleet start"))
    with _transaction(path) as connection:
        if connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
            raise InputError(Problem(path, "not the ledger of a rollout"))
        yield Ledger(connection, _load(connection))


@contextlib.contextmanager
def _transaction(path: str) -> Iterator[sqlite3.Connection]:
    try:
        connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
    except sqlite3.Error as error:
        raise InputError(Problem(path, f"can't open the ledger: {error}")) from None
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise BusyError(f"another controller has {path}; try later") from None
        raise InputError(Problem(path, f"can't use the ledger: {error}")) from None
    except sqlite3.DatabaseError as error:
        raise InputError(Problem(path, f"not the ledger of a rollout, or damaged: {error}")) from None
    finally:
        connection.close()


def _document(message: Observation | Action) -> str:
    return json.dumps(
        {
            key: sorted(value) if isinstance(value, frozenset) else value
            for key, value in message._asdict().items()
            if key != "host"
        }
    )


def _state_document(state: State) -> str:
    """All of a state but classes and hosts, as JSON."""
    return json.dumps(
        {
            "rollout": state.rollout.to_document(),
            "secret": state.secret,
            "clock": state.clock,
            "sizes": state.sizes,
            "progress": [(step, progress) for step, progress in state.progress.items()],
            "halts": state.halts,
            "tally": [(*key, count) for key, count in state.tally.items()],
            "allowed": None if state.allowed is None else sorted(state.allowed),
            "leases": state.leases,
        }
    )


def _load(connection: sqlite3.Connection) -> State:
    data: Mapping[str, Any] = json.loads(connection.execute("SELECT document FROM state").fetchone()[0])
    return State(
        rollout=Rollout.from_document(data["rollout"]),
        secret=data["secret"],
        clock=Clock(*data["clock"]),
        classes={name: _class(document) for name, document in connection.execute("SELECT * FROM classes")},
        hosts={row[1]: _host(row) for row in connection.execute("SELECT * FROM hosts ORDER BY position")},
        sizes=data["sizes"],
        progress={Step(*step): Progress(*progress) for step, progress in data["progress"]},
        halts=tuple(Halt(*halt) for halt in data["halts"]),
        tally={(kind, group): count for kind, group, count in data["tally"]},
        allowed=None if data["allowed"] is None else frozenset(data["allowed"]),
        leases=data["leases"],
    )


def _class(document: str) -> Class:
    id_, name, group, versions, remaining, measurements, reason, *more = json.loads(document)
    step_ids = tuple(more[0]) if more else ()  # ledgers of before have none
    return Class(id_, name, group, tuple(versions), remaining, tuple(measurements), reason, step_ids)


def _row(host: Host) -> tuple[object, ...]:
    """The columns of a host from boot_id on. What few hosts have is in the last one, as JSON; empty if a host has none
    of it."""
    more = host[_COLUMNS + 1 :]
    return (*host[1 : _COLUMNS + 1], "" if more == _NO_MORE else json.dumps(more))


def _host(row: tuple[Any, ...]) -> Host:
    _, name, boot_id, class_id, domain, phase, since, note, done, lease, is_open, begun, expires, until, more = row
    named = (name, boot_id, class_id, domain, _PHASES[phase], since, note, done, lease)
    host = Host(*named, is_open == 1, begun == 1, expires, until)
    if not more:
        return host
    proved, proved_at, tried, boots, home, home_note = json.loads(more)
    return host._replace(
        proved=Step(*proved) if proved else None,
        proved_at=proved_at,
        tried=tuple(tried),
        boots=tuple(boots),
        home=_PHASES[home] if home else None,
        home_note=home_note,
    )
