"""The RPM, tried in fresh roots of Debian (``roots``), and with systemd in a container.

Debian has no RPMs of what seamstep needs, so a package without files provides their RPM names in the versions that the
root has: rpm checks the dependencies against real versions, and what runs is what the root holds. ``pytest -n 0 -m
packages packaging/trials`` runs this as root. docs/packages-rpm.md says what is tried.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from roots import TREE, Root, Roots, debian_names, made, one, ours, overlay, require, run
from served import ETC, PLACE, Catalogs, Served, made_catalogs

MODULES = "usr/lib/python3/dist-packages/seamstep"
UNITS = [f"seamstep{name}" for name in (".service", ".timer", "-look.service", "-metrics.service", "-metrics.timer")]
#: Records what it is asked. What is enabled is a link, as in systemd.
SYSTEMCTL = """#!/bin/sh
echo "$*" >> /asked
case "$*" in
is-enabled*) test -e /etc/systemd/system/timers.target.wants/seamstep.timer ;;
*disable*) rm -f /etc/systemd/system/timers.target.wants/seamstep.timer ;;
start*) test ! -e /refuse ;;
esac
"""

pytestmark = pytest.mark.packages


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    require("rpm", "rpmbuild", "rpm2cpio", "cpio", "rpmlint", "mmdebstrap", "nsenter", "unshare", "setpriv")


def rpm_name(debian: str) -> str:
    """The name of a Python package's RPM."""
    return debian.replace("python3-yaml", "python3-PyYAML")


class Built(NamedTuple):
    """The package of this tree, its source package, and a package of the version after it."""

    now: Path
    source: Path
    later: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    work = tmp_path_factory.mktemp("rpms")
    run(TREE / "packaging/build-rpm", work / "now")
    tree = work / "tree"
    tree.mkdir()
    unpack = f"rpm2cpio {one(work / 'now', '*.src.rpm')} | cpio -i --quiet --to-stdout '*.tar.gz' | tar -xz"
    run("sh", "-c", f"{unpack} --strip-components=1", cwd=tree)
    for name, old, new in (
        ("packaging/rpm/seamstep.spec", "Release:        1", "Release:        2"),
        ("engine/seamstep/service/config.yaml", "# The configuration", "# Says more.\n# The configuration"),
        ("policies/cautious.yaml", "schema:", "# Says more.\nschema:"),
        ("policies/canary.yaml", "schema:", "# Says more.\nschema:"),
    ):
        text = (tree / name).read_text()
        assert old in text, name
        (tree / name).write_text(text.replace(old, new, 1))
    run(tree / "packaging/build-rpm", work / "later")
    return Built(one(work / "now", "*.noarch.rpm"), one(work / "now", "*.src.rpm"), one(work / "later", "*.noarch.rpm"))


@pytest.fixture(scope="session")
def made_roots(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    return made(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> Catalogs:
    return made_catalogs(tmp_path_factory.mktemp("made") / "rpm", "rpm")


@pytest.fixture(scope="session")
def provider(made_roots: Roots, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package without files that provides what Debian's packages in the roots do, by the names that RPMs use."""
    work = tmp_path_factory.mktemp("provider")
    provides = ["/bin/sh", "/usr/bin/python3", "tzdata"]
    for debian in ("python3", *debian_names()):
        version = run("dpkg-query", f"--root={made_roots.plain}", "-W", "-f=${Version}", debian).stdout
        upstream = re.match(r"(?:\d+:)?([0-9.]+)", version)
        assert upstream, version
        provides.append(f"{rpm_name(debian)} = {upstream[1].rstrip('.')}")
    spec = work / "provider.spec"
    spec.write_text(
        "Name: root-of-debian\nVersion: 1\nRelease: 1\nSummary: x\nLicense: MIT\nBuildArch: noarch\n"
        + "".join(f"Provides: {provided}\n" for provided in provides)
        + "%description\nx\n%files\n"
    )
    run("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {work}", spec)
    return one(work, "RPMS/noarch/*.rpm")


class RpmRoot(Root):
    """A root folder in which rpm installs from outside."""

    def rpm(self, *words: str | Path, code: int = 0) -> str:
        """Run this machine's rpm for the root. Where systemd seems to run, rpm is the first process of a namespace, and
        in the root while a script runs: the root is that of the first process, as on a running system."""
        first = ("unshare", "--pid", "--fork", "--kill-child", f"--mount-proc={self.path}/proc")
        done = run(*(first if self.booted else ()), "rpm", "--root", self.path, *words, code=code)
        return done.stdout + done.stderr

    @property
    def booted(self) -> bool:
        """Whether it looks as if systemd ran."""
        return self.file("run/systemd/system").exists()

    def asked(self) -> list[str]:
        """What systemctl was asked since the last time, reloads and the state of a run apart."""
        path = self.file("asked")
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line for line in lines if line != "daemon-reload" and not line.startswith("show ")]

    def boot(self) -> None:
        """Make it look as if systemd ran, with a stand-in for systemctl."""
        self.file("run/systemd/system").mkdir(parents=True, exist_ok=True)
        self.file("usr/bin/systemctl").write_text(SYSTEMCTL)
        self.file("usr/bin/systemctl").chmod(0o755)

    @property
    def enabled(self) -> Path:
        """The link that enables the timer."""
        return self.file("etc/systemd/system/timers.target.wants/seamstep.timer")

    def enable(self) -> None:
        """Enable the timer."""
        self.enabled.parent.mkdir(parents=True, exist_ok=True)
        self.enabled.symlink_to("/usr/lib/systemd/system/seamstep.timer")


@pytest.fixture
def root(made_roots: Roots, provider: Path, tmp_path: Path) -> Iterator[RpmRoot]:
    with overlay(made_roots.plain, tmp_path) as path:
        root = RpmRoot(path)
        root.rpm("--initdb")
        root.rpm("-i", provider)
        yield root


@pytest.fixture
def installed(root: RpmRoot, built: Built) -> RpmRoot:
    root.rpm("-i", built.now)
    return root


class RpmServed(Served):
    """A host on which systemd and rpm run."""

    def manage(self, act: str, *words: str | Path) -> str:
        return self.enter("rpm", "--force-debian", act, *self.there(*words))


@pytest.fixture
def served(made_roots: Roots, built: Built, provider: Path, catalogs: Catalogs, tmp_path: Path) -> Iterator[RpmServed]:
    with overlay(made_roots.full, tmp_path) as path, RpmServed(path, catalogs).serving(provider, built.now) as host:
        yield host


def test_packages_and_spec_are_clean_by_rpmlint(built: Built, catalogs: Catalogs) -> None:
    settings = TREE / "packaging/rpm/rpmlint.toml"
    packages = (built.now, built.source, catalogs.first)
    said = run("rpmlint", "-c", settings, *packages, TREE / "packaging/rpm/seamstep.spec")
    assert " 0 errors, 0 warnings" in said.stdout, said.stdout


def test_two_builds_are_the_same_bytes(built: Built, catalogs: Catalogs, tmp_path: Path) -> None:
    script = f'umask 077; TZ=Asia/Tokyo exec "{TREE}/packaging/build-rpm" "{tmp_path}"'
    run("sh", "-c", script, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert one(tmp_path, "*.noarch.rpm").read_bytes() == built.now.read_bytes()
    environment = {**os.environ, "PYTHON": sys.executable, "TMPDIR": str(tmp_path), "TZ": "Asia/Tokyo"}
    options = ("--rpm", "--simulated", "--signer", catalogs.signer, "--version", "1")
    run(TREE / "packaging/catalog/build", *options, catalogs.folder, tmp_path, env=environment)
    made = one(tmp_path, "simulated-*.rpm")
    assert made.read_bytes() == catalogs.first.read_bytes()


def test_the_package_needs_what_pyproject_says(built: Built) -> None:
    wanted = {f"{rpm_name(name)} >= {bound}" for name, bound in debian_names().items()}
    needed = set(run("rpm", "-qp", "--requires", built.now).stdout.splitlines())
    assert {text for text in needed if text.startswith("python3-")} == wanted
    assert {"python3 >= 3.11", "tzdata"} <= needed


def test_contents_and_scripts(built: Built) -> None:
    query = r"[%{FILEMODES:perms} %{FILEFLAGS:fflags} %{FILEUSERNAME} %{FILENAMES}\n]"
    lines = run("rpm", "-qp", "--qf", query, built.now).stdout.splitlines()
    files = {line.split()[-1]: line.split()[:-2] for line in lines}
    for name in (
        "/usr/bin/seamstep",
        "/usr/share/man/man1/seamstep.1.gz",
        "/usr/share/bash-completion/completions/seamstep",
        "/usr/share/zsh/site-functions/_seamstep",
        "/usr/share/fish/vendor_completions.d/seamstep.fish",
        *(f"/usr/lib/systemd/system/{unit}" for unit in UNITS),
        f"/{MODULES}/cli/__init__.py",
    ):
        assert name in files
    settings = {name: words for name, words in files.items() if name.startswith("/etc/") and name.endswith(".yaml")}
    shipped = {f"/{ETC}/policies/{path.name}" for path in (TREE / "policies").glob("*.yaml")}
    assert set(settings) == shipped | {f"/{ETC}/config.yaml"}
    assert all("cn" in words[1:] for words in settings.values()), "config(noreplace), each of them"
    assert files["/var/lib/seamstep"][0] == "drwx------"
    assert files[f"/{ETC}/tcb-info"][0] == "drwxr-xr-x"
    assert all(line.split()[-2] == "root" for line in lines)
    assert not [name for name in files if "/tests/data" in name or name.startswith(f"/{PLACE}")], "no images"
    scripts = run("rpm", "-qp", "--scripts", "--filetriggers", built.now).stdout
    assert f"transfiletriggerin scriptlet (using /bin/sh) -- /{PLACE}\n" in scripts
    assert not re.search(r"\bapply\b|systemctl [^\n]*\b(enable|preset|start|restart)\b", scripts), "nothing begins"


def test_a_missing_or_old_dependency_stops_the_installation(built: Built, tmp_path: Path) -> None:
    said = run("rpm", "--root", tmp_path, "-i", built.now, code=None)
    assert said.returncode
    assert "python3-networkx >= 2.8.8 is needed" in said.stderr


def test_a_fresh_root_with_the_package_and_a_catalog_plans_without_a_network(
    installed: RpmRoot, catalogs: Catalogs
) -> None:
    installed.rpm("-i", catalogs.first)
    assert not [name for name in ours(installed) if name.startswith("etc/systemd")], "nothing is enabled"
    assert "1.5.34 runs" in installed.enter("seamstep", "demo")
    assert "0 failed" in installed.enter("seamstep", "policy", "test", "--fail-under", "100")
    host = ("--sysroot", "/srv/host")
    assert "1.5.24" in installed.enter("seamstep", "status", *host)
    given = (*host, "--catalog", f"/{PLACE}", "--signer", catalogs.signer)
    asked = f"seamstep plan {' '.join(given)} --json 2> /srv/said"
    assert json.loads(installed.enter("sh", "-c", asked))["outcome"] == "update"
    assert "1.5.24 → 1.5.34" in installed.enter("seamstep", "apply", *given, "--dry-run")
    assert installed.file("srv/host/sys/devices/faux/tdx_host/version").read_text() == "1.5.24\n"
    assert f"/{PLACE}" in installed.enter("seamstep", "service", "show"), "the catalog of the package is the default"
    verified = run("rpm", "--root", installed.path, "-V", "seamstep", "simulated-tdx-module")
    assert verified.stdout == "", "nothing wrote over a file"


def test_manual_completion_and_units(made_roots: Roots, provider: Path, built: Built, tmp_path: Path) -> None:
    with overlay(made_roots.full, tmp_path) as path:
        full = RpmRoot(path)
        full.rpm("-i", provider, built.now)
        assert "TDX module" in full.enter("man", "seamstep")
        bash = (
            "source /usr/share/bash-completion/bash_completion; _completion_loader seamstep; COMP_LINE='seamstep expl'"
        )
        bash += '; COMP_POINT=13 COMP_TYPE=9; _python_argcomplete seamstep; echo "got ${COMPREPLY[*]}"'
        assert "got explain" in full.enter("bash", "-c", bash)
        zsh = "fpath+=/usr/share/zsh/site-functions; autoload -Uz compinit && compinit -u && echo $_comps[seamstep]"
        assert full.enter("zsh", "-c", zsh).strip() == "_seamstep"
        assert full.enter("fish", "-c", "complete -C 'seamstep expl'").startswith("explain")
        assert full.enter("systemd-analyze", "verify", *UNITS) == ""


def test_the_service_is_asked_once_when_a_catalog_comes(installed: RpmRoot, catalogs: Catalogs) -> None:
    installed.boot()
    look = ["start --no-block seamstep-look.service"]
    installed.rpm("-i", catalogs.first)
    assert not [line for line in installed.asked() if line.startswith("start")], "nothing is enabled: no look"
    installed.rpm("-e", "simulated-tdx-module")
    installed.enable()
    installed.asked()

    def looks(*words: str | Path) -> list[str]:
        installed.rpm(*words)
        return [line for line in installed.asked() if not line.startswith("is-enabled")]

    assert looks("-i", catalogs.first) == look
    assert looks("-U", catalogs.second) == look, "the removal of the old version is no second one"
    assert looks("-U", "--oldpackage", catalogs.first) == look
    assert looks("-e", "simulated-tdx-module") == [], "nothing to look at"
    (installed.path / "refuse").touch()
    assert looks("-i", catalogs.first) == look, "the installation does not fail with the look"
    (installed.path / "usr/bin/seamstep").write_text("#!/bin/sh\nexit 70\n")
    said = installed.rpm("-U", catalogs.second)
    assert "could not be asked to look at the catalog (exit code 70)" in said
    installed.rpm("-q", "simulated-tdx-module-2")


def test_nothing_is_asked_where_systemd_does_not_run(installed: RpmRoot, catalogs: Catalogs) -> None:
    installed.boot()
    installed.enable()
    shutil.rmtree(installed.path / "run/systemd/system")
    installed.rpm("-i", catalogs.first)
    assert installed.asked() == []


def test_an_upgrade_keeps_what_the_administrator_changed(installed: RpmRoot, built: Built) -> None:
    installed.boot()
    installed.enable()
    settings = installed.path / "etc/seamstep"
    mine = "schema: seamstep/config/v1\nhold: ours\n"
    (settings / "config.yaml").write_text(mine)
    for name in ("fewest-hops", "cautious"):
        path = settings / f"policies/{name}.yaml"
        path.write_text(f"{path.read_text()}# Mine.\n")
    (settings / "policies/own.yaml").write_text("own\n")
    journal = installed.path / "var/lib/seamstep/journal.jsonl"
    journal.write_text("{}\n")
    installed.rpm("-U", built.later)
    assert (settings / "config.yaml").read_text() == mine
    assert "Says more" in (settings / "config.yaml.rpmnew").read_text(), "the new one lies beside it"
    assert (settings / "policies/fewest-hops.yaml").read_text().endswith("# Mine.\n")
    assert (settings / "policies/cautious.yaml").read_text().endswith("# Mine.\n")
    assert "Says more" in (settings / "policies/canary.yaml").read_text(), "what nobody changed is the new one"
    assert (settings / "policies/own.yaml").read_text() == "own\n"
    assert journal.read_text() == "{}\n"
    assert installed.enabled.is_symlink()
    assert installed.asked() == ["stop seamstep-look.service seamstep.service"], "the timer goes on; nothing starts"


def test_removal_keeps_the_journal_and_changed_settings_and_nothing_else(installed: RpmRoot) -> None:
    installed.boot()
    installed.enable()
    installed.enter("seamstep", "demo")
    journal = installed.path / "var/lib/seamstep/journal.jsonl"
    journal.write_text("{}\n")
    settings = installed.path / "etc/seamstep"
    (settings / "config.yaml").write_text("schema: seamstep/config/v1\nhold: ours\n")
    installed.rpm("-e", "seamstep")
    asked = installed.asked()
    assert [line for line in asked if line.startswith("stop")], "a run that is under way is waited for"
    assert not installed.enabled.exists()
    assert journal.read_text() == "{}\n"
    assert (settings / "config.yaml.rpmsave").read_text().endswith("hold: ours\n")
    kept = [f"{ETC}", f"{ETC}/config.yaml.rpmsave", "var/lib/seamstep", "var/lib/seamstep/journal.jsonl"]
    assert ours(installed) == kept, "no bytecode stays behind"


def test_the_enabled_service_looks_once_when_a_catalog_comes(
    served: RpmServed, built: Built, catalogs: Catalogs
) -> None:
    assert served.runs("-i", catalogs.first) == [], "nothing is enabled, so nothing looks"
    served.manage("-e", "simulated-tdx-module")
    served.enter("systemctl", "enable", "seamstep.service")
    served.policy(open_now=False)
    assert served.runs("-i", catalogs.first) == ["4"], "outside the window: one look, no update"
    assert served.version == "1.5.24"
    assert served.runs("-e", "simulated-tdx-module") == [], "without a catalog there is nothing to look at"
    served.policy()
    assert served.runs("-U", catalogs.second, built.later) == ["0"], "in the window: one look, and the update"
    assert served.version == "1.5.34"


def test_an_upgrade_ends_a_run_and_makes_up_for_it(served: RpmServed, built: Built, catalogs: Catalogs) -> None:
    served.manage("-i", catalogs.first)
    served.enter("systemctl", "enable", "seamstep.service")
    served.begin_run()
    assert served.runs("-U", built.later) == ["130", "0"]
    assert served.version == "1.5.34"
