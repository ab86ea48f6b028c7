"""The journal: append-only, readable whatever happened to it, and never the reason for anything to fail."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamstep.base.errors import RefusedError
from seamstep.run.journal import NAME, History, Journal, RecordedHost, open_folder, read
from seamstep.run.journal import writing as writing_module
from seamstep.run.journal.record import scan

WALL = 1_795_000_000.0


@contextlib.contextmanager
def opened(path: Path, boot_id: str = "boot-1") -> Iterator[Journal]:
    folder = open_folder(str(path), create=True)
    journal = Journal(folder, boot_id, lambda: 12.3456, lambda: WALL)
    try:
        yield journal
    finally:
        journal.close()
        os.close(folder)


def history(path: Path) -> History:
    folder = open_folder(str(path), create=False)
    try:
        return read(folder)
    finally:
        os.close(folder)


def write(path: Path, *events: str, boot_id: str = "boot-1", **details: Any) -> None:
    with opened(path, boot_id) as journal:
        for event in events:
            journal.append(event, **details)


def events(path: Path) -> list[str]:
    return [record.event for record in history(path).records]


def test_a_record(tmp_path: Path) -> None:
    place = tmp_path / "var" / "lib" / "seamstep"
    write(place, "one", message="→\n\x1b[2J", remaining=5)
    write(place, "two")
    first, second = history(place).records
    assert (first.seq, first.event, first.boot_id, first.monotonic) == (1, "one", "boot-1", 12.346)
    assert first.time == "2026-11-18T11:06:40.000+00:00"
    assert (first.text("message"), first.integer("remaining"), first.text("remaining")) == ("→\n\x1b[2J", 5, "")
    assert (second.seq, second.transaction == first.transaction) == (2, False)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE((place / NAME).stat().st_mode) == 0o600
    assert json.loads((place / NAME).read_text().splitlines()[0])["schema"] == "seamstep/record/v1"


def test_torn_at_every_byte_nothing_earlier_is_lost(tmp_path: Path) -> None:
    write(tmp_path, *"abcde", message="a message of some length")
    content = (tmp_path / NAME).read_bytes()
    ends = [index + 1 for index, byte in enumerate(content) if byte == 10]
    for length in range(len(content) + 1):
        found = scan(content[:length])
        whole = sum(end <= length + 1 for end in ends)  # a record is whole without its line's end
        assert [record.event for record in found.records] == list("abcde"[:whole])
        assert not found.corrupt


@pytest.mark.parametrize("cut", [1, 2, 40, 150])
def test_a_torn_line_is_ended_and_explained_by_the_next_record(tmp_path: Path, cut: int) -> None:
    write(tmp_path, "one", "two", message="a message of some length")
    file = tmp_path / NAME
    file.write_bytes(file.read_bytes()[:-cut])
    torn = cut > 1
    assert [("torn" in problem) for problem in history(tmp_path).problems] == [True] * torn
    before = file.read_bytes()
    write(tmp_path, "three")
    assert file.read_bytes().startswith(before), "append-only"
    assert events(tmp_path) == (["one", "torn", "three"] if torn else ["one", "two", "three"])
    assert history(tmp_path).problems == ()
    write(tmp_path, "four")
    assert events(tmp_path)[-2:] == ["three", "four"]


@given(st.lists(st.integers(1, 400), max_size=6))
@settings(max_examples=60)
def test_torn_again_and_again(cuts: list[int]) -> None:
    """However often writes are cut short, the file stays one that is read, and whole records stay."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        place, kept = Path(folder), 0
        for cut in cuts:
            before = (place / NAME).stat().st_size if (place / NAME).exists() else 0
            write(place, "x")
            file = place / NAME
            whole = file.read_bytes()
            file.write_bytes(whole[: max(before, len(whole) - cut)])
            assert events(place).count("x") >= kept
            kept = events(place).count("x")
            assert not scan(file.read_bytes()).corrupt
        write(place, "last")
        assert history(place).problems == ()


@pytest.mark.parametrize(
    "content",
    [
        b"garbage\n",
        b"\xff\xfe\n",
        b"{}\n",
        b'{"schema": "seamstep/record/v1"}\n{"schema":"other"}\n',
        b"[" * 100_000 + b"\n",
        b'{"schema":"seamstep/record/v1",' + b"9" * 20_000 + b"\n{}\n",
    ],
)
def test_a_corrupt_journal_is_moved_aside_and_still_read(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, "one")
    good = (tmp_path / NAME).read_bytes()
    write(tmp_path, "two")
    damaged = good + content + (tmp_path / NAME).read_bytes().removeprefix(good)
    (tmp_path / NAME).write_bytes(damaged)
    assert events(tmp_path) == ["one", "two"]
    assert any("line 2 is no record" in problem for problem in history(tmp_path).problems)
    assert (tmp_path / NAME).read_bytes() == damaged, "reading changes nothing"
    with opened(tmp_path) as journal:
        assert "it was moved aside to journal.jsonl.corrupt-20261118T110640Z" in journal.notes[0]
        journal.append("three")
    assert (tmp_path / f"{NAME}.corrupt-20261118T110640Z").read_bytes() == damaged
    assert events(tmp_path) == ["one", "two", "moved-aside", "three"]
    (tmp_path / NAME).write_bytes(content + good)
    write(tmp_path, "four")
    assert (tmp_path / f"{NAME}.corrupt-20261118T110640Z-1").exists(), "and none is ever replaced"


@pytest.mark.parametrize("kind", ["folder", "link", "fifo", "large"])
def test_what_is_no_journal_of_ours_is_moved_aside(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "state"
    place.mkdir(mode=0o700)
    victim = tmp_path / "victim"
    victim.write_text("precious")
    file = place / NAME
    if kind == "folder":
        file.mkdir()
    elif kind == "link":
        file.symlink_to(victim)
    elif kind == "fifo":
        os.mkfifo(file)
    else:
        with file.open("wb") as sparse:
            sparse.truncate(1 << 40)
    assert events(place) == []
    assert history(place).problems
    write(place, "one")
    assert (victim.read_text(), events(place)) == ("precious", ["moved-aside", "one"])


def test_rotation_loses_nothing_before_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing_module, "ROTATE_AT", 800)
    for number in range(40):
        write(tmp_path, f"{number}a", f"{number}b", boot_id=f"boot-{number}")
    kept = events(tmp_path)
    assert kept == [f"{number}{part}" for number in range(40) for part in "ab"][-len(kept) :]
    assert len(list(tmp_path.iterdir())) == 9
    assert len(kept) == 36
    assert history(tmp_path).problems == ()


def test_rotation_keeps_this_boot_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing_module, "ROTATE_AT", 400)
    write(tmp_path, *"abc", boot_id="boot-0")
    for number in range(30):
        write(tmp_path, f"{number}a", f"{number}b")
    assert events(tmp_path)[-60:] == [f"{number}{part}" for number in range(30) for part in "ab"]
    assert len(list(tmp_path.iterdir())) == 31
    assert history(tmp_path).doubt(RecordedHost("boot-1")) == ""
    write(tmp_path, "next", boot_id="boot-2")
    assert len(list(tmp_path.iterdir())) == 9, "a new boot has use for the last eight only"
    assert history(tmp_path).doubt(RecordedHost("boot-2")) == ""
    assert "records 1 to" in history(tmp_path).doubt(RecordedHost("boot-1"))


def test_a_rotation_that_was_cut_short_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing_module, "ROTATE_AT", 1)
    for number in range(4):
        write(tmp_path, str(number))
    (tmp_path / f"{NAME}.2").rename(tmp_path / f"{NAME}.8")  # as if it had been killed in between
    before = sorted(events(tmp_path))
    write(tmp_path, "4")
    assert sorted(events(tmp_path)) == [*before, "4"]
    assert (tmp_path / f"{NAME}.8").exists(), "nothing was dropped while a number was free"


def test_long_texts_are_cut(tmp_path: Path) -> None:
    write(tmp_path, "hook", output="\u20ac" * 4096, argv=["x" * 30_000], message="m" * 9_000)
    (record,) = history(tmp_path).records
    assert (len(record.text("message")), record.data["shortened"]) == (512, True)


def test_missing_records_are_told(tmp_path: Path) -> None:
    write(tmp_path, *"abc")
    lines = (tmp_path / NAME).read_text().splitlines(keepends=True)
    (tmp_path / NAME).write_text(lines[0] + lines[2])
    assert history(tmp_path).problems == ("records 2 to 2 are missing",)


def test_a_folder_that_others_may_write_to_proves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "open"
    place.mkdir()
    place.chmod(0o777)
    with pytest.raises(RefusedError, match="others may write to the state folder"):
        open_folder(str(place), create=True)
