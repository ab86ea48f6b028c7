"""Verification of images: structure, fields, hash, signature and signer. All checks are made, whatever fails."""

from __future__ import annotations

import hashlib

from seamstep.domain.model import INTEL_SIGNER, Check
from seamstep.image import layout, sigstruct

#: All checks in the order of reports, each with the statement that it confirms.
CHECKS = {
    "format": "an image of format 2.0 or 1.0, or a sigstruct and a module",
    "limits": "sigstruct and module are within the kernel's limits",
    "length": "the file is exactly as long as its parts",
    "reserved": "reserved bytes and padding are zero",
    "checksum": "all 16-bit words add up to 0",
    "sigstruct": "the sigstruct's fields have values that P-SEAMLDR takes",
    "module-hash": "the module's SHA-384 is the sigstruct's SEAMHASH",
    "signature": "the RSA-3072 signature holds",
    "signer": "the signer is trusted",
}


def all_checks(content: memoryview, signed: memoryview | None, trusted: frozenset[str]) -> tuple[Check, ...]:
    """All checks of an image; ``signed`` is the file of the sigstruct, if it has one of its own."""
    return joined(content, trusted) if signed is None else separate(signed, content, trusted)


def joined(content: memoryview, trusted: frozenset[str]) -> tuple[Check, ...]:
    """All checks of an image of format 2.0 or 1.0.

    Args:
        content: the whole file.
        trusted: fingerprints (SHA-256 of the modulus in hex) of the trusted signers.
    """
    structure = layout.of(content)
    checksum = Check("checksum", None, "not checked: the format is not known")
    if structure.format is not None:
        checksum = _check("checksum", layout.checksum_problem(content))
    return (*structure.checks, checksum, *_signed_parts(structure.sigstruct, structure.module, trusted))


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
    """The checks that are the same for joined and separate files."""
    if len(signed) != layout.SIGSTRUCT_SIZE:
        names = ("sigstruct", "module-hash", "signature", "signer")
        return tuple(Check(name, None, "not checked: there is no whole sigstruct") for name in names)
    content = bytes(signed)
    fields = sigstruct.parse(content)
    digest = hashlib.sha384(module).hexdigest()
    mismatch = f"the module's SHA-384 is {digest}; the sigstruct says {fields.mrseam}"
    return (
        _check("sigstruct", "; ".join(sigstruct.problems(content, len(module)))),
        _check("module-hash", None if digest == fields.mrseam else mismatch),
        _check("signature", sigstruct.signature_problem(content)),
        _check("signer", signer_problem(fields.signer, trusted)),
    )


def signer_problem(signer: str, trusted: frozenset[str]) -> str | None:
    """The message for a signer that is not trusted, with advice for simulated hosts; None for a trusted one."""
    if signer in trusted:
        return None
    return (
        f"signed by an unknown key, {signer}. P-SEAMLDR takes no other than Intel's, {INTEL_SIGNER}. For a simulated"
        f" host, give --signer {signer} or list it under 'signers:' in the policy"
    )


def _check(name: str, problem: str | None) -> Check:
    return Check(name, not problem, problem or "")
