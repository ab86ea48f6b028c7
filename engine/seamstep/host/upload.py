"""The kernel's firmware-upload interface, as seen by the program that writes an image.

Sources: Linux Documentation/ABI/testing/sysfs-class-firmware, drivers/base/firmware_loader/sysfs.c and
sysfs_upload.c. Writing 0 to ``loading`` is the commit point: the kernel then completes the update on its own, even if
the writer exits.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from seamstep.host.base import PAGE, Host, read_whole

IDLE = "idle"


class UploadPort:
    """One upload node of ``host``; ``path`` is its folder. All methods raise OSError with the kernel's errno."""

    def __init__(self, host: Host, path: str) -> None:
        self._host = host
        self._path = path

    def start(self) -> None:
        """Begin an upload. The kernel discards the staged bytes of an earlier one."""
        self._write("loading", b"1")

    def stage(self, image: bytes, progress: Callable[[int], None]) -> None:
        """Write the image a page at a time; ``progress`` takes the number of staged bytes after each write."""
        offset = 0
        while offset < len(image):
            taken = self._write("data", image[offset : offset + PAGE], offset)
            if taken <= 0:
                raise OSError(errno.EIO, "the kernel took no byte", f"{self._path}/data")
            offset += taken
            progress(offset)

    def staged(self, limit: int) -> bytes:
        """The staged bytes, at most ``limit`` of them."""
        return self._host.read(f"{self._path}/data", limit)

    def commit(self) -> None:
        """Commit: let the kernel install the staged image. This can't be undone."""
        self._write("loading", b"0")

    def abandon(self) -> None:
        """Discard the staged bytes and end the upload."""
        self._write("loading", b"-1")

    def status(self) -> str:
        """``idle``, or the phase of the upload."""
        return self._read("status")

    def loading(self) -> bool:
        """Whether an upload is open: begun, and neither committed nor abandoned."""
        return self._read("loading") == "1"

    def error(self) -> str:
        """``<phase>:<error>`` of the last upload; empty if it succeeded. Raises OSError EBUSY during an upload."""
        return self._read("error")

    def _read(self, name: str) -> str:
        return read_whole(self._host, f"{self._path}/{name}").decode("utf-8", "replace").strip()

    def _write(self, name: str, data: bytes, offset: int = 0) -> int:
        return self._host.write(f"{self._path}/{name}", data, offset)
