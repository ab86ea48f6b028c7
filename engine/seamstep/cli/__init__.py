"""The command line. It wires: every command reads inputs, calls the core, prints, and returns an exit code.

Commands import what they need when they run, so that light ones start fast.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import os
import sys
import traceback
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NoReturn

from seamstep import __version__
from seamstep.cli import (
    apply,
    demo,
    diff,
    explain,
    facts,
    history,
    image,
    lint,
    measurements,
    plan,
    policy,
    service,
    status,
)
from seamstep.cli.output import OutputLostError, print_error
from seamstep.errors import ExitCode, InputError, Problem, RefusedError, SeamstepError

_EPILOG = """exit codes:
  0   done, or nothing to do
  1   the answer is no: findings, no permitted path, refused
  2   usage, or input that can't be read or is invalid
  3   this host can't be updated at run time
  4   busy, try later
  5   stale plan
  6   the update failed; the old module and its TDs run
  7   TDX is lost, reboot
  8   the outcome is not known; look at the host
  10  plan --exit-code: an update is available
  70  internal error
"""


class _Parser(argparse.ArgumentParser):
    """Usage errors are errors like all others; options are written out, so that none is met by accident."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **{**settings, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        raise InputError(Problem(self.prog, f"{message} (see {self.prog} --help)"))


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    root = _Parser(
        prog="seamstep",
        description="Plan and perform Intel TDX module runtime updates.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument("--version", action="version", version=f"seamstep {__version__}")
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    acting, checking = (facts, plan, explain, apply, status, history), (lint, diff, policy, image, measurements)
    for command in (*acting, *checking, service, demo):
        command.add(commands)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    as_json = "--json" in arguments or "--format=json" in arguments or ("--format", "json") in pairwise(arguments)
    code = int(ExitCode.DONE)
    try:
        options = parser().parse_args(arguments)
        code = int(options.run(options))
        sys.stdout.flush()
    except SeamstepError as error:
        code = _tell(error, int(error.exit_code), as_json=as_json)
    except KeyboardInterrupt:
        code = _tell(RefusedError("interrupted"), int(ExitCode.INTERRUPTED), as_json=as_json)
    except OutputLostError as error:
        code = error.code
    except BrokenPipeError:
        _drop_stdout()
    except (OSError, UnicodeError) as error:
        code = _tell(InputError(Problem("seamstep", str(error))), int(ExitCode.INVALID), as_json=as_json)
    except Exception as error:  # the last line of defence: a bug must not look like an answer
        if os.environ.get("SEAMSTEP_DEBUG"):
            traceback.print_exc()
        code = _tell(error, int(ExitCode.INTERNAL), as_json=as_json)
    return code


def _tell(error: Exception, code: int, *, as_json: bool) -> int:
    try:
        print_error(error, code=code, as_json=as_json)
        sys.stdout.flush()
    except OSError:
        _drop_stdout()
    return code


def _drop_stdout() -> None:
    """Whoever read our output went away; don't let the interpreter stumble over it again at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _spell_out(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return characters.replace("→", "->").replace("…", "...").encode("ascii", "backslashreplace").decode(), error.end


def entry() -> NoReturn:
    """The console script: any locale's encoding must do for printing, and closed streams are no obstacle."""
    if os.environ.get("SEAMSTEP_DEBUG"):
        import logging

        logging.basicConfig(level=logging.DEBUG)
    codecs.register_error("seamstep", _spell_out)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115 - lives as long as the process
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="seamstep")  # type: ignore[union-attr]
    sys.exit(main())
