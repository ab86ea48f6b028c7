"""The simulated host behaves as the kernel's upload state machine does (firmware_loader/sysfs.c, sysfs_upload.c)."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import Any

import pytest

from conftest import SIGNER
from seamstep.base.versions import ModuleVersion
from seamstep.demo.synthetic import synthetic_image
from seamstep.domain.facts import HostFacts
from seamstep.host.simulated import Fault, SimulatedHost

NODE = "/sys/class/firmware/tdx_module"
VERSION = "/sys/devices/faux/tdx_host/version"
REMAINING = "/sys/devices/faux/tdx_host/num_remaining_updates"
IMAGE = synthetic_image(ModuleVersion("1.5.28"), SIGNER)
MODULES = {hashlib.sha256(IMAGE).hexdigest(): ModuleVersion("1.5.28")}


def get(host: SimulatedHost, name: str) -> str:
    return host.read(name if name.startswith("/") else f"{NODE}/{name}", 1 << 22).decode("latin1").strip()


def upload(host: SimulatedHost, image: bytes = IMAGE) -> None:
    host.write(f"{NODE}/loading", b"1\n")
    offset = 0
    while offset < len(image):
        offset += host.write(f"{NODE}/data", image[offset:], offset)
    host.write(f"{NODE}/loading", b"0\n")


def fails(number: int) -> Any:
    return pytest.raises(OSError, check=lambda error: error.errno == number)


def test_an_upload_goes_through_all_phases_and_changes_the_version(spr: HostFacts) -> None:
    host = SimulatedHost(spr, MODULES, phase_seconds=1)
    upload(host)
    seen = []
    while (status := get(host, "status")) != "idle":
        seen.append(status)
        assert get(host, VERSION) == ("1.5.28" if status == "programming" else "1.5.24")
        with fails(errno.EBUSY):
            get(host, "error")
        host.sleep(0.5)
    assert list(dict.fromkeys(seen)) == ["receiving", "preparing", "transferring", "programming"]
    assert (get(host, "error"), get(host, VERSION), get(host, REMAINING)) == ("", "1.5.28", "4")
    assert get(host, "remaining_size") == "0"


def test_a_write_takes_a_page_at_most(spr: HostFacts) -> None:
    host = SimulatedHost(spr, MODULES)
    host.write(f"{NODE}/loading", b"1")
    assert host.write(f"{NODE}/data", bytes(5000)) == 4096


def test_zero_bytes_is_a_success_that_is_none(spr: HostFacts) -> None:
    host = SimulatedHost(spr, MODULES, faults=[Fault(error="device-busy")])
    upload(host)
    host.sleep(1)
    assert get(host, "error") == "transferring:device-busy"
    host.write(f"{NODE}/loading", b"1")
    assert host.write(f"{NODE}/loading", b"0") == 1
    assert (get(host, "status"), get(host, "error")) == ("idle", "transferring:device-busy")
    assert (get(host, VERSION), get(host, REMAINING)) == ("1.5.24", "5")


def test_starting_again_drops_what_was_staged(spr: HostFacts) -> None:
    host = SimulatedHost(spr, MODULES)
    host.write(f"{NODE}/loading", b"1")
    host.write(f"{NODE}/data", b"left over", 3)
    assert host.read(f"{NODE}/data", 99) == b"\0\0\0left over"
    assert get(host, "loading") == "1"
    upload(host)
    host.sleep(1)
    assert get(host, VERSION) == "1.5.28"


def test_abandoning_ends_the_upload(spr: HostFacts) -> None:
    host = SimulatedHost(spr, MODULES)
    host.write(f"{NODE}/loading", b"1")
    host.write(f"{NODE}/data", IMAGE[:100])
    host.write(f"{NODE}/loading", b"-1")
    assert get(host, "loading") == "0"
    host.write(f"{NODE}/loading", b"0")
    host.sleep(1)
    assert (host.uploads, get(host, VERSION)) == (0, "1.5.24")


def test_while_the_worker_runs_nothing_else_gets_in(spr: HostFacts) -> None:
    host = SimulatedHost(spr, MODULES)
    upload(host)
    assert host.write(f"{NODE}/loading", b"1") == 1  # taken, and ignored
    with fails(errno.ENODEV):
        host.write(f"{NODE}/data", b"x")
    with fails(errno.ENODEV):
        host.read(f"{NODE}/data", 1)
    assert host.write(f"{NODE}/cancel", b"1") == 1  # TDX does not cancel
    host.sleep(1)
    assert get(host, VERSION) == "1.5.28"


def test_cancel_when_idle(spr: HostFacts) -> None:
    host = SimulatedHost(spr, MODULES)
    with fails(errno.ENODEV):
        host.write(f"{NODE}/cancel", b"1")
    with fails(errno.EINVAL):
        host.write(f"{NODE}/cancel", b"0")
    with fails(errno.EACCES):
        host.read(f"{NODE}/cancel", 1)


@pytest.mark.parametrize("phase", ["preparing", "transferring", "programming"])
def test_errors_name_their_phase_and_leave_the_module(spr: HostFacts, phase: str) -> None:
    host = SimulatedHost(spr, MODULES, faults=[Fault(phase, "hw-error")], phase_seconds=1)
    upload(host)
    host.sleep(9)
    assert get(host, "error") == f"{phase}:hw-error"
    assert (get(host, VERSION), get(host, REMAINING)) == ("1.5.24", "5")


def test_loss(spr: HostFacts) -> None:
    host = SimulatedHost(spr, MODULES, faults=[Fault(error="firmware-invalid", lost=True)])
    upload(host)
    host.sleep(1)
    with fails(errno.ENXIO):
        get(host, VERSION)


def test_rawio_is_needed_for_data(spr: HostFacts) -> None:
    host = SimulatedHost(spr, MODULES, rawio=False)
    host.write(f"{NODE}/loading", b"1")
    with fails(errno.EPERM):
        host.write(f"{NODE}/data", b"x")


def test_stuck(spr: HostFacts) -> None:
    host = SimulatedHost(spr, MODULES, faults=[Fault(stuck=True)])
    upload(host)
    host.sleep(1e6)
    assert get(host, "status") == "transferring"


def corrupted(offset: int, value: int = 0xFF) -> bytes:
    return IMAGE[:offset] + bytes([value]) + IMAGE[offset + 1 :]


@pytest.mark.parametrize(
    "image",
    [b"short", IMAGE[:-1], IMAGE + b"\0", corrupted(1), corrupted(4), corrupted(12), corrupted(16), corrupted(4095)],
)
def test_headers_that_the_kernel_refuses_are_harmless(spr: HostFacts, image: bytes) -> None:
    host = SimulatedHost(spr, MODULES)
    upload(host, image)
    host.sleep(1)
    assert (get(host, "error"), get(host, VERSION)) == ("transferring:firmware-invalid", "1.5.24")


@pytest.mark.parametrize("changes", [{"cpus_online": "0-3"}, {"remaining_updates": 0}])
def test_what_the_kernel_does_not_check_is_fatal(spr: HostFacts, changes: Any) -> None:

    host = SimulatedHost(spr._replace(**changes), MODULES)
    upload(host)
    host.sleep(1)
    with fails(errno.ENXIO):
        get(host, VERSION)


def test_an_image_that_is_no_known_module_is_fatal(spr: HostFacts) -> None:
    host = SimulatedHost(spr, MODULES)
    upload(host, synthetic_image(ModuleVersion("1.5.34"), SIGNER))
    host.sleep(1)
    with fails(errno.ENXIO):
        get(host, VERSION)


def test_other_files(spr: HostFacts) -> None:
    host = SimulatedHost(spr, MODULES)
    assert host.exists("/sys/class/firmware")
    assert not host.exists("/sys/class/firmwar")
    for path, number in [("/nowhere", errno.ENOENT), (NODE, errno.EISDIR)]:
        with fails(number):
            host.read(path, 1)
        with fails(number):
            host.write(path, b"x")
    with fails(errno.EACCES):
        host.write(VERSION, b"1.5.99")


def test_real_files_behave_alike(tmp_path: Path) -> None:
    """The same calls on SysfsHost: errno for errno."""
    from seamstep.host.sysfs import SysfsHost

    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"abcdef")
    host = SysfsHost(f"{tmp_path}/")
    assert host.read("/file", 4) == b"abcd"
    assert host.write("/file", b"XY", 2) == 2
    assert host.read("/file", 99) == b"abXYef"
    assert host.exists("/folder")
    assert not host.exists("/file/below")
    for path, number in [("/nowhere", errno.ENOENT), ("/folder", errno.EISDIR)]:
        with fails(number):
            host.read(path, 1)
        with fails(number):
            host.write(path, b"x")
    assert not (tmp_path / "nowhere").exists()
    before = host.monotonic()
    host.sleep(0.001)
    assert host.monotonic() > before
