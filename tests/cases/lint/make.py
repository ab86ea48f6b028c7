"""Write the example pairs of the linter's codes: ``python tests/cases/lint/make.py [CODE...]``.

Each code has a folder with ``bad`` and ``good``: a mapping file, or a catalog with images, or settings. The images are
signed with a key that is made here and forgotten; the file ``signer`` beside this one names its fingerprint.
"""

from __future__ import annotations

import copy
import json
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seamstep.demo.synthetic import Parts, Signer, synthetic_module
from seamstep.image.pack import pack
from seamstep.image.published import _VERSIONS

HERE = Path(__file__).parent
SIGNER = Signer()
FEATURES = 0xD1326F3F0FBF
Mapping = dict[str, Any]
Catalog = dict[str, bytes]


def release(version: str, strict: list[str], **changes: Any) -> Mapping:
    """An entry as Intel's mapping file has them."""
    entry = {
        "version": version,
        "min_module_version_for_td_preserving": "1.5.24",
        "strict_compat_versions": strict,
        "min_seamldr_versions": ["1.5.00", "2.0.00"],
        "tdx_feature0": f"0x{FEATURES:X}",
    }
    return {key: value for key, value in (entry | changes).items() if value is not None}


def good() -> Mapping:
    """Three releases with nothing to say against them."""
    releases = [release("1.5.24", []), release("1.5.28", ["1.5.24"]), release("1.5.34", ["1.5.24", "1.5.28"])]
    return {"Header": {"Version": "1.0"}, "tdx_module_releases": releases}


def changed(index: int, **changes: Any) -> Mapping:
    """The good file with changes to one release."""
    document = good()
    entries = document["tdx_module_releases"]
    merged = entries[index] | changes
    entries[index] = {key: value for key, value in merged.items() if value is not None}
    return document


def listed(*entries: Mapping) -> Mapping:
    return good() | {"tdx_module_releases": list(entries)}


def twice(text: str) -> str:
    return text.replace('"tdx_feature0"', '"tdx_feature0": "0x0",\n      "tdx_feature0"', 1)


MINIMUM, SEAMLDRS, STRICT = "min_module_version_for_td_preserving", "min_seamldr_versions", "strict_compat_versions"
#: For each code the bad file.
TEXTS: dict[str, Mapping | str] = {
    "version-malformed": changed(1, **{MINIMUM: "1.5"}),
    "seamldr-malformed": changed(1, **{SEAMLDRS: ["1.5.00", "v2.0.00"]}),
    "hex-malformed": changed(2, tdx_feature0="D1326F3F0FBF"),
    "key-missing": changed(1, **{SEAMLDRS: None}),
    "wrong-type": changed(1, **{STRICT: "1.5.24"}),
    "duplicate-key": twice(json.dumps(good(), indent=2)),
    "unknown-key": changed(1, strict_compat_version=["1.5.24"]),
    "no-releases": listed(),
    "duplicate-release": listed(*good()["tdx_module_releases"], release("1.5.028", ["1.5.24"])),
    "release-out-of-order": listed(*(good()["tdx_module_releases"][index] for index in (0, 2, 1))),
    "minimum-newer": changed(2, **{MINIMUM: "1.5.43"}),
    "minimum-other-series": changed(2, **{MINIMUM: "1.4.24"}),
    "minimum-unknown": changed(2, **{MINIMUM: "1.5.23"}),
    "seamldr-twice": changed(2, **{SEAMLDRS: ["1.5.00", "1.5.02", "2.0.00"]}),
    "seamldr-none": changed(2, **{SEAMLDRS: []}),
    "strict-compat-unknown": changed(2, **{STRICT: ["1.5.24", "1.5.28", "1.5.29"]}),
    "strict-compat-not-older": changed(1, **{STRICT: ["1.5.24", "1.5.34"]}),
    "strict-compat-other-series": changed(2, **{STRICT: ["1.5.24", "1.5.28", "2.0.28"]}),
    "strict-compat-twice": changed(2, **{STRICT: ["1.5.24", "1.5.28", "1.5.28"]}),
    "strict-compat-refused": changed(2, **{MINIMUM: "1.5.28"}),
    "strict-compat-dropped": changed(2, **{STRICT: ["1.5.28"]}),
    "features-shrink": changed(1, tdx_feature0=f"0x{FEATURES & ~(1 << 36):X}"),
    "features-shrink-strict-compat": listed(
        release("1.5.24", [], tdx_feature0=f"0x{FEATURES | 1 << 38:X}"),
        release("1.5.28", ["1.5.24"]),
        release("1.5.34", ["1.5.24", "1.5.28"]),
    ),
    "kernel-features-missing": changed(2, tdx_feature0=f"0x{FEATURES & ~(1 << 18):X}"),
    "release-unreachable": changed(2, **{MINIMUM: "1.5.34", STRICT: []}),
    "release-stranded": listed(
        release("1.5.24", []),
        release("1.5.28", [], **{MINIMUM: "1.5.28"}),
        release("1.5.34", ["1.5.28"], **{MINIMUM: "1.5.28"}),
    ),
    "series-split": changed(1, **{SEAMLDRS: ["1.5.00"]}),
    "not-examined": changed(2, **{SEAMLDRS: [f"{major}.0.00" for major in range(70)]}),
}


def image(version: str, signer: Signer = SIGNER, name: str = "", **parts: Any) -> bytes:
    """An image of one page that stands for a release."""
    module = synthetic_module(name or version, 1)
    return pack(signer.sigstruct(module, Parts()._replace(**parts)), module, "2.0")


def catalog(**images: bytes) -> Catalog:
    """Images of the three releases, some replaced."""
    found = {f"v{index}": image(version) for index, version in enumerate(("1.5.24", "1.5.28", "1.5.34"))} | images
    versions = {"v0": "1.5.24", "v1": "1.5.28", "v2": "1.5.34"}
    return {f"joined_files/1.5/tdx_module_{versions[key]}.blob": found[key] for key in versions if found[key]}


def edited(offset: int, value: bytes, *, fix_checksum: bool = True) -> bytes:
    """The image of the last release with other bytes at an offset."""
    content = bytearray(image("1.5.34"))
    content[offset : offset + len(value)] = value
    if fix_checksum:
        content[2:4] = b"\0\0"
        content[2:4] = struct.pack("<H", -sum(memoryview(bytes(content)).cast("H")) & 0xFFFF)
    return bytes(content)


def moved(source: str, target: str) -> Catalog:
    """The good catalog with one file in another place."""
    return {path.replace(source, target): content for path, content in catalog().items()}


SIGSTRUCT = 4096
MODULE = 8192
CATALOGS: dict[str, Callable[[], Catalog]] = {
    "image-format": lambda: catalog(v2=edited(8, b"NOT-A-TDX"[:8])),
    "image-limits": lambda: catalog(v2=edited(16, struct.pack("<I", 497))),
    "image-length": lambda: catalog(v2=image("1.5.34") + bytes(2)),
    "image-reserved": lambda: catalog(v2=edited(100, b"\1")),
    "image-checksum": lambda: catalog(v2=edited(2, b"\x12\x34", fix_checksum=False)),
    "image-sigstruct": lambda: catalog(v2=edited(SIGSTRUCT, b"\x07")),
    "image-module-hash": lambda: catalog(v2=edited(MODULE + 7, b"\xff\xff\xff\xff")),
    "image-signature": lambda: catalog(v2=edited(SIGSTRUCT + 600, b"\xff\xff\xff\xff")),
    "image-signer": lambda: catalog(v2=image("1.5.34", Signer())),
    "image-unreadable": lambda: (
        catalog(v2=b"") | {"separate_files/1.5/1.5.34/tdx_module_1.5.34.bin": synthetic_module("1.5.34", 1)}
    ),
    "image-passed-over": catalog,
    "image-of-another-release": lambda: published(),
    "image-misnamed": lambda: catalog() | {"joined_files/1.5/module-1.5.34.blob": image("1.5.34")},
    "image-without-release": lambda: catalog() | {"joined_files/1.5/tdx_module_1.5.35.blob": image("1.5.35")},
    "image-missing": lambda: catalog(v2=b""),
    "image-twice": lambda: catalog() | {"mirror/tdx_module_1.5.34.blob": image("1.5.34")},
    "images-differ": lambda: catalog() | {"mirror/tdx_module_1.5.34.blob": image("1.5.34", name="other")},
    "mrseam-shared": lambda: catalog(v2=image("1.5.28")),
    "image-misplaced": lambda: moved("1.5/tdx_module_1.5.34", "2.0/tdx_module_1.5.34"),
    "svn-goes-down": lambda: catalog(v2=image("1.5.34", seamsvn=0x10C)),
    "debug-module": lambda: catalog(v2=image("1.5.34", module_type=1 << 31)),
    "cpu-table-shrinks": lambda: catalog(v2=image("1.5.34", cpuid=(0x806F8, 0xC06F0))),
    "handoff-forbids-step": lambda: catalog(v2=image("1.5.34", module_hv=3, min_update_hv=2)),
    "svn-major-forbids-step": lambda: catalog(v2=image("1.5.34", seamsvn=0x20D)),
}


#: The signer of the catalogs that are linted with TCB Info, of which each has the file ``signer``.
TCB_SIGNER = Signer()


def with_svns(build_date: str, *svns: int) -> Catalog:
    """The images with these SVNs, built on one day."""
    versions = {"v0": "1.5.24", "v1": "1.5.28", "v2": "1.5.34"}
    made = zip(versions.items(), svns, strict=True)
    return catalog(
        **{key: image(version, TCB_SIGNER, seamsvn=svn, build_date=build_date) for (key, version), svn in made}
    )


#: For each code on TCB Info the bad catalog; tests/data/tcb has the document of evaluation number 18.
TCB_CATALOGS: dict[str, Callable[[], Catalog]] = {
    "tcb-svn-unknown": lambda: with_svns("20240101", 0x101, 0x10D, 0x10D),
    "tcb-date-contradicts": lambda: with_svns("20241114", 0x105, 0x10D, 0x10D),
    "tcb-advisory-open": lambda: with_svns("20240101", 0x104, 0x104, 0x105),
}


def write(folder: Path, document: Mapping, images: Catalog) -> None:
    """A catalog."""
    for path, content in images.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "mapping_file.json").write_text(json.dumps(document, indent=2) + "\n")


def published() -> Catalog:
    """An image whose MRSEAM is known to be that of another release: its sigstruct says so, which is enough."""
    known = next(mrseam for mrseam, version in _VERSIONS.items() if version == "1.5.16")
    content = bytearray(image("1.5.34"))
    content[SIGSTRUCT + 900 : SIGSTRUCT + 948] = bytes.fromhex(known)
    return catalog(v2=bytes(content))


def settings(until: str, code: str = "release-stranded") -> str:
    return (
        "schema: seamstep/lint-settings/v1\nsuppress:\n"
        f"  - code: {code}\n    versions: 2.0.02\n    reason: the BIOS of these hosts brings a newer module\n"
        f"    owner: security@example.com\n    until: {until}\n"
    )


def main(codes: list[str]) -> None:
    """Write the pairs of ``codes``, or all of them."""
    for code, bad in TEXTS.items():
        if codes and code not in codes:
            continue
        folder = HERE / code
        folder.mkdir(exist_ok=True)
        text = bad if isinstance(bad, str) else json.dumps(bad, indent=2)
        (folder / "bad.json").write_text(text + "\n")
        (folder / "good.json").write_text(json.dumps(copy.deepcopy(good()), indent=2) + "\n")
    for code, bad_images in CATALOGS.items():
        if codes and code not in codes:
            continue
        shutil.rmtree(HERE / code, ignore_errors=True)
        write(HERE / code / "good", good(), catalog())
        write(HERE / code / "bad", good(), bad_images())
        if code == "image-passed-over":
            (HERE / code / "bad" / "newest").symlink_to("joined_files/1.5")
    for code, bad_images in TCB_CATALOGS.items():
        if codes and code not in codes:
            continue
        write(HERE / code / "good", good(), with_svns("20240101", 0x10D, 0x10D, 0x10D))
        write(HERE / code / "bad", good(), bad_images())
        (HERE / code / "signer").write_text(TCB_SIGNER.fingerprint + "\n")
    for code, until, name in (
        ("suppression-unused", "2099-12-31", "release-unreachable"),
        ("suppression-expired", "2025-12-31", "release-stranded"),
    ):
        (HERE / code).mkdir(exist_ok=True)
        (HERE / code / "bad.yaml").write_text(settings(until, name))
        (HERE / code / "good.yaml").write_text(settings("2099-12-31"))
    if not codes:
        (HERE / "signer").write_text(SIGNER.fingerprint + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
