"""The interactions that simulator and kernel have to agree on.

Run inside the guest as a program, it replays them on the real kernel and prints the observations as JSON:
``scripts.py INSMOD RMMOD [--without-rawio]``, where the first two are commands.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections.abc import Iterator

from interactions import ERRORS, IMAGES, V24, V34, Script, Step, replay

from seamstep.host.base import LEGACY, MAINLINE, MODULE_VERSION, TDX_HOST
from seamstep.host.simulated import Fault
from seamstep.image.layout import HEADER_1_0, HEADER_2_0, PAGE


def upload(image: str | bytes = "1.5.28", seen: tuple[str, ...] = ("error", MODULE_VERSION)) -> tuple[Step, ...]:
    """Upload, wait, and look."""
    return (("upload", image), ("settle",), *(("read", name) for name in seen))


def _altered(offset: int, value: bytes, image: str = "1.5.28") -> bytes:
    content = IMAGES[image]
    return content[:offset] + value + content[offset + len(value) :]


def _resummed(image: bytes) -> bytes:
    """With its checksum made right."""
    total = sum(memoryview(image[:2] + b"\0\0" + image[4:]).cast("H"))
    return image[:2] + struct.pack("<H", -total & 0xFFFF) + image[4:]


def _headers() -> Iterator[tuple[str, Script]]:
    """Images that a kernel looks at closely, one rule at a time."""
    good = IMAGES["1.5.28"]
    _, _, signature, _, _ = HEADER_2_0.unpack_from(good)
    cases = {
        "a byte": b"\0",
        "half a header": good[:2048],
        "a header alone": good[:PAGE],
        "a byte too few": good[:-1],
        "a byte too many": good + b"\0",
        "a page too many": good + bytes(PAGE),
        "version 0": _altered(0, b"\0\0"),
        "version 1.0": _altered(0, b"\0\1"),
        "wrong checksum": IMAGES["1.5.28 with another checksum"],
        "wrong signature": _altered(4, b"X"),
        "no sigstruct page": _altered(12, struct.pack("<2I", 0, 3)),
        "two sigstruct pages": _altered(12, struct.pack("<2I", 2, 1)),
        "one module page too few": _altered(16, struct.pack("<I", 1)),
        "no module page": HEADER_2_0.pack(0x200, 0, signature, 1, 0).ljust(PAGE, b"\0") + good[PAGE : 2 * PAGE],
        "496 module pages": HEADER_2_0.pack(0x200, 0, signature, 1, 496).ljust(PAGE, b"\0") + bytes(497 * PAGE),
        "497 module pages": HEADER_2_0.pack(0x200, 0, signature, 1, 497).ljust(PAGE, b"\0") + bytes(498 * PAGE),
        "sizes that overflow": _altered(12, struct.pack("<2I", 0xFFFFFFFF, 4)),
        "the first reserved byte": _altered(20, b"\1"),
        "the last reserved byte": _altered(PAGE - 1, b"\1"),
        "a bit of the module": _altered(2 * PAGE, bytes([good[2 * PAGE] ^ 1])),
        "another module": IMAGES["nobody's"],
        "format 1.0": IMAGES["1.5.28 in 1.0"],
    }
    for name, image in cases.items():
        yield f"header: {name}", Script((*upload(image), ("read", "remaining_size")))
    old = IMAGES["1.5.28 in 1.0"]
    old_cases = {
        "format 2.0": good,
        "wrong checksum": old[:2] + bytes([old[2] ^ 1]) + old[3:],
        "wrong length": _resummed(_altered(16, struct.pack("<I", len(old) - PAGE), "1.5.28 in 1.0")),
        "wrong signature": _resummed(_altered(8, b"X", "1.5.28 in 1.0")),
        "module at 4096": _resummed(_altered(4, struct.pack("<I", PAGE), "1.5.28 in 1.0")),
        "module past the end": _resummed(_altered(4, struct.pack("<I", len(old)), "1.5.28 in 1.0")),
        "module off the page": _resummed(_altered(4, struct.pack("<I", 2 * PAGE + 16), "1.5.28 in 1.0")),
        "a reserved byte": _resummed(_altered(HEADER_1_0.size, b"\1", "1.5.28 in 1.0")),
        "cut off": old[:-PAGE],
        "an odd byte": old + b"\0",
    }
    for name, image in old_cases.items():
        yield f"legacy header: {name}", Script(upload(image), legacy=True)


_SIZES = ("remaining_size", "loading", "status", "error")


def _faults() -> Iterator[tuple[str, Script]]:
    seen = ("error", "remaining_size", "loading", MODULE_VERSION, MAINLINE.remaining_updates)
    for phase in ("preparing", "transferring", "programming"):
        for error in ERRORS:
            yield f"fault: {phase}:{error}", Script(upload(seen=seen), fault=Fault(phase, error))
    yield (
        "fault: lost",
        Script((*upload(seen=seen), *upload("1.5.34", seen)), fault=Fault(error="firmware-invalid", lost=True)),
    )
    yield "fault: lost while preparing", Script(upload(seen=seen), fault=Fault("preparing", "hw-error", lost=True))
    yield "fault: stale version", Script(upload(seen=seen), fault=Fault(version=V24))
    yield "fault: another version", Script(upload(seen=seen), fault=Fault(version=V34))
    yield "fault: the count stays", Script(upload(seen=seen), fault=Fault(keeps_count=True))


def _loading() -> Iterator[tuple[str, Script]]:
    """What may be written to ``loading``, when nothing is going on and when something is."""
    values = [b"1", b"0", b"-1", b"2", b"-2", b"1\n", b" 1", b"1 ", b"01", b"+1", b"1x", b"x1", b"0x1", b"", b"\n"]
    values += [b"4294967297", b"1\x00", b"--1", b"-", b"\xff"]

    def look(*before: Step) -> tuple[Step, ...]:
        """Each value after the same steps, and what the files say then."""
        look = (*(("read", name) for name in ("loading", "remaining_size", "data")), ("settle",))
        look += (("read", "error"), ("read", "data"))
        return tuple(step for value in values for step in (*before, ("write", "loading", value), *look))

    yield "loading: values when idle", Script(look(("write", "loading", b"-1")))
    started = look(("write", "loading", b"1"), ("write", "data", b"abc"))
    yield "loading: values when started", Script(started, slow=True)  # so that the files are read while it goes on


def _cancel() -> Iterator[tuple[str, Script]]:
    values = [
        b"1",
        b"0",
        b"y",
        b"Y",
        b"yes",
        b"n",
        b"on",
        b"off",
        b"o",
        b"t",
        b"true",
        b"T",
        b"f",
        b"e",
        b"d",
        b"2",
        b"",
    ]
    values += [b" 1", b"1x", b"\n", b"-1", b"ON", b"oN\n"]
    tries = tuple(("write", "cancel", value) for value in values)
    yield "cancel: when idle", Script((*tries, ("read", "status")))
    yield (
        "cancel: when under way",
        Script((("upload", "1.5.28"), *tries, ("settle",), ("read", "error"), ("read", MODULE_VERSION)), slow=True),
    )


def _all() -> Iterator[tuple[str, Script]]:
    start, commit, abandon = ("write", "loading", b"1"), ("write", "loading", b"0"), ("write", "loading", b"-1")
    image = IMAGES["1.5.28"]
    yield (
        "files that are there",
        Script(
            (
                *(
                    ("exists", name)
                    for name in ("loading", "data", "status", "error", "cancel", "remaining_size", "other")
                ),
                *(("exists", path) for path in ("/sys/class/firmware", "/sys/class/firmwar", MODULE_VERSION, TDX_HOST)),
                *(("exists", f"{TDX_HOST}/{name}") for name in ("seamldr_version", "num_remaining_updates", "seamldr")),
                *(
                    ("read", name)
                    for name in ("loading", "data", "status", "error", "remaining_size", "cancel", "other")
                ),
                *(("read", f"{TDX_HOST}/{name}") for name in ("version", "seamldr_version", "num_remaining_updates")),
                ("read", "/sys/class/firmware/tdx_module"),
                ("read", "status/below"),
                ("exists", "status/below"),
            )
        ),
    )
    yield (
        "legacy files",
        Script(
            (
                *(
                    ("exists", path)
                    for path in ("/sys/class/firmware/tdx_module", "/sys/class/firmware/seamldr_upload")
                ),
                *(("read", path) for path in (MODULE_VERSION, LEGACY.seamldr_version, LEGACY.remaining_updates)),
                *(("exists", path) for path in (MAINLINE.seamldr_version, MAINLINE.remaining_updates)),
            ),
            legacy=True,
        ),
    )
    yield (
        "no upload node",
        Script(
            (
                *(("exists", path) for path in ("/sys/class/firmware", "/sys/class/firmware/tdx_module")),
                *(("read", path) for path in (MODULE_VERSION, MAINLINE.seamldr_version, MAINLINE.remaining_updates)),
                ("read", "status"),
                start,
            ),
            node=False,
        ),
    )
    yield (
        "files that are not for writing",
        Script(
            tuple(
                ("write", name, b"1")
                for name in ("status", "error", "remaining_size", "other", MODULE_VERSION, "status/x")
            )
            + tuple(("write", f"{TDX_HOST}/{name}", b"1") for name in ("seamldr_version", "num_remaining_updates"))
            + (("write", TDX_HOST, b"1"), ("write", "/sys/class/firmware/tdx_module", b"1"))
        ),
    )
    yield "an upload", Script((start, ("stage", "1.5.28"), ("read", "data"), commit, ("settle",), *upload("1.5.34")))
    yield (
        "an upload, phase by phase",
        Script((("upload", "1.5.28"), ("watch", "error", "loading", "remaining_size", MODULE_VERSION)), slow=True),
    )
    yield (
        "a busy upload, phase by phase",
        Script(
            (("upload", "1.5.28"), ("watch", "error", "loading", "remaining_size", MODULE_VERSION)),
            fault=Fault(error="device-busy"),
            slow=True,
        ),
    )
    yield "a legacy upload", Script(upload("1.5.28 in 1.0"), legacy=True)
    yield (
        "while the worker runs",
        Script(
            (
                *(("upload", "1.5.28"), start, ("write", "data", b"x"), ("read", "data"), commit, abandon),
                *(("read", name) for name in ("loading", "error")),
                *(("settle",), ("read", "error"), ("read", "data"), ("read", MODULE_VERSION)),
            ),
            slow=True,
        ),
    )
    yield (
        "data without a start",
        Script(
            (
                ("write", "data", b"abc"),
                ("read", "data"),
                ("read", "loading"),
                commit,
                ("read", "data"),
                ("read", "status"),
            )
        ),
    )
    yield "data without a start, then a start", Script((("write", "data", b"abc"), start, ("read", "data")))
    yield (
        "data after abandoning",
        Script(
            (
                start,
                ("stage", image[:5000]),
                abandon,
                ("read", "data"),
                ("write", "data", b"x"),
                ("read", "data"),
                commit,
            )
        ),
    )
    yield "a second start", Script((start, ("write", "data", b"abc"), start, ("read", "data"), *upload()))
    yield "zero bytes", Script((start, commit, ("read", "status"), ("read", "error"), ("read", "loading")))
    yield (
        "zero bytes after an error",
        Script(
            (*upload(), start, commit, ("read", "error"), ("read", "remaining_size"), *upload()),
            fault=Fault(error="device-busy"),
        ),
    )
    yield (
        "an error stands until the next upload",
        Script(
            (
                *upload(),
                start,
                ("read", "error"),
                ("stage", "1.5.28"),
                ("read", "error"),
                commit,
                ("settle",),
                ("read", "error"),
            ),
            fault=Fault(error="hw-error"),
        ),
    )
    writes = [(b"abc", 0), (b"xy", 1), (b"end", 10), (b"", 5), (b"", 500), (b"far", 3 * PAGE - 1), (b"abc", 4095)]
    for data, offset in writes:
        yield (
            f"data: {data!r} at {offset}",
            Script((start, ("write", "data", b"0123456789"), ("write", "data", data, offset), ("read", "data"))),
        )
    yield "data: more than a page", Script((start, ("write", "data", image), ("read", "data")))
    yield (
        "data: more than a page, off the page",
        Script((start, ("write", "data", image[:9000], 100), ("read", "data"))),
    )
    backwards = [("write", "data", image[at : at + PAGE], at) for at in reversed(range(0, len(image), PAGE))]
    pieces = [("write", "data", image[at : at + 1000], at) for at in range(0, len(image), 1000)]
    yield (
        "data: backwards",
        Script((start, *backwards, ("read", "data"), commit, ("settle",), ("read", MODULE_VERSION))),
    )
    yield (
        "data: in small pieces",
        Script((start, *pieces, commit, ("settle",), ("read", MODULE_VERSION))),
    )
    yield (
        "data: a hole is zeros",
        Script((start, ("write", "data", b"x", 9000), ("read", "data", 64), ("read", "data"))),
    )
    yield "data: reads are limited", Script((start, ("stage", "1.5.28"), ("read", "data", 10), ("read", "data", 5000)))
    yield "loading: more than a page", Script((("write", "loading", b"1" + b" " * 5000), ("read", "loading")))
    yield "loading: at an offset", Script((("write", "loading", b"1", 7), ("read", "loading")))
    yield "no update left", Script((*upload(), ("read", MAINLINE.remaining_updates)), remaining=0)
    yield (
        "without CAP_SYS_RAWIO",
        Script(
            (start, ("write", "data", b"x"), ("read", "data"), ("read", "loading"), commit, ("read", "status")),
            rawio=False,
        ),
    )
    yield from _loading()
    yield from _cancel()
    yield from _headers()
    yield from _faults()


SCRIPTS = dict(_all())


def main(insmod: str, rmmod: str, *flags: str) -> None:
    """Replay on this machine's kernel; a fresh double for each script."""
    from seamstep.host.sysfs import SysfsHost

    host, observations = SysfsHost(), {}
    for name, script in SCRIPTS.items():
        if script.rawio is ("--without-rawio" in flags):
            continue
        knobs = [f"{knob}={value}" for knob, value in script.parameters().items()]
        subprocess.run([*insmod.split(), *knobs], check=True)
        try:
            observations[name] = replay(host, script)
        finally:
            subprocess.run(rmmod.split(), check=True)
    print(json.dumps(observations))


if __name__ == "__main__":
    main(*sys.argv[1:])
