"""The header of an uploaded image as the kernel checks it, for the simulated host.

Follows init_seamldr_params() in arch/x86/virt/vmx/tdx/seamldr.c, and for the legacy layout the third version of
"Runtime TDX Module update support".
"""

from __future__ import annotations

import struct

from seamstep.host.base import MAINLINE, PAGE

_HEADER = struct.Struct("<HH8sII4076s")
_LEGACY_HEADER = struct.Struct("<HHI8sI4076s")
_FORMATS = {"mainline": 0x200, "legacy": 0x100, "interim": 0x100}


def header_is_valid(image: bytes, profile: str | None) -> bool:
    """Whether a kernel of ``profile`` accepts the header; None is mainline."""
    if len(image) < _HEADER.size:
        return False
    version, _, signature, sigstruct_pages, module_pages, reserved = _HEADER.unpack_from(image)
    if version != _FORMATS[profile or MAINLINE.name]:
        return False
    if version == _FORMATS["legacy"]:
        return _legacy_header_is_valid(image)
    fits = sigstruct_pages <= 1 and module_pages <= 496 and len(image) == (1 + sigstruct_pages + module_pages) * PAGE
    return fits and signature == b"TDX-BLOB" and not any(reserved)


def parts(image: bytes) -> tuple[bytes, bytes]:
    """The sigstruct and the module in an image with a valid header."""
    _, _, module_offset, *_ = _LEGACY_HEADER.unpack_from(image)
    version, _, _, sigstruct_pages, *_ = _HEADER.unpack_from(image)
    if version == _FORMATS["mainline"]:
        module_offset = PAGE + sigstruct_pages * PAGE
    return image[PAGE:module_offset], image[module_offset:]


def _legacy_header_is_valid(image: bytes) -> bool:
    _, _, module_offset, signature, length, reserved = _LEGACY_HEADER.unpack_from(image)
    words = sum(memoryview(image).cast("H")) if len(image) % 2 == 0 else 1
    fits = PAGE < module_offset < len(image) and (len(image) - module_offset) % PAGE == 0
    return fits and length == len(image) and signature == b"TDX-BLOB" and not any(reserved) and not words & 0xFFFF
