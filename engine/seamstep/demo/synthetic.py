"""Made-up images with the layout of real ones, signed by a made-up key, and a payload that no CPU would run."""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA384

from seamstep.base.versions import ModuleVersion
from seamstep.image import sigstruct
from seamstep.image.layout import PAGE, SIGSTRUCT_SIZE
from seamstep.image.pack import pack

_HEADER_LENGTH = 0xE1  # words before the signed body
_MODULE_PAGES = 4
# Platforms by series, from the CPUID tables of Intel's published images.
_CPUID = {"1.5": (0x806F8, 0xC06F0, 0xA06F0), "2.0": (0xA06D0, 0xA06E0)}
_SVN_MAJOR = {"1.5": 1, "2.0": 3}


class Parts(NamedTuple):
    """What goes into a made-up sigstruct; the defaults are those of a release of series 1.5. ``build_date`` is
    yyyymmdd."""

    cpuid: tuple[int, ...] = _CPUID["1.5"]
    seamsvn: int = 0x10D
    build_date: str = "20260101"
    module_type: int = 0
    module_hv: int = 1
    min_update_hv: int = 0
    no_downgrade: int = 1
    handoff_pages: int = 13


class Signer:
    """A made-up signer with a key of its own."""

    def __init__(self) -> None:
        self._key: RSAPrivateKey = generate_private_key(sigstruct.EXPONENT, sigstruct.KEY_BITS)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the modulus, little-endian, in hex."""
        return hashlib.sha256(self._modulus()).hexdigest()

    def _modulus(self) -> bytes:
        return self._key.public_key().public_numbers().n.to_bytes(sigstruct.KEY_BITS // 8, "little")

    def sigstruct(self, module: bytes, parts: Parts) -> bytes:
        """A signed sigstruct for ``module``."""
        content = bytearray(SIGSTRUCT_SIZE)
        date, words = int(parts.build_date, 16), sigstruct.MODULUS_WORDS
        sigstruct.HEADER.pack_into(
            content,
            0,
            sigstruct.HEADER_TYPE,
            _HEADER_LENGTH,
            sigstruct.HEADER_VERSION,
            parts.module_type,
            sigstruct.VENDOR_INTEL,
            date,
            SIGSTRUCT_SIZE // 4,
            words,
            words,
            1,
        )
        content[sigstruct.MODULUS] = self._modulus()
        sigstruct.RSA_EXPONENT.pack_into(content, sigstruct.RSA_EXPONENT_OFFSET, sigstruct.EXPONENT)
        digest = hashlib.sha384(module).digest()
        sigstruct.BODY.pack_into(content, sigstruct.BODY_OFFSET, digest, parts.seamsvn, 0, 0)
        versions = (parts.module_hv, parts.min_update_hv, parts.no_downgrade, parts.handoff_pages)
        sigstruct.HANDOFF.pack_into(content, sigstruct.HANDOFF_OFFSET, *versions)
        sigstruct.CPUID_COUNT.pack_into(content, sigstruct.CPUID_COUNT_OFFSET, len(parts.cpuid))
        struct.pack_into(f"<{len(parts.cpuid)}I", content, sigstruct.CPUID_TABLE_OFFSET, *parts.cpuid)
        return self.sign(content)

    def sign(self, content: bytes | bytearray) -> bytes:
        """The sigstruct with its signature made anew over what it says now."""
        signed = b"".join(bytes(content[part]) for part in sigstruct.SIGNED)
        fresh = bytearray(content)
        fresh[sigstruct.RSA_SIGNATURE] = self._key.sign(signed, PKCS1v15(), SHA384())[::-1]
        return bytes(fresh)


def synthetic_module(name: str, pages: int = _MODULE_PAGES) -> bytes:
    """A module of ``pages`` pages; another name, another module."""
    return hashlib.shake_256(name.encode()).digest(pages * PAGE)


def synthetic_image(version: ModuleVersion, signer: Signer) -> bytes:
    """An image of format 2.0 that stands for ``version``."""
    seamsvn = _SVN_MAJOR.get(version.series, 0) << 8 | version.update & 0xFF
    module = synthetic_module(str(version))
    return pack(signer.sigstruct(module, Parts(cpuid=_CPUID.get(version.series, ()), seamsvn=seamsvn)), module, "2.0")
