"""Reading 2.0 images: layout by the kernel's rules, bounded on hostile counts."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from seamstep import image
from seamstep.demo.synthetic import synthetic_image
from seamstep.errors import InputError
from seamstep.versions import ModuleVersion

GOOD = synthetic_image(ModuleVersion("1.5.16"))


def patched(offset: int, form: str, *values: int | bytes) -> bytes:
    content = bytearray(GOOD)
    struct.pack_into(form, content, offset, *values)
    return bytes(content)


def test_reads_what_the_sigstruct_says(tmp_path: Path) -> None:
    path = tmp_path / "i.blob"
    path.write_bytes(GOOD)
    found = image.read(str(path))
    assert found.cpuid == (0x806F8, 0xC06F0, 0xA06F0)
    assert (found.format, found.size, found.seamsvn) == (0x200, len(GOOD), 0x110)
    assert len(found.mrseam) == 96


def test_packed_images_have_a_zero_checksum() -> None:
    assert sum(struct.unpack(f"<{len(GOOD) // 2}H", GOOD)) & 0xFFFF == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (GOOD[:4095], "less than the header"),
        (GOOD[:-1], "its header says"),
        (GOOD + b"\0", "its header says"),
        (patched(4, "<8s", b"TDX-BLOC"), "lacks the signature"),
        (patched(0, "<H", 0x100), "image format 1.0"),
        (patched(12, "<I", 0), "0 sigstruct pages"),
        (patched(12, "<I", 2), "2 sigstruct pages"),
        (patched(16, "<I", 0), "0 module pages"),
        (patched(16, "<I", 497), "497 module pages"),
        (patched(16, "<I", 2**32 - 1), "4294967295 module pages"),
        (patched(20, "<B", 1), "reserved bytes"),
        (patched(4095, "<B", 1), "reserved bytes"),
        (patched(4096 + 1024, "<I", 256), "256 CPUs"),
        (patched(4096 + 1024, "<I", 2**32 - 1), "4294967295 CPUs"),
        (bytes(3 << 20), "too large"),
    ],
)
def test_refused(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "i.blob"
    path.write_bytes(content)
    with pytest.raises(InputError, match=says):
        image.read(str(path))
