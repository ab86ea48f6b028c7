"""The host that a record is about. A run reads and settles the records of its own host only."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from seamstep.host.base import BOOT_ID, MACHINE_ID, Host
from seamstep.run.journal.record import Record

_LIMIT = 4096


class RecordedHost(NamedTuple):
    """A host as records name it.

    Attributes:
        boot_id: the present boot; empty if not known.
        sysroot: the folder below which the host's files are; None for a simulated host.
        machine_id: the machine; None if not known, as on a simulated host.
    """

    boot_id: str
    sysroot: str | None = "/"
    machine_id: str | None = None

    @property
    def simulated(self) -> bool:
        """Whether the host is simulated, so that its runs are rehearsals."""
        return self.sysroot is None

    def to_document(self) -> dict[str, Any]:
        """The value of the key ``host`` of a record."""
        return {"simulated": self.simulated, "sysroot": self.sysroot, "machine_id": self.machine_id}

    def other(self, record: Record) -> str:
        """The other host that ``record`` is about, as a phrase; empty if it is about this one.

        Records of one boot are about one machine, whatever its machine id reads in a container. A record without
        ``host``, as earlier versions of seamstep wrote them, is about the real host that uses the folder.
        """
        theirs = record.data.get("host")
        said = theirs if isinstance(theirs, dict) else {"simulated": False, "sysroot": self.sysroot}
        if bool(said.get("simulated")) != self.simulated:
            return "on a real host" if self.simulated else "on a simulated host"
        if said.get("sysroot") != self.sysroot:
            return f"on the host below {said.get('sysroot')}"
        machine = said.get("machine_id")
        if not machine or not self.machine_id or machine == self.machine_id or record.boot_id == self.boot_id:
            return ""
        return f"on the machine {machine}"


#: Any simulated host.
SIMULATED = RecordedHost("", None)


def recorded_host(host: Host) -> RecordedHost:
    """``host`` as records name it. A folder with a mounted ``/sys`` is this very host, as a container sees it."""
    sysroot = host.sysroot
    if sysroot and os.path.ismount(f"{sysroot}/sys"):
        sysroot = "/"
    return RecordedHost(_read(host, BOOT_ID), sysroot, _read(host, MACHINE_ID) or None)


def _read(host: Host, path: str) -> str:
    try:
        return host.read(path, _LIMIT).decode("ascii").strip()
    except (OSError, ValueError):
        return ""
