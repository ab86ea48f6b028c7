"""Made-up images with the layout of real ones and a payload that no CPU would run."""

from __future__ import annotations

import hashlib
import struct

from seamstep import image
from seamstep.versions import ModuleVersion

_SIGSTRUCT_SIZE = 2048
_MODULE_PAGES = 4
# Platforms by series, from the CPUID tables of Intel's published images.
_CPUID = {"1.5": (0x806F8, 0xC06F0, 0xA06F0), "2.0": (0xA06D0, 0xA06E0)}
_SVN_MAJOR = {"1.5": 0x100, "2.0": 0x300}


def synthetic_image(version: ModuleVersion) -> bytes:
    """An unsigned image of format 2.0 that stands for ``version``."""
    module = hashlib.shake_256(str(version).encode()).digest(_MODULE_PAGES * image.PAGE)
    cpuid = _CPUID.get(version.series, ())
    sigstruct = bytearray(_SIGSTRUCT_SIZE)
    sigstruct[image.SEAMHASH] = hashlib.sha384(module).digest()
    image.SEAMSVN[0].pack_into(sigstruct, image.SEAMSVN[1], _SVN_MAJOR.get(version.series, 0) + version.update)
    image.CPUID_TABLE_SIZE[0].pack_into(sigstruct, image.CPUID_TABLE_SIZE[1], len(cpuid))
    struct.pack_into(f"<{len(cpuid)}I", sigstruct, image.CPUID_TABLE_OFFSET, *cpuid)
    return image.pack(bytes(sigstruct), module)
