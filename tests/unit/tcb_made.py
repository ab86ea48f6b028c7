"""Made-up TCB Info documents and issuer chains, of Intel's form and signed by keys of our own."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from seamstep.tcb.chain import ROOT_NAME, SIGNING_NAME

#: A day on which the made documents and chains are valid.
DAY = date(2026, 3, 1)


def name(common: str) -> x509.Name:
    parts = {
        NameOID.COMMON_NAME: common,
        NameOID.ORGANIZATION_NAME: "Intel Corporation",
        NameOID.LOCALITY_NAME: "Santa Clara",
        NameOID.STATE_OR_PROVINCE_NAME: "CA",
        NameOID.COUNTRY_NAME: "US",
    }
    return x509.Name([x509.NameAttribute(oid, value) for oid, value in parts.items()])


def usage(*, sign: bool = False, certify: bool = False) -> x509.KeyUsage:
    others = dict.fromkeys(("key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False)
    return x509.KeyUsage(sign, sign, key_cert_sign=certify, crl_sign=certify, decipher_only=False, **others)


@dataclass
class Made:
    """A certificate to be: Intel's form unless a test says otherwise."""

    common: str
    ca: bool = False
    curve: ec.EllipticCurve = field(default_factory=ec.SECP256R1)
    hash: hashes.SHA256 | hashes.SHA384 = field(default_factory=hashes.SHA256)
    first: datetime = datetime(2025, 5, 6, tzinfo=UTC)
    last: datetime = datetime(2032, 5, 6, tzinfo=UTC)
    marked_ca: bool | None = None
    key_usage: x509.KeyUsage | None = None
    critical: bool = False

    def __post_init__(self) -> None:
        self.key = ec.generate_private_key(self.curve)

    def certificate(self, issuer: Made) -> x509.Certificate:
        builder = x509.CertificateBuilder().subject_name(name(self.common)).issuer_name(name(issuer.common))
        builder = builder.public_key(self.key.public_key()).serial_number(7)
        builder = builder.not_valid_before(self.first).not_valid_after(self.last)
        marked = self.ca if self.marked_ca is None else self.marked_ca
        builder = builder.add_extension(x509.BasicConstraints(marked, 1 if marked else None), critical=True)
        builder = builder.add_extension(self.key_usage or usage(sign=not self.ca, certify=self.ca), critical=True)
        if self.critical:
            unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
            builder = builder.add_extension(unknown, critical=True)
        return builder.sign(issuer.key, self.hash)


def root(**changes: Any) -> Made:
    return Made(ROOT_NAME, ca=True, **changes)


def signing(**changes: Any) -> Made:
    return Made(**{"common": SIGNING_NAME, **changes})


def point(made: Made) -> str:
    numbers = made.key.public_key().public_numbers()
    return f"{numbers.x:064x}{numbers.y:064x}"


def pem(*certificates: x509.Certificate) -> str:
    return "".join(one.public_bytes(Encoding.PEM).decode() for one in certificates)


def level(isvsvn: int, status: str = "UpToDate", *advisories: str, day: str = "2024-11-13") -> dict[str, Any]:
    return {
        "tcb": {"isvsvn": isvsvn},
        "tcbDate": f"{day}T00:00:00Z",
        "tcbStatus": status,
        **({"advisoryIDs": list(advisories)} if advisories else {}),
    }


def body(levels: list[dict[str, Any]] | None = None, **changes: Any) -> dict[str, Any]:
    """The value of tcbInfo; ``levels`` are those of TDX_01."""
    return {
        "id": "TDX",
        "version": 3,
        "issueDate": "2026-02-18T10:58:51Z",
        "nextUpdate": "2026-03-20T10:58:51Z",
        "fmspc": "90C06F000000",
        "tcbEvaluationDataNumber": 18,
        "tdxModuleIdentities": [{"id": "TDX_01", "tcbLevels": levels or [level(6), level(4, "OutOfDate")]}],
    } | changes


def signature(text: str, key: ec.EllipticCurvePrivateKey) -> str:
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{r:064x}{s:064x}"


def write(folder: Path, text: str, signer: Made, issuer: Made, *, name: str = "tcb", above: Made | None = None) -> Path:
    """A document with the text of tcbInfo, and its chain; ``above`` issued the last certificate."""
    path = folder / f"{name}.json"
    signed = signature(text, signer.key) if isinstance(signer.curve, ec.SECP256R1) else "11" * 64
    path.write_text(f'{{"tcbInfo":{text},"signature":"{signed}"}}')
    chain = pem(signer.certificate(issuer), issuer.certificate(above or issuer))
    path.with_suffix(".pem").write_text(chain)
    return path


def compact(data: dict[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"))
