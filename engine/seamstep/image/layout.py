"""The structure of image files: headers, limits, padding and checksum.

An image holds a sigstruct and a module. In formats 2.0 and 1.0 both follow a header of one page; Intel also
publishes them as two files. All numbers are little-endian, all offsets and sizes are bytes.

Sources: Linux arch/x86/virt/vmx/tdx/seamldr.c (``struct tdx_image_header`` and the limits of format 2.0); Intel's
blob_structure.txt and the third version of the out-of-tree series "Runtime TDX Module update support"
(``struct tdx_blob``, format 1.0).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from seamstep.domain.model import Check

PAGE = 4096
SIGNATURE = b"TDX-BLOB"
SIGSTRUCT_SIZE = 2048
SIGSTRUCT_PAGES = 1
MODULE_PAGES_MAX = 496
SIZE_MAX = (1 + SIGSTRUCT_PAGES + MODULE_PAGES_MAX) * PAGE

#: Format 2.0: version, checksum, signature, sigstruct_nr_pages, module_nr_pages; zeros up to a page.
HEADER_2_0 = struct.Struct("<HH8sII")
#: Format 1.0: version, checksum, offset_of_module, signature, length; zeros up to a page.
HEADER_1_0 = struct.Struct("<HHI8sI")
VERSION = struct.Struct("<H")
VERSIONS = {0x200: "2.0", 0x100: "1.0"}
SEPARATE = "separate"

SIGSTRUCT_OFFSET = PAGE
MODULE_OFFSET = SIGSTRUCT_OFFSET + SIGSTRUCT_PAGES * PAGE

#: Sizes in bytes: the checksum's words are added in blocks, which are then halved until _LANES bytes are left. The 32
#: bits of each sum can't overflow with a file of less than 32 MiB.
_BLOCK, _LANES = 16384, 1024
_LOW_WORDS = int.from_bytes(b"\xff\xff\0\0" * (_BLOCK // 4), "little")


class Structure(NamedTuple):
    """The structure of a joined image.

    Attributes:
        format: ``2.0`` or ``1.0``; None if it is neither.
        checks: the checks of the header and the padding.
        sigstruct: the SIGSTRUCT_SIZE bytes of the sigstruct, without padding; fewer or none if the file is too short.
        module: the bytes after the sigstruct; empty if ``format`` is None.
    """

    format: str | None
    checks: tuple[Check, ...]
    sigstruct: memoryview
    module: memoryview

    @property
    def sound(self) -> bool:
        """Whether the places of sigstruct and module are those that the header gives."""
        return all(check.ok for check in self.checks if check.name in {"format", "length", "limits"})


def of(content: memoryview, size: int | None = None) -> Structure:
    """The structure of a joined image of either format. Reads the header and the padding, no more.

    Args:
        content: the file, or at least its first MODULE_OFFSET bytes.
        size: the size of the file, if ``content`` is not all of it.

    Never raises: every fault is a check that is not ok.
    """
    format_, problem = _format(content)
    if format_ is None:
        unchecked = (
            Check(name, None, "not checked: the format is not known") for name in ("limits", "length", "reserved")
        )
        return Structure(None, (Check("format", False, problem), *unchecked), content[:0], content[:0])
    size = len(content) if size is None else size
    header = _Header2(content, size) if format_ == "2.0" else _Header1(content, size)
    padding = content[SIGSTRUCT_OFFSET + SIGSTRUCT_SIZE : MODULE_OFFSET]
    reserved = [*header.reserved(), *(["the padding after the sigstruct is not zero"] if _any(padding) else [])]
    checks = (
        Check("format", True),
        _check("limits", header.limits()),
        _check("length", header.length()),
        _check("reserved", reserved),
    )
    return Structure(format_, checks, content[SIGSTRUCT_OFFSET:][:SIGSTRUCT_SIZE], content[MODULE_OFFSET:])


def checksum_problem(content: memoryview) -> str | None:
    """The fault of the checksum, None if it is right: all 16-bit words of an image add up to 0 modulo 2^16."""
    total = _sum_of_words(content)
    return None if total & 0xFFFF == 0 else f"the words add up to 0x{total & 0xFFFF:04x} instead of 0"


def _sum_of_words(content: memoryview) -> int:
    """The sum of all little-endian 16-bit words, several times as fast as a loop over them. Blocks are added as single
    numbers, once with all words and once with the even ones. The difference has the sums of the odd words, so that each
    sum has 32 bits."""
    words = lows = 0
    for start in range(0, len(content), _BLOCK):
        block = int.from_bytes(content[start : start + _BLOCK], "little")
        words += block
        lows += block & _LOW_WORDS
    total, size = lows + (words - lows >> 16), _BLOCK
    while size > _LANES:
        size //= 2
        total = (total >> 8 * size) + (total & (1 << 8 * size) - 1)
    return sum(memoryview(total.to_bytes(size, "little")).cast("I"))


def sigstruct_size_problem(size: int) -> str | None:
    """The fault of a sigstruct of ``size`` bytes; None for a right size."""
    return None if size == SIGSTRUCT_SIZE else f"a sigstruct of {size} bytes; expected {SIGSTRUCT_SIZE}"


def module_size_problem(size: int) -> str | None:
    """The fault of a module of ``size`` bytes; None for a right size."""
    if size % PAGE or not PAGE <= size <= MODULE_PAGES_MAX * PAGE:
        return f"a module of {size} bytes; expected 1 to {MODULE_PAGES_MAX} whole pages of {PAGE}"
    return None


def _any(content: memoryview) -> bool:
    """Whether any byte is not zero. Comparing with zeros is far faster than a loop."""
    return content.tobytes() != bytes(len(content))


def _check(name: str, problems: Iterator[str] | list[str]) -> Check:
    message = "; ".join(problems)
    return Check(name, not message, message)


def _format(content: memoryview) -> tuple[str | None, str]:
    if len(content) < PAGE:
        return None, f"not a TDX module image: {len(content)} bytes are less than a header's {PAGE}"
    (version,) = VERSION.unpack_from(content)
    if version not in VERSIONS:
        return None, f"image format 0x{version:x}; expected 2.0 (0x200) or 1.0 (0x100)"
    header = HEADER_2_0 if VERSIONS[version] == "2.0" else HEADER_1_0
    if SIGNATURE not in header.unpack_from(content):
        return None, f"not a TDX module image: the header lacks the signature {SIGNATURE.decode()}"
    return VERSIONS[version], ""


class _Header2:
    """The header of format 2.0, as init_seamldr_params() of the kernel reads it."""

    def __init__(self, content: memoryview, size: int) -> None:
        self._content = content
        self._size = size
        _, _, _, self._sigstruct_pages, self._module_pages = HEADER_2_0.unpack_from(content)

    def limits(self) -> Iterator[str]:
        if self._sigstruct_pages != SIGSTRUCT_PAGES:
            yield f"{self._sigstruct_pages} sigstruct pages; expected {SIGSTRUCT_PAGES}"
        if not 1 <= self._module_pages <= MODULE_PAGES_MAX:
            yield f"{self._module_pages} module pages; expected 1 to {MODULE_PAGES_MAX}"

    def length(self) -> Iterator[str]:
        expected = (1 + self._sigstruct_pages + self._module_pages) * PAGE
        if self._size != expected:
            yield f"{self._size} bytes long; its header says {expected}"

    def reserved(self) -> Iterator[str]:
        if _any(self._content[HEADER_2_0.size : PAGE]):
            yield "reserved bytes of the header are not zero"


class _Header1:
    """The header of format 1.0, as the out-of-tree series reads it. The module is at 8192 in Intel's images."""

    def __init__(self, content: memoryview, size: int) -> None:
        self._content = content
        self._size = size
        _, _, self._module_offset, _, self._length = HEADER_1_0.unpack_from(content)

    def limits(self) -> Iterator[str]:
        if self._module_offset != MODULE_OFFSET:
            yield f"the module begins at {self._module_offset}; expected {MODULE_OFFSET}"
        problem = module_size_problem(max(self._size - MODULE_OFFSET, 0))
        if problem:
            yield problem

    def length(self) -> Iterator[str]:
        if self._size != self._length:
            yield f"{self._size} bytes long; its header says {self._length}"

    def reserved(self) -> Iterator[str]:
        if _any(self._content[HEADER_1_0.size : PAGE]):
            yield "reserved bytes of the header are not zero"
