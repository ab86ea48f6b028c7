"""Where results and errors go."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from seamstep.documents import write_atomic
from seamstep.errors import ExitCode, InputError, SeamstepError
from seamstep.report.text import printable


def to_json(document: Any) -> str:
    """A document as ``--json`` prints it."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def emit(document: Any, text: str, *, as_json: bool, output: str | None = None, replace: bool = False) -> None:
    """Print ``document`` as JSON or ``text``. With ``output`` the JSON goes to that file, whole or not at all, and the
    text is printed all the same.

    Raises:
        RefusedError: the file exists and ``replace`` is false.
        InputError: the file can't be written.
    """
    if output and output != "-":
        write_atomic(Path(output), to_json(document).encode(), replace=replace)
    sys.stdout.write(to_json(document) if as_json else text + "\n")


def print_error(error: Exception, *, as_json: bool) -> None:
    """Tell the user what went wrong: as JSON on standard output, or as text on standard error."""
    known = isinstance(error, SeamstepError)
    code = error.exit_code if isinstance(error, SeamstepError) else ExitCode.INTERNAL
    message = str(error) if known else f"internal error: {type(error).__name__}: {error}"
    if as_json:
        problems = error.problems if isinstance(error, InputError) else ()
        document = {
            "schema": "seamstep/error/v1",
            "exit_code": int(code),
            "error": message,
            "problems": [problem.to_document() for problem in problems],
        }
        sys.stdout.write(to_json(document))
        return
    for line in message.split("\n"):
        print(f"seamstep: {printable(line)}", file=sys.stderr)
    if not known:
        print("seamstep: this is a bug; SEAMSTEP_DEBUG=1 shows where", file=sys.stderr)
