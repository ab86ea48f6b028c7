"""Images in files: reading, converting, and files that change under us."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from conftest import SIGNER, TRUST, TRUSTED, Run
from seamstep.base.errors import InputError
from seamstep.demo.synthetic import Parts, Signer, synthetic_module
from seamstep.image import files, verify
from seamstep.image.layout import SIZE_MAX
from seamstep.image.pack import pack
from seamstep.plan.document import PlannedImage
from seamstep.run.executor.upload_image import read_for_upload

MODULE = synthetic_module("files", 5)
SIGNED = SIGNER.sigstruct(MODULE, Parts())


@pytest.fixture
def forms(tmp_path: Path) -> dict[str, Path]:
    """One image in all three forms."""
    forms = {"2.0": tmp_path / "new.blob", "1.0": tmp_path / "old.blob", "separate": tmp_path / "tdx.bin"}
    forms["2.0"].write_bytes(pack(SIGNED, MODULE, "2.0"))
    forms["1.0"].write_bytes(pack(SIGNED, MODULE, "1.0"))
    forms["separate"].write_bytes(MODULE)
    forms["separate"].with_suffix(".sigstruct").write_bytes(SIGNED)
    return forms


def test_all_forms_are_one_image(forms: dict[str, Path]) -> None:
    read = {form: files.read(str(path), TRUSTED) for form, path in forms.items()}
    assert {image.format for image in read.values()} == set(forms)
    assert len({image.sigstruct for image in read.values()}) == 1
    assert {image.module_size for image in read.values()} == {len(MODULE)}
    for image in read.values():
        assert image.content.verification().problems == ()
        assert image.content.verification().sha256 == hashlib.sha256(Path(image.path).read_bytes()).hexdigest()
        for form in ("2.0", "1.0"):
            assert image.content.sha256_as(form) == hashlib.sha256(forms[form].read_bytes()).hexdigest()
    assert files.read(str(forms["separate"].with_suffix(".sigstruct"))).sigstruct_path is not None


@pytest.mark.parametrize("form", ["1.0", "2.0", "separate"])
@pytest.mark.parametrize("to", ["2.0", "1.0"])
def test_convert(forms: dict[str, Path], form: str, to: str, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.blob"
    ran = run("image", "convert", forms[form], "--to", to, "-o", out, "--json")
    assert ran.code == 0
    assert out.read_bytes() == forms[to].read_bytes()
    assert ran.json["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert run("image", "verify", out, *TRUST).code == 0
    again = run("image", "convert", forms[form], "--to", to, "-o", out)
    assert (again.code, "--force" in again.err) == (1, True)
    assert run("image", "convert", out, "--to", to, "-o", out, "--force").code == 0
    assert out.read_bytes() == forms[to].read_bytes()


def test_join_is_convert_of_the_same_two_files(forms: dict[str, Path], run: Run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.sigstruct"
    elsewhere.write_bytes(SIGNED)
    out = tmp_path / "joined.blob"
    assert run("image", "join", forms["separate"], elsewhere, "-o", out).code == 0
    assert out.read_bytes() == forms["2.0"].read_bytes()


def test_what_is_broken_is_not_converted(forms: dict[str, Path], run: Run, tmp_path: Path) -> None:
    content = bytearray(forms["1.0"].read_bytes())
    content[-1] ^= 1
    forms["1.0"].write_bytes(content)
    out = tmp_path / "out.blob"
    ran = run("image", "convert", forms["1.0"], "-o", out)
    assert ran.code == 2
    assert "module-hash" in ran.err
    assert not out.exists()
    other = tmp_path / "other.sigstruct"
    other.write_bytes(SIGNER.sigstruct(synthetic_module("another", 5), Parts()))
    assert run("image", "join", forms["separate"], other, "-o", out).code == 2
    assert not out.exists()


def test_a_stranger_s_image_can_be_converted_and_stays_a_stranger_s(run: Run, tmp_path: Path) -> None:
    old = tmp_path / "old.blob"
    old.write_bytes(pack(Signer().sigstruct(MODULE, Parts()), MODULE, "1.0"))
    out = tmp_path / "new.blob"
    assert run("image", "convert", old, "-o", out).code == 0
    ran = run("image", "verify", out, *TRUST)
    assert (ran.code, "unknown key" in ran.out) == (1, True)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "not a regular file"),
        (lambda path: os.mkfifo(path), "not a regular file"),
        (lambda path: path.write_bytes(b""), "0 bytes"),
        (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), SIZE_MAX + 1), "bytes; expected 1 to"),
        (lambda path: path.write_bytes(b"hello"), "less than a header"),
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    ],
)
def test_files_that_are_no_images(make: object, says: str, tmp_path: Path, run: Run) -> None:
    path = tmp_path / "x.blob"
    make(path)  # type: ignore[operator]
    with pytest.raises(InputError, match=says):
        files.read(str(path))
    assert run("image", "inspect", path).code == 2


def test_parts_of_separate_files(forms: dict[str, Path]) -> None:
    module, signed = forms["separate"], forms["separate"].with_suffix(".sigstruct")
    signed.write_bytes(SIGNED + b"\0")
    with pytest.raises(InputError, match="a sigstruct of 2049 bytes"):
        files.read(str(module))
    signed.write_bytes(SIGNED)
    module.write_bytes(MODULE[:-1])
    with pytest.raises(InputError, match="whole pages"):
        files.read(str(signed))
    module.unlink()
    with pytest.raises(InputError, match="No such file"):
        files.read(str(signed))


def test_a_file_that_changes_after_it_was_read_is_not_trusted(forms: dict[str, Path]) -> None:
    for form, path in forms.items():
        image = files.read(str(path), TRUSTED)
        other = SIGNER.sigstruct(MODULE, Parts(seamsvn=0x1FF))
        victim = path.with_suffix(".sigstruct") if form == "separate" else path
        victim.write_bytes(other if form == "separate" else pack(other, MODULE, form))
        assert image.content.verification().problems == ("format: the file changed while it was read",)


def test_a_file_that_changes_after_it_was_verified_is_not_packed(forms: dict[str, Path]) -> None:
    image = files.read(str(forms["2.0"]), TRUSTED)
    assert image.content.verification().problems == ()
    forms["2.0"].write_bytes(forms["1.0"].read_bytes())
    with pytest.raises(InputError, match="changed"):
        image.content.sha256_as("1.0")


def test_a_file_that_vanishes_is_a_problem_not_a_crash(forms: dict[str, Path]) -> None:
    image = files.read(str(forms["2.0"]), TRUSTED)
    forms["2.0"].unlink()
    (problem,) = image.content.verification().problems
    assert "No such file" in problem


def planned(path: Path, form: str, upload: bytes) -> PlannedImage:
    return PlannedImage(
        path=str(path),
        sigstruct=str(path.with_suffix(".sigstruct")) if form == "separate" else None,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        mrseam=hashlib.sha384(MODULE).hexdigest(),
        seamsvn=Parts().seamsvn,
        upload_format="2.0",
        upload_sha256=hashlib.sha256(upload).hexdigest(),
    )


@pytest.mark.parametrize("form", ["2.0", "1.0", "separate"])
def test_the_same_bytes_are_verified_once_and_no_others_pass_for_them(
    forms: dict[str, Path], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    real = verify.all_checks

    def counted(content: memoryview, *others: Any) -> Any:
        asked.append(len(content))
        return real(content, *others)

    monkeypatch.setattr(verify, "all_checks", counted)
    upload = forms["2.0"].read_bytes()
    plan, verified = planned(forms[form], form, upload), set[tuple[str, str]]()
    assert [read_for_upload(plan, TRUSTED, verified) for _ in range(3)] == [upload] * 3
    assert len(asked) == 1
    for lie in (plan._replace(mrseam="00" * 48), plan._replace(upload_sha256="00" * 32)):
        with pytest.raises(ValueError, match=r"another MRSEAM|other bytes"):
            read_for_upload(lie, TRUSTED, verified)
    if form == "separate":
        signed = forms[form].with_suffix(".sigstruct")
        whole = signed.read_bytes()
        signed.write_bytes(whole[:600] + bytes([whole[600] ^ 1]) + whole[601:])
        with pytest.raises(ValueError, match="not authentic"):
            read_for_upload(plan, TRUSTED, verified)
        signed.write_bytes(whole)
    forms[form].write_bytes(forms[form].read_bytes()[:-1] + b"!")
    changed = planned(forms[form], form, upload)
    for _ in range(2):
        with pytest.raises(ValueError, match="not authentic"):
            read_for_upload(changed, TRUSTED, verified)
    assert len(verified) == 1


@pytest.mark.parametrize("form", ["2.0", "1.0", "separate"])
def test_what_is_uploaded_is_what_was_planned(forms: dict[str, Path], form: str) -> None:
    upload = forms["2.0"].read_bytes()
    plan = planned(forms[form], form, upload)
    assert read_for_upload(plan, TRUSTED) == upload
    with pytest.raises(ValueError, match="is not authentic: signer"):
        read_for_upload(plan, files.TRUSTED)
    for lie in ({"mrseam": "00" * 48}, {"seamsvn": 1}):
        with pytest.raises(ValueError, match="another MRSEAM or seamsvn"):
            read_for_upload(plan._replace(**lie), TRUSTED)
    with pytest.raises(ValueError, match="repacks to other bytes"):
        read_for_upload(planned(forms[form], form, b"something else"), TRUSTED)
    forms[form].write_bytes(forms[form].read_bytes()[:-1] + b"!")
    with pytest.raises(ValueError, match="not the one the plan was made with"):
        read_for_upload(plan, TRUSTED)
    with pytest.raises(ValueError, match=r"not authentic: .*module-hash"):
        read_for_upload(planned(forms[form], form, upload), TRUSTED)
