"""TDX module images, format 2.0: read what the planner needs, and pack.

An image is a 4 KiB header, the sigstruct padded to whole 4 KiB pages, and the module's pages. All numbers are
little-endian. Sources: Linux arch/x86/virt/vmx/tdx/seamldr.c (``struct tdx_image_header`` and the limits),
Intel's blob_structure.txt; the sigstruct's fields from the P-SEAMLDR source.
"""

from __future__ import annotations

import hashlib
import struct

from seamstep.documents import read_bytes
from seamstep.errors import InputError, Problem
from seamstep.model import Image

PAGE = 4096
FORMAT_2_0 = 0x200
SIGNATURE = b"TDX-BLOB"
MAX_SIGSTRUCT_PAGES = 1
MAX_MODULE_PAGES = 496
SIZE_LIMIT = (1 + MAX_SIGSTRUCT_PAGES + MAX_MODULE_PAGES) * PAGE

# version, checksum, signature, sigstruct_nr_pages, module_nr_pages; zeros up to a page
HEADER = struct.Struct("<HH8sII")

# Offsets in the sigstruct.
SEAMHASH = slice(900, 948)
SEAMSVN = struct.Struct("<H"), 948
CPUID_TABLE_SIZE = struct.Struct("<I"), 1024
CPUID_TABLE_OFFSET = 1028
CPUID_TABLE_MAX = 255


def read(path: str) -> Image:
    """Read an image of format 2.0: its layout, and from the sigstruct MRSEAM, seamsvn and CPUID table.

    Raises:
        InputError: unreadable, another format, or its lengths don't add up as the kernel demands.
    """
    content = read_bytes(path, SIZE_LIMIT, "TDX module image")
    problem = layout_problem(content)
    if problem:
        raise InputError(Problem(path, problem))
    sigstruct = content[PAGE : 2 * PAGE]
    (count,) = CPUID_TABLE_SIZE[0].unpack_from(sigstruct, CPUID_TABLE_SIZE[1])
    if count > CPUID_TABLE_MAX:
        raise InputError(Problem(path, f"the sigstruct claims {count} CPUs; at most {CPUID_TABLE_MAX} fit"))
    (seamsvn,) = SEAMSVN[0].unpack_from(sigstruct, SEAMSVN[1])
    return Image(
        path=path,
        format=FORMAT_2_0,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        mrseam=sigstruct[SEAMHASH].hex(),
        seamsvn=seamsvn,
        cpuid=struct.unpack_from(f"<{count}I", sigstruct, CPUID_TABLE_OFFSET),
    )


def layout_problem(content: bytes) -> str | None:
    """What is wrong with the layout of a 2.0 image, by the kernel's rules; None if nothing is.

    Source: init_seamldr_params() in arch/x86/virt/vmx/tdx/seamldr.c. Images without a sigstruct page or module pages
    are refused too: the kernel lets them pass and P-SEAMLDR would not.
    """
    if len(content) < PAGE:
        return f"not a TDX module image: {len(content)} bytes are less than the header's {PAGE}"
    version, _, signature, sigstruct_pages, module_pages = HEADER.unpack_from(content)
    if signature != SIGNATURE:
        return "not a TDX module image: the header lacks the signature TDX-BLOB"
    if version != FORMAT_2_0:
        return f"image format {version >> 8}.{version & 0xFF} (0x{version:x}); expected 2.0 (0x200)"
    if not 1 <= sigstruct_pages <= MAX_SIGSTRUCT_PAGES or not 1 <= module_pages <= MAX_MODULE_PAGES:
        return (
            f"{sigstruct_pages} sigstruct pages and {module_pages} module pages; "
            f"expected {MAX_SIGSTRUCT_PAGES} and 1 to {MAX_MODULE_PAGES}"
        )
    expected = (1 + sigstruct_pages + module_pages) * PAGE
    if len(content) != expected:
        return f"{len(content)} bytes long; its header says {expected}"
    if any(content[HEADER.size : PAGE]):
        return "reserved bytes of the header are not zero"
    return None


def pack(sigstruct: bytes, module: bytes) -> bytes:
    """An image of format 2.0 from a sigstruct of at most a page and a module of whole pages, with its checksum: all
    16-bit words of the image add up to 0 modulo 2^16."""
    payload = sigstruct.ljust(PAGE, b"\0") + module
    module_pages = len(module) // PAGE

    def header(checksum: int) -> bytes:
        return HEADER.pack(FORMAT_2_0, checksum, SIGNATURE, 1, module_pages).ljust(PAGE, b"\0")

    image = header(0) + payload
    total = sum(struct.unpack(f"<{len(image) // 2}H", image))
    return header(-total & 0xFFFF) + payload
