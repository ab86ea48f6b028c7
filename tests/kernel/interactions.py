"""Interactions with an upload node, to be replayed on any :class:`Host`: what each call gives is an observation.

``scripts`` has the table of them; ``observations.json`` keeps what the kernel gave.
"""

from __future__ import annotations

import errno
import hashlib
import struct
from dataclasses import dataclass, field
from typing import Any

from seamstep.base.versions import ModuleVersion
from seamstep.host.base import LEGACY, MAINLINE, Host
from seamstep.host.simulated import Fault
from seamstep.image.layout import PAGE, SIGSTRUCT_SIZE
from seamstep.image.pack import pack
from seamstep.image.sigstruct import LAYOUT, pack_into

Step = tuple[Any, ...]
V24, V28, V34 = (ModuleVersion(f"1.5.{update}") for update in (24, 28, 34))

#: ``enum fw_upload_err`` of include/linux/firmware.h; the last is none of them.
ERRORS = {
    name: number
    for number, name in enumerate(
        [
            "hw-error",
            "timeout",
            "user-abort",
            "device-busy",
            "invalid-file-size",
            "read-write-error",
            "flash-wearout",
            "firmware-invalid",
            "unknown-error",
        ],
        1,
    )
}


def made_image(name: str, format_: str = "2.0") -> bytes:
    """An image of two pages that the double takes; another name, another module. It has no signature: nobody looks."""
    module = hashlib.shake_256(name.encode()).digest(2 * PAGE)
    fields = {name: field.only for name, field in LAYOUT.items() if field.only is not None} | {
        "seamhash": hashlib.sha384(module).digest(),
        "seamsvn": 0x10D,
        "module_hv": 1,
        "no_downgrade": 1,
        "num_handoff_pages": 13,
        "cpuid_table_size": 1,
        "cpuid_table": struct.pack("<I", 0x806F8),
    }
    sigstruct = bytearray(SIGSTRUCT_SIZE)
    pack_into(sigstruct, fields)
    return pack(bytes(sigstruct), module, format_)


IMAGES = {name: made_image(name) for name in ("1.5.28", "1.5.34", "nobody's")}
IMAGES |= {f"{name} in 1.0": made_image(name, "1.0") for name in ("1.5.28", "1.5.34")}
#: Its words do not add up. The kernel does not mind.
IMAGES["1.5.28 with another checksum"] = IMAGES["1.5.28"][:2] + b"\x5a\xa5" + IMAGES["1.5.28"][4:]
#: The version that each image installs, by the image's SHA-256 in hex, as SimulatedHost wants it.
MODULES = {
    hashlib.sha256(content).hexdigest(): ModuleVersion(name.split()[0])
    for name, content in IMAGES.items()
    if name[0] == "1"
}


def table() -> str:
    """The same for the double's knob ``modules``."""
    seamhashes = {name.split()[0]: content[PAGE + LAYOUT["seamhash"].offset :][:8] for name, content in IMAGES.items()}
    return ",".join(f"{start.hex()}={name}" for name, start in seamhashes.items() if name[0] == "1")


@dataclass(frozen=True, slots=True)
class Script:
    """Steps on a host that runs 1.5.24 and has two CPUs, and what is special about the host."""

    steps: tuple[Step, ...]
    fault: Fault | None = None
    legacy: bool = False
    remaining: int = 5
    node: bool = True
    rawio: bool = True
    slow: bool = False
    knobs: dict[str, Any] = field(default_factory=dict)

    @property
    def phase_seconds(self) -> float:
        """How long a phase takes; long enough to see each where a script watches them."""
        return 0.3 if self.slow else 0.01

    def parameters(self) -> dict[str, Any]:
        """The double's knobs."""
        fault = self.fault or Fault()
        return {
            "modules": table(),
            "remaining_updates": self.remaining,
            "layout": (LEGACY if self.legacy else MAINLINE).name,
            "node": int(self.node),
            "delay_ms": int(self.phase_seconds * 1000),
            "fault_phase": fault.phase,
            "fault_error": ERRORS.get(fault.error, 0),
            "fault_loses": int(fault.lost),
            "fault_upload": 1,
            **({"becomes": fault.version} if fault.version else {}),
            **({"count_step": 0} if fault.keeps_count else {}),
            **self.knobs,
        }


def replay(host: Host, script: Script) -> list[Any]:
    """What each step of ``script`` gives on ``host``: plain values, and errors by their names."""
    player = _Player(host, (LEGACY if script.legacy else MAINLINE).upload_path)
    return [player.observe(step) for step in script.steps]


class _Player:
    def __init__(self, host: Host, node: str) -> None:
        self._host = host
        self._node = node

    def observe(self, step: Step) -> Any:
        try:
            return getattr(self, step[0])(*step[1:])
        except OSError as error:
            return errno.errorcode[error.errno or 0]

    def _path(self, name: str) -> str:
        return name if name.startswith("/") else f"{self._node}/{name}"

    def exists(self, name: str) -> bool:
        return self._host.exists(self._path(name))

    def read(self, name: str, limit: int = 1 << 20) -> Any:
        content = self._host.read(self._path(name), limit)
        if len(content) <= 64:
            return content.decode("latin1")
        return [len(content), hashlib.sha256(content).hexdigest()]

    def write(self, name: str, data: bytes, offset: int = 0) -> int:
        return self._host.write(self._path(name), data, offset)

    def stage(self, image: str | bytes) -> None:
        """All of an image, page by page."""
        content = IMAGES[image] if isinstance(image, str) else image
        offset = 0
        while offset < len(content):
            offset += self._host.write(self._path("data"), content[offset : offset + PAGE], offset)

    def upload(self, image: str | bytes) -> None:
        self.write("loading", b"1\n")
        self.stage(image)
        self.write("loading", b"0\n")

    def watch(self, *names: str) -> list[Any]:
        """The phases up to idle, each with what the files say in it. ``receiving`` may be too short to be seen."""
        seen: list[Any] = []
        begin = self._host.monotonic()
        while self._host.monotonic() < begin + 60:
            status = self._host.read(self._path("status"), 99).decode().strip()
            if status != "receiving" and (not seen or seen[-1][0] != status):
                # Let the phase begin for good: what it changes, it changes at its end.
                self._host.sleep(0.02)
                seen.append([status, *(self.observe(("read", name)) for name in names)])
            if status == "idle":
                return seen
            self._host.sleep(0.01)
        raise TimeoutError(errno.ETIMEDOUT, "the upload does not end")

    def settle(self) -> None:
        """Wait until the upload is over."""
        self.watch()
