"""What a host is to seamstep: its files, and its clock.

Everything above this interface is the same code for the real sysfs and for the simulated one. Paths are absolute, as
the host sees them. Errors are OSError with the errno that the system call would give.
"""

from __future__ import annotations

from typing import Protocol

#: The most that one read or write of a sysfs file moves (kernfs).
PAGE = 4096

TDX_HOST = "/sys/devices/faux/tdx_host"
MODULE_VERSION = f"{TDX_HOST}/version"
#: There where a kernel module stands in for TDX: the host says itself that it is made up.
DOUBLE = "/sys/module/tdx_host_double"
#: Charges of the misc cgroup, up to the root of cgroup v2 (Linux kernel/cgroup/misc.c).
MISC_CURRENT = "/sys/fs/cgroup/misc.current"
FIRMWARE = "/sys/class/firmware"


class Host(Protocol):
    """One machine."""

    def read(self, path: str, limit: int) -> bytes:
        """The file's content, read from its start with one open; at most ``limit`` bytes."""
        ...

    def write(self, path: str, data: bytes, offset: int = 0) -> int:
        """One pwrite(2) to an existing file; how many bytes it took, which may be fewer than given."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is anything at ``path``. Raises OSError if that can't be told."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch by the clock on the wall, which may jump."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...


class Profile:
    """A sysfs layout: where it keeps what.

    Sources: mainline, Linux Documentation/ABI/testing/sysfs-devices-faux-tdx-host; legacy, the out-of-tree series
    "Runtime TDX module update support" up to its third version, and Intel's reference script;
    interim, versions 4 to 7 of that series, with the node of the one and the attributes of the other.
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
