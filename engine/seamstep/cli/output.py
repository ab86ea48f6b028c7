"""Output of results and errors."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, TextIO

from seamstep.base.errors import InputError, SeamstepError


class OutputLostError(Exception):
    """The command has finished, but its result could not be written. ``code`` is its exit code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__()


def to_json(document: Any) -> str:
    """A document as ``--json`` prints it, in ASCII, so that it is the same in every locale and on every terminal."""
    import json

    return json.dumps(document, indent=2) + "\n"


def on_terminal(stream: TextIO) -> bool:
    """Whether ``stream`` is a terminal that can do more than print lines."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def plan_for_people(document: Mapping[str, Any], stream: TextIO) -> str:
    """A plan document as text for ``stream``: drawn on a terminal, else in plain lines, which can be searched."""
    if on_terminal(stream):
        from seamstep.show.screen import plan_screen

        return plan_screen(document, stream, time.time())
    from seamstep.show.text import plan_text

    return plan_text(document, time.time())


#: The mode of files that may hold secrets: a run's messages quote what the policy's commands printed.
_PRIVATE = 0o600


def emit(
    document: Any,
    text: str,
    *,
    as_json: bool,
    code: int = 0,
    output: str | None = None,
    replace: bool = False,
    private: bool = False,
) -> None:
    """Print ``document`` as JSON or ``text``; with ``output`` the JSON is written to that file as well, atomically. A
    ``private`` file is readable by its owner only; otherwise the umask decides.

    Raises:
        OutputLostError: standard output can't be written to; carries ``code``, the command's exit code.
        RefusedError: the file exists and ``replace`` is false.
        InputError: the file can't be written.
    """
    say(to_json(document) if as_json else text + "\n", code)
    if output:
        from pathlib import Path

        from seamstep.base.documents import write_atomic

        mode = _PRIVATE if private else None
        write_atomic(Path(output), to_json(document).encode(), replace=replace, mode=mode)


def say(text: str, code: int = 0) -> None:
    """Write to standard output. Raises OutputLostError with ``code`` if that fails."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        drop_stdout()
        if not isinstance(error, BrokenPipeError):
            with contextlib.suppress(OSError):
                print(f"seamstep: can't write to standard output: {error.strerror}", file=sys.stderr)
        raise OutputLostError(code) from None


def deliver(text: str, output: str | None, code: int = 0, *, replace: bool) -> None:
    """Write ``text`` to the file ``output``, atomically and with the mode that the umask gives, or to standard output.
    Raises as :func:`emit`."""
    if not output:
        say(text, code)
        return
    from pathlib import Path

    from seamstep.base.documents import write_atomic

    write_atomic(Path(output), text.encode(), replace=replace, mode=None)


def drop_stdout() -> None:
    """Redirect standard output to /dev/null: its reader is gone, and the flush at exit would fail again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_error(error: Exception, *, code: int, as_json: bool) -> None:
    """Print an error: as JSON on standard output, or as text on standard error."""
    from seamstep.show.text import printable

    known = isinstance(error, SeamstepError)
    message = str(error) if known else f"internal error: {type(error).__name__}: {error}"
    if as_json:
        problems = error.problems if isinstance(error, InputError) else ()
        document = {
            "schema": "seamstep/error/v1",
            "exit_code": code,
            "error": message,
            "problems": [problem.to_document() for problem in problems],
        }
        sys.stdout.write(to_json(document))
        return
    for line in message.split("\n"):
        print(f"seamstep: {printable(line)}", file=sys.stderr)
    if not known:
        print("seamstep: this is a bug; SEAMSTEP_DEBUG=1 shows where", file=sys.stderr)
