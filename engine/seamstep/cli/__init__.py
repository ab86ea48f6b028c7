"""The command line. Commands only wire: each reads inputs, calls the core, prints, and returns an exit code.

Commands import their dependencies when they run, so that light commands start fast.
"""

from __future__ import annotations

import codecs
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from seamstep import __version__

if TYPE_CHECKING:
    import argparse

#: The commands with their help texts. Each is a module of this package.
COMMANDS = {
    "facts": "show what is known of this host",
    "plan": "find the way to the release the policy wants",
    "explain": "say why this path, why not another, and what would have to change",
    "graph": "draw the version graph",
    "fleet": "plan for many hosts, and roll updates out to them",
    "report": "write a page to decide on an update by",
    "apply": "perform a plan",
    "hold": "keep this host from being updated",
    "status": "show how the host stands",
    "history": "show what runs did on this host",
    "lint": "find mistakes in mapping files and catalogs",
    "diff": "what a change of the mapping file, or of a catalog, means for hosts",
    "policy": "check, test, show and compare policies",
    "image": "inspect, verify, convert and join TDX module images",
    "measurements": "list what attestation verifiers need to know",
    "service": "install the systemd units",
    "completion": "print a script that completes command lines in a shell",
    "demo": "play the whole job on a simulated host",
}

_EPILOG = """exit codes:
  0   done, or nothing to do
  1   the answer is no: findings, no permitted path, refused
  2   usage, input that can't be read or is invalid, or output that can't be written
  3   this host can't be updated at run time
  4   busy, try later
  5   stale plan
  6   the update failed; the old module and its TDs run
  7   TDX is lost, reboot
  8   the outcome is not known; look at the host
  10  plan --exit-code: an update is available
  70  internal error
  130 interrupted
"""


#: The number of new objects that starts a search for garbage cycles. A command creates next to none, and searching its
#: imports and inputs for them takes a twentieth of its time.
_GARBAGE = 100_000


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser of all commands with their arguments; with the name of a command, of that command only; with an empty
    name, of all commands without their arguments."""
    from seamstep.cli.arguments import Described, Parser, Verbatim

    root = Parser(
        prog="seamstep",
        description="Plan and perform Intel TDX module runtime updates.",
        epilog=_EPILOG,
        formatter_class=Verbatim,
    )
    root.add_argument("--version", action="version", version=f"seamstep {__version__}")
    # without prog, argparse would import its help formatting just to find the program's name
    commands = root.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=Parser, prog=root.prog
    )
    for name in [command] if command else COMMANDS:
        described = Described(commands, COMMANDS[name])
        if command == "":
            described.add_parser(name)
        else:
            importlib.import_module(f"seamstep.cli.{name}").add(described)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments == ["--version"]:  # scripts ask this often, so it imports nothing
        try:
            print(f"seamstep {__version__}", flush=True)
        except OSError:
            pass  # the parser prints it as well, and reports why it can't
        else:
            return 0
    from seamstep.cli.running import run

    command = arguments[0] if arguments and arguments[0] in COMMANDS else ""
    return run(arguments, lambda: parser(command).parse_args(arguments))


def _spell_out(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    from seamstep.show.text import ASCII

    characters = error.object[error.start : error.end]
    return characters.translate(ASCII).encode("ascii", "backslashreplace").decode(), error.end


def entry() -> NoReturn:
    """The console script. It works with the encoding of any locale and with closed standard streams."""
    gc.set_threshold(_GARBAGE)
    if os.environ.get("SEAMSTEP_DEBUG"):
        import logging

        logging.basicConfig(level=logging.DEBUG)
    if "_ARGCOMPLETE" in os.environ:  # a shell asks for completions
        from seamstep.cli.completion import answer

        answer(parser())
    codecs.register_error("seamstep", _spell_out)
    # A descriptor for reading stands for a closed output: writing to it fails, as it should.
    sys.stdout = sys.stdout or open(os.open(os.devnull, os.O_RDONLY), "w")  # noqa: SIM115 - lives with the process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="seamstep")
    try:
        code = main()
    finally:
        gc.freeze()  # skips the collection at exit, a sixth of the time; no open file is left to it
    sys.exit(code)
