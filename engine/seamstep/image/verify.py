"""Is an image what it claims to be, and from somebody trusted? Every check reports by itself."""

from __future__ import annotations

import functools
import hashlib

from seamstep.domain.model import INTEL_SIGNER, Check
from seamstep.image import layout, sigstruct
from seamstep.image.meanwhile import meanwhile

#: All checks in the order in which they are reported, and what each says when it is ok.
CHECKS = {
    "format": "an image of format 2.0 or 1.0, or a sigstruct and a module",
    "limits": "sigstruct and module are within the kernel's limits",
    "length": "the file is exactly as long as its parts",
    "reserved": "reserved bytes and padding are zero",
    "checksum": "all 16-bit words add up to 0",
    "sigstruct": "the fields have the values of a SEAM sigstruct",
    "module-hash": "the module's SHA-384 is the sigstruct's SEAMHASH",
    "signature": "the RSA-3072 signature holds",
    "signer": "the signer is trusted",
}


def all_checks(content: memoryview, signed: memoryview | None, trusted: frozenset[str]) -> tuple[Check, ...]:
    """All checks of an image; ``signed`` is the sigstruct where it comes in a file of its own."""
    return joined(content, trusted) if signed is None else separate(signed, content, trusted)


def joined(content: memoryview, trusted: frozenset[str]) -> tuple[Check, ...]:
    """All checks of an image of format 2.0 or 1.0.

    Args:
        content: the whole file.
        trusted: fingerprints (SHA-256 of the modulus in hex) of the trusted signers.
    """
    structure = layout.of(content)
    if structure.format is None:
        unchecked = Check("checksum", None, "not checked: the format is not known")
        return (*structure.checks, unchecked, *_signed_parts(structure.sigstruct, structure.module, trusted))
    checksum_problem = meanwhile(functools.partial(layout.checksum_problem, content))
    signed_parts = _signed_parts(structure.sigstruct, structure.module, trusted)
    return (*structure.checks, _check("checksum", checksum_problem()), *signed_parts)


def separate(signed: memoryview, module: memoryview, trusted: frozenset[str]) -> tuple[Check, ...]:
    """All checks of a sigstruct and a module in two files."""
    return (
        Check("format", True),
        _check("limits", layout.module_size_problem(len(module))),
        _check("length", layout.sigstruct_size_problem(len(signed))),
        Check("reserved", True, "does not apply to separate files"),
        Check("checksum", True, "does not apply to separate files"),
        *_signed_parts(signed, module, trusted),
    )


def _signed_parts(signed: memoryview, module: memoryview, trusted: frozenset[str]) -> tuple[Check, ...]:
    """The checks that don't depend on how sigstruct and module are wrapped."""
    if len(signed) != layout.SIGSTRUCT_SIZE:
        names = ("sigstruct", "module-hash", "signature", "signer")
        return tuple(Check(name, None, "not checked: there is no whole sigstruct") for name in names)
    content = bytes(signed)
    fields = sigstruct.parse(content)
    digest = hashlib.sha384(module).hexdigest()
    mismatch = f"the module's SHA-384 is {digest}; the sigstruct says {fields.mrseam}"
    return (
        _check("sigstruct", "; ".join(sigstruct.problems(content))),
        _check("module-hash", None if digest == fields.mrseam else mismatch),
        _check("signature", sigstruct.signature_problem(content)),
        _check("signer", signer_problem(fields.signer, trusted)),
    )


def signer_problem(signer: str, trusted: frozenset[str]) -> str | None:
    """Why a signer is not trusted, and what to add to trust it; None if it is."""
    if signer in trusted:
        return None
    return (
        f"signed by an unknown key, {signer}; Intel's is {INTEL_SIGNER}. To trust it, give --signer {signer}"
        " or list it under 'signers:' in the policy"
    )


def _check(name: str, problem: str | None) -> Check:
    return Check(name, not problem, problem or "")
