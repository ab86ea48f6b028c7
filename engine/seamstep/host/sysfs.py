"""The real host, or a copy of its files below another folder."""

from __future__ import annotations

import os
import stat
import time

from seamstep.base.documents import check_kind


class SysfsHost:
    """A :class:`~seamstep.host.base.Host` on the files below ``root`` and the system's clocks.

    Attributes:
        sysroot: ``root`` as an absolute path without symbolic links.
    """

    def __init__(self, root: str = "/") -> None:
        self._root = root.rstrip("/")
        self.sysroot = os.path.realpath(root)

    def read(self, path: str, limit: int) -> bytes:
        descriptor = self._open(path, os.O_RDONLY)
        try:
            chunks: list[bytes] = []
            while limit > 0 and (chunk := os.read(descriptor, min(limit, 1 << 20))):
                chunks.append(chunk)
                limit -= len(chunk)
            return b"".join(chunks)
        finally:
            os.close(descriptor)

    def write(self, path: str, data: bytes, offset: int = 0) -> int:
        descriptor = self._open(path, os.O_WRONLY)
        try:
            return os.pwrite(descriptor, data, offset)
        finally:
            os.close(descriptor)

    def _open(self, path: str, access: int) -> int:
        """Open a file that is a regular one, as all attributes are: one below another root could be anything."""
        found = os.stat(self._root + path, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode) and os.path.isdir(self._root + path):
            found = os.stat(self._root + path)  # sysfs has many links to folders
        check_kind(found)
        flags = access | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW
        return os.open(self._root + path, flags)

    def exists(self, path: str) -> bool:
        try:
            os.stat(self._root + path)  # Path.exists() hides errors that the caller must see
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
