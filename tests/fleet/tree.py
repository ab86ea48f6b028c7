"""The files of all hosts, as one FUSE file system: ``/HOST/sys/...`` and ``/HOST/proc/...``, and ``/HOST/control``.

Each host is the simulated one of seamstep; each system call on a file is one call of it, and its errors are those of
the call. ``control`` takes a JSON document that changes the host, and reads as one that describes it; a host does not
see its own.

The process serves one call after the other and never waits, so that a slow host holds up no other.
"""

# mypy: allow-subclassing-any, allow-untyped-calls

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import stat
import time
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import mfusepy

from fleet.events import Events
from fleet.hosts import CONTROL, LabHost
from seamstep.base.versions import ModuleVersion
from seamstep.host.base import PAGE
from seamstep.host.simulated import Fault, SimulatedHost
from seamstep.image import catalog

_PHASE_SECONDS = 0.01
_MODES = {"loading": 0o644, "data": 0o644, "cancel": 0o200, "num_remaining_updates": 0o400, "seamldr_version": 0o400}


class Machine(SimulatedHost):
    """A simulated host whose clock is that of this machine, and whose faults are set from outside.

    Attributes:
        faults: the settings of :meth:`change` that hold now.
    """

    def __init__(self, host: LabHost, modules: Mapping[str, ModuleVersion], events: Events) -> None:
        self.boot_id = str(uuid.uuid4())
        self.faults: dict[str, Any] = {}
        self._name, self._events = host.name, events
        self._begun = time.monotonic()
        self._used_until = 0.0
        super().__init__(host.facts(self.boot_id), modules, phase_seconds=_PHASE_SECONDS)
        events.add(host.name, "booted", boot_id=self.boot_id, version=str(self._version))

    def change(self, faults: Mapping[str, Any]) -> None:
        """Set faults. ``lost`` and ``failed`` name the release whose upload ends so, ``any`` for each; ``busy`` is for
        how many seconds another program uses the upload node, ``slow`` how long each phase of an upload takes,
        ``tds`` how many TDs run, ``building`` how many are in the making; ``clear`` takes all back."""
        if faults.get("clear"):
            self.faults.clear()
        self.faults |= {key: value for key, value in faults.items() if key != "clear"}
        self._phase_seconds = float(self.faults.get("slow", _PHASE_SECONDS))
        self._used_until = time.monotonic() + float(faults.get("busy", 0.0))
        self.unfinished.clear()
        self.running_tds = int(self.faults.get("tds", 0))
        for _ in range(int(self.faults.get("building", 0))):
            self.begin_td()

    def describe(self) -> dict[str, Any]:
        """What the host is like now."""
        self._catch_up()
        return {
            "host": self._name,
            "boot_id": self.boot_id,
            "version": None if self.lost else str(self._version),
            "remaining_updates": self._remaining,
            "uploads": self.uploads,
            "running_tds": self.running_tds,
            "spoilt_tds": len(self.corrupted),
            "faults": self.faults,
        }

    def paths(self) -> Iterable[str]:
        """The paths of all files."""
        return self._files

    # -- the Host interface

    def read(self, path: str, limit: int) -> bytes:
        self._catch_up()
        folder, _, name = path.rpartition("/")
        if folder == self._node_path and time.monotonic() < self._used_until:
            if name == "data":
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), path)
            if name == "error":
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
            if name == "status":
                return b"programming\n"
        return super().read(path, limit)

    def write(self, path: str, data: bytes, offset: int = 0) -> int:
        self._catch_up()
        if time.monotonic() < self._used_until:  # as the kernel does while its worker runs
            if path.endswith("/data"):
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), path)
            return len(data)
        return super().write(path, data, offset)

    def _catch_up(self) -> None:
        self.sleep(max(0.0, time.monotonic() - self._begun - self.monotonic()))

    # -- what goes wrong

    def _commit(self) -> None:
        target = self._modules.get(hashlib.sha256(self._data).hexdigest())
        before = self.uploads
        self._faults.clear()
        if self._is_set("lost", target):
            self._faults.append(Fault(error="firmware-invalid", lost=True))
        elif self._is_set("failed", target):
            self._faults.append(Fault(phase="preparing", error="hw-error"))
        super()._commit()
        if self.uploads > before:
            self._events.add(self._name, "upload", source=str(self._version), target=str(target), boot_id=self.boot_id)

    def _is_set(self, fault: str, target: ModuleVersion | None) -> bool:
        return self.faults.get(fault) in {"any", str(target)}

    def _finish(self) -> None:
        super()._finish()
        version = None if self._version is None else str(self._version)
        self._events.add(self._name, "uploaded", version=version, error=self._error, boot_id=self.boot_id)


class Tree(mfusepy.Operations):
    """The file system."""

    use_ns = True

    def __init__(self, hosts: Iterable[LabHost], modules: Mapping[str, ModuleVersion], events: Events) -> None:
        self._hosts = {host.name: host for host in hosts}
        self._boot = lambda host: Machine(host, modules, events)
        self._machines = {host.name: self._boot(host) for host in self._hosts.values()}
        self._folders: dict[str, set[str]] = {"/": set()}
        self._files = frozenset(
            itertools.chain.from_iterable(self._add(name, machine) for name, machine in self._machines.items())
        )
        self._handles = itertools.count(1)
        self._shown: dict[int, bytes] = {}  # what an open file reads, as it was at its first read
        self._times = dict.fromkeys(("st_atime", "st_mtime", "st_ctime"), time.time_ns())

    def _add(self, name: str, machine: Machine) -> list[str]:
        found = [f"/{name}/{CONTROL}", *(f"/{name}{path}" for path in machine.paths())]
        for path in map(Path, found):
            for entry, folder in zip((path, *path.parents), path.parents, strict=False):
                self._folders.setdefault(str(folder), set()).add(entry.name)
        return found

    def _find(self, path: str) -> tuple[Machine, str]:
        _, name, rest = path.split("/", 2)
        return self._machines[name], f"/{rest}"

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        if path in self._folders:
            return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2, **self._times}
        if path in self._files:
            mode = _MODES.get(path.rpartition("/")[2], 0o444)
            return {"st_mode": stat.S_IFREG | mode, "st_nlink": 1, "st_size": PAGE, **self._times}
        raise mfusepy.FuseOSError(errno.ENOENT)

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *sorted(self._folders[path])]

    def open(self, path: str, flags: int) -> int:
        return next(self._handles)

    def release(self, path: str, fh: int) -> int:
        self._shown.pop(fh, None)
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        if offset == 0 or fh not in self._shown:
            machine, rest = self._find(path)
            described = rest == f"/{CONTROL}"
            self._shown[fh] = json.dumps(machine.describe()).encode() if described else machine.read(rest, 1 << 20)
        return self._shown[fh][offset : offset + size]

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        machine, rest = self._find(path)
        if rest != f"/{CONTROL}":
            return machine.write(rest, data, offset)
        request = json.loads(data)
        name = path.split("/")[1]
        if request.pop("reboot", False):
            self._machines[name] = booted = self._boot(self._hosts[name])
            booted.change({key: value for key, value in machine.faults.items() if key in {"lost", "failed", "slow"}})
        else:
            machine.change(request)
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        return 0  # as sysfs does


def serve(hosts: Iterable[LabHost], images: Path, at: Path, events: Events) -> None:
    """Mount the file system at the folder ``at`` and serve it until it is unmounted or the process is killed."""
    signers = frozenset({(images.parent / "signer").read_text().strip()})
    found = catalog.load(str(images / catalog.MAPPING_FILE), str(images), signers)
    modules = {
        release.image.content.verification().sha256: release.version for release in found.releases if release.image
    }
    mfusepy.FUSE(
        Tree(hosts, modules, events),
        str(at),
        foreground=True,
        nothreads=True,
        direct_io=True,
        allow_other=True,
        attr_timeout=3600,
        entry_timeout=3600,
        fsname="tdx-lab",
    )
