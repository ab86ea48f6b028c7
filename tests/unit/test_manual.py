"""The manual page. That it is current is tested with the other generated pages."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

import generate
import manual
from seamstep import cli

PAGE = generate.REFERENCE / "seamstep.1"


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser of every command, however deep."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield below
                yield from commands(below)


def plain(text: str) -> str:
    """Roff without hyphens that are escaped and without fonts."""
    return re.sub(r"\\f[BIR]|\\[,/]", "", text.replace(r"\-", "-"))


def test_every_command_and_option_has_an_entry_with_its_help() -> None:
    page = plain(manual.manual())
    for parser in commands(cli.parser()):
        section = page.partition(f"\n.SS {parser.prog}\n")[2].partition("\n.S")[0]
        assert section, parser.prog
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
                continue
            placeholder = str(action.metavar or "{" + ",".join(action.choices or ()) + "}")
            value = "" if action.nargs == 0 else f" {placeholder}"
            term = ", ".join(f"{flag}{value}" for flag in action.option_strings) or placeholder
            text = re.sub(r"^(?=[.])", r"\\&", action.help or "")
            assert f"\n.TP\n{term}\n{text}" in section, (parser.prog, action)


def test_every_exit_code_has_an_entry() -> None:
    page = manual.manual()
    codes = re.findall(r"^  (\d+) ", cli.parser().epilog or "", re.MULTILINE)
    assert len(codes) > 9
    for code in codes:
        assert f"\n.TP\n.B {code}\n" in page


def test_the_sections() -> None:
    sections = re.findall(r"^\.SH\s+(.+)$", manual.manual(), re.MULTILINE)
    described = ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "COMMANDS"]
    assert sections == [*described, "EXIT STATUS", "FILES", "ENVIRONMENT", "EXAMPLES", "SEE ALSO"]


def test_what_must_be_given_shows_in_the_usage() -> None:
    text = plain(manual.manual())
    assert re.search(r"^usage: seamstep apply \[.*\] \[PLAN\]$", text, re.MULTILINE)
    assert re.search(r"^usage: seamstep lint \[.*\] FILE\|DIR \[FILE\|DIR \.\.\.\]$", text, re.MULTILINE)
    assert re.search(r"^usage: seamstep image convert \[.*\] -o OUT \[.*\] FILE$", text, re.MULTILINE)


@pytest.mark.parametrize("columns", ["20", "300"])
def test_the_page_does_not_depend_on_the_terminal_or_the_day(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = manual.manual()
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    assert manual.manual() == expected


@pytest.mark.parametrize(
    ("page", "tidied"),
    [
        ("x\n.blob", "x\n\\&.blob"),
        ("x\n'quoted'", "x\n\\&'quoted'"),
        ("usage: x\n    y", "usage: x y"),
        ("x\n\n.TP\n.B y", "x\n.TP\n.B y"),
        ("x\n\n\n\ny\n\nz", "x\n\ny\n\nz"),
    ],
)
def test_no_text_is_taken_for_a_macro(page: str, tidied: str) -> None:
    assert manual._tidy(page) == tidied


@pytest.mark.slow
def test_mandoc_finds_nothing() -> None:
    mandoc = shutil.which("mandoc")
    if not mandoc:
        assert not os.environ.get("SEAMSTEP_REQUIRE_SHELLS"), "mandoc is not installed"
        pytest.skip("mandoc is not installed")
    done = subprocess.run([mandoc, "-Tlint", "-Wwarning", PAGE], capture_output=True, text=True, check=False)
    told = [line for line in done.stdout.splitlines() if "missing date" not in line]  # same input, same bytes
    assert (told, done.stderr) == ([], "")
