"""Reading and writing files: places in JSON, limits, atomic writes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import LATEST
from seamstep.base.documents import (
    absolute,
    canonical,
    parse_json,
    read_bytes,
    read_json,
    read_regular,
)
from seamstep.base.errors import InputError, RefusedError, dotted
from seamstep.base.positions import Places, line_and_column, scan
from seamstep.base.writing import write_atomic

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=15,
)


def paths(value: Any, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield here
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*here, key))


@given(values, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_every_value_is_located_at_its_own_text(value: Any, indent: Any, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    places, duplicates = scan(text)
    assert duplicates == []
    assert set(places) == set(paths(value))
    decoder = json.JSONDecoder()
    for path, offset in places.items():
        expected = value
        for key in path:
            expected = expected[key]
        found, end = decoder.raw_decode(text, offset)
        if path and isinstance(path[-1], str):
            assert found == path[-1]
            found, _ = decoder.raw_decode(text, end + len(text[end:]) - len(text[end:].lstrip(": \t\n")))
        assert found == expected


def test_of_a_key_that_stands_twice_the_last_is_located() -> None:
    """Its value is the one that readers take."""
    text = '{"a": [{"b": 1}], "c": 2, "a": [{"b": 3}, 4]}'
    places, duplicates = scan(text)
    last = text.rindex('"a"')
    assert duplicates == [(("a",), last)]
    assert (places["a",], places["a", 0, "b"]) == (last, text.rindex('"b"'))


@pytest.mark.parametrize("rest", ["", '"x"', "[}", '{"a"', "nul"])
def test_a_duplicate_key_before_what_is_no_json(rest: str) -> None:
    with pytest.raises(InputError, match="not JSON"):
        parse_json(f'{{"a": {{"b": 1, "b": 2}}, {rest}', "x")


def test_lines_and_columns() -> None:
    text = '{\r\n\t"a": 1,\n\n  "b": [\n 2]}'
    places, _ = scan(text)
    assert {dotted(path): line_and_column(text, offset) for path, offset in places.items()} == {
        "": (1, 1),
        "a": (2, 2),
        "b": (4, 3),
        "b[0]": (5, 2),
    }


def test_files_that_can_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    (tmp_path / "large").write_bytes(b"x" * 11)
    for path, says in [
        ("nowhere", "No such file"),
        (".", "Is a directory"),
        ("large", "more than 10 bytes"),
        ("a\0b", "null"),
    ]:
        with pytest.raises(InputError, match=says):
            read_bytes(str(tmp_path / path), 10, "thing")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from a pipe")))
    assert read_bytes("-", 99, "thing", standard_input=True) == b"from a pipe"
    with pytest.raises(InputError, match="No such file"):
        read_bytes("-", 99, "thing")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="empty"):
        read_bytes("-", 99, "thing", standard_input=True)


def test_an_endless_file_is_read_up_to_its_limit() -> None:
    with subprocess.Popen(["yes"], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        with pytest.raises(InputError, match="too large"):
            read_json(f"/dev/fd/{writer.stdout.fileno()}", 1 << 16, "mapping file")
        writer.kill()


@pytest.mark.parametrize("size", [1, 4095, 65536, 200_000])
def test_a_pipe_is_read_to_its_end(size: int) -> None:
    """It says to hold nothing, and gives what it holds piece by piece."""
    content = os.urandom(size)
    reading, writing = os.pipe()

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb", buffering=0) as end:
            for start in range(0, size, 1000):
                end.write(content[start : start + 1000])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert read_bytes(f"/dev/fd/{reading}", size, "thing") == content
    finally:
        os.close(reading)
        writer.join()


def test_a_file_may_hold_more_than_it_says() -> None:
    assert Path("/proc/self/status").stat().st_size == 0
    assert read_bytes("/proc/self/status", 1 << 16, "thing").startswith(b"Name:")
    with pytest.raises(InputError, match="too large"):
        read_bytes("/proc/self/status", 99, "thing")


@pytest.fixture(params=[0o022, 0o077, 0o002], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield int(request.param)
    os.umask(before)


def test_modes_by_the_umask_or_whatever_it_is(tmp_path: Path, umask: int) -> None:
    def mode_of(name: str, mode: int | None, *, replace: bool = False) -> int:
        write_atomic(tmp_path / name, b"x", replace=replace, mode=mode)
        return (tmp_path / name).stat().st_mode & 0o777

    assert mode_of("new", None) == 0o666 & ~umask
    assert [mode_of(f"{mode:o}", mode) for mode in (0o600, 0o644)] == [0o600, 0o644]
    (tmp_path / "new").chmod(0o640)
    assert mode_of("new", None, replace=True) == 0o640, "what its owner closed stays closed"
    assert mode_of("new", 0o644, replace=True) == 0o644


@pytest.mark.parametrize(("size", "limit", "fits"), [(99, 99, True), (100, 99, False), (100, 100, True)])
def test_a_file_may_be_as_large_as_its_limit(size: int, limit: int, fits: bool, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(size))
    for read in (read_bytes, read_regular):
        if fits:
            assert read(str(file), limit, "thing") == bytes(size)
        else:
            with pytest.raises(InputError, match="too large"):
                read(str(file), limit, "thing")


def test_a_path_from_the_root_needs_no_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    assert absolute("./a//../b") == f"{gone}/a/../b"
    gone.rmdir()
    assert (absolute("/a/./b/"), absolute("a/b")) == ("/a/b", "a/b")


def test_canonical_form_is_one() -> None:
    one, other = {"b": [1, "é"], "a": None}, {"a": None, "b": [1, "é"]}
    assert canonical(one) == canonical(other) == b'{"a":null,"b":[1,"\\u00e9"]}'


def test_real_mapping_file_is_located() -> None:
    document = read_json(str(LATEST), 1 << 20, "mapping file")
    place = document.locate(("tdx_module_releases", 0, "version"))
    assert place
    line, column = place
    assert LATEST.read_text().splitlines()[line - 1][column - 1 :].startswith('"version": "1.5.01"')


def test_writes_are_whole_private_and_never_overwrite_unasked(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    write_atomic(path, b"one", replace=False)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(RefusedError, match="--force"):
        write_atomic(path, b"two", replace=False)
    assert path.read_bytes() == b"one"
    write_atomic(path, b"three", replace=True)
    assert path.read_bytes() == b"three"
    with pytest.raises(InputError, match="can't write: no such folder"):
        write_atomic(tmp_path / "no" / "where", b"", replace=False)
    with pytest.raises(InputError, match="can't write"):
        write_atomic(tmp_path / "a\0b", b"", replace=False)
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(path)
    for odd in (tmp_path / "fifo", tmp_path, Path("/"), Path(), Path("/dev/null")):
        with pytest.raises(RefusedError, match="not a regular file"):
            write_atomic(odd, b"", replace=True)
    with pytest.raises(RefusedError, match="--force"):
        write_atomic(tmp_path / "link", b"four", replace=False)
    write_atomic(tmp_path / "link", b"four", replace=True)
    assert (path.read_bytes(), (tmp_path / "link").is_symlink()) == (b"four", True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["fifo", "link", "out.json"]
    write_atomic(tmp_path / ("n" * 255), b"a long name", replace=False)


@given(st.text(max_size=40))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        parse_json(text, "x")
    except InputError as error:
        assert all(problem.source == "x" for problem in error.problems)


@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
def test_places_agree_with_counting(ending: str) -> None:
    """Also across the blocks in which lines are counted."""
    text = "[" + f",{ending}".join(["0" * (7 + number % 5000) for number in range(0, 40_000, 97)]) + "]"
    places = Places(text)
    for offset in [*range(0, len(text), 1013), len(text) - 1]:
        assert places.line_and_column(offset) == line_and_column(text, offset)
        shown, caret = places.excerpt(offset)
        assert shown[caret : caret + 1] == text[offset].strip()
