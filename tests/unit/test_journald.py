"""Events for the systemd journal, received on a real datagram socket."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import TRUST, Run, plan_for
from seamstep.base.versions import ModuleVersion
from seamstep.cli.output import to_json
from seamstep.domain.facts import HostFacts
from seamstep.host.simulated import SimulatedHost
from seamstep.run import journald
from seamstep.run.executor import Executor, RunResult, State
from seamstep.run.journald import JournalReporter

Event = dict[str, str]
DOCS = Path(__file__).parents[2] / "docs" / "service.md"


def decode(event: bytes) -> Event:
    """The fields of one event, as journald reads them."""
    fields: Event = {}
    while event:
        name, _, rest = event.partition(b"\n")
        if b"=" in name:
            key, _, value = name.partition(b"=")
            event = rest
        else:
            key, length = name, int.from_bytes(rest[:8], "little")
            value, end, event = rest[8 : 8 + length], rest[8 + length : 9 + length], rest[9 + length :]
            assert end == b"\n"
        assert re.fullmatch(rb"[A-Z][A-Z0-9_]*", key)
        assert key.decode() not in fields
        fields[key.decode()] = value.decode()
    return fields


class Journal:
    """Somebody who listens."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.setblocking(False)

    def events(self) -> list[Event]:
        heard: list[Event] = []
        while True:
            try:
                heard.append(decode(self.socket.recv(1 << 20)))
            except BlockingIOError:
                return heard


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    listening = Journal(tmp_path / "socket")
    yield listening
    listening.socket.close()


def simulated(spr: HostFacts, images: Path, reporter: JournalReporter) -> RunResult:
    plan = plan_for(spr, images)
    host = SimulatedHost(plan.host, {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image})
    return Executor(host, reporter).run(plan)


def test_an_event_for_each_transition(spr: HostFacts, images: Path, journal: Journal) -> None:
    reporter = JournalReporter("4f1c", journal.path)
    result = simulated(spr, images, reporter)
    hops = plan_for(spr, images).hops
    events = journal.events()
    passed = [State.PREFLIGHT, State.STAGED, State.COMMITTED, State.APPLIED]
    assert [event["SEAMSTEP_STATE"] for event in events] == [state.value for state in passed] * len(hops)
    assert [event["MESSAGE_ID"] for event in events] == [journald.STATES[state] for state in passed] * len(hops)
    for number, hop in enumerate(hops):
        for event in events[4 * number : 4 * number + 4]:
            assert (event["SEAMSTEP_FROM"], event["SEAMSTEP_TO"]) == (str(hop.source), str(hop.target))
            assert (event["SEAMSTEP_HOP"], event["SEAMSTEP_HOPS"]) == (str(number + 1), str(len(hops)))
            assert (event["SEAMSTEP_TRANSACTION"], event["SYSLOG_IDENTIFIER"]) == ("4f1c", "seamstep")
            assert event["MESSAGE"].endswith(event["SEAMSTEP_STATE"])
    reporter.ended(result)
    (end,) = journal.events()
    assert (end["MESSAGE_ID"], end["MESSAGE"], end["SEAMSTEP_EXIT_CODE"]) == (journald.ENDED, result.message, "0")
    assert (end["SEAMSTEP_APPLIED"], end["SEAMSTEP_VERSION"]) == (str(len(hops)), str(result.version))


@pytest.mark.parametrize(
    ("state", "priority"),
    [
        (State.PREFLIGHT, "4"),
        (State.APPLIED, "5"),
        (State.BUSY, "5"),
        (State.FAILED, "3"),
        (State.LOST, "2"),
        (State.UNKNOWN, "2"),
    ],
)
def test_how_loud_the_end_of_a_run_is(journal: Journal, state: State, priority: str) -> None:
    JournalReporter(path=journal.path).ended(RunResult(state, None, (), "what happened"))
    (event,) = journal.events()
    assert event["PRIORITY"] == priority
    assert "SEAMSTEP_VERSION" not in event, "no version is known"


def test_a_hop_that_begins_again(spr: HostFacts, images: Path, journal: Journal) -> None:
    """A busy host is asked again: the hop is in preflight once more, and says so; a hop that begins says it once."""
    reporter = JournalReporter(path=journal.path)
    for number in (1, 2):
        reporter.hop(plan_for(spr, images).hops[0], number, 2)
        for state in (State.PREFLIGHT, State.STAGED, State.BUSY, State.PREFLIGHT):
            reporter.moved(state)
    assert [event["SEAMSTEP_STATE"] for event in journal.events()] == ["preflight", "staged", "busy", "preflight"] * 2


def test_waiting_and_notes(spr: HostFacts, images: Path, journal: Journal) -> None:
    hop = plan_for(spr, images).hops[0]
    reporter = JournalReporter(path=journal.path)
    reporter.hop(hop, 1, 1)
    reporter.waiting("a TD is being built", 29.6)
    reporter.note("a command failed\nbadly")
    _, waiting, note = journal.events()
    assert (waiting["MESSAGE_ID"], waiting["SEAMSTEP_WAIT_SECONDS"]) == (journald.WAITING, "30")
    assert waiting["MESSAGE"] == "waiting 30 s: a TD is being built"
    assert (note["MESSAGE_ID"], note["MESSAGE"]) == (journald.NOTE, "a command failed\nbadly")
    assert waiting["SEAMSTEP_TO"] == note["SEAMSTEP_TO"] == str(hop.target)


def test_a_recovered_run(journal: Journal) -> None:
    reporter = JournalReporter("new", journal.path)
    reporter.recovered("lost", "old", "TDX is lost")
    reporter.recovered("not-started", "older", "nothing was changed")
    event, harmless = journal.events()
    assert (harmless["SEAMSTEP_STATE"], harmless["PRIORITY"]) == ("not-started", "5")
    assert (event["MESSAGE_ID"], event["PRIORITY"]) == (journald.RECOVERED, "2")
    assert (event["SEAMSTEP_RECOVERED_TRANSACTION"], event["SEAMSTEP_TRANSACTION"]) == ("old", "new")


@pytest.mark.parametrize(
    "text", ["two\nlines", "a\nFORGED=1\n", "=", "\n", "é → ü", "ends in\n"], ids=lambda text: ascii(text)
)
def test_values_arrive_as_they_were(journal: Journal, text: str) -> None:
    """No value can add a field."""
    journald.send({"MESSAGE": text, "NEXT": "1"}, journal.path)
    assert journal.events() == [{"MESSAGE": text, "NEXT": "1"}]


def test_what_is_no_text_and_what_is_too_long(journal: Journal) -> None:
    journald.send({"MESSAGE": "\udcff" + "x" * (1 << 20)}, journal.path)
    (event,) = journal.events()
    assert event["MESSAGE"].startswith("\\udcffxxx")
    assert len(event["MESSAGE"]) == 2000 + len("udcff")


@pytest.mark.parametrize("place", ["missing", "file"])
def test_nobody_listens(spr: HostFacts, images: Path, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    reporter = JournalReporter(path=str(tmp_path / place))
    reporter.ended(RunResult(State.LOST, None, (), "x"))
    assert simulated(spr, images, reporter).state is State.APPLIED


def test_somebody_listens_and_does_not_read(journal: Journal) -> None:
    """A full queue drops events instead of holding the run up."""
    reporter = JournalReporter(path=journal.path)
    for _ in range(5000):
        reporter.ended(RunResult(State.APPLIED, ModuleVersion("1.5.24"), (), "x"))
    assert 0 < len(journal.events()) < 5000


def test_standard_error_as_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    found = os.fstat(2)
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    assert not journald.stderr_is_journal()
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino + 1}")
    assert not journald.stderr_is_journal(), "it was redirected"
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    assert journald.stderr_is_journal()


def test_the_identifiers_are_those_documented() -> None:
    """They are a promise: whoever changes one breaks somebody's alert."""
    documented = dict(re.findall(r"^\| ([a-z ]+) \| `([0-9a-f]{32})` \|", DOCS.read_text(), re.MULTILINE))
    events = {state.value: number for state, number in journald.STATES.items()}
    events |= {"run recovered": journald.RECOVERED, "run ended": journald.ENDED}
    assert documented == events | {"waiting": journald.WAITING, "note": journald.NOTE}
    assert len(set(documented.values())) == len(documented) == len(State) + 4


@pytest.mark.parametrize(("options", "events"), [((), 5), (("--simulate",), 0)])
def test_the_journal_hears_of_updates_and_not_of_rehearsals(
    run: Run,
    spr: HostFacts,
    images: Path,
    tmp_path: Path,
    journal: Journal,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    events: int,
) -> None:
    plan = plan_for(spr, images, "fewest-hops")
    host = SimulatedHost(plan.host, {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image})
    monkeypatch.setattr("seamstep.cli.apply._host", lambda *_: host)
    monkeypatch.setattr(journald, "SOCKET", journal.path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "plan.json").write_text(to_json(plan.document))
    assert run("apply", tmp_path / "plan.json", *TRUST, "--yes", *options).code == 0
    assert len(plan.hops) == 1
    assert len(journal.events()) == events


def test_what_events_are_sent_with_is_there_before_a_run_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a commit there must be nothing left to import that could fail."""
    monkeypatch.setitem(sys.modules, "socket", None)
    JournalReporter(path="").ended(RunResult(State.APPLIED, None, (), "x"))
    with pytest.raises(ImportError):
        JournalReporter(path="/run/systemd/journal/socket")
