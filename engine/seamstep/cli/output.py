"""Output of results and errors."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from seamstep.base.errors import ExitCode, InputError, SeamstepError

_GOOD = {ExitCode.DONE, ExitCode.UPDATE_AVAILABLE}


class OutputLostError(Exception):
    """The command has finished, but its result could not be written. ``code`` is the exit code that follows."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__()


def to_json(document: Any) -> str:
    """A document as ``--json`` prints it, in ASCII, so that it is the same in every locale and on every terminal. The
    beginning of a command in a CI log is escaped, as in :func:`seamstep.show.text.printable`."""
    import json

    return json.dumps(document, indent=2, allow_nan=False).replace("##[", "##\\u005b") + "\n"


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
    stands: bool = False,
) -> None:
    """Print ``document`` as JSON or ``text``; with ``output`` the JSON is written to that file as well, atomically. A
    ``private`` file is readable by its owner only; otherwise the umask decides.

    Raises:
        OutputLostError: as :func:`say`; the file was written.
        RefusedError: the file exists and ``replace`` is false.
        InputError: the file can't be written.
    """
    try:
        say(to_json(document) if as_json else text + "\n", code, stands=stands)
    finally:
        save(to_json(document), output, replace=replace, mode=_PRIVATE if private else None)


def say(text: str, code: int = 0, *, stands: bool = False) -> None:
    """Write to standard output. Raises OutputLostError as :func:`checked` does."""
    with checked(code, stands=stands):
        sys.stdout.write(text)


@contextlib.contextmanager
def checked(code: int = 0, *, stands: bool = False) -> Iterator[None]:
    """Context manager that writes to standard output; what was written has arrived when it ends.

    Args:
        code: the command's exit code.
        stands: whether that code holds even if the output is lost, since it tells how a host stands after a run.

    Raises:
        OutputLostError: standard output can't be written to. Its code is ``code``, but an error instead of a good one
            unless ``stands``, or unless the reader of a pipe closed it: that reader had what it wanted.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:  # it is about that file
            raise
        drop_stdout()
        if isinstance(error, BrokenPipeError):
            raise OutputLostError(code) from None
        with contextlib.suppress(OSError):
            print(f"seamstep: can't write to standard output: {error.strerror}", file=sys.stderr)
        raise OutputLostError(ExitCode.INVALID if code in _GOOD and not stands else code) from None


def save(text: str, output: str | None, *, replace: bool, mode: int | None = None) -> None:
    """Write ``text`` to the file ``output``, if one is given, with the mode that the umask gives unless there is a
    ``mode``. Raises RefusedError and InputError as :func:`emit`."""
    if output:
        from pathlib import Path

        from seamstep.base.writing import write_atomic

        write_atomic(Path(output), text.encode(), replace=replace, mode=mode)


def deliver(text: str, output: str | None, code: int = 0, *, replace: bool) -> None:
    """Write ``text`` to the file ``output``, atomically and with the mode that the umask gives, or to standard output.
    Raises as :func:`emit`."""
    if not output:
        say(text, code)
    save(text, output, replace=replace)


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
    for line in error.problems if isinstance(error, InputError) else (message,):
        print(f"seamstep: {printable(line)}", file=sys.stderr)
    if not known:
        print("seamstep: this is a bug; SEAMSTEP_DEBUG=1 shows where", file=sys.stderr)
