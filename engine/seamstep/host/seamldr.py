"""P-SEAMLDR on a simulated host: what it checks before it loads a TDX module, in its order.

All of it comes after the old module was shut down: a refusal loses TDX and every TD. The checks are those of
``seamldr_install()`` in P-SEAMLDR's source, then those of TDH.SYS.UPDATE in the TDX module's. They are written a second
time here, apart from ``seamstep.rules`` and ``seamstep.image.verify``, so that tests can hold these against them; the
place of each field in a sigstruct is all that is shared.

Not checked here: ELF relocation (the host knows which bytes are a module), entropy, and what TDH.SYS.INIT demands of
the platform. A :class:`~seamstep.host.simulated.Fault` stands for any of them.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from seamstep.domain.model import INTEL_SIGNER
from seamstep.image.sigstruct import SIGNED, unpack

_PAGE, _2MIB, _1GIB = 1 << 12, 1 << 21, 1 << 30
_MODULE_PAGES_MAX = 496
_CPUID_TABLE_MAX = 255
_STEPPING = 0xF
_DEBUG = 1 << 31
_EXPONENT, _MODULUS_SIZE = 65537, 384
#: 32 exception handlers of 16 bytes.
_FAULT_WRAPPERS = 512
#: The header before the data that a module hands over.
_HANDOFF_HEADER = 8
#: What modules of handoff version 1 take from one of version 0, whatever their own room (TDX_HANDOFF_V0_PAGES).
_HANDOFF_0_MAX = 25 * _PAGE
#: The DER encoding of "a SHA-384 digest follows" (PKCS#1, EMSA-PKCS1-v1_5).
_SHA384 = bytes.fromhex("3041300d060960864801650304020205000430")
_FIXED = {
    "header_type": 6,
    "header_length": 0xE1,
    "header_version": 0x10000,
    "key_size": 0x60,
    "modulus_size": 0x60,
    "exponent_size": 1,
    "module_vendor": 0x8086,
    "attributes": 0,
    "size": 0x200,
    "exponent": _EXPONENT,
}

_Fields = Mapping[str, Any]


class Platform(NamedTuple):
    """What P-SEAMLDR finds on a machine.

    Attributes:
        processors: logical processors, those hidden from Linux too.
        sockets: CPUID.1.EAX of each socket.
        seam_range: the bytes of the SEAM range that a module may take.
        addressable: logical processors that memory is set aside for: those of a socket by CPUID leaf 4, rounded up to
            a power of two, times the sockets; 0 for as many as there are.
        signer: SHA-256 of the modulus of the key that is built into P-SEAMLDR, in hex.
        debug_unlocked: whether debug-signed modules are taken (MSR 0x503).
        reserved: the bytes of a sigstruct that this version of P-SEAMLDR wants to be zero.
    """

    processors: int
    sockets: tuple[int, ...]
    seam_range: int
    addressable: int = 0
    signer: str = INTEL_SIGNER
    debug_unlocked: bool = False
    reserved: tuple[slice, ...] = (slice(40, 128), slice(978, 984), slice(989, 990), slice(1000, 1024))


class Refusal(NamedTuple):
    """Why a module was not loaded: the ``check`` that failed and the ``error`` as P-SEAMLDR or TDH.SYS.UPDATE name
    it."""

    check: str
    error: str


class Upload(NamedTuple):
    """What the kernel passes on: the pages of the sigstruct and of the module. ``is_module`` is false for bytes that
    can't be loaded as an ELF file."""

    sigstruct: bytes
    module: bytes
    is_module: bool = True


class Seamldr:
    """P-SEAMLDR with the module that it loaded last.

    Args:
        platform: where it runs.
        running: the sigstruct of the running module.
        remaining_updates: how many more modules its log has room for.
        handoff_size: the bytes that a module hands over, without the header; None for as many as its pages hold.
    """

    def __init__(
        self, platform: Platform, running: bytes, remaining_updates: int, handoff_size: int | None = None
    ) -> None:
        self.platform = platform
        self.remaining_updates = remaining_updates
        self._running = unpack(running)
        self._handoff_size = handoff_size

    def update(self, callers: int, upload: Upload) -> Refusal | None:
        """Load a module once ``callers`` logical processors called SEAMLDR.INSTALL, and let it take over what the
        running one hands over. The refusal, if any, leaves no module running."""
        refusal = next(self._install_refusals(callers, upload), None)
        if refusal is None:
            self.remaining_updates -= 1
            old, self._running = self._running, unpack(upload.sigstruct)
            refusal = next(self._take_over_refusals(old, self._running), None)
        return refusal

    # -- SEAMLDR.INSTALL

    def _install_refusals(self, callers: int, upload: Upload) -> Iterator[Refusal]:
        if callers < self.platform.processors:
            yield Refusal("processors", "no module was installed")  # each call succeeds; the last one never comes
        pages = len(upload.module) // _PAGE
        if len(upload.sigstruct) != _PAGE or not 1 <= pages <= _MODULE_PAGES_MAX:
            yield Refusal("pages", "EBADPARAM")
        new = unpack(upload.sigstruct)
        if not self._are_fields_sound(upload.sigstruct, new):
            yield Refusal("fields", "EBADSIG")
        yield from self._manifest_refusals(upload, new)
        if seam_memory(new, self.platform.addressable or self.platform.processors, pages) > self.platform.seam_range:
            yield Refusal("memory", "ENOMEM")
        if not self.remaining_updates:
            yield Refusal("remaining", "EBADCALL")
        room = (self._running["num_handoff_pages"] + 1) * _PAGE
        if self._handed_over(self._running) + _HANDOFF_HEADER > room or not _takes(new, self._running["module_hv"]):
            yield Refusal("handoff", "EBADHANDOFF")
        if hashlib.sha384(upload.module).digest() != new["seamhash"]:
            yield Refusal("hash", "EBADHASH")
        if not upload.is_module:
            yield Refusal("relocation", "EBADPARAM")

    def _are_fields_sound(self, signed: bytes, new: _Fields) -> bool:
        """``check_seam_sigstruct()``."""
        gdt_idt, fault_wrapper = new["gdt_idt_offset"], new["fault_wrapper_offset"]
        return (
            not any(any(signed[part]) for part in self.platform.reserved)
            and all(new[name] == value for name, value in _FIXED.items())
            and new["module_type"] in {0, _DEBUG}
            and new["cpuid_table_size"] <= _CPUID_TABLE_MAX
            and new["min_update_hv"] <= new["module_hv"]
            and gdt_idt % _PAGE == 0
            and (gdt_idt == 0) == (fault_wrapper == 0)
        )

    def _manifest_refusals(self, upload: Upload, new: _Fields) -> Iterator[Refusal]:
        """``verify_manifest()``, from the signer's key on."""
        debug = new["module_type"] == _DEBUG
        if hashlib.sha256(new["modulus"]).hexdigest() != self.platform.signer:
            yield Refusal("signer", "EBADSIG")
        if debug and not self.platform.debug_unlocked:
            yield Refusal("debug", "EBADSIG")
        (major, minor), (old_major, old_minor) = (divmod(each["seamsvn"], 256) for each in (new, self._running))
        if major == 0 or major != old_major:
            yield Refusal("svn-major", "EUNSUPPORTED")
        if minor < old_minor:
            yield Refusal("svn-minor", "EBADSIG")
        size, gdt_idt, fault_wrapper = len(upload.module), new["gdt_idt_offset"], new["fault_wrapper_offset"]
        if (gdt_idt and gdt_idt + _PAGE > size) or (fault_wrapper and fault_wrapper + _FAULT_WRAPPERS > size):
            yield Refusal("offsets", "EBADSIG")
        table = struct.unpack_from(f"<{new['cpuid_table_size']}I", new["cpuid_table"])
        families = {signature & ~_STEPPING for signature in table}
        if table and any(signature & ~_STEPPING not in families for signature in self.platform.sockets):
            yield Refusal("cpus", "EUNSUPCPU")
        if not table and not debug:
            yield Refusal("no-cpus", "EBADSIG")
        if not _is_signature_valid(upload.sigstruct):
            yield Refusal("signature", "EBADSIG")

    # -- TDH.SYS.UPDATE of the new module

    def _take_over_refusals(self, old: _Fields, new: _Fields) -> Iterator[Refusal]:
        """What it wants besides what SEAMLDR.INSTALL made sure of: the handoff version and all logical processors."""
        room = (new["num_handoff_pages"] + 1) * _PAGE - _HANDOFF_HEADER
        if old["module_hv"] == 0 < new["module_hv"]:
            room = _HANDOFF_0_MAX
        if self._handed_over(old) > room:
            yield Refusal("handoff-room", "fatal error of the module")

    def _handed_over(self, module: _Fields) -> int:
        """The bytes that a module hands over."""
        if self._handoff_size is not None:
            return self._handoff_size
        return int((module["num_handoff_pages"] + 1) * _PAGE - _HANDOFF_HEADER)


def seam_memory(fields: _Fields, processors: int, module_pages: int) -> int:
    """The bytes of the SEAM range that a module needs; ``initialize_memory_constants()``.

    Args:
        fields: the raw fields of its sigstruct.
        processors: logical processors that memory is set aside for.
        module_pages: the size of the module in pages.
    """
    stack = (fields["num_stack_pages"] + 2) * _PAGE * processors  # one of them is the shadow stack
    local = (fields["num_tls_pages"] + 1) * _PAGE * processors
    data = local + (fields["num_global_data_pages"] + 1 + fields["num_handoff_pages"] + 1) * _PAGE
    keyhole = (fields["num_keyhole_pages"] + 1) * _PAGE * processors  # addresses, no memory
    keyhole_edit = _round_up(keyhole // _PAGE * 8)
    tables = sum(map(_page_tables, (_PAGE, stack, data, keyhole, keyhole_edit, module_pages * _PAGE))) + 1
    return int(_PAGE + _PAGE * processors + stack + data + _PAGE * tables + _2MIB)


def _page_tables(size: int) -> int:
    """``page_tables_needed_to_map()``."""
    return sum(_round_up(size // unit * 8) // _PAGE for unit in (_PAGE, _2MIB, _1GIB))


def _round_up(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


def _takes(module: _Fields, handoff_version: int) -> bool:
    return bool(module["min_update_hv"] <= handoff_version <= module["module_hv"])


@functools.lru_cache(maxsize=1024)
def _is_signature_valid(signed: bytes) -> bool:
    """RSA-3072, PKCS#1 v1.5, SHA-384; numbers are little-endian."""
    fields = unpack(signed)
    modulus, signature = (int.from_bytes(fields[name], "little") for name in ("modulus", "signature"))
    digest = hashlib.sha384(b"".join(signed[part] for part in SIGNED)).digest()
    encoded = (b"\0" + _SHA384 + digest).rjust(_MODULUS_SIZE - 2, b"\xff").rjust(_MODULUS_SIZE - 1, b"\1")
    return modulus > 1 and pow(signature, _EXPONENT, modulus) == int.from_bytes(encoded, "big")
