"""A simulated host: the kernel's upload state machine and the attributes around it, in memory.

It follows drivers/base/firmware_loader/sysfs.c and sysfs_upload.c of Linux call by call, oddities included, and the
checks of arch/x86/virt/vmx/tdx/seamldr.c. What P-SEAMLDR does is either modelled (``seamstep.host.seamldr``) or reduced
to "is this image a known module".
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import NamedTuple

from seamstep.base import cpus
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import HostFacts
from seamstep.host.base import BOOT_ID, DOUBLE, FIRMWARE, LEGACY, MAINLINE, MISC_CURRENT, MODULE_VERSION, PAGE, PROFILES
from seamstep.host.image_header import header_is_valid, parts
from seamstep.host.seamldr import Refusal, Seamldr, Upload

_PHASES = ("receiving", "preparing", "transferring", "programming")
_TRANSFERRING, _PROGRAMMING = 2, 3
#: As simple_strtol() and kstrtobool() of the kernel read them: what follows does not count, white space before it does.
_NUMBER = re.compile(rb"-?[0-9]+")
_YES = re.compile(rb"[yYtT1]|[oO][nN]")


class _Buffer(Enum):
    """enum fw_status in drivers/base/firmware_loader/firmware.h, as far as uploads reach it."""

    UNKNOWN = auto()
    LOADING = auto()
    DONE = auto()


class UnfinishedTd(NamedTuple):
    """A TD in the making: the module under which it was begun, and the layout of the hashing context that this module
    keeps for it."""

    begun_under: ModuleVersion
    layout: int


class Fault(NamedTuple):
    """What one upload does instead of succeeding, and instead of what P-SEAMLDR would do.

    It ends in ``phase`` with ``error`` (none: the kernel reports success). ``lost``: TDX is gone afterwards.
    ``version``: what runs afterwards, whatever was uploaded. ``keeps_count``: remaining updates don't go down.
    ``stuck``: the upload never ends.
    """

    phase: str = "transferring"
    error: str = ""
    lost: bool = False
    version: ModuleVersion | None = None
    keeps_count: bool = False
    stuck: bool = False


class SimulatedHost:
    """A host made from facts.

    Args:
        facts: what the host is like at first.
        modules: the version that each known image installs, by the image's SHA-256 in hex.
        faults: for each upload in turn what goes wrong, None for nothing; uploads after the last go well.
        seamldr: the host's P-SEAMLDR; without one, every known image is loaded as long as updates remain and all CPUs
            are online.
        layouts: the layout of the hashing context that a module keeps for a TD in the making, as a number that is
            equal where layouts are; 0 for modules that are not named.
        phase_seconds: how long each of the four phases takes on the host's clock.
        real_time: whether :meth:`sleep` really sleeps.
        rawio: whether the caller has CAP_SYS_RAWIO.
        epoch: what the clock on the wall says at first, in seconds since the epoch; None for what it says here.

    Attributes:
        sysroot: None, because there are no files; tests of records set it to stand for a real host.
        running_tds: how many TDs there are, those in the making too.
        unfinished: the TDs in the making.
        corrupted: those of them whose hashing context a module of another layout took over.
        refusal: why P-SEAMLDR did not load the last module that it was given; None if it did.
    """

    def __init__(
        self,
        facts: HostFacts,
        modules: Mapping[str, ModuleVersion],
        *,
        faults: Iterable[Fault | None] = (),
        seamldr: Seamldr | None = None,
        layouts: Mapping[ModuleVersion, int] = MappingProxyType({}),
        phase_seconds: float = 0.05,
        real_time: bool = False,
        rawio: bool = True,
        epoch: float | None = None,
    ) -> None:
        self.sysroot: str | None = None
        self.uploads = 0
        self._facts = facts
        self._modules = modules
        self._faults = deque(faults)
        self._phase_seconds = phase_seconds
        self._real_time = real_time
        self._rawio = rawio
        self._clock = 0.0
        self._epoch = time.time() if epoch is None else epoch
        self._version = facts.module_version
        self.running_tds = facts.running_tds or 0
        self.unfinished: list[UnfinishedTd] = []
        self.corrupted: list[UnfinishedTd] = []
        self.refusal: Refusal | None = None
        self._seamldr = seamldr
        self._layouts = layouts
        self._remaining = seamldr.remaining_updates if seamldr else facts.remaining_updates
        self._buffer = _Buffer.UNKNOWN
        self._data = bytearray()
        self._module: str | None = None  # the digest of what was committed, once it was asked for
        self._size_left = 0
        self._started: float | None = None
        self._error = ""
        self._fault: Fault | None = None
        self._files = self._make_files()

    # -- the Host interface

    def read(self, path: str, limit: int) -> bytes:
        self._advance()
        self._check_file(path)
        return self._files[path]()[:limit]

    def write(self, path: str, data: bytes, offset: int = 0) -> int:
        self._advance()
        self._check_file(path)
        store = {"loading": self._store_loading, "data": self._store_data, "cancel": self._store_cancel}
        folder, _, name = path.rpartition("/")
        if folder != self._node_path or name not in store:
            raise _os_error(errno.EACCES, path)
        return store[name](data[:PAGE], offset) if data else 0

    def exists(self, path: str) -> bool:
        return path in self._files or any(name.startswith(f"{path}/") for name in self._files)

    def monotonic(self) -> float:
        return self._clock

    def wall(self) -> float:
        return self._epoch + self._clock

    def sleep(self, seconds: float) -> None:
        if self._real_time:
            time.sleep(seconds)
        self._clock += seconds

    def unstick(self) -> None:
        """Let an upload that is stuck come to a good end."""
        self._fault = None

    @property
    def lost(self) -> bool:
        """Whether an update ended without a running module."""
        self._advance()
        return self._version is None and self._facts.module_version is not None

    def begin_td(self) -> None:
        """Begin to build a TD under the running module, and never finish it."""
        self._advance()
        if self._version is not None:
            self.running_tds += 1
            self.unfinished.append(UnfinishedTd(self._version, self._layout()))

    def _check_file(self, path: str) -> None:
        if path in self._files:
            return
        if any(path.startswith(f"{name}/") for name in self._files):
            raise _os_error(errno.ENOTDIR, path)
        raise _os_error(errno.EISDIR if self.exists(path) else errno.ENOENT, path)

    # -- the attributes

    def _make_files(self) -> dict[str, Callable[[], bytes]]:
        facts = self._facts
        profile = PROFILES.get(facts.profile or "", MAINLINE)
        self._node_path = profile.upload_path
        constants = {
            "/proc/sys/kernel/hostname": facts.hostname,
            BOOT_ID: facts.boot_id,
            "/proc/sys/kernel/osrelease": facts.kernel,
            "/sys/devices/system/cpu/online": facts.cpus_online,
            "/sys/devices/system/cpu/present": facts.cpus_present,
            f"{FIRMWARE}/timeout": 60,
            profile.seamldr_version: facts.seamldr_version,
            "/proc/cpuinfo": _cpuinfo(facts),
            "/proc/cmdline": None if facts.cpu_limits is None else " ".join(["quiet", *facts.cpu_limits]),
            f"{DOUBLE}/initstate": "live" if facts.simulated else None,
        }
        files: dict[str, Callable[[], bytes]] = {
            path: lambda text=value: f"{text}\n".encode()  # type: ignore[misc]
            for path, value in constants.items()
            if value is not None
        }
        if facts.module_version is not None:
            files[MODULE_VERSION] = self._show_version
        if facts.remaining_updates is not None:
            files[profile.remaining_updates] = lambda: f"{self._remaining}\n".encode()
        if facts.running_tds is not None:
            files[MISC_CURRENT] = lambda: f"tdx {self.running_tds}\n".encode()
        if facts.upload is not None:
            files |= {
                f"{self._node_path}/loading": lambda: b"%d\n" % (self._buffer is _Buffer.LOADING),
                f"{self._node_path}/data": self._show_data,
                f"{self._node_path}/status": lambda: f"{self._status()}\n".encode(),
                f"{self._node_path}/error": self._show_error,
                f"{self._node_path}/remaining_size": lambda: b"%d\n" % self._size_left,
                f"{self._node_path}/cancel": lambda: _refuse(errno.EACCES, f"{self._node_path}/cancel"),
            }
        return files

    def _show_version(self) -> bytes:
        if self._version is None:
            raise _os_error(errno.ENXIO, MODULE_VERSION)
        return f"{self._version}\n".encode()

    def _show_data(self) -> bytes:
        if self._buffer is _Buffer.DONE:
            raise _os_error(errno.ENODEV, f"{self._node_path}/data")
        return bytes(self._data)

    def _show_error(self) -> bytes:
        if self._status() != "idle":
            raise _os_error(errno.EBUSY, f"{self._node_path}/error")
        return f"{self._error}\n".encode() if self._error else b""

    # -- the upload state machine

    def _store_loading(self, data: bytes, _offset: int) -> int:
        if self._buffer is _Buffer.DONE:
            return len(data)  # the kernel takes the write and ignores it while its worker runs
        number = _NUMBER.match(data)
        value = int(number[0]) & 0xFFFFFFFF if number else 0  # an int of 32 bits; what is no number is 0, a commit
        if value == 1:
            self._data.clear()
            self._buffer = _Buffer.LOADING
        elif value == 0 and self._buffer is _Buffer.LOADING:
            self._commit()
        else:
            self._buffer = _Buffer.UNKNOWN  # -1, and whatever the kernel does not expect
        return len(data)

    def _store_data(self, data: bytes, offset: int) -> int:
        if not self._rawio:
            raise _os_error(errno.EPERM, f"{self._node_path}/data")
        if self._buffer is _Buffer.DONE:
            raise _os_error(errno.ENODEV, f"{self._node_path}/data")
        self._data.extend(bytes(max(offset + len(data) - len(self._data), 0)))
        self._data[offset : offset + len(data)] = data
        return len(data)

    def _store_cancel(self, data: bytes, _offset: int) -> int:
        if not _YES.match(data):
            raise _os_error(errno.EINVAL, f"{self._node_path}/cancel")
        if self._status() == "idle":
            raise _os_error(errno.ENODEV, f"{self._node_path}/cancel")
        return len(data)  # TDX uploads can't be cancelled; the callback does nothing

    def _commit(self) -> None:
        if not self._data:
            self._buffer = _Buffer.UNKNOWN  # the false success: nothing happens, nothing is reported
            return
        self._buffer = _Buffer.DONE
        self._error = ""
        self._module = None
        self._size_left = len(self._data)
        self._started = self._clock
        self._fault = self._faults.popleft() if self._faults else None
        self.uploads += 1

    def _phase(self) -> int:
        """The index of the current phase; past the last once the worker is done."""
        if self._started is None:
            return len(_PHASES)
        if self._fault and self._fault.stuck:
            return _PHASES.index(self._fault.phase)
        elapsed = self._clock - self._started
        return int(elapsed / self._phase_seconds) if self._phase_seconds else len(_PHASES)

    def _status(self) -> str:
        phase = self._phase()
        return "idle" if self._started is None or phase >= len(_PHASES) else _PHASES[phase]

    def _fails_at(self) -> int:
        """The index of the phase that goes wrong; past the last if none does."""
        return _PHASES.index(self._fault.phase) if self._fault and self._fault.error else len(_PHASES)

    def _advance(self) -> None:
        """Let the worker come as far as the clock says."""
        if self._started is None:
            return
        if self._size_left and self._phase() > _TRANSFERRING and self._fails_at() >= _TRANSFERRING:
            self._install()
        if self._phase() > min(self._fails_at(), _PROGRAMMING):
            self._finish()

    def _install(self) -> None:
        """What the kernel does while transferring: afterwards the new module runs, though the upload goes on."""
        self._fault = fault = self._fault or self._install_fault()
        if self._fails_at() == _TRANSFERRING:
            return
        self._size_left = 0
        if fault.error:
            return
        self._version = fault.version or self._known_module() or self._version
        if not fault.keeps_count:
            self._remaining = (self._remaining or 0) - 1
        self.corrupted += [td for td in self.unfinished if td.layout != self._layout()]
        self.unfinished = [td for td in self.unfinished if td.layout == self._layout()]

    def _layout(self) -> int:
        """The layout of the running module's hashing contexts."""
        return self._layouts.get(self._version, 0) if self._version else 0

    def _finish(self) -> None:
        fault = self._fault or Fault()
        self._started = None
        self._buffer = _Buffer.UNKNOWN
        if fault.error:
            self._error = f"{fault.phase}:{fault.error}"
        if fault.lost:
            self._version = None
        self._data.clear()

    def _install_fault(self) -> Fault:
        """What goes wrong by itself: a header that the kernel refuses, an image that P-SEAMLDR does, and what the
        kernel does not check before it shuts the old module down. Only the former is harmless."""
        facts = self._facts
        if not header_is_valid(bytes(self._data), self._facts.profile) or self._version is None:
            return Fault(error="firmware-invalid")
        offline = facts.cpus_online != facts.cpus_present
        if offline and facts.profile == LEGACY.name:
            return Fault(error="firmware-invalid")  # the legacy kernel does look
        if self._seamldr:
            callers = len(cpus.parse_list(facts.cpus_online or ""))
            self.refusal = self._seamldr.update(callers, self._passed_on())
            return Fault(error="firmware-invalid", lost=True) if self.refusal else Fault()
        if offline or not self._remaining or not self._known_module():
            return Fault(error="firmware-invalid", lost=True)
        return Fault()

    def _passed_on(self) -> Upload:
        """What the kernel passes on to P-SEAMLDR of an image with a valid header."""
        sigstruct, module = parts(bytes(self._data))
        return Upload(sigstruct, module, is_module=self._known_module() is not None)

    def _known_module(self) -> ModuleVersion | None:
        """The version of the image that was committed, if it is known."""
        if self._module is None:
            self._module = hashlib.sha256(self._data).hexdigest()
        return self._modules.get(self._module)


def _cpuinfo(facts: HostFacts) -> str | None:
    """/proc/cpuinfo with a block for each online CPU; their kinds take turns."""
    if not facts.cpu_signatures:
        return None
    numbers = range(len(facts.cpu_signatures)) if facts.cpus_online is None else cpus.parse_list(facts.cpus_online)
    blocks = []
    for number, value in zip(sorted(numbers), itertools.cycle(facts.cpu_signatures), strict=False):
        family, model, stepping = cpus.split_signature(value)
        blocks.append(
            f"processor\t: {number}\nvendor_id\t: GenuineIntel\ncpu family\t: {family}\nmodel\t\t: {model}\n"
            f"model name\t: simulated\nstepping\t: {stepping}\nbugs\t\t: {' '.join(facts.cpu_bugs or ())}\n"
        )
    return "\n".join(blocks)


def _os_error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)


def _refuse(number: int, path: str) -> bytes:
    raise _os_error(number, path)
