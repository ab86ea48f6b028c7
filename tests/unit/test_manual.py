"""The manual page. That it is current is tested with the other generated pages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest

import generate
import manual
from seamstep import cli

PAGE = generate.REFERENCE / "seamstep.1"


def test_every_command_option_and_exit_code_has_an_entry() -> None:
    text = manual.manual().replace(r"\-", "-")
    for command in cli.described_parser().all():
        if command.commands:
            continue
        section = text.partition(f'.SS "{command.path}"\n')[2].partition("\n.S")[0]
        for option in command.options:
            assert "--help" in option.flags or rf"\fB{option.flags[-1]}\fR" in section, (command.path, option)
        for argument in command.arguments:
            assert rf"\fI{argument.value.placeholder}\fR" in section
    codes = re.findall(r"^  (\d+) ", cli.parser().epilog or "", re.MULTILINE)
    assert len(codes) > 9
    for code in codes:
        assert f"\n.TP\n\\fB{code}\\fR\n" in text


def test_what_must_be_given_shows_in_the_usage() -> None:
    text = manual.manual().replace(r"\-", "-")
    assert r"\fBseamstep apply\fR [\fIOPTION\fR]... [\fIPLAN\fR]" in text
    assert r"\fBseamstep lint\fR [\fIOPTION\fR]... \fIFILE|DIR\fR..." in text
    assert r"\fBseamstep image convert\fR [\fIOPTION\fR]... \fB-o\fR, \fB--output\fR \fIOUT\fR \fIFILE\fR" in text


@pytest.mark.parametrize(
    ("text", "spelled"), [(".SH", r"\&.SH"), ("'s", r"\(aqs"), ("a\\b", r"a\eb"), ("-o", r"\-o"), ("a\n.b", "a\n\\&.b")]
)
def test_no_text_is_taken_for_a_request(text: str, spelled: str) -> None:
    assert manual._text(text) == spelled


@pytest.mark.slow
def test_mandoc_finds_nothing() -> None:
    mandoc = shutil.which("mandoc")
    if not mandoc:
        assert not os.environ.get("SEAMSTEP_REQUIRE_SHELLS"), "mandoc is not installed"
        pytest.skip("mandoc is not installed")
    done = subprocess.run([mandoc, "-Tlint", "-Wwarning", PAGE], capture_output=True, text=True, check=False)
    told = [line for line in done.stdout.splitlines() if "missing date" not in line]  # same input, same bytes
    assert (told, done.stderr) == ([], "")
