"""The sigstruct: every field, every check of P-SEAMLDR's that an image alone decides, and the need for SEAM memory."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from itertools import pairwise, product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import made_image

from conftest import DATA, PUBLISHED, SIGNER, TRUST, TRUSTED, Run, published_image
from seamstep.demo.synthetic import Parts, synthetic_module
from seamstep.domain.model import DEBUG_BIT, SeamRegions, Sigstruct
from seamstep.image import files, sigstruct, verify
from seamstep.image.layout import PAGE, SIGSTRUCT_SIZE
from seamstep.image.pack import FORMATS, pack
from seamstep.image.sigstruct import LAYOUT

PAGES = json.loads((DATA / "sigstruct-pages.json").read_text())
MODULE = synthetic_module("sigstruct", 8)
SIZE = 8 * PAGE
CPUS = (0x806F8,)


def fails(parts: Parts, module: bytes = MODULE) -> dict[str, str]:
    """The checks that an image with these parts fails, and what each says."""
    content = pack(SIGNER.sigstruct(module, parts), module, "2.0")
    return {check.name: check.message for check in verify.joined(memoryview(content), TRUSTED) if not check.ok}


def test_layout_is_in_order_and_without_overlaps() -> None:
    ends = [(field.offset, field.offset + struct.calcsize(f"<{field.format}")) for field in LAYOUT.values()]
    assert all(end <= offset for (_, end), (offset, _) in pairwise(ends))
    assert ends[-1][1] == SIGSTRUCT_SIZE
    gaps = {(end, offset) for (_, end), (offset, _) in pairwise(ends) if end != offset}
    assert gaps == {(40, 128), (978, 984), (989, 990)}, "P-SEAMLDR's source calls these reserved0, 1 and 2"


def test_reading_inverts_writing() -> None:
    """Each field gets a value that no other has."""
    values: dict[str, Any] = {}
    for number, (name, field) in enumerate(LAYOUT.items(), 1):
        is_bytes = field.format.endswith("s")
        values[name] = bytes([number]) * struct.calcsize(field.format) if is_bytes else number
    content = bytearray(SIGSTRUCT_SIZE)
    sigstruct.pack_into(content, values)
    assert sigstruct.unpack(bytes(content)) == values


def test_every_field_reaches_the_value() -> None:
    """Whatever field changes, what is parsed changes; the signature and what is cut off by the size don't."""
    usual = sigstruct.parse(SIGNER.sigstruct(MODULE, Parts()))
    for name, field in LAYOUT.items():
        is_bytes = field.format.endswith("s")
        value = b"\1" * struct.calcsize(field.format) if is_bytes else 2
        changed = bytearray(SIGNER.sigstruct(MODULE, Parts()))
        sigstruct.pack_into(changed, {name: value if name != "no_downgrade" else 0})
        assert (sigstruct.parse(bytes(changed)) == usual) == (name == "signature"), name


def test_size() -> None:
    for size in (SIGSTRUCT_SIZE - 1, SIGSTRUCT_SIZE + 1):
        with pytest.raises(ValueError, match=f"{size} bytes"):
            sigstruct.parse(bytes(size))


def test_defaults_of_the_value_are_those_of_made_up_images() -> None:
    made = sigstruct.parse(SIGNER.sigstruct(MODULE, Parts()))
    apart = {"gdt_idt_offset", "fault_wrapper_offset"}
    defaults = {name: value for name, value in Sigstruct._field_defaults.items() if name not in apart}
    assert {name: getattr(made, name) for name in defaults} == defaults


@pytest.mark.parametrize("release", PUBLISHED["releases"], ids=lambda release: str(release["version"]))
@pytest.mark.parametrize("format_", FORMATS)
def test_images_that_mirror_the_published_ones(release: dict[str, Any], format_: str, tmp_path: Path) -> None:
    path = tmp_path / "i.blob"
    path.write_bytes(pack(*published_image(release), format_))
    image = files.read(str(path), TRUSTED)
    says, pages = image.sigstruct, PAGES[release["version"]]
    assert image.content.verification().problems == ()
    assert image.module_size == release["module_pages"] * PAGE == pages["module_pages"] * PAGE
    assert (f"0x{says.seamsvn:x}", says.build_date) == (release["seamsvn"], release["build_date"])
    assert [f"0x{signature:X}" for signature in says.cpuid] == release["cpuid"]
    assert (says.module_hv, says.min_update_hv, int(says.no_downgrade), says.handoff_pages) == tuple(
        release[key] for key in ("module_hv", "min_update_hv", "no_downgrade", "num_handoff_pages")
    )
    read = says._asdict() | {"num_handoff_pages": says.handoff_pages, "bytes_1000_to_1023": says.reserved}
    assert {name: read.get(name, release.get(name)) for name in pages} == pages
    assert says.identity == ("TDX_01" if release["version"].startswith("1.5") else "TDX_03")
    assert not says.debug


def test_images_of_series_2_0_use_reserved_bytes() -> None:
    """So the fixture has images that a check of these bytes would refuse."""
    using = [version for version, pages in PAGES.items() if int(pages["bytes_1000_to_1023"], 16)]
    assert using == ["2.0.02", "2.0.04", "2.0.05", "2.0.08"]


class Spoiled(NamedTuple):
    """Fields that P-SEAMLDR refuses, and what is said of them."""

    fields: Mapping[str, Any]
    says: str
    parts: Parts = Parts()


SPOILED = [
    Spoiled({"header_type": 7}, "header_type is 0x7; expected 0x6"),
    Spoiled({"header_length": 0xE0}, "header_length is 0xe0; expected 0xe1"),
    Spoiled({"header_version": 0x10001}, "header_version is 0x10001; expected 0x10000"),
    Spoiled({"module_type": 1}, "module_type is 0x1; only bit 31 may be set"),
    Spoiled({"module_type": DEBUG_BIT | 4}, "module_type is 0x80000004; only bit 31 may be set"),
    Spoiled({"module_vendor": 0x1022}, "module_vendor is 0x1022; expected 0x8086"),
    Spoiled({"date": 0x2026010F}, "the date 0x2026010f is not in decimal digits (BCD)"),
    Spoiled({"size": 0x1FF}, "size is 0x1ff; expected 0x200"),
    Spoiled({"key_size": 0x40}, "key_size is 0x40; expected 0x60"),
    Spoiled({"modulus_size": 0x61}, "modulus_size is 0x61; expected 0x60"),
    Spoiled({"exponent_size": 2}, "exponent_size is 0x2; expected 0x1"),
    Spoiled({"seamsvn": 0x00FF}, "seamsvn is 0xff; its high byte may not be 0"),
    Spoiled({"attributes": 1 << 63}, "attributes is 0x8000000000000000; expected 0x0"),
    Spoiled({"module_hv": 1, "min_update_hv": 2}, "min_update_hv is 2, above module_hv, 1"),
    Spoiled({"gdt_idt_offset": PAGE + 8}, "gdt_idt_offset is 4104, not a multiple of 4096"),
    Spoiled({"gdt_idt_offset": 0}, "gdt_idt_offset is 0 and fault_wrapper_offset 14336; both or none has to be 0"),
    Spoiled({"fault_wrapper_offset": 0}, "gdt_idt_offset is 28672 and fault_wrapper_offset 0; both or none has to"),
    Spoiled(
        {"gdt_idt_offset": SIZE}, "gdt_idt_offset is 32768; 4096 bytes from there are not inside the module's 32768"
    ),
    Spoiled({"gdt_idt_offset": 0xFFFFF000}, "gdt_idt_offset is 4294963200; 4096 bytes from there"),
    Spoiled({"fault_wrapper_offset": SIZE - 511}, "fault_wrapper_offset is 32257; 512 bytes from there are not inside"),
    Spoiled({"fault_wrapper_offset": 0xFFFFFFFF}, "fault_wrapper_offset is 4294967295; 512 bytes from there"),
    Spoiled({"cpuid_table_size": 256}, "the CPUID table claims 256 entries; at most 255 fit"),
    Spoiled({}, "the CPUID table is empty; only a debug module may do without", Parts(cpuid=())),
]


@pytest.mark.parametrize("case", SPOILED, ids=lambda case: case.says[:40])
def test_what_p_seamldr_refuses(case: Spoiled) -> None:
    """Signed, hashed and summed up as it should be, so that no other check notices. One sentence, for one fault."""
    found = fails(case.parts._replace(fields=case.fields))
    assert set(found) == {"sigstruct"}
    assert found["sigstruct"].startswith(case.says)
    assert ";" not in found["sigstruct"].removeprefix(case.says)


def test_another_exponent_is_refused_twice() -> None:
    found = fails(Parts(fields={"exponent": 3}))
    assert set(found) == {"sigstruct", "signature"}
    assert found["sigstruct"] == "exponent is 0x3; expected 0x10001"


def test_every_fault_is_reported() -> None:
    found = fails(Parts(fields={"header_type": 0, "attributes": 1, "gdt_idt_offset": SIZE + 1, "cpuid_table_size": 0}))
    assert len(found["sigstruct"].split("; ")) > 5


@pytest.mark.parametrize(
    "parts",
    [
        Parts(),
        Parts(module_type=DEBUG_BIT),
        Parts(module_type=DEBUG_BIT, cpuid=()),
        Parts(cpuid=CPUS * 255),
        Parts(module_hv=2, min_update_hv=2),
        Parts(seamsvn=0xFF00),
        Parts(fields={"gdt_idt_offset": 0, "fault_wrapper_offset": 0}),
        Parts(fields={"gdt_idt_offset": PAGE, "fault_wrapper_offset": 1}),
        Parts(fields={"gdt_idt_offset": SIZE - PAGE, "fault_wrapper_offset": SIZE - 512}),
        Parts(fields={"reserved": b"\xff" * 24}),
        Parts(fields={"rip_offset": 0xFFFFFFFF, "num_stack_pages": 255, "num_handoff_pages": 0xFFFF, "max_tdmrs": 0}),
    ],
    ids=str,
)
def test_what_p_seamldr_takes(parts: Parts) -> None:
    assert fails(parts) == {}


@pytest.mark.parametrize("offset", [40, 127, 978, 983, 989, 1000, 1023])
def test_reserved_bytes_are_not_checked(offset: int) -> None:
    """Which of them have to be zero depends on P-SEAMLDR's version."""
    content = bytearray(SIGNER.sigstruct(MODULE, Parts()))
    content[offset] = 0xFF
    signed = SIGNER.sign(content)
    assert all(check.ok for check in verify.separate(memoryview(signed), memoryview(MODULE), TRUSTED))


@pytest.mark.parametrize("pages", [1, 2, 3, 496])
def test_made_up_images_pass_whatever_their_size(pages: int) -> None:
    assert fails(Parts(), synthetic_module("size", pages)) == {}


def test_offsets_are_checked_against_the_module_in_a_file_of_its_own() -> None:
    signed = SIGNER.sigstruct(MODULE, Parts(fields={"gdt_idt_offset": SIZE}))
    checks = verify.separate(memoryview(signed), memoryview(MODULE), TRUSTED)
    assert [check.name for check in checks if not check.ok] == ["sigstruct"]


def test_no_offsets_are_fine_whatever_the_module() -> None:
    signed = SIGNER.sigstruct(MODULE, Parts(fields={"gdt_idt_offset": 0, "fault_wrapper_offset": 0}))
    assert list(sigstruct.problems(signed, 0)) == []


def test_inspect_prints_every_field(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "i.blob"
    fields = {"rip_offset": 4711, "num_stack_pages": 2, "reserved": bytes(range(24))}
    path.write_bytes(pack(SIGNER.sigstruct(MODULE, Parts(handoff_pages=24, fields=fields)), MODULE, "2.0"))
    (document,) = run("image", "inspect", path, "--json").json["images"]
    renamed = {"size": "sigstruct_size", "reserved": "reserved_1000"}
    assert {renamed.get(name, name) for name in Sigstruct._fields} <= set(document)
    assert (document["rip_offset"], document["num_stack_pages"], document["handoff_pages"]) == (4711, 2, 24)
    assert document["reserved_1000"] == bytes(range(24)).hex()
    text = run("image", "inspect", path).out
    lines = dict(line.split(maxsplit=1) for line in text.splitlines()[1:])
    assert set(lines) == {key for key in document if key != "path" and document[key] is not None}
    assert lines["num_stack_pages"] == "2 (3 pages a processor)"
    assert lines["handoff_pages"] == "24 (25 pages)"
    assert lines["sigstruct_size"] == "512 (2048 bytes)"
    assert run("image", "verify", path, *TRUST).code == 0


def test_seam_memory_by_hand() -> None:
    """1.5.01 on 256 processors: each has a VMCS, 2 + 1 pages of stack and 2 of local data."""
    says = made_image(handoff_pages=13, num_global_data_pages=21, num_stack_pages=1, num_tls_pages=1).sigstruct
    assert says.seam_memory(0) == 4096 + (22 + 14) * 4096 + 2 * 1024 * 1024
    assert says.seam_memory(256) - says.seam_memory(0) == 256 * (1 + 3 + 2) * 4096
    assert says.seam_regions == SeamRegions(stack=3, tls=2, keyhole=128, data=36)


@pytest.mark.parametrize(
    ("fields", "larger"),
    [
        ({}, ()),
        ({"num_stack_pages": 2}, ("stack",)),
        ({"num_tls_pages": 2, "num_keyhole_pages": 255}, ("tls", "keyhole")),
        ({"num_global_data_pages": 22}, ("data",)),
        ({"handoff_pages": 14}, ("data",)),
        ({"num_global_data_pages": 20, "handoff_pages": 14}, ()),
        ({"num_stack_pages": 0, "num_tls_pages": 2}, ("tls",)),
        ({"num_stack_pages": 0, "num_tls_pages": 0, "num_keyhole_pages": 0, "handoff_pages": 0}, ()),
        ({"max_tdmrs": 1000, "rip_offset": 1000, "gdt_idt_offset": PAGE}, ()),
    ],
)
def test_which_regions_are_larger(fields: dict[str, Any], larger: tuple[str, ...]) -> None:
    usual = made_image(handoff_pages=13).sigstruct
    assert usual._replace(**fields).seam_regions.larger_than(usual.seam_regions) == larger


def page_tables(regions: SeamRegions, processors: int) -> int:
    """The pages of page tables, as ``initialize_memory_constants()`` adds them up."""

    def needed(pages: int) -> int:
        return sum(-(-(pages // 512**level) // 512) for level in range(3))

    keyhole = regions.keyhole * processors
    data = regions.tls * processors + regions.data
    return sum(map(needed, (1, regions.stack * processors, data, keyhole, -(-keyhole // 512), 496))) + 1


COUNTED = ("num_stack_pages", "num_tls_pages", "num_keyhole_pages", "num_global_data_pages", "handoff_pages")
PAGE_COUNTS = st.tuples(*(st.integers(0, 255 if name in COUNTED[:2] else 2000) for name in COUNTED))


@given(PAGE_COUNTS, PAGE_COUNTS, st.integers(1, 4096))
def test_no_larger_region_means_no_more_memory(counts: list[int], cuts: list[int], processors: int) -> None:
    """Page tables included."""
    its = made_image(**dict(zip(COUNTED, counts, strict=True))).sigstruct  # type: ignore[arg-type]
    fewer: dict[str, Any] = {name: max(0, count - cut) for name, count, cut in zip(COUNTED, counts, cuts, strict=True)}
    mine = its._replace(**fewer)
    assert mine.seam_regions.larger_than(its.seam_regions) == ()
    assert mine.seam_memory(processors) <= its.seam_memory(processors)
    assert page_tables(mine.seam_regions, processors) <= page_tables(its.seam_regions, processors)


def test_no_published_step_needs_more_memory_and_page_tables_are_few() -> None:
    by_series: dict[str, list[Sigstruct]] = {}
    for release in PUBLISHED["releases"]:
        says = sigstruct.parse(published_image(release)[0])
        by_series.setdefault(release["version"][:3], []).append(says)
        for processors in (2**power for power in range(1, 13)):
            share = page_tables(says.seam_regions, processors) * PAGE / says.seam_memory(processors)
            assert share < 0.05
    for ladder in by_series.values():
        for source, target in product(ladder, repeat=2):
            assert target.seam_regions.larger_than(source.seam_regions) == ()
