"""What pyproject.toml, the README and the tests say of each other."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import seamstep
from seamstep import __version__, cli
from seamstep.base.errors import ExitCode

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_oldest_versions_are_the_lower_bounds() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = project["dependencies"] + project["optional-dependencies"]["fleet"]
    pinned = [line for line in (ROOT / "tests" / "oldest.txt").read_text().splitlines() if not line.startswith("#")]
    assert [bound.replace(">=", "==") for bound in bounds] == pinned


def test_each_dependency_has_its_reason() -> None:
    bounds = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    reasons = (ROOT / "docs" / "adr" / "0002-runtime-dependencies.md").read_text()
    for bound in bounds:
        assert f"| {bound.partition('>=')[0]} |" in reasons


def test_each_version_has_its_changes() -> None:
    """The version at work is on top; those below it are older, have the day of their release, and none stands twice."""
    text = (ROOT / "CHANGELOG.md").read_text()
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    found = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (not released yet|\d{4}-\d\d-\d\d)", head) for head in heads]
    assert all(found), heads
    versions = [Version(match[1]) for match in found if match]
    assert str(versions[0]) == seamstep.__version__
    assert versions == sorted(set(versions), reverse=True)
    assert not [match[1] for match in found[1:] if match and match[2].startswith("not")]
    for section in re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]:
        assert re.search(r"^### \w+\n\n- \w", section, re.MULTILINE)


def test_what_the_one_file_build_holds_is_pinned_by_hashes() -> None:
    """Each dependency, in a version that pyproject.toml admits, and nothing without the hash of its file."""
    lock = (ROOT / "packaging" / "onefile" / "lock.txt").read_text()
    pinned = {}
    for entry in re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", lock)).splitlines():
        requirement, *hashes = re.split(r" +--hash=", entry)
        assert hashes, entry
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in hashes), entry
        name, _, version = requirement.partition("==")
        pinned[canonicalize_name(name)] = version
    for bound in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        wanted = Requirement(bound)
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)])


def test_each_optional_dependency_has_its_reason() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    reasons = (ROOT / "docs" / "adr" / "0026-fleets-are-planned-by-classes.md").read_text()
    for extra in ("fleet", "spark"):
        for bound in extras[extra]:
            name, _, version = bound.partition(">=")
            assert f"| `{extra}` | {name} |" in reasons
            assert f"{name} {version}" in reasons


def test_pages_show_every_command_and_exit_code() -> None:
    page = (ROOT / "docs" / "commands.md").read_text()
    exit_codes = (ROOT / "docs" / "exit-codes.md").read_text()
    commands = re.findall(r"^    ([a-z]+)(?: |$)", cli.parser().format_help(), re.MULTILINE)
    assert {"facts", "plan", "apply", "policy", "image", "measurements", "demo"} <= set(commands)
    for command in commands:
        assert f"`seamstep {command}" in README
        assert f"\n## {command}\n" in page
    for code in set(ExitCode) - {ExitCode.INTERRUPTED}:
        assert f"| {int(code)} |" in exit_codes
        assert re.search(rf"^  {int(code)} +\S", cli.parser().epilog or "", re.MULTILINE)


@pytest.mark.parametrize("block", re.findall(r"```console\n(.*?)```", README, re.DOTALL))
def test_readme_commands_parse(block: str) -> None:
    """Every command line that the README shows is one the parser takes."""
    lines = re.sub(r"\\\n\s*", "", block).splitlines()
    shown = [line.removeprefix("$ ").removeprefix("# ") for line in lines if re.match(r"[$#] (sudo )?seamstep ", line)]
    assert shown
    for line in shown:
        substituted = re.sub(r"\$\([^)]*\)", "PRINTED", line.removeprefix("sudo "))
        cli.parser().parse_args(shlex.split(substituted)[1:])


def test_readme_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)", README)
    assert links
    for link in links:
        assert "://" in link or (ROOT / link).exists(), link


def test_what_pages_install_can_be_installed() -> None:
    """No package index has seamstep: a page installs a checkout, a repository by its address, or wheels at hand."""
    pages = [ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.md")]
    lines = [
        line for page in pages for line in page.read_text().splitlines() if re.search(r"\bpip (install|wheel) ", line)
    ]
    assert len(lines) > 5
    for line in lines:
        assert "--no-index --find-links wheels" in line or not re.search(r"(?<![/\w])seamstep(?![/\w])", line), line


def test_the_packages_are_of_the_version_of_the_source() -> None:
    changelog = (ROOT / "packaging" / "debian" / "changelog").read_text()
    spec = (ROOT / "packaging" / "rpm" / "seamstep.spec").read_text()
    assert changelog.startswith(f"seamstep ({__version__}-1) ")
    assert re.findall(r"^Version: +(.*)$", spec, re.MULTILINE) == [__version__]


def test_the_patch_for_the_hatchling_of_debian_fits() -> None:
    patch = (ROOT / "packaging" / "debian" / "patches" / "hatchling-of-debian-12.patch").read_text()
    (replaced,) = re.findall(r"^-(license-files.*)$", patch, re.MULTILINE)
    assert replaced in (ROOT / "pyproject.toml").read_text().splitlines()
