"""The simulated host behaves as the kernel's upload state machine does (firmware_loader/sysfs.c, sysfs_upload.c)."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path
from typing import Any

import pytest

from conftest import PUBLISHED, SIGNER, published_parts
from seamstep.base.versions import ModuleVersion
from seamstep.demo.synthetic import Parts, Signer, synthetic_image, synthetic_module
from seamstep.domain.facts import HostFacts
from seamstep.host.seamldr import Platform, Seamldr, seam_memory
from seamstep.host.simulated import Fault, SimulatedHost, UnfinishedTd
from seamstep.image.layout import PAGE
from seamstep.image.pack import pack
from seamstep.image.sigstruct import parse, unpack

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
    ids=["short", "cut", "longer", "byte 1", "byte 4", "byte 12", "byte 16", "byte 4095"],
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


# -- P-SEAMLDR

OTHER = Signer()
MODULE = synthetic_module("1.5.28")
PLAIN = Parts(fields={"gdt_idt_offset": PAGE, "fault_wrapper_offset": 8})
RUNNING = SIGNER.sigstruct(synthetic_module("1.5.24"), PLAIN)
PLATFORM = Platform(
    processors=8, sockets=(0x806F8, 0xC06F2), seam_range=seam_memory(unpack(RUNNING), 8, 4), signer=SIGNER.fingerprint
)
#: What breaks each check of P-SEAMLDR, in its order: the check, its error, and changes to the host, P-SEAMLDR, the
#: sigstruct's fields, or the signer.
BREAKS: list[tuple[str, str, dict[str, Any]]] = [
    ("processors", "no module was installed", {"host": {"cpus_online": "0-6"}}),
    ("pages", "EBADPARAM", {"pages": 0}),
    ("fields", "EBADSIG", {"fields": {"reserved": b"\1".ljust(24, b"\0")}}),
    ("signer", "EBADSIG", {"signer": OTHER}),
    ("debug", "EBADSIG", {"fields": {"module_type": 1 << 31}}),
    ("svn-major", "EUNSUPPORTED", {"fields": {"seamsvn": 0x20C}}),
    ("svn-minor", "EBADSIG", {"fields": {"seamsvn": 0x10C}}),
    ("offsets", "EBADSIG", {"fields": {"fault_wrapper_offset": 4 * PAGE - 511}}),
    ("cpus", "EUNSUPCPU", {"platform": {"sockets": (0x806F8, 0xA06D0)}}),
    ("no-cpus", "EBADSIG", {"fields": {"cpuid_table_size": 0}}),
    ("signature", "EBADSIG", {"signature": 0}),
    ("memory", "ENOMEM", {"fields": {"num_tls_pages": 2}}),
    ("remaining", "EBADCALL", {"seamldr": {"remaining_updates": 0}}),
    ("handoff", "EBADHANDOFF", {"fields": {"min_update_hv": 2, "module_hv": 2}}),
    ("hash", "EBADHASH", {"module": synthetic_module("1.5.34")}),
    ("relocation", "EBADPARAM", {"known": False}),
]


def host_with(base: HostFacts, *changes: dict[str, Any], **settings: Any) -> tuple[SimulatedHost, bytes]:
    """A host with a P-SEAMLDR, and an image for it that is good but for the changes."""
    every: dict[str, Any] = {}
    for change in changes:
        for key, value in change.items():
            every[key] = every.get(key, {}) | value if isinstance(value, dict) else value
    signer, fields = every.get("signer", SIGNER), every.get("fields", {})
    signed = bytearray(signer.sigstruct(MODULE, PLAIN._replace(fields={**PLAIN.fields, **fields})))
    signed[600] ^= "signature" in every
    image = pack(bytes(signed), every.get("module", MODULE), "2.0")
    if every.get("pages") == 0:
        image = image[:12] + bytes(4) + image[16:PAGE] + image[2 * PAGE :]
    modules = {hashlib.sha256(image).hexdigest(): ModuleVersion("1.5.28")} if every.get("known", True) else {}
    seamldr = Seamldr(
        PLATFORM._replace(**every.get("platform", {})), RUNNING, **{"remaining_updates": 5, **every.get("seamldr", {})}
    )
    facts = base._replace(**{"cpus_online": "0-7", **every.get("host", {})})
    return SimulatedHost(facts, modules, seamldr=seamldr, **settings), image


def installed(host: SimulatedHost, image: bytes) -> SimulatedHost:
    upload(host, image)
    host.sleep(1)
    get(host, "status")
    return host


def test_p_seamldr_loads_a_good_module(spr: HostFacts) -> None:
    host = installed(*host_with(spr))
    assert (get(host, "error"), get(host, VERSION), get(host, REMAINING)) == ("", "1.5.28", "4")
    assert (host.lost, host.refusal) == (False, None)


@pytest.mark.parametrize(("check", "error", "change"), BREAKS, ids=[check for check, _, _ in BREAKS])
def test_p_seamldr_refuses_what_fails_one_check_and_tdx_is_lost(
    spr: HostFacts, check: str, error: str, change: Any
) -> None:
    host = installed(*host_with(spr, change))
    assert (host.refusal, host.lost) == ((check, error), True)
    assert get(host, "error") == "transferring:firmware-invalid"
    with fails(errno.ENXIO):
        get(host, VERSION)


@pytest.mark.parametrize("first", range(len(BREAKS)), ids=[check for check, _, _ in BREAKS])
def test_of_all_that_is_wrong_p_seamldr_tells_what_it_checks_first(spr: HostFacts, first: int) -> None:
    kept = [change for check, _, change in BREAKS[first:] if check != "no-cpus" or first == 9]  # no table, no check
    kept = [change for change in kept if first >= 6 or change != BREAKS[6][2]]  # one SVN can't be wrong twice
    host = installed(*host_with(spr, *reversed(kept)))
    assert host.refusal
    assert host.refusal.check == BREAKS[first][0]


@pytest.mark.parametrize(
    "fields",
    [
        *({name: 7} for name in ("header_type", "header_length", "header_version", "key_size", "modulus_size")),
        *({name: 7} for name in ("exponent_size", "module_vendor", "size", "attributes", "exponent", "module_type")),
        {"cpuid_table_size": 256},
        {"min_update_hv": 2},
        {"gdt_idt_offset": 5},
        {"gdt_idt_offset": 0},
        {"fault_wrapper_offset": 0},
    ],
    ids=str,
)
def test_every_field_that_has_one_value_is_checked(spr: HostFacts, fields: Any) -> None:
    host = installed(*host_with(spr, {"fields": fields}))
    assert host.refusal == ("fields", "EBADSIG")


def test_a_debug_module_is_taken_where_the_platform_is_unlocked_and_needs_no_table(spr: HostFacts) -> None:
    debug = {"fields": {"module_type": 1 << 31, "cpuid_table_size": 0}, "platform": {"debug_unlocked": True}}
    assert installed(*host_with(spr, debug)).refusal is None


def test_offsets_of_zero_are_taken(spr: HostFacts) -> None:
    assert not installed(*host_with(spr, {"fields": {"gdt_idt_offset": 0, "fault_wrapper_offset": 0}})).lost


def test_which_bytes_are_reserved_depends_on_p_seamldr(spr: HostFacts) -> None:
    newer = {"platform": {"reserved": (slice(40, 128),)}}
    assert not installed(*host_with(spr, newer, BREAKS[2][2])).lost


def test_a_module_that_hands_over_more_than_its_pages_hold_is_refused(spr: HostFacts) -> None:
    host = installed(*host_with(spr, {"seamldr": {"handoff_size": 14 * PAGE - 7}}))
    assert host.refusal == ("handoff", "EBADHANDOFF")


@pytest.mark.parametrize(
    ("size", "fields", "refusal"),
    [
        (None, {"num_handoff_pages": 12}, "handoff-room"),
        (13 * PAGE - 7, {"num_handoff_pages": 12}, "handoff-room"),
        (13 * PAGE - 8, {"num_handoff_pages": 12}, None),
    ],
)
def test_the_new_module_needs_room_for_what_is_handed_over(
    spr: HostFacts, size: int | None, fields: Any, refusal: str | None
) -> None:
    host = installed(*host_with(spr, {"seamldr": {"handoff_size": size}, "fields": fields}))
    assert (host.refusal and host.refusal.check) == refusal
    assert host.lost == bool(refusal)


@pytest.mark.parametrize(("pages", "lost"), [(24, False), (25, True)])
def test_modules_of_handoff_version_1_take_25_pages_from_one_of_version_0(
    spr: HostFacts, pages: int, lost: bool
) -> None:
    older = PLAIN._replace(module_hv=0, handoff_pages=pages)
    running = SIGNER.sigstruct(MODULE, older)
    host, image = host_with(spr)
    host = SimulatedHost(
        spr._replace(cpus_online="0-7"),
        {hashlib.sha256(image).hexdigest(): ModuleVersion("1.5.28")},
        seamldr=Seamldr(PLATFORM, running, 5),
    )
    assert installed(host, image).lost == lost


def test_on_a_legacy_kernel(spr: HostFacts) -> None:
    facts = spr._replace(profile="legacy", cpus_online="0-7", cpus_present="0-7")
    image = pack(SIGNER.sigstruct(MODULE, PLAIN), MODULE, "1.0")
    host = SimulatedHost(
        facts,
        {hashlib.sha256(image).hexdigest(): ModuleVersion("1.5.28")},
        seamldr=Seamldr(PLATFORM, RUNNING, 5),
    )
    node = "/sys/class/firmware/seamldr_upload"
    host.write(f"{node}/loading", b"1")
    for offset in range(0, len(image), PAGE):
        host.write(f"{node}/data", image[offset:][:PAGE], offset)
    host.write(f"{node}/loading", b"0")
    host.sleep(1)
    assert get(host, VERSION) == "1.5.28"
    assert host.refusal is None


def test_what_the_kernel_refuses_never_gets_to_p_seamldr(spr: HostFacts) -> None:
    host, image = host_with(spr, BREAKS[3][2])
    assert not installed(host, b"\0\1" + image[2:]).lost
    host, image = host_with(spr, BREAKS[3][2], faults=[Fault(error="firmware-invalid")])
    assert not installed(host, image).lost  # TDH.SYS.SHUTDOWN found the module busy
    assert (host.refusal, get(host, "error"), get(host, VERSION)) == (None, "transferring:firmware-invalid", "1.5.24")


@pytest.mark.parametrize("release", PUBLISHED["releases"], ids=lambda release: str(release["version"]))
def test_page_tables_are_less_than_5_percent_of_the_memory_that_a_published_module_needs(release: Any) -> None:
    signed = SIGNER.sigstruct(MODULE, published_parts(release))
    for processors in (1, 8, 256, 1024):
        without = parse(signed).seam_memory(processors)
        assert without < seam_memory(unpack(signed), processors, release["module_pages"]) < without * 1.05


# -- TDs in the making


@pytest.mark.parametrize(("layouts", "corrupted"), [({}, False), ({"1.5.28": 0}, False), ({"1.5.28": 1}, True)])
def test_a_td_in_the_making_is_corrupted_by_a_module_of_another_layout(
    spr: HostFacts, layouts: Any, corrupted: bool
) -> None:
    host = SimulatedHost(spr, MODULES, layouts={ModuleVersion(name): layout for name, layout in layouts.items()})
    before = host.running_tds
    host.begin_td()
    assert get(host, "/sys/fs/cgroup/misc.current") == f"tdx {before + 1}"
    installed(host, IMAGE)
    td = UnfinishedTd(ModuleVersion("1.5.24"), 0)
    assert (host.corrupted, host.unfinished) == (([td], []) if corrupted else ([], [td]))


def test_no_td_is_begun_on_a_host_that_lost_tdx(spr: HostFacts) -> None:
    host = SimulatedHost(spr, MODULES, faults=[Fault(error="firmware-invalid", lost=True)])
    assert not host.lost
    assert installed(host, IMAGE).lost
    host.begin_td()
    assert host.unfinished == []
