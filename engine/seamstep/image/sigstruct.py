"""The SEAM sigstruct: the fields of an image's signed part, and the check of its signature.

Sources: ``seam_sigstruct_t``, ``check_seam_sigstruct()`` and ``verify_manifest()`` of P-SEAMLDR's source. That the
signature is RSA-3072 with PKCS#1 v1.5 and SHA-384, with little-endian numbers, over bytes 0..127 and 900..2047, was
measured on Intel's published images.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from seamstep.domain.model import DEBUG_BIT, Sigstruct
from seamstep.image.layout import PAGE, SIGSTRUCT_SIZE, sigstruct_size_problem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

KEY_BITS = 3072
EXPONENT = 65537
CPUID_TABLE_MAX = 255
#: 32 exception handlers of 16 bytes.
FAULT_WRAPPERS_SIZE = 512
#: The parts that the signature covers.
SIGNED = (slice(0, 128), slice(900, SIGSTRUCT_SIZE))


class Field(NamedTuple):
    """The layout of a field of the sigstruct.

    Attributes:
        offset: in bytes from the start of the sigstruct.
        format: the format of the struct module, without byte order.
        only: the only value that P-SEAMLDR takes; None if there are several.
    """

    offset: int
    format: str
    only: int | None = None


#: All fields by their names in P-SEAMLDR's source. Reserved bytes are not checked, since P-SEAMLDR's version decides
#: which have to be zero; only those that published images use have an entry.
LAYOUT = {
    "header_type": Field(0, "I", 6),
    "header_length": Field(4, "I", 0xE1),
    "header_version": Field(8, "I", 0x10000),
    "module_type": Field(12, "I"),
    "module_vendor": Field(16, "I", 0x8086),
    "date": Field(20, "I"),
    "size": Field(24, "I", SIGSTRUCT_SIZE // 4),
    "key_size": Field(28, "I", KEY_BITS // 32),
    "modulus_size": Field(32, "I", KEY_BITS // 32),
    "exponent_size": Field(36, "I", 1),
    "modulus": Field(128, "384s"),
    "exponent": Field(512, "I", EXPONENT),
    "signature": Field(516, "384s"),
    "seamhash": Field(900, "48s"),
    "seamsvn": Field(948, "H"),
    "attributes": Field(950, "Q", 0),
    "rip_offset": Field(958, "I"),
    "num_stack_pages": Field(962, "B"),
    "num_tls_pages": Field(963, "B"),
    "num_keyhole_pages": Field(964, "H"),
    "num_global_data_pages": Field(966, "H"),
    "max_tdmrs": Field(968, "H"),
    "max_rsvd_per_tdmr": Field(970, "H"),
    "pamt_entry_size_4k": Field(972, "H"),
    "pamt_entry_size_2m": Field(974, "H"),
    "pamt_entry_size_1g": Field(976, "H"),
    "module_hv": Field(984, "H"),
    "min_update_hv": Field(986, "H"),
    "no_downgrade": Field(988, "B"),
    "num_handoff_pages": Field(990, "H"),
    "gdt_idt_offset": Field(992, "I"),
    "fault_wrapper_offset": Field(996, "I"),
    "reserved": Field(1000, "24s"),
    "cpuid_table_size": Field(1024, "I"),
    "cpuid_table": Field(1028, f"{4 * CPUID_TABLE_MAX}s"),
}


def unpack(content: bytes) -> dict[str, Any]:
    """The raw value of every field in LAYOUT."""
    return {name: struct.unpack_from(f"<{at.format}", content, at.offset)[0] for name, at in LAYOUT.items()}


def pack_into(content: bytearray, values: Mapping[str, Any]) -> None:
    """Write raw values into fields of LAYOUT; the inverse of :func:`unpack`."""
    for name, value in values.items():
        struct.pack_into(f"<{LAYOUT[name].format}", content, LAYOUT[name].offset, value)


def parse(content: bytes) -> Sigstruct:
    """The fields of a sigstruct. A CPUID table that claims more entries than fit counts as empty; :func:`problems`
    reports it.

    Raises:
        ValueError: not SIGSTRUCT_SIZE bytes.
    """
    problem = sigstruct_size_problem(len(content))
    if problem:
        raise ValueError(problem)
    raw = unpack(content)
    count = raw["cpuid_table_size"] if raw["cpuid_table_size"] <= CPUID_TABLE_MAX else 0
    as_they_are = {name: raw[name] for name in Sigstruct._fields if name in raw}
    others = {
        "vendor": raw["module_vendor"],
        "build_date": f"{raw['date']:08x}",
        "mrseam": raw["seamhash"].hex(),
        "no_downgrade": bool(raw["no_downgrade"]),
        "handoff_pages": raw["num_handoff_pages"],
        "cpuid": struct.unpack_from(f"<{count}I", raw["cpuid_table"]),
        "signer": hashlib.sha256(raw["modulus"]).hexdigest(),
        "reserved": raw["reserved"].hex(),
    }
    return Sigstruct(**as_they_are | others)


def problems(content: bytes, module_size: int) -> Iterator[str]:
    """The reasons for which P-SEAMLDR would refuse the fields of a sigstruct of the right size on any host. The date,
    which P-SEAMLDR ignores, is checked as well because measurements print it.

    Args:
        content: the sigstruct.
        module_size: the size of its module in bytes.
    """
    raw = unpack(content)
    for name, field in LAYOUT.items():
        if field.only is not None and raw[name] != field.only:
            yield f"{name} is 0x{raw[name]:x}; expected 0x{field.only:x}"
    module_type, count = raw["module_type"], raw["cpuid_table_size"]
    if module_type & ~DEBUG_BIT:
        yield f"module_type is 0x{module_type:x}; only bit 31 may be set"
    if not f"{raw['date']:08x}".isdecimal():
        yield f"the date 0x{raw['date']:08x} is not in decimal digits (BCD)"
    if not raw["seamsvn"] >> 8:
        yield f"seamsvn is 0x{raw['seamsvn']:x}; its high byte may not be 0"
    if raw["min_update_hv"] > raw["module_hv"]:
        yield f"min_update_hv is {raw['min_update_hv']}, above module_hv, {raw['module_hv']}"
    if count > CPUID_TABLE_MAX:
        yield f"the CPUID table claims {count} entries; at most {CPUID_TABLE_MAX} fit"
    if not count and not module_type & DEBUG_BIT:
        yield "the CPUID table is empty; only a debug module may do without"
    yield from _offset_problems(raw["gdt_idt_offset"], raw["fault_wrapper_offset"], module_size)


def _offset_problems(gdt_idt: int, fault_wrapper: int, module_size: int) -> Iterator[str]:
    if gdt_idt % PAGE:
        yield f"gdt_idt_offset is {gdt_idt}, not a multiple of {PAGE}"
    if bool(gdt_idt) != bool(fault_wrapper):
        yield f"gdt_idt_offset is {gdt_idt} and fault_wrapper_offset {fault_wrapper}; both or none has to be 0"
    for name, offset, size in (
        ("gdt_idt_offset", gdt_idt, PAGE),
        ("fault_wrapper_offset", fault_wrapper, FAULT_WRAPPERS_SIZE),
    ):
        if offset and offset > module_size - size:
            yield f"{name} is {offset}; {size} bytes from there are not inside the module's {module_size}"


def signature_problem(content: bytes) -> str | None:
    """The fault of a sigstruct's signature by the sigstruct's own modulus; None if it is valid. Trust in the signer is
    another check."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA384

    raw = unpack(content)
    exponent, modulus = raw["exponent"], int.from_bytes(raw["modulus"], "little")
    if exponent != EXPONENT:
        return f"the public exponent is {exponent}; expected {EXPONENT}"
    if modulus.bit_length() != KEY_BITS or not modulus & 1:
        return f"the modulus is not one of an RSA key of {KEY_BITS} bits"
    signed = b"".join(content[part] for part in SIGNED)
    try:
        _key(exponent, modulus).verify(raw["signature"][::-1], signed, PKCS1v15(), SHA384())
    except ValueError as error:
        return f"the key is not usable: {error}"
    except InvalidSignature:
        return "the signature does not fit the sigstruct"
    return None


@functools.lru_cache(maxsize=8)
def _key(exponent: int, modulus: int) -> RSAPublicKey:
    """The public key of these numbers, cached because nearly all images have the same signer. Raises ValueError for
    numbers that are no key."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    return RSAPublicNumbers(exponent, modulus).public_key()
