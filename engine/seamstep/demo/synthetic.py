"""Synthetic images: the layout of real ones, a signature by a generated key, and a payload that is no program."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA384

from seamstep.base.versions import ModuleVersion
from seamstep.image import sigstruct
from seamstep.image.layout import PAGE, SIGSTRUCT_SIZE
from seamstep.image.pack import pack

_MODULE_PAGES = 4
# Platforms by series, from the CPUID tables of Intel's published images.
_CPUID = {"1.5": (0x806F8, 0xC06F0, 0xA06F0), "2.0": (0xA06D0, 0xA06E0)}
_SVN_MAJOR = {"1.5": 1, "2.0": 3}


# The values in Intel's images of series 1.5.
_SIZES = {
    "num_stack_pages": 1,
    "num_tls_pages": 1,
    "num_keyhole_pages": 127,
    "num_global_data_pages": 21,
    "max_tdmrs": 64,
    "max_rsvd_per_tdmr": 16,
    "pamt_entry_size_4k": 16,
    "pamt_entry_size_2m": 16,
    "pamt_entry_size_1g": 16,
}


class Parts(NamedTuple):
    """The variable fields of a synthetic sigstruct. The defaults fit a release of series 1.5 and pass every check.

    Attributes:
        cpuid: the signatures (CPUID.1.EAX) of the supported CPUs.
        seamsvn: the module's SVN, with the major in the high byte.
        build_date: the build date as yyyymmdd.
        module_type: bit 31 marks a debug module.
        module_hv: the handoff version that the module writes.
        min_update_hv: the lowest handoff version that the module reads.
        no_downgrade: 1 if the module declares downgrades forbidden.
        handoff_pages: the number of pages for handoff data.
        fields: raw values of any fields by their names in ``sigstruct.LAYOUT``; they override all other values.
    """

    cpuid: tuple[int, ...] = _CPUID["1.5"]
    seamsvn: int = 0x10D
    build_date: str = "20260101"
    module_type: int = 0
    module_hv: int = 1
    min_update_hv: int = 0
    no_downgrade: int = 1
    handoff_pages: int = 13
    fields: Mapping[str, Any] = MappingProxyType({})


class Signer:
    """A signer with a newly generated key."""

    def __init__(self) -> None:
        self._key: RSAPrivateKey = generate_private_key(sigstruct.EXPONENT, sigstruct.KEY_BITS)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the key's little-endian modulus, in hex."""
        return hashlib.sha256(self._modulus()).hexdigest()

    def _modulus(self) -> bytes:
        return self._key.public_key().public_numbers().n.to_bytes(sigstruct.KEY_BITS // 8, "little")

    def sigstruct(self, module: bytes, parts: Parts) -> bytes:
        """A signed sigstruct for ``module``."""
        last_page = len(module) - PAGE
        values = {
            **{name: field.only for name, field in sigstruct.LAYOUT.items() if field.only is not None},
            **_SIZES,
            "gdt_idt_offset": last_page,
            "fault_wrapper_offset": last_page // 2,
            "module_type": parts.module_type,
            "date": int(parts.build_date, 16),
            "modulus": self._modulus(),
            "seamhash": hashlib.sha384(module).digest(),
            "seamsvn": parts.seamsvn,
            "module_hv": parts.module_hv,
            "min_update_hv": parts.min_update_hv,
            "no_downgrade": parts.no_downgrade,
            "num_handoff_pages": parts.handoff_pages,
            "cpuid_table_size": len(parts.cpuid),
            "cpuid_table": struct.pack(f"<{len(parts.cpuid)}I", *parts.cpuid),
            **parts.fields,
        }
        content = bytearray(SIGSTRUCT_SIZE)
        sigstruct.pack_into(content, values)
        return self.sign(content)

    def sign(self, content: bytes | bytearray) -> bytes:
        """The sigstruct ``content`` with a new signature over its present fields."""
        signed = b"".join(bytes(content[part]) for part in sigstruct.SIGNED)
        fresh = bytearray(content)
        sigstruct.pack_into(fresh, {"signature": self._key.sign(signed, PKCS1v15(), SHA384())[::-1]})
        return bytes(fresh)


def synthetic_module(name: str, pages: int = _MODULE_PAGES) -> bytes:
    """The bytes of a module of ``pages`` pages, derived from ``name``."""
    return hashlib.shake_256(name.encode()).digest(pages * PAGE)


def synthetic_image(version: ModuleVersion, signer: Signer) -> bytes:
    """An image of format 2.0 for the release ``version``. An unknown series gets the CPUs and the SVN major of 1.5."""
    series = version.series if version.series in _CPUID else "1.5"
    parts = Parts(cpuid=_CPUID[series], seamsvn=_SVN_MAJOR[series] << 8 | version.update & 0xFF)
    module = synthetic_module(str(version))
    return pack(signer.sigstruct(module, parts), module, "2.0")
