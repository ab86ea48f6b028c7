"""The manual page seamstep(1): the commands and options from the parser by argparse-manpage, and the texts here."""

from __future__ import annotations

import re

from argparse_manpage.manpage import Manpage  # type: ignore[import-untyped]

from seamstep import __version__, cli

_DESCRIPTION = """\
The Linux kernel can replace the Intel TDX module under running confidential VMs (TDs).
seamstep finds out which releases fit a host's CPU, its P-SEAMLDR, its kernel and its running module, in which steps to
get there, says why, and performs the steps.
No update starts that the facts say can fail; a fact that is missing never lets an update through."""

#: Sections after the commands, in roff with the macros of man(7).
_SECTIONS = {
    "FILES": r"""
.TP
.B /var/lib/seamstep
The journal and the lock; \-\-state\-dir and $STATE_DIRECTORY name another folder.
.TP
.B /etc/seamstep/config.yaml
The configuration: catalog, policies, who begins updates, and the notification of their end.
.TP
.B /usr/lib/firmware/intel/tdx\-module
The catalog where none is named.
.TP
.B /sys/devices/faux/tdx_host
The running module, the P\-SEAMLDR, the remaining updates.
.TP
.B /sys/class/firmware/tdx_module
Where images are uploaded.""",
    "ENVIRONMENT": r"""
.TP
.B STATE_DIRECTORY
The state folder, as systemd sets it.
.TP
.B NO_COLOR
If set, terminals get no colours.
.TP
.B COLUMNS
The width of the terminal, if it is not the terminal's own.
.TP
.B SEAMSTEP_DEBUG
If set, internal errors come with a traceback.""",
    "EXAMPLES": r"""
What a host is, as root:
.PP
.EX
seamstep facts \-\-json \-o host.json
.EE
.PP
A plan for it, made anywhere:
.PP
.EX
seamstep plan \-\-catalog tdx\-module\-binaries \-\-facts host.json \-o plan.json
.EE
.PP
Why, and why not:
.PP
.EX
seamstep explain \-\-catalog tdx\-module\-binaries \-\-facts host.json \-\-to 1.5.28
.EE
.PP
Rehearse the plan, then perform it on the host:
.PP
.EX
seamstep apply plan.json \-\-simulate; seamstep apply plan.json
.EE""",
    "SEE ALSO": r"\fBsystemd.unit\fR(5), \fBvirsh\fR(1)",
}


def manual() -> str:
    """The page in roff. It has no date and does not depend on the width of the terminal."""
    parser = cli.parser()
    codes = re.findall(r"^  (\d+) +(.+)$", parser.epilog or "", re.MULTILINE)
    purpose = str(parser.description).rstrip(".")
    parser.description, parser.epilog = _DESCRIPTION, None
    page = Manpage(parser, format="single-commands-section")
    page.description = purpose[0].lower() + purpose[1:]
    page.source, page.manual, page.date = f"{parser.prog} {__version__}", "User Commands", ""
    exit_status = "".join(f".TP\n.B {code}\n{meaning}\n" for code, meaning in codes)
    for heading, text in {"EXIT STATUS": exit_status.replace("-", r"\-"), **_SECTIONS}.items():
        page.add_section(heading, "=", text.strip())
    return '.\\" Written by docs/generate.py; do not edit.\n' + _tidy(str(page))


def _tidy(page: str) -> str:
    """``page`` with each usage on one line, no empty lines but between paragraphs, and no text taken for a macro."""
    page = re.sub(r"\n +", " ", page)
    page = re.sub(r"\n+(?=\n\.[A-Z]|\n\n)", "", page)
    return re.sub(r"^(?=\.[a-z]|')", r"\\&", page, flags=re.MULTILINE)
