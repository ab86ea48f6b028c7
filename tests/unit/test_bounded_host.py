"""A host that hangs does not hang a run."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest
from test_host_facts import COMMON, LAYOUTS, tree

from conftest import Run
from seamstep.base.errors import ExitCode
from seamstep.domain.facts import HostFacts
from seamstep.host import bounded
from seamstep.host.bounded import BoundedHost
from seamstep.host.read_facts import read_facts
from seamstep.host.simulated import SimulatedHost
from seamstep.host.sysfs import SysfsHost


class Hanging(SimulatedHost):
    def read(self, path: str, limit: int) -> bytes:
        if path.endswith("seamldr_version"):
            threading.Event().wait(2.0)
        return super().read(path, limit)


def test_it_is_the_host(spr: HostFacts) -> None:
    host = SimulatedHost(spr, {}, epoch=5.0)
    slow = BoundedHost(host)
    assert read_facts(slow) == read_facts(host)
    slow.sleep(2.0)
    assert (slow.monotonic(), slow.wall(), slow.sysroot) == (2.0, 7.0, None)
    assert slow.write("/sys/class/firmware/tdx_module/loading", b"1") == 1
    with pytest.raises(OSError, match="No such file") as raised:
        slow.read("/nowhere", 9)
    assert raised.value.errno == errno.ENOENT


def test_what_hangs_is_unknown(spr: HostFacts) -> None:
    facts = read_facts(BoundedHost(Hanging(spr, {}), 0.05))
    assert facts.seamldr_version is None
    assert facts.unknown["seamldr_version"].startswith("ETIMEDOUT: /sys/devices/faux/tdx_host/seamldr_version")
    assert facts.module_version == spr.module_version


def test_every_command_is_bounded(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(tmp_path, COMMON, LAYOUTS["mainline"])
    read = SysfsHost.read

    def hanging(host: SysfsHost, path: str, limit: int) -> bytes:
        if path.endswith("/version"):
            threading.Event().wait(2.0)
        return read(host, path, limit)

    monkeypatch.setattr(SysfsHost, "read", hanging)
    monkeypatch.setattr(bounded.BoundedHost.__init__, "__defaults__", (0.05,))
    ran = run("status", "--sysroot", tmp_path, "--json")
    assert (ran.code, ran.json["tdx"]) == (ExitCode.UNKNOWN, "unknown")
    assert "no answer within 0.05 s" in ran.json["unknown"]["module_version"]
    assert run("facts", "--sysroot", tmp_path, "--json").json["module_version"] is None
