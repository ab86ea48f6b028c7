"""The kernel's firmware-upload interface, from the writer's side.

Sources: Linux Documentation/ABI/testing/sysfs-class-firmware, drivers/base/firmware_loader/sysfs.c and
sysfs_upload.c. Writing 0 to ``loading`` is the commit point: after it the kernel goes on whatever the writer does.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from seamstep.host.base import PAGE, Host

_ATTRIBUTE_LIMIT = 4096

IDLE = "idle"


class UploadPort:
    """One upload node. Every method is one interaction with the kernel and raises OSError as it does."""

    def __init__(self, host: Host, path: str) -> None:
        self._host = host
        self._path = path

    def start(self) -> None:
        """Begin an upload; the kernel drops what an earlier one left."""
        self._write("loading", b"1")

    def stage(self, image: bytes, progress: Callable[[int], None]) -> None:
        """Hand the image over, a page at a time; ``progress`` hears how many bytes the kernel has."""
        offset = 0
        while offset < len(image):
            taken = self._write("data", image[offset : offset + PAGE], offset)
            if taken <= 0:
                raise OSError(errno.EIO, "the kernel took no byte", f"{self._path}/data")
            offset += taken
            progress(offset)

    def staged(self, limit: int) -> bytes:
        """What the kernel holds, at most ``limit`` bytes."""
        return self._host.read(f"{self._path}/data", limit)

    def commit(self) -> None:
        """Let the kernel install what was staged. There is no way back from here."""
        self._write("loading", b"0")

    def abandon(self) -> None:
        """Drop what was staged."""
        self._write("loading", b"-1")

    def status(self) -> str:
        """``idle``, or the phase of the upload."""
        return self._read("status")

    def loading(self) -> bool:
        """Whether an upload was begun, and neither committed nor abandoned."""
        return self._read("loading") == "1"

    def error(self) -> str:
        """``<phase>:<error>`` of the last upload, empty if it went well. OSError EBUSY while one is under way."""
        return self._read("error")

    def _read(self, name: str) -> str:
        return self._host.read(f"{self._path}/{name}", _ATTRIBUTE_LIMIT).decode("utf-8", "replace").strip()

    def _write(self, name: str, data: bytes, offset: int = 0) -> int:
        return self._host.write(f"{self._path}/{name}", data, offset)
