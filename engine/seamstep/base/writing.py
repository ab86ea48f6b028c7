"""Writing files of our own: whole or not at all, and never over what the user has."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from seamstep.base.documents import described_failure
from seamstep.base.errors import InputError, Problem, RefusedError

if TYPE_CHECKING:
    from pathlib import Path


def check_writable(path: Path, *, replace: bool) -> None:
    """Check that a result could be written to ``path``, before the work for it begins.

    Raises:
        RefusedError: the file exists and ``replace`` is false, it is not a regular file, or it is a symbolic link that
            leads to no file: what is new is created in the folder that the user named.
        InputError: the folder does not exist, or the path can't be examined.
    """
    try:
        found = os.stat(path)  # exists() hides errors that have to be reported
    except FileNotFoundError:
        if os.path.islink(path):
            raise RefusedError(f"{path} is a symbolic link to a file that does not exist; it is left alone") from None
        if not path.name or not path.parent.is_dir():
            raise InputError(Problem(str(path), "can't write: no such folder")) from None
        return
    except (OSError, ValueError) as error:
        raise InputError(Problem(str(path), f"can't write: {described_failure(error)}")) from None
    if not stat.S_ISREG(found.st_mode):
        raise RefusedError(f"{path} is not a regular file; it is left alone")
    if not replace:
        raise RefusedError(f"{path} exists; give --force to overwrite it")


def write_atomic(path: Path, content: bytes, *, replace: bool, mode: int | None = 0o600) -> None:
    """Write a whole file or nothing; readers never see a part of it. A symbolic link to a regular file is followed if
    ``replace``, and stays.

    Args:
        path: the file.
        content: what it has to hold.
        replace: whether a file that exists is replaced.
        mode: the file's mode, whatever the umask; None for that of the file replaced, or of any new file under the
            umask.

    Raises:
        RefusedError: as :func:`check_writable`.
        InputError: the file can't be written.
    """
    check_writable(path, replace=replace)
    path = path.resolve() if replace else path.parent.resolve() / path.name  # a link made by now is never followed
    import secrets

    temporary = path.parent / f".seamstep.{secrets.token_hex(8)}"
    try:
        if mode is None and path.exists():
            mode = stat.S_IMODE(path.stat().st_mode) & 0o777
        narrow = 0o666 if mode is None else 0o600
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, narrow)
        try:
            with os.fdopen(descriptor, "wb") as file:
                if mode is not None:
                    os.fchmod(descriptor, mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if not replace:
                # O_EXCL claims the name without a race on any file system; the rename then replaces the empty file.
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, narrow))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise RefusedError(f"{path} exists; give --force to overwrite it") from None
    except (OSError, ValueError) as error:
        raise InputError(Problem(str(path), f"can't write: {described_failure(error)}")) from None
