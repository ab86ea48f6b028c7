"""The issuer chain of a TCB Info document: the certificate that signs it, and Intel's root that issued this one.

The trust is in the root's public key, which is part of this module. Each certificate has to be what Intel's are: key on
P-256, signed with ECDSA and SHA-256, Intel's names, CA flag and key usage, valid on the day. Revocation lists are not
read. Source: Intel SGX PCK certificate and CRL specification; Intel's published root certificate.
"""

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from seamstep.base.documents import decode, read_bytes, read_regular
from seamstep.base.errors import InputError, Problem

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, Name

WHAT = "issuer chain"
SIZE_LIMIT = 64 << 10
#: The public key of the Intel SGX Root CA: X and Y of the point on P-256. The root certificate that Intel publishes,
#: Intel_SGX_Provisioning_Certification_RootCA.pem, has it; its SHA-256 fingerprint is
#: 44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3.
INTEL_ROOT = (
    "0ba9c4c0c0c86193a3fe23d6b02cda10a8bbd4e88e48b4458561a36e705525f5"
    "67918e2edc88e40d860bd0cc4ee26aacc988e505a953558c453f6b0904ae7394"
)
ROOT_NAME = "Intel SGX Root CA"
SIGNING_NAME = "Intel SGX TCB Signing"
#: The parts of both names besides the common name, by object id.
_INTEL = {"2.5.4.10": "Intel Corporation", "2.5.4.7": "Santa Clara", "2.5.4.8": "CA", "2.5.4.6": "US"}
_COMMON_NAME = "2.5.4.3"
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END CERTIFICATE-----[ \r\n]*", re.ASCII)
#: The extensions that are understood here: basic constraints and key usage. Another critical one is refused.
_UNDERSTOOD = {"2.5.29.19", "2.5.29.15"}


class IssuerChain(NamedTuple):
    """A certificate chain: ``signing`` signs documents, ``root`` issued it. ``source`` is the file."""

    source: str
    signing: Certificate
    root: Certificate


def read(path: str, *, found: bool = False) -> IssuerChain:
    """Read a chain of two certificates in PEM, the signing one first, plain or URL-encoded as the header
    ``TCB-Info-Issuer-Chain`` has it. Nothing is verified.

    Raises:
        InputError: unreadable, or not two certificates.
    """
    content = (read_regular if found else read_bytes)(path, SIZE_LIMIT, WHAT)
    return parse(decode(content, path), path)


def parse(text: str, source: str) -> IssuerChain:
    """The chain in a text. Raises InputError as :func:`read` does."""
    if text.startswith("-----BEGIN%20"):
        text = unquote(text)  # what is not UTF-8 becomes a character that no certificate has
    blocks = list(_PEM.finditer(text))
    if not blocks or "".join(block[0] for block in blocks) != text.lstrip(" \r\n"):
        raise InputError(Problem(source, "chain: expected certificates in PEM and nothing else"))
    if len(blocks) != 2:
        message = f"chain: {len(blocks)} certificates; expected two, '{SIGNING_NAME}' and then '{ROOT_NAME}'"
        raise InputError(Problem(source, message))
    return IssuerChain(source, *(_certificate(block[1], source, place) for place, block in enumerate(blocks, 1)))


def _certificate(text: str, source: str, place: int) -> Certificate:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _loaded(re.sub(r"[\r\n]", "", text))
    except Exception as error:  # which ones the library raises for hostile input differs from version to version
        message = f"chain: certificate {place} can't be read: {type(error).__name__}"
        raise InputError(Problem(source, message)) from None


def _loaded(text: str) -> Certificate:
    """The certificate in base64, all of whose parts can be read. Each has one text only: unused bits are refused where
    base64 and DER have some."""
    from cryptography import x509

    der = base64.b64decode(text, validate=True)
    if base64.b64encode(der).decode() != text:
        raise ValueError("unused bits in base64")
    certificate = x509.load_der_x509_certificate(der)
    if not der.endswith(bytes([3, len(certificate.signature) + 1 & 0xFF, 0]) + certificate.signature):
        raise ValueError("unused bits in the signature")
    for parts in (certificate.extensions, certificate.subject, certificate.issuer):
        list(parts)
    certificate.public_key()
    validity(certificate)
    return certificate


def problems(chain: IssuerChain, as_of: date, trusted: frozenset[str] = frozenset({INTEL_ROOT})) -> list[Problem]:
    """The checks that the chain fails on a day, each with its name. ``trusted`` are public keys of roots, as X and Y in
    hex."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(_problems(chain, as_of, trusted))


def _problems(chain: IssuerChain, as_of: date, trusted: frozenset[str]) -> Iterator[Problem]:
    for certificate, name in ((chain.signing, SIGNING_NAME), (chain.root, ROOT_NAME)):
        for check, message in _own_problems(certificate, name, as_of):
            yield Problem(chain.source, f"{check}: the certificate of '{name}' {message}")
    if _point(chain.root) not in trusted:
        message = f"root: the last certificate has another key than the {ROOT_NAME}'s, which is the only one trusted"
        yield Problem(chain.source, message)
    for certificate, name in ((chain.signing, SIGNING_NAME), (chain.root, ROOT_NAME)):
        if _names(certificate.issuer) != _names(chain.root.subject):
            yield Problem(chain.source, f"issuer: the certificate of '{name}' was not issued by the last certificate")
        elif not holds(chain.root, certificate.signature, certificate.tbs_certificate_bytes):
            message = f"certificate-signature: the signature of the certificate of '{name}' does not hold"
            yield Problem(chain.source, message)


def _own_problems(certificate: Certificate, name: str, as_of: date) -> Iterator[tuple[str, str]]:
    """What is wrong with one certificate by itself: the name of the check, and the fault."""
    if _names(certificate.subject) != _names_of(name):
        yield "name", f"is for '{_common_name(certificate.subject)}'"
    if not _point(certificate):
        yield "curve", "has no key on the curve P-256"
    if certificate.signature_algorithm_oid.dotted_string != "1.2.840.10045.4.3.2":
        yield "algorithm", "is not signed with ECDSA and SHA-256"
    yield from _flag_problems(certificate, authority=name == ROOT_NAME)
    first, last = validity(certificate)
    if as_of < first.date():
        yield "validity", f"is valid from {first.date()} on, not on {as_of}"
    if as_of > last.date():
        yield "validity", f"expired on {last.date()}"


def _flag_problems(certificate: Certificate, *, authority: bool) -> Iterator[tuple[str, str]]:
    from cryptography import x509

    by_id = {extension.oid.dotted_string: extension for extension in certificate.extensions}
    constraints, usage = (by_id[oid].value if oid in by_id else None for oid in ("2.5.29.19", "2.5.29.15"))
    if not isinstance(constraints, x509.BasicConstraints) or constraints.ca is not authority:
        yield "ca", f"is not marked CA:{'TRUE' if authority else 'FALSE'}"
    if not isinstance(usage, x509.KeyUsage) or not (usage.key_cert_sign if authority else usage.digital_signature):
        yield "key-usage", f"is not for {'signing certificates' if authority else 'digital signatures'}"
    for oid, extension in by_id.items():
        if extension.critical and oid not in _UNDERSTOOD:
            yield "extension", f"has the critical extension {oid}, which is not understood"


def validity(certificate: Certificate) -> tuple[datetime, datetime]:
    """The first and the last moment at which a certificate is valid."""
    if hasattr(certificate, "not_valid_before_utc"):  # since cryptography 42, which warns of the older names
        return certificate.not_valid_before_utc, certificate.not_valid_after_utc
    first, last = certificate.not_valid_before, certificate.not_valid_after
    return first.replace(tzinfo=UTC), last.replace(tzinfo=UTC)


def _names(name: Name) -> list[tuple[str, str]]:
    return sorted((part.oid.dotted_string, str(part.value)) for part in name)


def _names_of(common_name: str) -> list[tuple[str, str]]:
    return sorted({_COMMON_NAME: common_name, **_INTEL}.items())


def _common_name(name: Name) -> str:
    return next((value for oid, value in _names(name) if oid == _COMMON_NAME), "")[:80]


def _point(certificate: Certificate) -> str:
    """X and Y of a certificate's key in hex; empty if it is not on P-256."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

    key = certificate.public_key()
    if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
        return ""
    numbers = key.public_numbers()
    return f"{numbers.x:064x}{numbers.y:064x}"


def signature_problem(chain: IssuerChain, signature: str, signed: bytes) -> str | None:
    """The fault of a document's signature: r and s in hex, over ``signed``; None if it holds."""
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    r, s = int(signature[:64], 16), int(signature[64:], 16)
    if holds(chain.signing, encode_dss_signature(r, s), signed):
        return None
    return f"signature: the text of tcbInfo was not signed by the certificate of '{SIGNING_NAME}' in {chain.source}"


def holds(signer: Certificate, signature: bytes, signed: bytes) -> bool:
    """Whether a DER signature by the key of ``signer`` holds: ECDSA on P-256 with SHA-256."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.hashes import SHA256

    key = signer.public_key()
    if not isinstance(key, EllipticCurvePublicKey) or not _point(signer):
        return False
    try:
        key.verify(signature, signed, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
