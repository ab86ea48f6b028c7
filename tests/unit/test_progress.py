"""Progress: bars on a terminal (a real pseudo-terminal here), plain lines elsewhere."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import re
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from conftest import TRUST, plan_for
from seamstep.cli.output import to_json
from seamstep.domain.facts import HostFacts
from seamstep.plan.document import Plan
from seamstep.run.executor import Reporter, State
from seamstep.show.progress import BarReporter, LineReporter, Reporters, reporter

COLOUR = re.compile(r"\x1b\[[0-9;]*(?:3[0-9]|4[0-9])(?:;[0-9;]*)?m")
FULL = "━" * 20
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def plan(spr: HostFacts, images: Path) -> Plan:
    return plan_for(spr, images)


class Terminal:
    """A pseudo-terminal of 80 columns."""

    def __init__(self) -> None:
        self.master, self.slave = os.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        os.set_blocking(self.master, False)
        self.seen = ""

    def read(self) -> str:
        """All that was drawn."""
        with os.fdopen(os.dup(self.master), "rb", buffering=0) as file:
            while chunk := file.read(1 << 16):
                self.seen += chunk.decode()
        return self.seen

    def lines(self) -> list[str]:
        """Every line that was drawn, also those drawn over later, without what steers the terminal."""
        return [SEQUENCE.sub("", line).strip() for line in re.split(r"[\r\n]+", self.read())]

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    opened = Terminal()
    yield opened
    opened.close()


def apply(path: Path, terminal: Terminal, **environment: str) -> str:
    """What ``seamstep apply`` draws on standard error."""
    command = [sys.executable, "-m", "seamstep", "apply", str(path), *TRUST, "--simulate", "--yes"]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=terminal.slave, env=os.environ | environment
    )
    with process:
        while process.poll() is None:
            terminal.read()
            time.sleep(0.02)
    assert process.returncode == 0
    return terminal.read()


@pytest.fixture
def saved(plan: Plan, tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    path.write_text(to_json(plan.document))
    return path


def test_bars_are_drawn_on_a_terminal(saved: Path, plan: Plan, terminal: Terminal) -> None:
    drawn = apply(saved, terminal)
    assert "\x1b[" in drawn
    assert COLOUR.search(drawn)
    assert len(plan.hops) > 1
    for number, hop in enumerate(plan.hops, 1):
        assert f"hop {number} of {len(plan.hops)}  {hop}" in drawn
    assert "all hops" in drawn
    assert max(map(len, terminal.lines())) <= 80
    assert terminal.lines()[-2].endswith("applied")


def test_no_colour_where_none_is_wanted(saved: Path, terminal: Terminal) -> None:
    drawn = apply(saved, terminal, NO_COLOR="1")
    assert "all hops" in drawn
    assert not COLOUR.search(drawn)
    assert [FULL in line for line in terminal.lines() if line.endswith("applied")][-1], (
        "without colour a bar shows it too"
    )


def test_plain_lines_on_a_dumb_terminal(saved: Path, plan: Plan, terminal: Terminal) -> None:
    drawn = apply(saved, terminal, TERM="dumb")
    assert "\x1b" not in drawn
    assert len(drawn.splitlines()) == 3 * len(plan.hops)


def test_plain_lines_elsewhere(plan: Plan) -> None:
    stream = io.StringIO()
    with reporter(stream) as lines:
        assert isinstance(lines, LineReporter)
        lines.hop(plan.hops[0], 1, 2)
        for state in (State.PREFLIGHT, State.STAGED, State.COMMITTED, State.BUSY):
            lines.moved(state)
        lines.waiting("a TD is being built", 29.6)
        lines.note("a command\nfailed")
    title = f"hop 1 of 2: {plan.hops[0]}"
    states = [f"{title}: staged", f"{title}: committed", f"{title}: busy"]
    said = ["seamstep: note: waiting 30 s: a TD is being built", r"seamstep: note: a command\nfailed"]
    assert stream.getvalue().splitlines() == states + said


def draw(terminal: Terminal, plan: Plan, *events: Mapping[str, tuple[object, ...]]) -> list[str]:
    """What bars show after each event."""
    with os.fdopen(os.dup(terminal.slave), "w") as stream, reporter(stream) as bars:
        assert isinstance(bars, BarReporter)
        bars.hop(plan.hops[0], 1, len(plan.hops))
        for event in events:
            for name, arguments in event.items():
                getattr(bars, name)(*arguments)
            time.sleep(0.25)  # it draws ten times a second
    return terminal.lines()


def test_bytes_and_phases_are_shown(terminal: Terminal, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    lines = draw(
        terminal,
        plan,
        {"staged": (1 << 20, 2 << 20)},
        {"phase": ("programming",)},
        {"phase": ("idle",)},
        {"moved": (State.FAILED,)},
    )
    told = [line for line in lines if line.startswith("hop 1")]
    assert not any(FULL in line for line in told), "a bar is full when the hop is applied, not before"
    for word in ("staging 1024 of 2048 KiB", "programming", "failed"):
        assert any(line.endswith(word) for line in told), word
    assert max(map(len, lines)) <= 80


def test_waiting_and_notes_stay_above_the_bars(terminal: Terminal, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = draw(terminal, plan, {"waiting": ("a TD is being built", 30.0)}, {"note": ("[red]failed\x1b[2J",)})
    assert "seamstep: note: waiting 30 s: a TD is being built" in lines
    assert any(line.startswith("hop 1") and line.endswith("waiting 30 s") for line in lines)
    assert r"seamstep: note: [red]failed\x1b[2J" in lines


def test_text_from_the_host_can_not_steer_the_terminal(
    terminal: Terminal, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = draw(terminal, plan, {"phase": ("\x1b]0;owned\x07[red]x" + "y" * 500,)})
    assert "\x1b]0" not in terminal.seen
    assert "\x07" not in terminal.seen
    told = rf"hop 1 of {len(plan.hops)}  {plan.hops[0]} "
    assert any(line.startswith(told) and line.endswith(r"\x1b]0;owned\x07[red]xyy") for line in lines), (
        "neither does it reach rich's markup, nor push anything else aside"
    )
    assert max(map(len, lines)) <= 80


class Hears(Reporter):
    """Remembers what it is told, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.heard: list[str] = []
        for name in (name for name in vars(Reporter) if not name.startswith("_")):
            setattr(self, name, self._hear(name, fails))

    def _hear(self, name: str, fails: bool) -> object:
        def hear(*args: object) -> None:
            if fails:
                raise RuntimeError
            self.heard.append(name)

        return hear


def test_several_reporters_hear_everything_whatever_one_of_them_does(plan: Plan) -> None:
    first, last = Hears(), Hears()
    several = Reporters(first, Hears(fails=True), last)
    several.hop(plan.hops[0], 1, 1)
    several.moved(State.STAGED)
    several.staged(1, 2)
    several.phase("idle")
    assert first.heard == last.heard == ["hop", "moved", "staged", "phase"]


def test_a_terminal_that_is_gone_hides_no_outcome() -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            if hung_up:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return len(text)

    hung_up = False
    with BarReporter(Gone()):
        hung_up = True
