"""The catalog in any folder layout; what is wrong with it is told and stops nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import FACTS, LATEST, PUBLISHED, SIGNER, TRUST, TRUSTED, Run, published_image, write_facts
from seamstep.base.versions import ModuleVersion
from seamstep.demo.synthetic import Parts, synthetic_module
from seamstep.domain.facts import HostFacts, UploadNode
from seamstep.domain.model import Check, Release
from seamstep.image import catalog
from seamstep.image.pack import pack


def blob(name: str = "m", svn: int = 0x10D, form: str = "2.0") -> bytes:
    module = synthetic_module(name, 1)
    return pack(SIGNER.sigstruct(module, Parts(seamsvn=svn)), module, form)


def put(folder: Path, **contents: bytes) -> None:
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def release(loaded: catalog.Catalog, version: str) -> Release:
    return next(release for release in loaded.releases if release.version == ModuleVersion(version))


def load(folder: Path) -> catalog.Catalog:
    return catalog.load(str(LATEST), str(folder), TRUSTED)


def told(loaded: catalog.Catalog) -> str:
    return "\n".join(map(str, (*(f.problem for f in loaded.findings), *loaded.unreadable)))


def test_intel_s_layout_with_joined_and_separate_files(tmp_path: Path) -> None:
    for entry in PUBLISHED["releases"]:
        signed, module = published_image(entry)
        version = entry["version"]
        place = f"separate_files/{version[:3]}/{version}/tdx_module_{version}"
        put(
            tmp_path,
            **{
                f"joined_files/{version[:3]}/tdx_module_{version}.blob": pack(signed, module, "2.0"),
                f"{place}.bin": module,
                f"{place}.sigstruct": signed,
            },
        )
    loaded = load(tmp_path)
    with_image = [release for release in loaded.releases if release.image]
    assert len(with_image) == len(PUBLISHED["releases"])
    assert all(release.image and release.image.format == "2.0" for release in with_image)
    assert all(release.usable_image() for release in with_image)
    assert {str(problem).rpartition(": ")[2] for problem in (f.problem for f in loaded.findings)} == {
        f"release {release.version} has no image" for release in loaded.releases if not release.image
    }


def test_an_image_without_a_release_and_an_odd_name(tmp_path: Path) -> None:
    put(tmp_path, **{"tdx_module_1.5.99.blob": blob(), "tdx_module_1.5.999999.blob": blob(), "notes.txt": b"x"})
    loaded = load(tmp_path)
    assert "the mapping file lacks 1.5.99" in told(loaded)
    assert "tdx_module_1.5.999999.blob: its name tells no release" in told(loaded)


def test_two_images_of_one_release(tmp_path: Path) -> None:
    put(tmp_path, **{"a/tdx_module_1.5.28.blob": blob(), "b/tdx_module_1.5.28.blob": blob(form="1.0")})
    loaded = load(tmp_path)
    assert "a second image of 1.5.28" in told(loaded)
    image = release(loaded, "1.5.28").image
    assert image
    assert image.path.endswith("a/tdx_module_1.5.28.blob")


def test_two_images_that_contradict_each_other(tmp_path: Path) -> None:
    put(tmp_path, **{"a/tdx_module_1.5.28.blob": blob(), "b/tdx_module_1.5.28.blob": blob("other")})
    loaded = load(tmp_path)
    assert "the images of 1.5.28 contradict each other" in told(loaded)
    assert release(loaded, "1.5.28").image is None
    assert "contradict" in release(loaded, "1.5.28").image_problem


def test_an_unreadable_image(tmp_path: Path) -> None:
    put(tmp_path, **{"tdx_module_1.5.28.blob": blob()[:-1], "tdx_module_1.5.34.bin": b"x" * 4096})
    loaded = load(tmp_path)
    assert "its header says" in told(loaded)
    assert "tdx_module_1.5.34.sigstruct: can't read the TDX module image: No such file" in told(loaded)
    assert release(loaded, "1.5.28").image is None
    assert "its header says" in release(loaded, "1.5.28").image_problem


def test_a_good_image_beside_an_unreadable_one_is_used(tmp_path: Path) -> None:
    put(tmp_path, **{"a/tdx_module_1.5.28.blob": b"junk", "b/tdx_module_1.5.28.blob": blob()})
    loaded = load(tmp_path)
    assert len(loaded.unreadable) == 1
    assert release(loaded, "1.5.28").usable_image()


def test_images_are_verified_when_asked_for_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seamstep.image import verify

    put(tmp_path, **{f"tdx_module_1.5.{update}.blob": blob(str(update)) for update in (24, 28, 34)})
    seen: list[int] = []
    real = verify.all_checks

    def counted(content: memoryview, signed: memoryview | None, trusted: frozenset[str]) -> tuple[Check, ...]:
        seen.append(1)
        return real(content, signed, trusted)

    monkeypatch.setattr(verify, "all_checks", counted)
    loaded = load(tmp_path)
    assert seen == []
    for _ in range(3):
        assert release(loaded, "1.5.28").usable_image()
    assert seen == [1]


def test_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(catalog, "_FILES_MAX", 2)
    put(tmp_path, a=b"", b=b"", c=b"")
    ran = run("plan", "--mapping", LATEST, "--images", tmp_path, "--facts", FACTS)
    assert (ran.code, "more than 2 files" in ran.err) == (2, True)


def test_verify_a_folder(run: Run, images: Path, tmp_path: Path) -> None:
    ran = run("image", "verify", images, *TRUST)
    assert ran.code == 0
    assert "20 images: 0 with findings; 0 findings on the whole" in ran.out
    assert [line[:6] for line in ran.out.splitlines()[:-1]] == ["ok    "] * 20, "a line for each image"
    ran = run("image", "verify", images)
    assert ran.code == 1
    lines = ran.out.splitlines()
    assert [(line[:6], line[-13:]) for line in lines[:20]] == [("FAIL  ", ".blob: signer")] * 20
    assert lines[20].startswith("signer (20 images): signed by an unknown key")
    assert len(lines) == 22, "one fault, said once"

    (tmp_path / catalog.MAPPING_FILE).write_bytes(LATEST.read_bytes())
    put(tmp_path, **{"tdx_module_1.5.28.blob": blob()[:-4096], "tdx_module_1.5.99.blob": blob(), "x.blob": b"junk"})
    ran = run("image", "verify", tmp_path, *TRUST, "--json")
    assert ran.code == 1
    by_path = {Path(image["path"]).name: image for image in ran.json["images"]}
    assert [image["ok"] for image in by_path.values()] == [False, True, False]
    findings = [finding["message"] for finding in ran.json["findings"]]
    assert "an image without a release: the mapping file lacks 1.5.99" in findings
    assert "release 1.5.34 has no image" in findings

    put(tmp_path, **{"tdx_module_1.5.34.blob": b""})
    assert run("image", "verify", tmp_path, *TRUST).code == 2
    (tmp_path / "empty").mkdir()
    assert run("image", "verify", tmp_path / "empty").code == 2


def test_verify_and_inspect_files(run: Run, images: Path, tmp_path: Path) -> None:
    good = images / "joined_files" / "1.5" / "tdx_module_1.5.34.blob"
    debug = tmp_path / "debug.blob"
    module = synthetic_module("debug", 1)
    debug.write_bytes(pack(SIGNER.sigstruct(module, Parts(module_type=1 << 31)), module, "2.0"))

    plain = run("image", "verify", good, debug, *TRUST)
    assert plain.out.splitlines()[:3] == [f"ok    {good}", f"ok    {debug}", "      note  this is a debug module"]
    ran = run("image", "verify", good, debug, *TRUST, "--verbose")
    assert ran.code == 0
    assert "note  this is a debug module" in ran.out
    assert "ok    signature    the RSA-3072 signature holds" in ran.out
    assert run("image", "verify", good, "nowhere.blob", *TRUST).code == 2
    assert run("image", "verify", good, "--signer", "AB").code == 2

    ran = run("image", "inspect", good, debug, "--json")
    first, second = ran.json["images"]
    assert (first["format"], first["seamsvn"], first["identity"]) == ("2.0", "0x122", "TDX_01")
    assert (first["debug"], second["debug"]) == (False, True)
    text = run("image", "inspect", debug).out
    assert "YES, a debug module" in text
    assert "Sapphire Rapids" in text
    assert "2026-01-01" in text


def test_measurements(run: Run, images: Path, tmp_path: Path) -> None:
    import csv

    rows = run("measurements", "--catalog", images, *TRUST, "--json").json["releases"]
    assert len(rows) == 20
    row = next(row for row in rows if row["version"] == "2.0.16")
    assert (row["seamsvn"], row["svn_minor"], row["svn_major"], row["identity"]) == (0x310, 16, 3, "TDX_03")
    assert row["platforms"] == ["Granite Rapids", "Granite Rapids-D"]
    assert row["signature"] == "ok"
    assert run("measurements", "--catalog", images, *TRUST, "--format=json").json["releases"] == rows

    out = tmp_path / "m.csv"
    assert run("measurements", "--catalog", images, *TRUST, "--format", "csv", "-o", out).code == 0
    with out.open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [line["mrseam"] for line in table] == [row["mrseam"] for row in rows]
    assert run("measurements", "--catalog", images, *TRUST, "-o", out).code == 1
    untrusted = run("measurements", "--catalog", images, "--json")
    assert untrusted.code == 1
    assert all(row["mrseam"] is None for row in untrusted.json["releases"])
    assert all(row["signature"].startswith("signer: signed by an unknown") for row in untrusted.json["releases"])

    text = run("measurements", "--catalog", images, *TRUST).out
    assert f"MRSEAM     {row['mrseam']}" in text
    assert "2.0.16  seamsvn 0x310 (minor 16, major 3), TDX_03, built 2026-01-01" in text
    bare = run("measurements", "--mapping", LATEST, "--images", tmp_path).out
    assert "1.5.34  there is no image of it at hand" in bare
    assert run("measurements", "--mapping", LATEST).code == 2


#: What quotes of TDs show around 1.5.24 → 1.5.28 → 1.5.34: launched on, seamsvn; running, TEE_TCB_SVN_2.
QUOTES = {
    "before": [("1.5.24", 0x118, "1.5.24", 0x118)],
    "during": [
        ("1.5.24", 0x118, "1.5.24", 0x118),
        ("1.5.24", 0x118, "1.5.28", 0x11C),
        ("1.5.24", 0x118, "1.5.34", 0x122),
        ("1.5.28", 0x11C, "1.5.28", 0x11C),
        ("1.5.28", 0x11C, "1.5.34", 0x122),
        ("1.5.34", 0x122, "1.5.34", 0x122),
    ],
    "after": [
        ("1.5.24", 0x118, "1.5.34", 0x122),
        ("1.5.28", 0x11C, "1.5.34", 0x122),
        ("1.5.34", 0x122, "1.5.34", 0x122),
    ],
    "settled": [("1.5.34", 0x122, "1.5.34", 0x122)],
}


def test_measurements_around_a_plan(run: Run, images: Path, tmp_path: Path) -> None:
    import csv

    plan = tmp_path / "plan.json"
    common = ("plan", "--catalog", images, *TRUST, "--facts", FACTS)
    assert run(*common, "--policy", "shortest-path", "-o", plan).code == 0
    phases = run("measurements", "--plan", plan, "--format", "json").json
    quotes = ("launched_on", "seamsvn", "running", "tee_tcb_svn_2")
    assert {phase: [tuple(row[key] for key in quotes) for row in phases[phase]] for phase in QUOTES} == QUOTES
    listed = [{"phase": phase, **row} for phase in QUOTES for row in phases[phase]]
    mrseam = {
        row["version"]: row["mrseam"]
        for row in run("measurements", "--catalog", images, *TRUST, "--json").json["releases"]
    }
    assert len(set(mrseam.values())) == len(mrseam)
    for row in listed:
        assert row["version"] == row["launched_on"]
        assert row["mrseam"] == mrseam[row["launched_on"]]
        assert (row["svn_minor"], row["svn_major"], row["identity"]) == (row["seamsvn"] & 0xFF, 1, "TDX_01")
        assert (row["svn_2_minor"], row["svn_2_major"]) == (row["tee_tcb_svn_2"] & 0xFF, 1)

    table = csv.DictReader(run("measurements", "--plan", plan, "--format", "csv").out.splitlines())
    assert list(table) == [{key: str(value) for key, value in row.items()} for row in listed]
    earlier = ["phase", "version", "mrseam", "seamsvn", "svn_minor", "svn_major", "identity"]
    assert table.fieldnames is not None
    assert list(table.fieldnames)[:7] == earlier, "other tools read them"

    text = run("measurements", "--plan", plan).out
    block = (
        f"1.5.28  seamsvn 0x11c (minor 28, major 1), TDX_01\n  MRSEAM     {mrseam['1.5.28']}\n"
        "  while 1.5.28 runs, TEE_TCB_SVN_2 0x11c (minor 28, major 1)\n"
        "  while 1.5.34 runs, TEE_TCB_SVN_2 0x122 (minor 34, major 1)\n1.5.34"
    )
    assert block in text.partition("during the update, accept\n1.5.24")[2]
    assert text.count("MRSEAM") == 1 + 3 + 3 + 1, "once for each module of launch"
    assert "once all of those are gone, accept\n1.5.34" in text
    assert "quote version 5" in text
    assert run("measurements", "--plan", plan, "--catalog", images).code == 2

    assert run("plan", "--mapping", LATEST, "--without-images", "--facts", FACTS, "-o", plan, "--force").code == 0
    assert "provisional" in run("measurements", "--plan", plan).err
    assert run(*common, "--target", "1.5.24", "-o", plan, "--force").code == 0
    assert "holds no update" in run("measurements", "--plan", plan).err


def test_an_image_that_is_not_authentic_is_never_in_a_plan(run: Run, images: Path, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(images, tmp_path / "catalog"))
    target = folder / "joined_files" / "1.5" / "tdx_module_1.5.34.blob"
    target.write_bytes(target.read_bytes()[:-1] + b"!")
    plan = run("plan", "--catalog", folder, *TRUST, "--facts", FACTS, "--json").json
    assert [hop["to"] for hop in plan["hops"]] == ["1.5.28"]
    rules = {step["to"]: [v["rule"] for v in step["verdicts"]] for step in plan["rejected"] if step["from"] == "1.5.24"}
    assert rules["1.5.34"] == ["image-authentic"]
    ran = run("plan", "--catalog", images, "--facts", FACTS)
    assert ran.code == 1
    assert "image-authentic: the image" in ran.out
    assert f"--signer {SIGNER.fingerprint}" in ran.out


def test_signers_of_the_policy_are_trusted_and_told(run: Run, images: Path, tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text(f"schema: seamstep/policy/v1\nname: p\nsigners:\n- {SIGNER.fingerprint}\n")
    arguments = ("plan", "--catalog", images, "--facts", FACTS, "--policy", policy)
    plan = run(*arguments, "--json").json
    assert plan["signers"] == [SIGNER.fingerprint]
    assert f"trusted besides Intel: signer {SIGNER.fingerprint[:12]}…" in run(*arguments).out
    assert json.dumps(plan["hops"][0]["verdicts"]).count("signed by") == 1


def test_a_plan_for_a_legacy_kernel_repacks_and_says_so(run: Run, images: Path, tmp_path: Path, spr: HostFacts) -> None:
    host = spr._replace(profile="legacy", upload=UploadNode("seamldr_upload", "idle"))
    facts = write_facts(tmp_path / "facts.json", host)
    path = tmp_path / "plan.json"
    ran = run("plan", "--catalog", images, *TRUST, "--facts", facts, "-o", path)
    assert ran.code == 0
    assert "(2.0, repacked as 1.0 for this kernel)" in ran.out
    ran = run("apply", path, *TRUST, "--simulate", "--yes")
    assert (ran.code, "1.5.34 runs" in ran.out) == (0, True)
