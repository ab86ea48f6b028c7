"""The interface of a host: its files and its clocks.

The code above this interface is the same for the real host and the simulated one. Paths are absolute on the host.
Errors are OSError with the errno of the system call.
"""

from __future__ import annotations

import errno
from typing import Protocol

#: The largest number of bytes that one read or write of a sysfs file transfers (kernfs).
PAGE = 4096

SYSFS = "/sys/"
TDX_HOST = "/sys/devices/faux/tdx_host"
MODULE_VERSION = f"{TDX_HOST}/version"
#: Exists where the kernel module ``tdx_host_double`` simulates TDX: it identifies a simulated host.
DOUBLE = "/sys/module/tdx_host_double"
#: Charges of the misc cgroup, up to the root of cgroup v2 (Linux kernel/cgroup/misc.c).
MISC_CURRENT = "/sys/fs/cgroup/misc.current"
#: The boot's identity: a random number that the kernel draws.
BOOT_ID = "/proc/sys/kernel/random/boot_id"
#: The machine's identity, which outlives boots (machine-id(5)).
MACHINE_ID = "/etc/machine-id"
FIRMWARE = "/sys/class/firmware"


class Host(Protocol):
    """One machine, real or simulated."""

    @property
    def sysroot(self) -> str | None:
        """The folder below which the host's files are, as an absolute path without symbolic links; None for a simulated
        host in memory."""
        ...

    def read(self, path: str, limit: int) -> bytes:
        """The first ``limit`` bytes of the file, read with a single open(2). Raises OSError."""
        ...

    def write(self, path: str, data: bytes, offset: int = 0) -> int:
        """One pwrite(2) to an existing file. Returns the number of bytes written, which may be fewer than given. Raises
        OSError."""
        ...

    def exists(self, path: str) -> bool:
        """Whether ``path`` exists. Raises OSError if that can't be determined, such as for lack of permission."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes backwards (CLOCK_MONOTONIC)."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch on the system clock, which may jump."""
        ...

    def sleep(self, seconds: float) -> None:
        """Suspend the run for ``seconds``."""
        ...


def read_whole(host: Host, path: str, limit: int = PAGE) -> bytes:
    """The whole content of a file.

    Raises:
        OSError: it can't be read, or EFBIG if it is cut off: at ``limit`` bytes, or by the kernel, which ends an
            attribute of sysfs with its page. The line break that ends every attribute is missing then.
    """
    content = host.read(path, limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"it is longer than {limit} bytes, and the rest was not read", path)
    if path.startswith(SYSFS) and PAGE - 1 <= len(content) <= PAGE and not content.endswith(b"\n"):
        raise OSError(errno.EFBIG, "it fills a page and does not end, so the kernel cut it off", path)
    return content


class Profile:
    """A sysfs layout: the paths of a kernel's interface for TDX module updates.

    Attributes:
        name: ``mainline``, ``legacy`` or ``interim``.
        upload_node: the name of the firmware-upload node.
        upload_path: the path of that node's folder.
        seamldr_version: the path of the attribute with the version of the P-SEAMLDR.
        remaining_updates: the path of the attribute with the number of remaining updates.

    Sources: mainline, Linux Documentation/ABI/testing/sysfs-devices-faux-tdx-host; legacy, the out-of-tree series
    "Runtime TDX module update support" up to its third version, and Intel's reference script; interim, versions 4 to 7
    of that series, with mainline's node and the legacy attributes.
    """

    def __init__(self, name: str, upload_node: str, seamldr_version: str, remaining_updates: str) -> None:
        self.name = name
        self.upload_node = upload_node
        self.upload_path = f"{FIRMWARE}/{upload_node}"
        self.seamldr_version = f"{TDX_HOST}/{seamldr_version}"
        self.remaining_updates = f"{TDX_HOST}/{remaining_updates}"


MAINLINE = Profile("mainline", "tdx_module", "seamldr_version", "num_remaining_updates")
LEGACY = Profile("legacy", "seamldr_upload", "seamldr/version", "seamldr/num_remaining_updates")
INTERIM = Profile("interim", "tdx_module", "seamldr/version", "seamldr/num_remaining_updates")
PROFILES = {profile.name: profile for profile in (MAINLINE, LEGACY, INTERIM)}
