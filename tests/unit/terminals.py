"""Programs on a real pseudo-terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence

_STYLE = re.compile(r"\x1b\[[0-9;]*m")


def open_terminal(columns: int, lines: int = 40) -> tuple[int, int]:
    """Both ends of a terminal of that size: the user's, and the program's."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    return ours, theirs


def on_terminal(
    arguments: Sequence[object], columns: int, environment: Mapping[str, str] | None = None, typed: bytes = b""
) -> tuple[int, str]:
    """The exit code of seamstep, and what was to be seen on a terminal of ``columns`` columns; ``environment`` is
    added, and ``typed`` lies ready."""
    ours, theirs = open_terminal(columns)
    os.write(ours, typed)
    clean = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    given = clean | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"} | dict(environment or {})
    command = [sys.executable, "-m", "seamstep", *map(str, arguments)]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=given) as process:
        os.close(theirs)
        written = b""
        with contextlib.suppress(OSError):  # EIO once the program is gone
            while part := os.read(ours, 1 << 16):
                written += part
    os.close(ours)
    return process.returncode, written.decode().replace("\r\n", "\n")


def unstyled(text: str) -> str:
    """``text`` without colours and weights. Fails where other escape sequences are left."""
    plain = _STYLE.sub("", text)
    assert plain.replace("\n", "").isprintable(), ascii(plain)
    return plain
