"""The Debian package, tried in fresh roots of Debian (``roots``), and with systemd in a container.

``pytest packaging/trials -m packages -n 0`` runs this as root. docs/packages.md says what is tried.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from roots import TREE, Root, Roots, debian_names, made, one, ours, overlay, require, run
from served import ETC, PLACE, Catalogs, Served, made_catalogs

POLICIES = sorted(path.name for path in (TREE / "policies").glob("*.yaml"))
UNITS = [f"seamstep{name}" for name in (".service", ".timer", "-look.service", "-metrics.service", "-metrics.timer")]
pytestmark = pytest.mark.packages


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    require("dpkg-buildpackage", "dh", "lintian", "mmdebstrap", "nsenter", "unshare", "setpriv")


class Built(NamedTuple):
    """The package of this tree, its folder, and a package of the version before it."""

    now: Path
    folder: Path
    earlier: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    work = tmp_path_factory.mktemp("built")
    run(TREE / "packaging/build-deb", work / "now")
    tree = work / "tree"
    files = run("git", "-c", "safe.directory=*", "-C", TREE, "ls-files", "-z").stdout.split("\0")
    for name in files:
        if (TREE / name).is_file() and not name.startswith(("tests/", "docs/adr/", "docs/images/")):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TREE / name, tree / name)
    version = run("dpkg-parsechangelog", "-l", TREE / "packaging/debian/changelog", "-S", "Version").stdout.strip()
    for name, old, new in (
        ("engine/seamstep/__init__.py", version.rpartition("-")[0], "0.0.9"),
        ("packaging/debian/changelog", f"({version})", "(0.0.9-1)"),
        ("engine/seamstep/service/config.yaml", "# The configuration", "# Of the version before.\n# The configuration"),
        ("policies/cautious.yaml", "schema:", "# Of the version before.\nschema:"),
        ("policies/canary.yaml", "schema:", "# Of the version before.\nschema:"),
    ):
        text = (tree / name).read_text()
        assert old in text, name
        (tree / name).write_text(text.replace(old, new, 1))
    run(tree / "packaging/build-deb", work / "earlier")
    return Built(one(work / "now", "*.deb"), work / "now", one(work / "earlier", "*.deb"))


@pytest.fixture(scope="session")
def made_roots(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    return made(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> Catalogs:
    return made_catalogs(tmp_path_factory.mktemp("made") / "deb", "deb")


@pytest.fixture
def plain(made_roots: Roots, tmp_path: Path) -> Iterator[Root]:
    with overlay(made_roots.plain, tmp_path) as path:
        yield Root(path)


@pytest.fixture
def full(made_roots: Roots, tmp_path: Path) -> Iterator[Root]:
    with overlay(made_roots.full, tmp_path) as path:
        yield Root(path)


def test_package_and_source_package_are_clean_by_lintian(built: Built) -> None:
    changes = one(built.folder, "*.changes")
    said = run("lintian", "--allow-root", "--display-info", "--fail-on=error,warning,info", changes)
    assert not said.stdout


def test_two_builds_are_the_same_bytes(built: Built, tmp_path: Path) -> None:
    script = f'umask 077; TZ=Asia/Tokyo exec "{TREE}/packaging/build-deb" "{tmp_path}"'
    run("sh", "-c", script, env={**os.environ, "TMPDIR": str(tmp_path)})
    for pattern in ("*.deb", "*.orig.tar.gz", "*.debian.tar.xz"):
        assert one(tmp_path, pattern).read_bytes() == one(built.folder, pattern).read_bytes(), pattern


def test_the_package_needs_what_pyproject_says(built: Built) -> None:
    needed = run("dpkg-deb", "-f", built.now, "Depends").stdout.strip().split(", ")
    assert {word.split()[0] for word in needed} == {*debian_names(), "python3:any", "tzdata"}
    assert "python3:any (>= 3.11~)" in needed


def test_contents_and_scripts(built: Built, tmp_path: Path) -> None:
    lines = run("dpkg-deb", "-c", built.now).stdout.splitlines()
    files = {line.split()[5]: line.split() for line in lines}
    for name in (
        "usr/bin/seamstep",
        "usr/share/man/man1/seamstep.1.gz",
        "usr/share/bash-completion/completions/seamstep",
        "usr/share/zsh/vendor-completions/_seamstep",
        "usr/share/fish/vendor_completions.d/seamstep.fish",
        *(f"lib/systemd/system/{unit}" for unit in UNITS),
    ):
        assert f"./{name}" in files
    assert files["./var/lib/seamstep/"][0] == "drwx------"
    assert files[f"./{ETC}/tcb-info/"][0] == "drwxr-xr-x"
    assert all(words[1] == "root/root" for words in files.values())
    assert not [name for name in files if "__pycache__" in name or name.startswith(f"./{PLACE}")]
    run("dpkg-deb", "-e", built.now, tmp_path)
    settings = {f"/{ETC}/config.yaml", *(f"/{ETC}/policies/{name}" for name in POLICIES)}
    assert set((tmp_path / "conffiles").read_text().splitlines()) == settings
    assert f"interest-noawait /{PLACE}\n" in (tmp_path / "triggers").read_text()
    scripts = "".join((tmp_path / name).read_text() for name in ("postinst", "prerm", "postrm"))
    assert not re.search(r"\bapply\b|systemctl [^\n]*\b(enable|preset|start|restart)\b", scripts), "nothing begins"


def test_a_fresh_root_with_the_package_and_a_catalog_plans_without_a_network(
    plain: Root, built: Built, catalogs: Catalogs
) -> None:
    plain.dpkg("-i", built.now, catalogs.first)
    plain.enter("apt-get", "check")
    assert not [name for name in ours(plain) if "/systemd/" in name and name.startswith("etc")], "nothing is enabled"
    assert "1.5.34 runs" in plain.enter("seamstep", "demo")
    assert "0 failed" in plain.enter("seamstep", "policy", "test", "--fail-under", "100")
    host = ("--sysroot", "/srv/host")
    assert "1.5.24" in plain.enter("seamstep", "status", *host)
    trust = ("--signer", catalogs.signer)
    asked = f"seamstep plan {' '.join((*host, *trust))} --json 2> /srv/said"
    assert json.loads(plain.enter("sh", "-c", asked))["outcome"] == "update", "the package's catalog is the default"
    assert "1.5.24 → 1.5.34" in plain.enter("seamstep", "apply", *host, *trust, "--dry-run")
    assert (plain.path / "srv/host/sys/devices/faux/tdx_host/version").read_text() == "1.5.24\n"
    assert plain.enter("dpkg", "--verify", "seamstep") == "", "nothing wrote over a file"


def test_the_name_of_a_policy_that_ships_finds_the_one_in_etc(plain: Root, built: Built) -> None:
    plain.dpkg("-i", built.now)
    assert "newest" in plain.enter("seamstep", "service", "show")
    mine = plain.file(f"{ETC}/policies/fewest-hops.yaml")
    mine.write_text("schema: seamstep/policy/v1\nname: fewest-hops\ntarget: '>=1.5.28, <1.5.34'\n")
    assert "1.5.34" in plain.enter("seamstep", "service", "show")


def test_manual_completion_and_units(full: Root, built: Built) -> None:
    full.dpkg("-i", built.now)
    assert "TDX module" in full.enter("man", "seamstep")
    bash = "source /usr/share/bash-completion/bash_completion; _completion_loader seamstep; COMP_LINE='seamstep expl'"
    bash += '; COMP_POINT=13 COMP_TYPE=9; _python_argcomplete seamstep; echo "got ${COMPREPLY[*]}"'
    assert "got explain" in full.enter("bash", "-c", bash)
    zsh = "autoload -Uz compinit && compinit -u && echo $_comps[seamstep]"
    assert full.enter("zsh", "-c", zsh).strip() == "_seamstep"
    assert full.enter("fish", "-c", "complete -C 'seamstep expl'").startswith("explain")
    assert full.enter("systemd-analyze", "verify", *UNITS) == ""


def test_an_upgrade_keeps_what_the_administrator_changed(full: Root, built: Built) -> None:
    full.dpkg("-i", built.earlier)
    assert full.enter("seamstep", "--version").strip() == "seamstep 0.0.9"
    full.enter("systemctl", "enable", "seamstep.timer")
    before = sorted(name for name in ours(full) if name.startswith("etc/systemd"))
    settings = full.file(ETC)
    mine = "schema: seamstep/config/v1\nhold: ours\n"
    (settings / "config.yaml").write_text(mine)
    cautious = (settings / "policies/cautious.yaml").read_text() + "# Mine.\n"
    (settings / "policies/cautious.yaml").write_text(cautious)
    (settings / "policies/shortest-path.yaml").unlink()
    (settings / "policies/own.yaml").write_text("own\n")
    journal = full.file("var/lib/seamstep/journal.jsonl")
    journal.write_text("{}\n")
    full.dpkg("--force-confdef", "--force-confold", "-i", built.now)
    assert full.enter("seamstep", "--version").strip() != "seamstep 0.0.9"
    assert (settings / "config.yaml").read_text() == mine
    assert "Of the version" not in (settings / "config.yaml.dpkg-dist").read_text(), "the new one lies beside it"
    assert (settings / "policies/cautious.yaml").read_text() == cautious
    assert "Of the version" not in (settings / "policies/canary.yaml").read_text(), "what was left alone is the new one"
    assert not (settings / "policies/shortest-path.yaml").exists(), "what was removed stays away"
    assert (settings / "policies/own.yaml").read_text() == "own\n"
    assert journal.read_text() == "{}\n"
    assert sorted(name for name in ours(full) if name.startswith("etc/systemd")) == before != []


def test_the_journal_survives_removal_and_not_purge(full: Root, built: Built) -> None:
    fresh = ours(full)
    full.dpkg("-i", built.now)
    full.enter("systemctl", "enable", "seamstep.service")
    full.enter("seamstep", "hold", "--reason", "the verifiers are late")
    journal = full.file("var/lib/seamstep/journal.jsonl")
    journal.write_text("{}\n")
    mine = full.file(f"{ETC}/policies/own.yaml")
    mine.write_text("own\n")
    full.dpkg("--remove", "seamstep")
    assert journal.read_text() == "{}\n"
    kept = ("etc/", "var/lib/seamstep", "var/lib/dpkg/", "var/lib/systemd/")
    assert [name for name in ours(full) if not name.startswith(kept)] == fresh, "no bytecode stays behind"
    full.dpkg("-i", built.now)
    assert "the verifiers are late" in full.enter("seamstep", "status", "--sysroot", "/", code=None)
    full.dpkg("--purge", "seamstep")
    left = [name for name in ours(full) if name not in fresh]
    assert left == ["etc/seamstep", "etc/seamstep/policies", "etc/seamstep/policies/own.yaml"], "the administrator's"


@pytest.fixture
def served(made_roots: Roots, built: Built, catalogs: Catalogs, tmp_path: Path) -> Iterator[Served]:
    with overlay(made_roots.full, tmp_path) as path, Served(path, catalogs).serving(built.now) as host:
        yield host


def test_the_enabled_service_looks_once_when_a_catalog_comes(served: Served, built: Built, catalogs: Catalogs) -> None:
    assert served.runs("-i", catalogs.first) == [], "nothing is enabled, so nothing looks"
    served.dpkg("--purge", "simulated-tdx-module")
    served.enter("systemctl", "enable", "seamstep.service")

    served.policy(open_now=False)
    assert served.runs("-i", catalogs.first) == ["4"], "outside the window: one look, no update"
    assert served.version == "1.5.24"

    served.policy()
    served.enter("seamstep", "hold", "--reason", "the verifiers are late")
    assert len(served.runs("-i", catalogs.second)) == 1
    assert served.version == "1.5.24", "held"
    assert "the verifiers are late" in served.enter("seamstep", "status", code=None)
    served.enter("seamstep", "hold", "--release")

    assert served.runs("--remove", "simulated-tdx-module") == [], "without a catalog there is nothing to look at"
    assert served.runs("-i", catalogs.first, built.now) == ["0"], "in the window: one look, and the update"
    assert served.version == "1.5.34"
    assert "1.5.34" in served.enter("seamstep", "history")
    assert served.runs("-i", catalogs.second) == ["0"], "it is there already"
    assert served.enter("seamstep", "history").count("state=applied version=1.5.34") == 2, "of a hop, and of its run"

    program = served.file("usr/bin/seamstep")
    works = program.read_text()
    program.write_text("#!/bin/sh\nexit 70\n")
    assert "could not be asked" in served.dpkg("-i", catalogs.first), "no failure of the installation"
    program.write_text(works)


def test_an_upgrade_ends_a_run_and_makes_up_for_it(served: Served, built: Built, catalogs: Catalogs) -> None:
    served.dpkg("-i", catalogs.first)
    served.enter("systemctl", "enable", "seamstep.service")
    served.begin_run()
    assert served.runs("-i", built.now) == ["130", "0"]
    assert served.version == "1.5.34"
