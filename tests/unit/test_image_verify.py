"""An image is used only if every byte of it is as its signer left it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import SIGNER, THOROUGH, TRUSTED
from seamstep.base.errors import InputError
from seamstep.demo.synthetic import Parts, Signer, synthetic_module
from seamstep.domain.model import INTEL_SIGNER, Check
from seamstep.image import files, layout, sigstruct, verify
from seamstep.image.layout import MODULE_OFFSET, PAGE, SIGSTRUCT_OFFSET, SIGSTRUCT_SIZE
from seamstep.image.pack import FORMATS, pack

MODULE = synthetic_module("test", 3)
SIGNED = SIGNER.sigstruct(MODULE, Parts())
IMAGES = {format_: pack(SIGNED, MODULE, format_) for format_ in FORMATS}


def checks(content: bytes) -> dict[str, Check]:
    found = verify.joined(memoryview(content), TRUSTED)
    assert tuple(check.name for check in found) == tuple(verify.CHECKS)
    return {check.name: check for check in found}


def failed(content: bytes) -> set[str]:
    return {name for name, check in checks(content).items() if check.ok is False}


def refused(content: bytes) -> bool:
    return any(not check.ok for check in verify.joined(memoryview(content), TRUSTED))


def with_checksum(content: bytes | bytearray) -> bytes:
    """``content`` with its checksum made to fit, as a forger would."""
    fresh = bytearray(content)
    struct.pack_into("<H", fresh, 2, 0)
    struct.pack_into("<H", fresh, 2, -sum(memoryview(fresh).cast("H")) & 0xFFFF)
    return bytes(fresh)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_good_image_passes_every_check(format_: str) -> None:
    assert failed(IMAGES[format_]) == set()
    assert not refused(IMAGES[format_])


@pytest.mark.thorough
@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("forge", [bytes, with_checksum], ids=["as-is", "checksum-forged"])
def test_every_corrupted_byte_of_header_and_sigstruct_is_noticed(format_: str, forge: Callable[[bytes], bytes]) -> None:
    """Also when the checksum is made to fit: then everything rests on structure, hash and signature."""
    good = IMAGES[format_]
    for offset in range(0, MODULE_OFFSET, 1 if THOROUGH else 5):
        content = bytearray(good)
        content[offset] ^= 1 << offset % 8
        if forge is with_checksum and offset in {2, 3}:
            continue
        assert refused(forge(bytes(content))), f"byte {offset}"


@pytest.mark.parametrize("forge", [bytes, with_checksum], ids=["as-is", "checksum-forged"])
def test_a_sample_of_corrupted_bytes_of_the_module_is_noticed(forge: Callable[[bytes], bytes]) -> None:
    for offset in [*range(MODULE_OFFSET, len(IMAGES["2.0"]), 97), len(IMAGES["2.0"]) - 1]:
        content = bytearray(IMAGES["2.0"])
        content[offset] ^= 0x80
        assert "module-hash" in failed(forge(bytes(content))), f"byte {offset}"


@pytest.mark.parametrize("format_", FORMATS)
def test_every_truncation_is_noticed(format_: str, tmp_path: Path) -> None:
    good = IMAGES[format_]
    for size in range(0, len(good), 512):
        assert refused(good[:size]), f"{size} bytes"
        path = tmp_path / "i.blob"
        path.write_bytes(good[:size])
        with pytest.raises(InputError):
            files.read(str(path))


@given(st.sampled_from([(12, 16), (4, 16)]), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
@settings(max_examples=300)
def test_hostile_lengths_and_counts_are_refused(offsets: tuple[int, int], one: int, other: int) -> None:
    for good in IMAGES.values():
        content = bytearray(good)
        struct.pack_into("<I", content, offsets[0], one)
        struct.pack_into("<I", content, offsets[1], other)
        assert bytes(content) == good or refused(with_checksum(content))


@pytest.mark.parametrize("count", [0, 1, 255, 256, 1000, 2**31, 2**32 - 1])
def test_hostile_cpuid_counts(count: int) -> None:
    signed = SIGNER.sigstruct(MODULE, Parts(fields={"cpuid_table_size": count}))
    assert len(sigstruct.parse(signed).cpuid) == (count if count <= 255 else 0)
    assert failed(pack(signed, MODULE, "2.0")) == (set() if 1 <= count <= 255 else {"sigstruct"})


@given(st.binary(max_size=3 * PAGE) | st.binary(max_size=PAGE).map(lambda tail: IMAGES["2.0"][: PAGE * 2] + tail))
@settings(max_examples=300)
def test_any_bytes_get_an_answer(content: bytes) -> None:
    assert refused(content)
    structure = layout.of(memoryview(content))
    assert structure.sound is False or structure.format in FORMATS


@pytest.mark.parametrize(
    ("patch", "check", "says"),
    [
        ((0, b"\x00\x03"), "format", "image format 0x300"),
        ((4, b"TDX-BLOC"), "format", "lacks the signature TDX-BLOB"),
        ((12, b"\2"), "limits", "2 sigstruct pages; expected 1"),
        ((12, b"\0"), "limits", "0 sigstruct pages; expected 1"),
        ((16, b"\xf1\1"), "limits", "497 module pages; expected 1 to 496"),
        ((16, b"\4"), "length", "its header says 24576"),
        ((100, b"x"), "reserved", "reserved bytes of the header"),
        ((SIGSTRUCT_OFFSET + SIGSTRUCT_SIZE, b"x"), "reserved", "padding after the sigstruct"),
        ((MODULE_OFFSET, b"xx"), "checksum", "add up to 0x"),
        ((SIGSTRUCT_OFFSET + 128, bytes(384)), "signature", "not one of an RSA key"),
        ((SIGSTRUCT_OFFSET + 128, b"\0"), "signature", "not one of an RSA key"),
        ((SIGSTRUCT_OFFSET + 512, b"\3\0\0"), "signature", "the public exponent is 3"),
        ((SIGSTRUCT_OFFSET + 516, b"\0\0"), "signature", "does not fit the sigstruct"),
        ((SIGSTRUCT_OFFSET + 516, b"\xff" * 384), "signature", "does not fit the sigstruct"),
    ],
)
def test_what_is_said(patch: tuple[int, bytes], check: str, says: str) -> None:
    offset, value = patch
    content = IMAGES["2.0"][:offset] + value + IMAGES["2.0"][offset + len(value) :]
    found = checks(content)[check]
    assert found.ok is False
    assert says in found.message


def test_findings_are_all_told_not_the_first() -> None:
    content = bytearray(IMAGES["2.0"] + b"\0")
    content[100] = 8
    content[MODULE_OFFSET] ^= 1
    assert failed(bytes(content)) >= {"length", "reserved", "checksum", "module-hash"}


def test_an_unknown_signer_is_refused_with_what_to_add() -> None:
    stranger = Signer()
    content = pack(stranger.sigstruct(MODULE, Parts()), MODULE, "2.0")
    assert failed(content) == {"signer"}
    message = checks(content)["signer"].message
    assert f"--signer {stranger.fingerprint}" in message
    assert "'signers:' in the policy" in message
    assert f"takes no other than Intel's, {INTEL_SIGNER}" in message
    assert not refused(IMAGES["2.0"])


def test_the_signature_of_another_sigstruct_does_not_fit() -> None:
    other = SIGNER.sigstruct(synthetic_module("other", 3), Parts())
    content = bytearray(SIGNED)
    sigstruct.pack_into(content, {"signature": sigstruct.unpack(other)["signature"]})
    assert "signature" in failed(pack(bytes(content), MODULE, "2.0"))


@pytest.mark.parametrize("covered", [0, 127, 900, 947, 948, 1027, 2047])
@pytest.mark.parametrize("resigned", [False, True])
def test_what_the_signature_covers(covered: int, resigned: bool) -> None:
    content = bytearray(SIGNED)
    content[covered] ^= 1
    signed = SIGNER.sign(content) if resigned else bytes(content)
    assert (sigstruct.signature_problem(signed) is None) == resigned


def test_separate_files() -> None:
    found = verify.separate(memoryview(SIGNED), memoryview(MODULE), TRUSTED)
    assert all(check.ok for check in found)
    assert tuple(check.name for check in found) == tuple(verify.CHECKS)
    for signed, module, name in [
        (SIGNED[:-1], MODULE, "length"),
        (SIGNED, MODULE[:-1], "limits"),
        (SIGNED, b"", "limits"),
        (SIGNED, MODULE[PAGE:], "module-hash"),
        (SIGNED, synthetic_module("large", 497), "limits"),
    ]:
        found = verify.separate(memoryview(signed), memoryview(module), TRUSTED)
        assert name in {check.name for check in found if check.ok is False}


@pytest.mark.parametrize("size", [0, 1, 2, 2047, 2048, 2049, 4098, 3 * 2048, 498 * PAGE])
def test_checksum_is_that_of_a_loop_over_the_words(size: int) -> None:
    """Carries included: the largest words, and as many of them as an image can have."""
    for content in (b"\xff" * size, bytes(number * 7 & 0xFF for number in range(size))):
        total = sum(int.from_bytes(content[at : at + 2], "little") for at in range(0, size, 2)) & 0xFFFF
        problem = layout.checksum_problem(memoryview(content))
        assert problem == (f"the words add up to 0x{total:04x} instead of 0" if total else None)
