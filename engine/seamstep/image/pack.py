"""Writing images in either format. Sigstruct and module are copied byte for byte, so the signature stays valid."""

from __future__ import annotations

from seamstep.image.layout import (
    HEADER_1_0,
    HEADER_2_0,
    MODULE_OFFSET,
    PAGE,
    SIGNATURE,
    SIGSTRUCT_PAGES,
    VERSIONS,
    module_size_problem,
    sigstruct_size_problem,
)

_VERSION_OF = {name: version for version, name in VERSIONS.items()}
FORMATS = tuple(_VERSION_OF)


def pack(sigstruct: bytes | memoryview, module: bytes | memoryview, format_: str) -> bytes:
    """An image of ``format_`` (``2.0`` or ``1.0``) with its checksum. The same parts give the same bytes.

    Raises:
        ValueError: the sigstruct or the module has a size that no image can have.
    """
    problem = sigstruct_size_problem(len(sigstruct)) or module_size_problem(len(module))
    if problem:
        raise ValueError(problem)
    payload = bytes(sigstruct).ljust(SIGSTRUCT_PAGES * PAGE, b"\0") + bytes(module)
    total = sum(memoryview(_header(format_, 0, len(module)) + payload).cast("H"))
    return _header(format_, -total & 0xFFFF, len(module)) + payload


def _header(format_: str, checksum: int, module_size: int) -> bytes:
    version = _VERSION_OF[format_]
    if format_ == "2.0":
        header = HEADER_2_0.pack(version, checksum, SIGNATURE, SIGSTRUCT_PAGES, module_size // PAGE)
    else:
        header = HEADER_1_0.pack(version, checksum, MODULE_OFFSET, SIGNATURE, MODULE_OFFSET + module_size)
    return header.ljust(PAGE, b"\0")
