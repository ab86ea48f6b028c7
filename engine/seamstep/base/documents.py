"""Reading untrusted files and writing our own.

All input may be hostile: sizes are bounded before parsing, JSON is strict (UTF-8, no duplicate keys, no NaN), and
errors name file, line, column and key path.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import math
import operator
import os
import re
import stat
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TypeVar

from seamstep.base.errors import PROBLEMS_MAX, InputError, KeyPath, Problem

if TYPE_CHECKING:
    from seamstep.base.positions import Places

T = TypeVar("T")
_DIGITS_MAX = 64
_VALUES_MAX = 1_000_000
_PIPE_SECONDS = 60.0
#: A string, or any other value, in JSON.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[-+.\w]++', re.DOTALL)
_CHUNK = 1 << 20  # bytes of one read
#: How a file is opened for reading: the call does not wait, and a terminal does not become the controlling one.
READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_KINDS = {
    stat.S_IFDIR: "Is a directory",
    stat.S_IFLNK: "a symbolic link, which is not followed here",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
Locate = Callable[[KeyPath], tuple[int, int] | None]


class Document(NamedTuple):
    """A parsed file.

    Attributes:
        source: the name of the file in messages.
        data: the parsed value.
        sha256: the digest of the whole file in hex.
        locate: returns line and column of a key path, or None where they are not known.
    """

    source: str
    data: Any
    sha256: str
    locate: Locate

    def inner(self, *path: str | int) -> Document:
        """The document at ``path`` in this one; lines and columns stay those of the whole file."""
        data = functools.reduce(operator.getitem, path, self.data)
        return self._replace(data=data, locate=lambda below: self.locate((*path, *below)))

    def parsed(self, path: KeyPath, parse: Callable[[Any], T], problems: list[Problem]) -> T | None:
        """The value at ``path`` after ``parse``; None where it is null or missing, or where ``parse`` raises a
        ValueError, which is added to ``problems``."""
        value = self.data
        for key in path:
            value = value.get(key) if isinstance(value, dict) else value[key]
        try:
            return None if value is None else parse(value)
        except ValueError as error:
            problems.append(self.problem(path, str(error)))
            return None

    def problem(self, path: KeyPath, message: str) -> Problem:
        """A problem at ``path``, with line and column."""
        line, column = self.locate(path) or (None, None)
        return Problem(self.source, message, path, line, column)


def read_bytes(path: str, limit: int, what: str, *, standard_input: bool = False) -> bytes:
    """The content of a file that the user named, at most ``limit`` bytes; ``-`` is standard input where allowed.

    A symbolic link to a regular file is followed. A pipe, such as that of a shell's ``<(command)``, is read too; its
    writer has _PIPE_SECONDS for all of it. A device is not opened.

    Raises:
        InputError: the file can't be read, is empty or is larger than ``limit``.
    """
    try:
        if path == "-" and standard_input:
            content = sys.stdin.buffer.read(limit + 1) if sys.stdin else b""
        else:
            content = _read(_open(path, links=True, pipes=True), limit + 1)
    except (OSError, ValueError) as error:
        raise unreadable(path, what, error) from None
    return _bounded(content, path, limit, what)


def read_regular(path: str, limit: int, what: str, *, links: bool = False) -> bytes:
    """As :func:`read_bytes`, for a file that was found in a folder or is named in a document: only regular files are
    read. ``links`` is whether ``path`` may be a symbolic link to one.

    Raises:
        InputError: as :func:`read_bytes`, or the file is not a regular one.
    """
    try:
        content = _read(open_regular(path, links=links), limit + 1)
    except (OSError, ValueError) as error:
        raise unreadable(path, what, error) from None
    return _bounded(content, path, limit, what)


def open_regular(path: str, *, links: bool = False) -> int:
    """A descriptor to read a regular file, which the caller closes.

    The file is examined before it is opened, because opening alone can have effects: a FIFO wakes its writer, a tape
    rewinds, a watchdog starts. ``links`` is whether ``path`` may be a symbolic link to a regular file.

    Raises:
        OSError: it can't be opened, or is not a regular file.
        ValueError: the path holds a NUL.
    """
    return _open(path, links=links, pipes=False)


def _open(path: str, *, links: bool, pipes: bool) -> int:
    check_kind(os.stat(path, follow_symlinks=links), pipes=pipes)
    descriptor = os.open(path, READING if links else READING | os.O_NOFOLLOW)
    try:
        check_kind(os.fstat(descriptor), pipes=pipes)  # another file may have taken its place
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def check_kind(found: os.stat_result, *, pipes: bool = False) -> None:
    """Raise OSError unless the status is that of a regular file, or of a pipe if ``pipes``."""
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFREG and not (pipes and kind == stat.S_IFIFO):
        number = errno.EISDIR if kind == stat.S_IFDIR else errno.EINVAL
        raise OSError(number, f"{_KINDS.get(kind, 'a special file')}, not a regular file")


def require_regular(path: str, what: str) -> None:
    """Check a path that a document names, before it is read as one that the user named.

    Raises:
        InputError: it leads to a folder, a pipe or a device. That it leads to nothing is left to the reader.
    """
    try:
        check_kind(os.stat(path))
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        raise unreadable(path, what, error) from None


def _read(descriptor: int, limit: int) -> bytes:
    """The first ``limit`` bytes of a file or pipe, which is closed afterwards."""
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return _from_pipe(descriptor, limit)
        return _at_most(file, limit)


def _from_pipe(descriptor: int, limit: int) -> bytes:
    import select

    written = select.poll()
    written.register(descriptor, select.POLLIN)
    chunks: list[bytes] = []
    end = time.monotonic() + _PIPE_SECONDS
    while limit > 0:
        if not written.poll(max(end - time.monotonic(), 0) * 1000):
            raise OSError(errno.ETIMEDOUT, f"the pipe was not written to its end within {_PIPE_SECONDS:g} s")
        try:
            chunk = os.read(descriptor, min(limit, _CHUNK))
        except BlockingIOError:  # another reader took it
            continue
        if not chunk:
            break
        chunks.append(chunk)
        limit -= len(chunk)
    return b"".join(chunks)


def _at_most(file: BinaryIO, limit: int) -> bytes:
    """The first ``limit`` bytes of a file. The first read asks for the size in the file's status, since a buffer of
    ``limit`` bytes takes longer to allocate than most files take to read. Further reads are for files that hold more
    than their status says: a file that grows, a file in /proc."""
    chunks = [file.read(min(os.fstat(file.fileno()).st_size + 1, limit))]
    limit -= len(chunks[0])
    while limit > 0 and (more := file.read(min(limit, _CHUNK))):
        chunks.append(more)
        limit -= len(more)
    return b"".join(chunks)


def absolute(path: str) -> str:
    """``path`` as an absolute path; unchanged if the working directory was removed, since there is no absolute path
    then. ".." is kept, because the part before it may be a symbolic link."""
    try:
        whole = path if path.startswith("/") else os.path.join(os.getcwd(), path)
    except FileNotFoundError:
        return path
    return "/" + "/".join(part for part in whole.split("/") if part not in {"", "."})


def _bounded(content: bytes, path: str, limit: int, what: str) -> bytes:
    if len(content) > limit:
        raise InputError(Problem(path, f"too large for a {what}: more than {limit} bytes"))
    if not content:
        raise InputError(Problem(path, f"the file is empty; expected a {what}"))
    return content


def unreadable(path: str, what: str, error: Exception) -> InputError:
    """The InputError for a failed attempt to read ``path``."""
    return InputError(Problem(path, f"can't read the {what}: {described_failure(error)}"))


def described_failure(error: Exception) -> str:
    """The reason why a file can't be opened, read or written, in a few words."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def decode(content: bytes, source: str) -> str:
    """``content`` as text.

    Raises:
        InputError: it is not UTF-8; the error names line and column.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = error.start - before.rfind(b"\n")
        message = f"not UTF-8 text: byte 0x{content[error.start]:02x}"
        raise InputError(Problem(source, message, line=before.count(b"\n") + 1, column=column)) from None


class _DuplicateKeyError(Exception):
    """A JSON object has a key twice."""


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _DuplicateKeyError
    return result


class _NumberError(Exception):
    """A number of a JSON text is not accepted. ``token`` is the number as written."""

    def __init__(self, token: str, message: str) -> None:
        self.token = token
        super().__init__(message)


def _bounded_integer(digits: str) -> int:
    if len(digits) > _DIGITS_MAX:
        raise _NumberError(digits, f"a number of {len(digits)} digits; at most {_DIGITS_MAX} are allowed")
    return int(digits)


def _finite(token: str) -> float:
    number = float(token)
    if not math.isfinite(number):
        shown = token if len(token) <= _DIGITS_MAX else f"{token[:_DIGITS_MAX]}..."
        raise _NumberError(token, f"{shown} is too large a number")
    return number


def _refuse_constant(constant: str) -> None:
    raise _NumberError(constant, f"{constant} is not allowed in JSON")


def read_json(
    path: str,
    limit: int,
    what: str,
    *,
    standard_input: bool = False,
    found: bool = False,
    values_max: int = _VALUES_MAX,
) -> Document:
    """Read a strict JSON file whose top level is an object. ``found`` is whether the file was found in a folder rather
    than named by the user; see :func:`read_regular`.

    Raises:
        InputError: unreadable, not UTF-8, not JSON, a duplicate key, nested too deeply, more than ``values_max``
            values, or not an object.
    """
    content = read_regular(path, limit, what) if found else read_bytes(path, limit, what, standard_input=standard_input)
    return json_document(content, path, what, values_max=values_max)


def json_document(content: bytes, path: str, what: str, *, values_max: int = _VALUES_MAX) -> Document:
    """The document in the ``content`` of the file ``path``. Raises InputError as :func:`read_json` does."""
    text = decode(content, path)
    data = parse_object(text, path, what, values_max=values_max)

    @functools.cache
    def places() -> Places:
        from seamstep.base.positions import Places

        return Places(text)

    def locate(key_path: KeyPath) -> tuple[int, int] | None:
        return places().line_and_column(places().offset(key_path))

    return Document(path, data, hashlib.sha256(content).hexdigest(), locate)


def parse_object(
    text: str, source: str, what: str, *, values_max: int = _VALUES_MAX, keep_duplicates: bool = False
) -> dict[str, Any]:
    """Parse strict JSON whose top level is an object; ``what`` names the kind of document in messages. Raises
    InputError as :func:`read_json` does."""
    data = parse_json(text, source, values_max=values_max, keep_duplicates=keep_duplicates)
    if not isinstance(data, dict):
        raise InputError(Problem(source, f"expected a {what}: a JSON object at the top level", line=1, column=1))
    return data


def parse_json(text: str, source: str, *, values_max: int = _VALUES_MAX, keep_duplicates: bool = False) -> Any:
    """Parse strict JSON; with ``keep_duplicates`` the last of several equal keys counts, as in most JSON parsers.
    Raises InputError as :func:`read_json` does."""
    if sum(map(text.count, ",[{")) > values_max:  # an upper bound, counted before any value takes memory
        raise InputError(Problem(source, f"too many values; at most {values_max} are allowed"))
    try:
        data = json.loads(
            text,
            object_pairs_hook=None if keep_duplicates else _refuse_duplicates,
            parse_int=_bounded_integer,
            parse_float=_finite,
            parse_constant=_refuse_constant,
        )
        if "\\u" in text:
            json.dumps(data, ensure_ascii=False).encode()
    except _DuplicateKeyError:
        # The text after the key may not be JSON, which is then the error to report.
        parse_json(text, source, values_max=values_max, keep_duplicates=True)
        raise InputError(_duplicates(text, source)) from None
    except json.JSONDecodeError as error:
        message = "starts with a byte order mark; save it without one" if text[:1] == "\ufeff" else error.msg
        raise InputError(Problem(source, f"not JSON: {message}", line=error.lineno, column=error.colno)) from None
    except UnicodeEncodeError:
        raise InputError(Problem(source, "not JSON text: it escapes half of a surrogate pair")) from None
    except RecursionError:
        raise InputError(Problem(source, "nested too deeply")) from None
    except _NumberError as error:
        place = _place_of(error.token, text)
        raise InputError(Problem(source, f"not JSON: {error}", line=place[0], column=place[1])) from None
    return data


def _place_of(token: str, text: str) -> tuple[int, int]:
    """Line and column of the first value that begins with ``token``, which no string does."""
    from seamstep.base.positions import line_and_column

    start = next(found.start() for found in _TOKEN.finditer(text) if found[0].startswith(token))
    return line_and_column(text, start)


def _duplicates(text: str, source: str) -> list[Problem]:
    from seamstep.base.positions import line_and_column, scan

    _, duplicates = scan(text)
    return [
        Problem(source, "this key stands twice in its object; keep one", path, *line_and_column(text, offset))
        for path, offset in duplicates[:PROBLEMS_MAX]
    ]


def canonical(data: Any) -> bytes:
    """JSON-able data as bytes for digests, the same for equal data: sorted keys, no spaces, ASCII."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")
