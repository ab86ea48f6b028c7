"""TCB Info: what verifies, what does not and by which check, and the TCB status of every published release."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import tcb_made as made
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from conftest import DATA, PUBLISHED, THOROUGH
from seamstep.base.errors import InputError
from seamstep.domain.tcb import TcbInfo, TcbLevel, TcbStatus, newest, worst
from seamstep.tcb import chain, files

REAL = DATA / "tcb"
NEW, OLD = REAL / "tcb-info-90C06F000000-18.json", REAL / "tcb-info-B0C06F000000-17.json"
ROOT = made.root()
TRUST = frozenset({made.point(ROOT)})
BOTH = ("INTEL-SA-01036", "INTEL-SA-01099")

#: Compared by hand with the two documents; docs/tcb.md prints it. By version: the status in the document of evaluation
#: number 18, the tcbDate of its level, and the status in the one of number 17.
TABLE = {
    "1.5.01": ("OutOfDate", "2024-03-13", "UpToDate"),
    "1.5.05": ("OutOfDate", "2024-03-13", "UpToDate"),
    "1.5.06": ("UpToDate", "2024-11-13", "UpToDate"),
    "1.5.08": ("UpToDate", "2024-11-13", "UpToDate"),
    "1.5.09": ("UpToDate", "2024-11-13", "UpToDate"),
    "1.5.13": ("UpToDate", "2024-11-13", "UpToDate"),
    "1.5.16": ("UpToDate", "2024-11-13", "UpToDate"),
    "2.0.02": ("UpToDate", "2024-11-13", "UpToDate"),
    "2.0.04": ("UpToDate", "2024-11-13", "UpToDate"),
    "2.0.05": ("UpToDate", "2024-11-13", "UpToDate"),
    "2.0.08": ("UpToDate", "2024-11-13", "UpToDate"),
}


@pytest.mark.parametrize("release", PUBLISHED["releases"], ids=lambda release: release["version"])
def test_the_published_releases_stand_as_the_two_real_documents_say(release: dict[str, Any]) -> None:
    status, day, older = TABLE[release["version"]]
    svn = int(release["seamsvn"], 16)
    new = files.read(str(NEW), date(2026, 3, 20)).standing(svn, date(2026, 3, 20))
    assert (new.status, str(new.day), new.evaluation, new.fmspc) == (status, day, 18, "90C06F000000")
    assert (new.advisories, new.closed) == ((BOTH, ()) if status == "OutOfDate" else ((), BOTH))
    assert str(new.since) == ("2024-11-13" if status == "OutOfDate" else "None")
    old = files.read(str(OLD), date(2025, 7, 19)).standing(svn, date(2025, 7, 19))
    assert (old.status, str(old.day), old.advisories, old.since) == (older, "2024-03-13", (), None)


def refusal(path: Path, as_of: date = made.DAY, trusted: frozenset[str] = TRUST) -> str:
    with pytest.raises(InputError) as raised:
        files.load(str(path), as_of, trusted)
    return "\n".join(problem.message for problem in raised.value.problems)


def flips(content: bytes, step: int) -> Iterator[bytes]:
    """The content with one bit flipped: each of the bits, or every few of them."""
    for bit in range(0, len(content) * 8, 1 if THOROUGH else step):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


def test_a_flipped_bit_anywhere_in_a_document_is_refused(tmp_path: Path) -> None:
    for path in (NEW, NEW.with_suffix(".pem")):
        shutil.copy(path, tmp_path)
    path = tmp_path / NEW.name
    content = path.read_bytes()
    for flipped in flips(content[: content.index(b'"tcbLevels":[{"tcb":{"sgx')], 101):
        path.write_bytes(flipped + content[len(flipped) :])
        with pytest.raises(InputError):
            files.load(str(path), made.DAY)
    path.write_bytes(content)
    assert files.load(str(tmp_path), made.DAY)


def test_a_flipped_bit_anywhere_in_a_chain_is_refused() -> None:
    """In the unused bits of base64 and of DER as well."""
    content = NEW.with_suffix(".pem").read_bytes()
    accepted = []
    for flipped in flips(content, 9):
        with contextlib.suppress(InputError, UnicodeDecodeError):
            accepted += [flipped] if not chain.problems(chain.parse(flipped.decode(), "f"), made.DAY) else []
    assert not accepted
    assert not chain.problems(chain.parse(content.decode(), "f"), made.DAY)


@pytest.mark.parametrize(("one", "other"), [("0EAwIDSQAwRgIhAOW", "0EAwIDSQEwRgIhAOW"), ("qRXaqI=", "qRXaqJ=")])
def test_unused_bits_of_a_chain_are_refused(one: str, other: str) -> None:
    content = NEW.with_suffix(".pem").read_text()
    assert content.count(one) == 1
    with pytest.raises(InputError, match="certificate 2 can't be read"):
        chain.parse(content.replace(one, other), "f")


Signers = Callable[[], tuple[made.Made, made.Made]]
WRONG_CHAINS: dict[str, tuple[Signers, str]] = {
    "own root": (lambda: (made.signing(), made.root()), "root: the last certificate has another key"),
    "wrong curve": (lambda: (made.signing(curve=ec.SECP384R1()), ROOT), "curve: the certificate of 'Intel SGX TCB S"),
    "curve of another kind": (lambda: (made.signing(curve=ec.SECP256K1()), ROOT), "curve: "),
    "expired": (
        lambda: (made.signing(last=datetime(2026, 2, 28, tzinfo=UTC)), ROOT),
        "validity: the certificate of 'Intel SGX TCB Signing' expired on 2026-02-28",
    ),
    "not valid yet": (lambda: (made.signing(first=datetime(2026, 3, 2, tzinfo=UTC)), ROOT), "is valid from 2026-03-02"),
    "issued before the certificate": (
        lambda: (made.signing(first=datetime(2026, 2, 19, tzinfo=UTC)), ROOT),
        "validity: it was issued when its signing certificate was not valid",
    ),
    "another name": (lambda: (made.signing(common="Intel SGX PCK Certificate"), ROOT), "name: the certificate of"),
    "a CA that signs": (lambda: (made.signing(marked_ca=True), ROOT), "ca: the certificate of 'Intel SGX TCB Signing'"),
    "key usage": (lambda: (made.signing(key_usage=made.usage(certify=True)), ROOT), "key-usage: the certificate of"),
    "another hash": (lambda: (made.signing(hash=hashes.SHA384()), ROOT), "algorithm: the certificate of"),
    "critical extension": (lambda: (made.signing(critical=True), ROOT), "extension: the certificate of 'Intel SGX TCB"),
}


@pytest.mark.parametrize("wrong", WRONG_CHAINS)
def test_a_wrong_chain_is_refused_by_name(wrong: str, tmp_path: Path) -> None:
    make, expected = WRONG_CHAINS[wrong]
    signer, issuer = make()
    path = made.write(tmp_path, made.compact(made.body()), signer, issuer)
    assert expected in refusal(path)


def test_a_root_without_its_flags_is_refused_even_with_the_right_key(tmp_path: Path) -> None:
    flawed = made.Made("Intel SGX Root CA", ca=True, marked_ca=False, key_usage=made.usage(sign=True))
    path = made.write(tmp_path, made.compact(made.body()), made.signing(), flawed)
    said = refusal(path, trusted=frozenset({made.point(flawed)}))
    assert "ca: the certificate of 'Intel SGX Root CA' is not marked CA:TRUE" in said
    assert "key-usage: the certificate of 'Intel SGX Root CA'" in said


def test_a_certificate_that_another_root_of_the_same_name_issued_is_refused(tmp_path: Path) -> None:
    signer, other = made.signing(), made.root()
    path = made.write(tmp_path, made.compact(made.body()), signer, ROOT)
    path.with_suffix(".pem").write_text(made.pem(signer.certificate(other), ROOT.certificate(ROOT)))
    assert (
        refusal(path)
        == "certificate-signature: the signature of the certificate of 'Intel SGX TCB Signing' does not hold"
    )


def test_a_swapped_chain_is_refused(tmp_path: Path) -> None:
    """In the wrong order, or that of a document with another signer."""
    signer, another = made.signing(), made.signing()
    path = made.write(tmp_path, made.compact(made.body()), signer, ROOT)
    assert files.load(str(path), made.DAY, TRUST)
    top = ROOT.certificate(ROOT)
    path.with_suffix(".pem").write_text(made.pem(top, signer.certificate(ROOT)))
    assert "name: the certificate of 'Intel SGX TCB Signing' is for 'Intel SGX Root CA'" in refusal(path)
    path.with_suffix(".pem").write_text(made.pem(another.certificate(ROOT), top))
    assert "signature: the text of tcbInfo was not signed by" in refusal(path)
    path.with_suffix(".pem").write_text(made.pem(signer.certificate(ROOT)))
    assert "chain: 1 certificates; expected two" in refusal(path)
    path.with_suffix(".pem").write_text(made.pem(signer.certificate(ROOT), top) + "x")
    assert "chain: expected certificates in PEM and nothing else" in refusal(path)
    path.with_suffix(".pem").write_text("-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----\n" * 2)
    assert "chain: certificate 1 can't be read" in refusal(path)
    path.with_suffix(".pem").write_text(quote(made.pem(signer.certificate(ROOT), top)) + "%FF")
    assert "chain: expected certificates in PEM and nothing else" in refusal(path)
    path.with_suffix(".pem").unlink()
    assert "can't read the issuer chain" in refusal(path)


WRONG_BODIES: dict[str, tuple[dict[str, Any], str]] = {
    "id SGX": (made.body(id="SGX"), "'SGX' is not TDX, the only kind of TCB Info that speaks of TDX modules"),
    "version 2": (made.body(version=2), "2 is not 3, the version that is understood here"),
    "dates": (made.body(nextUpdate="2026-01-01T00:00:00Z"), "is before issueDate"),
    "no moment": (made.body(issueDate="2026-02-30T00:00:00Z"), "is not a moment such as"),
    "status": (made.body([made.level(3, "Fine")]), "'Fine' is not UpToDate, OutOfDate or Revoked"),
    "order": (made.body([made.level(3), made.level(4)]), "isvsvn does not descend from level to level"),
    "twice": (made.body([made.level(3), made.level(3)]), "isvsvn does not descend from level to level"),
    "identities": (
        made.body(tdxModuleIdentities=[{"id": "TDX_01", "tcbLevels": []}] * 2),
        "TDX_01 stands twice",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_BODIES)
def test_a_signed_document_that_makes_no_sense_is_refused(wrong: str, tmp_path: Path) -> None:
    body, expected = WRONG_BODIES[wrong]
    assert expected in refusal(made.write(tmp_path, made.compact(body), made.signing(), ROOT))


def test_the_signature_is_over_the_text_as_it_stands(tmp_path: Path) -> None:
    """Spaces, the order of keys and unknown keys are part of it, and no other text of the same values will do."""
    signer = made.signing()
    text = json.dumps({"new": {"x": "}"}, **made.body()}, indent=1) + "   "
    path = made.write(tmp_path, text.strip(), signer, ROOT)
    assert files.load(str(path), made.DAY, TRUST)
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole, separators=(",", ":")))
    assert "signature: the text of tcbInfo" in refusal(path)


def test_the_chain_may_be_as_in_the_header_of_the_service(tmp_path: Path) -> None:
    for path in (NEW, NEW.with_suffix(".pem")):
        shutil.copy(path, tmp_path)
    path = tmp_path / NEW.with_suffix(".pem").name
    path.write_text(quote(path.read_text(), safe=""))
    assert files.load(str(tmp_path), made.DAY)[0].evaluation == 18


def test_one_bad_document_spoils_its_folder(tmp_path: Path) -> None:
    """Else damage to the newest document would bring an older one back, which calls more modules UpToDate."""
    for path in REAL.iterdir():
        shutil.copy(path, tmp_path)
    path = tmp_path / NEW.name
    path.write_text(path.read_text().replace('"isvsvn":6', '"isvsvn":5'))
    assert refusal(tmp_path, trusted=files.TRUSTED).startswith("signature: ")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no TCB Info document here" in refusal(empty)
    path.unlink()
    path.symlink_to(NEW)
    assert "a symbolic link" in refusal(tmp_path, trusted=files.TRUSTED)


def test_an_expired_document_is_unknown_unless_it_may_be_stale() -> None:
    info = files.read(str(NEW), date(2026, 11, 27))
    assert info.standing(0x105, date(2026, 3, 20)).status == "OutOfDate"
    late = info.standing(0x105, date(2026, 3, 21))
    assert (late.status, late.reason) == (None, "the document has expired: its nextUpdate was 2026-03-20")
    assert info.standing(0x105, date(2026, 3, 21), date(2026, 3, 21)).status == "OutOfDate"
    assert info.standing(0x105, date(2026, 3, 22), date(2026, 3, 21)).status is None
    assert "was issued on 2026-02-18" in info.standing(0x105, date(2026, 2, 17)).reason


def test_an_svn_of_no_level_is_unknown() -> None:
    info = files.read(str(NEW), made.DAY)
    assert info.standing(0x101, made.DAY).reason == "isvsvn 1 is below every level of TDX_01"
    assert info.standing(0x505, made.DAY).reason == "the document has no identity TDX_05"
    assert info.standing(0x505, made.DAY).status is None


def test_the_newest_document_of_each_platform_counts() -> None:
    def info(fmspc: str, evaluation: int, issued: int) -> TcbInfo:
        day = datetime(2026, 1, issued, tzinfo=UTC)
        return TcbInfo("f", "0", fmspc, evaluation, day, day, ())

    late, number, other = info("A", 17, 9), info("A", 18, 1), info("B", 16, 5)
    assert newest([late, number, other, info("B", 16, 4)]) == (number, other)
    twins = (number, number._replace(path="g", sha256="1"))  # of the same moment, such as copies with other spaces
    assert newest(twins) == newest(twins[::-1])


LEVELS = st.lists(
    st.tuples(
        st.integers(0, 9), st.sampled_from(list(TcbStatus)), st.lists(st.sampled_from(["A", "B", "C"]), unique=True)
    ),
    max_size=5,
    unique_by=lambda level: level[0],
)


@given(LEVELS)
def test_a_higher_svn_never_has_more_open(levels: list[tuple[int, TcbStatus, list[str]]]) -> None:
    day = datetime(2026, 1, 1, tzinfo=UTC)
    rows = tuple(TcbLevel(svn, day.date(), status, tuple(open_)) for svn, status, open_ in sorted(levels, reverse=True))
    info = TcbInfo("f", "0", "A", 1, day, day, (("TDX_01", rows),))
    standings = [info.standing(0x100 + svn, day.date()) for svn in range(11)]
    for svn, standing in enumerate(standings):
        applies = [row for row in rows if row.isvsvn <= svn][:1]
        assert [standing.status] == [row.status for row in applies] or (not applies and standing.reason)
        assert set(standing.advisories) >= {advisory for row in applies for advisory in row.advisories}
    known = [standing for standing in standings if standing.status]
    for lower, higher in itertools.pairwise(known):
        assert set(higher.advisories) <= set(lower.advisories)
        assert set(higher.closed) >= set(lower.closed)
    if known:
        assert worst(known).badness == max(one.badness for one in known)
