"""A catalog package holds the verified files of a folder and nothing else, or there is no package.

packaging/trials installs such packages; here is which folders make one. The tests use the .deb, which the tools of
every Debian read, and are left out where there is no dpkg-deb.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import catalog_package
from conftest import SIGNER

PLACE = "usr/lib/firmware/intel/tdx-module"
SIMULATED = ("--simulated", "--signer", SIGNER.fingerprint)
NAME = "simulated-tdx-module_20260212-1_all.deb"
FIRST = "joined_files/1.5/tdx_module_1.5.01.blob"

pytestmark = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")


@pytest.fixture
def folder(images: Path, tmp_path: Path) -> Path:
    """A catalog as the vendor's repository: images, licences, and files that are not for hosts."""
    folder = tmp_path / "vendor"
    shutil.copytree(images, folder)
    (folder / "LICENSE").write_text("MIT, as Intel says\n")
    (folder / "BINARIES_LICENSE").write_text("distribute the “Materials”, as delivered\n")
    (folder / "version_select_and_load.py").write_text("print('not for hosts')\n")
    (folder / ".git").mkdir()
    (folder / ".git" / "tdx_module_9.9.09.blob").write_text("hidden")
    return folder


def build(folder: Path, *options: str, version: str = "20260212") -> int:
    outdir = folder.parent / "out"
    outdir.mkdir(exist_ok=True)
    return catalog_package.main(["--deb", "--version", version, *options, str(folder), str(outdir)])


def made(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder.parent / "out").iterdir())


def unpacked(folder: Path) -> Path:
    root = folder.parent / "root"
    subprocess.run(["dpkg-deb", "-R", folder.parent / "out" / NAME, root], check=True)
    return root


def test_a_package_holds_the_catalog_and_its_licences_byte_for_byte(folder: Path) -> None:
    assert build(folder, *SIMULATED) == 0
    root = unpacked(folder)
    packed = {str(path.relative_to(root / PLACE)) for path in (root / PLACE).rglob("*") if path.is_file()}
    wanted = {str(path.relative_to(folder)) for path in folder.glob("joined_files/*/*")} | {"mapping_file.json"}
    assert packed == wanted, "no script, no hidden file"
    assert all((root / PLACE / name).read_bytes() == (folder / name).read_bytes() for name in packed)
    terms = (root / "usr/share/doc/simulated-tdx-module/copyright").read_text()
    assert "MIT, as Intel says" in terms
    assert "distribute the “Materials”, as delivered" in terms
    control = (root / "DEBIAN/control").read_text()
    for line in ("Version: 20260212-1", "Architecture: all", "Conflicts: intel-tdx-module"):
        assert f"\n{line}\n" in control
    assert "made up" in control, "a package of made-up images says so in its name and its description"
    assert sorted(path.name for path in (root / "DEBIAN").iterdir()) == ["control", "md5sums"], "no script of its own"


def test_two_builds_are_the_same_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build(folder, *SIMULATED) == 0
    first = (folder.parent / "out" / NAME).read_bytes()
    again = folder.parent / "elsewhere" / "copy"
    shutil.copytree(folder, again)
    for path in again.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o700)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    mask = os.umask(0o077)
    try:
        assert build(again, *SIMULATED) == 0
    finally:
        os.umask(mask)
    assert hashlib.sha256((again.parent / "out" / NAME).read_bytes()).digest() == hashlib.sha256(first).digest()


def test_a_package_is_not_overwritten_unless_asked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder.parent / "out").mkdir()
    (folder.parent / "out" / NAME).write_text("mine")
    assert build(folder, *SIMULATED) == 1
    assert "--force" in capsys.readouterr().err
    assert (folder.parent / "out" / NAME).read_text() == "mine"
    assert build(folder, *SIMULATED, "--force") == 0
    assert (folder.parent / "out" / NAME).stat().st_mode & 0o777 == 0o644


def test_the_version_is_the_day_of_the_commit_where_none_is_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--deb", *SIMULATED, str(folder), str(folder.parent)]
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert catalog_package.main(arguments) == 2
    assert "log -1 --format=%ct" in capsys.readouterr().err, "the error says where a version comes from"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1770854400")
    assert catalog_package.main(arguments) == 0
    assert (folder.parent / NAME).exists()


def test_made_up_images_make_no_package_of_real_ones(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build(folder) == 1
    assert "signed by an unknown key" in capsys.readouterr().out
    for options in (["--simulated"], ["--signer", SIGNER.fingerprint]):
        assert build(folder, *options) == 2
        assert "--simulated and --signer" in capsys.readouterr().err
    assert made(folder) == []


def change(path: str, content: bytes) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)

    return changed


def flip_a_bit(folder: Path) -> None:
    path = folder / FIRST
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def rename_an_image(folder: Path) -> None:
    """The image of 1.5.01 under the name of 1.5.05, which is an impostor that verifies."""
    (folder / "joined_files/1.5/tdx_module_1.5.05.blob").write_bytes((folder / FIRST).read_bytes())


def suppress(folder: Path) -> None:
    """Settings of the folder that turn an error off."""
    flip_a_bit(folder)
    (folder / ".seamstep-lint.yaml").write_text(
        "schema: seamstep/lint-settings/v1\nseverity: {image-broken: 'off', image-signer: 'off'}\n"
    )


def link(target: str, name: str) -> Callable[[Path], None]:
    def linked(folder: Path) -> None:
        shutil.copy(folder / FIRST, folder.parent / "outside")
        shutil.copytree(folder / "joined_files", folder.parent / "outsiders")
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.symlink_to(folder.parent / target)

    return linked


def escape(folder: Path) -> None:
    path = folder / "mapping_file.json"
    path.write_text(path.read_text().replace('"version": "1.5.01"', '"version": "../../../../etc/shadow"'))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (flip_a_bit, "tdx_module_1.5.01.blob"),
        (rename_an_image, "tdx_module_1.5.05.blob"),
        (suppress, "tdx_module_1.5.01.blob"),
        (escape, "../../../../etc/shadow"),
        (change("mapping_file.json", b"{"), "mapping_file.json"),
        (change("mapping_file.json", b" " * (17 << 20)), "too large"),
        (change(FIRST, b"\0" * (4 << 20)), "too large"),
        (change("separate_files/tdx_module_1.5.06.sigstruct", b"x" * 2048), "tdx_module_1.5.06.bin"),
        (change("joined_files/%{lua:os.exit(1)}/tdx_module_1.5.06.blob", b"x"), "is no name for a package"),
        (change("a b/tdx_module_1.5.06.blob", b"x"), "is no name for a package"),
        (change("a\nb/tdx_module_1.5.06.blob", b"x"), "is no name for a package"),
        (change("-x/tdx_module_1.5.06.blob", b"x"), "is no name for a package"),
        (change("joined_files/new.blob", b"x"), "its name tells no release"),
        (change("LICENSE.bin-ary", b"\x1b[2J"), "control characters"),
        (change("LICENSE", b"\xff\xfe"), "UTF-8"),
        (link("outside", FIRST), "symbolic link"),
        (link("outside", "mapping_file.json"), "symbolic link"),
        (link("outside", "LICENSE"), "symbolic link"),
        (link("outsiders", "joined_files"), "symbolic link to a folder"),
        (lambda folder: os.mkfifo(folder / "joined_files/tdx_module_1.5.06.bin"), "a pipe"),
        (lambda folder: (folder / "mapping_file.json").unlink(), "there is no mapping_file.json"),
        (lambda folder: shutil.rmtree(folder / "joined_files"), "there are no images"),
        (lambda folder: shutil.rmtree(folder), "can't look into this folder"),
    ],
)
def test_a_folder_with_a_fault_makes_no_package(
    folder: Path, spoil: Callable[[Path], None], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(folder)
    assert build(folder, *SIMULATED) in {1, 2}
    told = capsys.readouterr()
    assert said in told.out + told.err
    assert "Traceback" not in told.err
    assert "/seamstep-catalog-" not in told.out + told.err, "the user's paths are named, not those of the copy"
    assert made(folder) == []


@pytest.mark.parametrize(
    "option",
    [
        ("--version", "1.0-2"),
        ("--version", "%{version}"),
        ("--version", "1\nRecommends: x"),
        ("--version", "../x"),
        ("--version", "v1"),
        ("--release", "0"),
        ("--packager", "no address"),
        ("--packager", "a <b@c>\nDepends: x"),
        ("--packager", "%{lua:x} <b@c>"),
    ],
)
def test_options_that_packages_would_misread_are_refused(
    folder: Path, option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(folder, *SIMULATED, *option) == 2
    assert option[0] in capsys.readouterr().err
    assert made(folder) == []
