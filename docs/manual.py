"""The manual page seamstep(1), from the parser of the command line."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seamstep import __version__, cli
from seamstep.cli.completion_scripts import Argument, Command, Option

_DESCRIPTION = """\
The Linux kernel can replace the Intel TDX module under running confidential VMs (TDs).
seamstep finds out which releases fit a host's CPU, its P-SEAMLDR, its kernel and its running module, in which steps to
get there, says why, and performs the steps.
No update starts that the facts say can fail; a fact that is missing never lets an update through."""

_EXAMPLES = (
    ("What a host is, as root:", "seamstep facts --json -o host.json"),
    ("A plan for it, made anywhere:", "seamstep plan --catalog tdx-module-binaries --facts host.json -o plan.json"),
    ("Why, and why not:", "seamstep explain --catalog tdx-module-binaries --facts host.json --to 1.5.28"),
    (
        "Rehearse the plan, then perform it on the host:",
        "seamstep apply plan.json --simulate; seamstep apply plan.json",
    ),
)
_FILES = (
    ("/var/lib/seamstep", "The journal and the lock; --state-dir and $STATE_DIRECTORY name another folder."),
    ("/etc/seamstep/seamstep.env", "The service's settings."),
    ("/sys/devices/faux/tdx_host", "The running module, the P-SEAMLDR, the remaining updates."),
    ("/sys/class/firmware/tdx_module", "Where images are uploaded."),
)
_ENVIRONMENT = (
    ("STATE_DIRECTORY", "The state folder, as systemd sets it."),
    ("NO_COLOR", "If set, terminals get no colours."),
    ("COLUMNS", "The width of the terminal, if it is not the terminal's own."),
    ("SEAMSTEP_DEBUG", "If set, internal errors come with a traceback."),
)


def manual() -> str:
    """The page in roff, with the macros of man(7)."""
    return "".join(f"{line}\n" for line in _lines(cli.described_parser()))


def _lines(root: Command) -> Iterator[str]:
    yield r".\" Written by docs/generate.py; do not edit."
    yield f'.TH SEAMSTEP 1 "" "seamstep {__version__}" "User Commands"'
    yield ".SH NAME"
    yield rf"seamstep \- {_text(root.description[0].lower() + root.description[1:].rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield r"\fBseamstep\fR \fICOMMAND\fR [\fIOPTION\fR]..."
    yield ".SH DESCRIPTION"
    yield _text(_DESCRIPTION)
    yield from (line for option in root.options for line in _option(option))
    yield ".SH COMMANDS"
    for command in root.all():
        if not command.commands:
            yield from _command(command)
    yield ".SH EXIT STATUS"
    for code, meaning in re.findall(r"^  (\d+) +(.+)$", cli.parser().epilog or "", re.MULTILINE):
        yield from _item(rf"\fB{code}\fR", meaning)
    for title, entries in (("FILES", _FILES), ("ENVIRONMENT", _ENVIRONMENT)):
        yield f".SH {title}"
        for name, meaning in entries:
            yield from _item(rf"\fB{_text(name)}\fR", meaning)
    yield ".SH EXAMPLES"
    for told, example in _EXAMPLES:
        yield from (_text(told), ".PP", ".RS 4", ".nf", _text(example), ".fi", ".RE")
        yield from () if told == _EXAMPLES[-1][0] else (".PP",)
    yield ".SH SEE ALSO"
    yield r"\fBsystemd.unit\fR(5), \fBvirsh\fR(1)"


def _command(command: Command) -> Iterator[str]:
    yield f'.SS "{_text(command.path)}"'
    yield _usage(command)
    yield ".PP"
    yield _text(command.description)
    for argument in command.arguments:
        yield from _item(_placeholder(argument.value.placeholder), argument.help)
    for option in command.options:
        if "--help" not in option.flags:
            yield from _option(option)


def _usage(command: Command) -> str:
    required = [f" {_flags(option)}" for option in command.options if option.required]
    given = [_placeholder(argument.value.placeholder, argument) for argument in command.arguments]
    return rf"\fB{_text(command.path)}\fR [\fIOPTION\fR]..." + "".join(required) + "".join(f" {each}" for each in given)


def _option(option: Option) -> Iterator[str]:
    again = " (may be given several times)" if option.repeated and "several times" not in option.help else ""
    yield from _item(_flags(option), option.help + again)


def _flags(option: Option) -> str:
    value = f" {_placeholder(option.value.placeholder)}" if option.value else ""
    return ", ".join(rf"\fB{_text(flag)}\fR" for flag in option.flags) + value


def _placeholder(name: str, argument: Argument | None = None) -> str:
    """A placeholder as it stands in a usage: how often the argument has to be given shows."""
    shown = rf"\fI{_text(name)}\fR" + ("..." if argument and argument.many else "")
    return shown if argument is None or argument.required else f"[{shown}]"


def _item(term: str, told: str) -> Iterator[str]:
    """A tagged paragraph. One without text has its tag alone."""
    yield ".TP"
    yield term
    yield _text(told) if told else r"\&"


def _text(text: str) -> str:
    """``text`` so that roff prints it as it stands: hyphens can be copied, and no line is taken for a request."""
    spelled = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace('"', r"\(dq")
    return re.sub(r"^(?=[.])", r"\\&", spelled, flags=re.MULTILINE)
