"""Run one command and turn its result, or its exception, into an exit code and a message."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise

from seamstep.base.errors import ExitCode, InputError, Problem, RefusedError, SeamstepError
from seamstep.cli.output import OutputLostError, drop_stdout, print_error


def run(arguments: Sequence[str], parse: Callable[[], argparse.Namespace]) -> int:
    """Parse the arguments, run the command, print an error if there is one, and return the exit code."""
    as_json = "--json" in arguments or "--format=json" in arguments or ("--format", "json") in pairwise(arguments)
    code: int | None = None  # until the command has returned
    try:
        options = parse()
        code = int(options.run(options))
        sys.stdout.flush()
    except SeamstepError as error:
        code = _tell(error, int(error.exit_code), as_json=as_json)
    except KeyboardInterrupt:
        code = _tell(RefusedError("interrupted"), int(ExitCode.INTERRUPTED), as_json=as_json)
    except OutputLostError as error:
        code = error.code
    except BrokenPipeError:
        drop_stdout()
        code = int(ExitCode.INVALID) if code is None else code
    except (OSError, UnicodeError) as error:
        code = _tell(InputError(Problem("seamstep", str(error))), int(ExitCode.INVALID), as_json=as_json)
    except Exception as error:  # the last line of defence: a bug must not look like an answer
        if os.environ.get("SEAMSTEP_DEBUG"):
            import traceback

            traceback.print_exc()
        code = _tell(error, int(ExitCode.INTERNAL), as_json=as_json)
    return code


def _tell(error: Exception, code: int, *, as_json: bool) -> int:
    try:
        print_error(error, code=code, as_json=as_json)
        sys.stdout.flush()
    except OSError as lost:
        drop_stdout()
        if as_json and not isinstance(lost, BrokenPipeError):
            return _tell(error, code, as_json=False)
    return code
