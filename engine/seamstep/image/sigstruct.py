"""The SEAM sigstruct: what the signed part of an image says, and whether its signature holds.

Sources: P-SEAMLDR source (``seam_sigstruct_t``) for the fields; that the signature is RSA-3072 with PKCS#1 v1.5 and
SHA-384, with little-endian numbers, over bytes 0..127 and 900..2047, was measured on Intel's published images.
"""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

from seamstep.domain.model import Sigstruct
from seamstep.image.layout import SIGSTRUCT_SIZE, sigstruct_size_problem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

HEADER_TYPE = 6
HEADER_VERSION = 0x10000
VENDOR_INTEL = 0x8086
MODULUS_WORDS = 96
KEY_BITS = 3072
EXPONENT = 65537
CPUID_TABLE_MAX = 255

#: header_type, header_length, header_version, module_type, module_vendor, date, size, key_size, modulus_size,
#: exponent_size
HEADER = struct.Struct("<10I")
MODULUS = slice(128, 512)
RSA_EXPONENT = struct.Struct("<I")
RSA_EXPONENT_OFFSET = 512
RSA_SIGNATURE = slice(516, 900)
#: seamhash, seamsvn, attributes, rip_offset
BODY = struct.Struct("<48sHQI")
BODY_OFFSET = 900
#: module_hv, min_update_hv, no_downgrade, a reserved byte, num_handoff_pages
HANDOFF = struct.Struct("<HHBxH")
HANDOFF_OFFSET = 984
CPUID_COUNT = struct.Struct("<I")
CPUID_COUNT_OFFSET = 1024
CPUID_TABLE_OFFSET = 1028
#: The parts that the signature covers.
SIGNED = (slice(0, 128), slice(900, SIGSTRUCT_SIZE))


def parse(content: bytes) -> Sigstruct:
    """The fields of a sigstruct. A CPUID table that claims more entries than fit counts as empty; :func:`problems`
    tells.

    Raises:
        ValueError: not SIGSTRUCT_SIZE bytes.
    """
    problem = sigstruct_size_problem(len(content))
    if problem:
        raise ValueError(problem)
    _, _, _, module_type, vendor, date, *_ = HEADER.unpack_from(content)
    seamhash, seamsvn, attributes, _ = BODY.unpack_from(content, BODY_OFFSET)
    module_hv, min_update_hv, no_downgrade, handoff_pages = HANDOFF.unpack_from(content, HANDOFF_OFFSET)
    (count,) = CPUID_COUNT.unpack_from(content, CPUID_COUNT_OFFSET)
    count = count if count <= CPUID_TABLE_MAX else 0
    return Sigstruct(
        module_type=module_type,
        vendor=vendor,
        build_date=f"{date:08x}",
        mrseam=seamhash.hex(),
        seamsvn=seamsvn,
        attributes=attributes,
        module_hv=module_hv,
        min_update_hv=min_update_hv,
        no_downgrade=bool(no_downgrade),
        handoff_pages=handoff_pages,
        cpuid=struct.unpack_from(f"<{count}I", content, CPUID_TABLE_OFFSET),
        signer=hashlib.sha256(content[MODULUS]).hexdigest(),
    )


def problems(content: bytes) -> Iterator[str]:
    """What is wrong with the fields of a sigstruct of the right size."""
    header_type, _, version, _, vendor, date, _, _, modulus_words, _ = HEADER.unpack_from(content)
    for name, value, expected in (
        ("header_type", header_type, HEADER_TYPE),
        ("header_version", version, HEADER_VERSION),
        ("module_vendor", vendor, VENDOR_INTEL),
        ("modulus_size", modulus_words, MODULUS_WORDS),
    ):
        if value != expected:
            yield f"{name} is 0x{value:x}; expected 0x{expected:x}"
    if not f"{date:08x}".isdecimal():
        yield f"the date 0x{date:08x} is not in decimal digits (BCD)"
    (count,) = CPUID_COUNT.unpack_from(content, CPUID_COUNT_OFFSET)
    if count > CPUID_TABLE_MAX:
        yield f"the CPUID table claims {count} entries; at most {CPUID_TABLE_MAX} fit"


def signature_problem(content: bytes) -> str | None:
    """What is wrong with the signature of a sigstruct by its own modulus; None if it holds. Who owns the modulus is
    another question."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA384

    (exponent,) = RSA_EXPONENT.unpack_from(content, RSA_EXPONENT_OFFSET)
    modulus = int.from_bytes(content[MODULUS], "little")
    if exponent != EXPONENT:
        return f"the public exponent is {exponent}; expected {EXPONENT}"
    if modulus.bit_length() != KEY_BITS or not modulus & 1:
        return f"the modulus is not one of an RSA key of {KEY_BITS} bits"
    signed = b"".join(content[part] for part in SIGNED)
    try:
        _key(exponent, modulus).verify(content[RSA_SIGNATURE][::-1], signed, PKCS1v15(), SHA384())
    except ValueError as error:
        return f"the key is not usable: {error}"
    except InvalidSignature:
        return "the signature does not fit the sigstruct"
    return None


@functools.lru_cache(maxsize=8)
def _key(exponent: int, modulus: int) -> RSAPublicKey:
    """The public key of these numbers; one signer has signed nearly all images there are. Raises ValueError for numbers
    that are no key."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    return RSAPublicNumbers(exponent, modulus).public_key()
