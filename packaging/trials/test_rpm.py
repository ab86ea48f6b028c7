"""The RPM, built as docs/packages.md says, and tried in a fresh root of Debian.

The root has Debian's python3-* packages and systemd, and nothing of seamstep. Debian has no RPMs of those packages, so
a package without files provides their RPM names in the versions that the root has: the dependencies are checked by rpm
with real versions, and what runs is what the root holds. systemd does not run in it; a stand-in for systemctl records
what it is asked. ``pytest -n 0 -m packages packaging/trials`` runs this as root.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

TREE = Path(__file__).resolve().parents[2]
PLACE = "usr/lib/firmware/intel/tdx-module"
MODULES = "usr/lib/python3/dist-packages/seamstep"
#: The RPM name of each dependency, and Debian's.
NAMES = {
    "argcomplete": ("python3-argcomplete", "python3-argcomplete"),
    "cryptography": ("python3-cryptography", "python3-cryptography"),
    "jsonschema": ("python3-jsonschema", "python3-jsonschema"),
    "networkx": ("python3-networkx", "python3-networkx"),
    "packaging": ("python3-packaging", "python3-packaging"),
    "PyYAML": ("python3-PyYAML", "python3-yaml"),
    "rich": ("python3-rich", "python3-rich"),
}
TOOLS = ("rpm", "rpmbuild", "rpmlint", "mmdebstrap", "dpkg-deb")
#: Records what it is asked. What is enabled is a link, as in systemd.
SYSTEMCTL = """#!/bin/sh
echo "$*" >> /asked
case "$*" in
is-enabled*) test -e /etc/systemd/system/timers.target.wants/seamstep.timer ;;
*disable*) rm -f /etc/systemd/system/timers.target.wants/seamstep.timer ;;
start*) test ! -e /refuse ;;
esac
"""
#: The files of a host with TDX; docs/kernel-tests.md has the one that says that it is made up.
HOST = {
    "proc/sys/kernel/hostname": "host-a",
    "proc/sys/kernel/random/boot_id": "0b6f3c1e-6f0b-4c55-9d5e-3f1f0a4f7c11",
    "proc/sys/kernel/osrelease": "7.2.0",
    "proc/cpuinfo": "processor: 0\nvendor_id: GenuineIntel\ncpu family: 6\nmodel: 143\nstepping: 8\nbugs:\n",
    "proc/cmdline": "quiet",
    "sys/fs/cgroup/misc.current": "tdx 0",
    "sys/devices/system/cpu/online": "0",
    "sys/devices/system/cpu/present": "0",
    "sys/devices/faux/tdx_host/version": "1.5.24",
    "sys/devices/faux/tdx_host/seamldr_version": "1.5.02",
    "sys/devices/faux/tdx_host/num_remaining_updates": "5",
    "sys/class/firmware/tdx_module/status": "idle",
    "sys/module/tdx_host_double/initstate": "live",
}

pytestmark = pytest.mark.packages


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.geteuid():
        missing.append("the rights of root")
    if missing:
        assert not os.environ.get("SEAMSTEP_REQUIRE_PACKAGES"), f"missing: {', '.join(missing)}"
        pytest.skip(f"missing: {', '.join(missing)}")


def run(*command: str | Path, code: int | None = 0, **options: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(  # type: ignore[call-overload]
        [str(word) for word in command], capture_output=True, text=True, check=False, **options
    )
    if code is not None:
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    return done  # type: ignore[no-any-return]


class Built(NamedTuple):
    """The package of this tree, the one of the version after it, and what they were made from."""

    now: Path
    source: Path
    later: Path


def one(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    work = tmp_path_factory.mktemp("rpms")
    run(TREE / "packaging/build-rpm", work / "now")
    # The version after it: another release, whose shipped configuration and one policy say more.
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
        assert old in text
        (tree / name).write_text(text.replace(old, new, 1))
    run(tree / "packaging/build-rpm", work / "later")
    return Built(one(work / "now", "*.noarch.rpm"), one(work / "now", "*.src.rpm"), one(work / "later", "*.noarch.rpm"))


class Demo(NamedTuple):
    """The inputs of the demonstration, and catalog packages of its images."""

    catalog: Path
    facts: Path
    signer: str
    packages: Path

    def package(self, version: str) -> Path:
        return one(self.packages, f"*-{version}-1.noarch.rpm")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    run(sys.executable, "-m", "seamstep", "demo", "--into", folder)
    signer = (folder / "signer").read_text().strip()
    packages = folder / "packages"
    packages.mkdir()
    for version in ("1", "2"):
        options = ("--simulated", "--signer", signer, "--version", version)
        environment = {**os.environ, "PYTHON": sys.executable}
        run(TREE / "packaging/catalog/build", *options, folder / "catalog", packages, env=environment)
    return Demo(folder / "catalog", folder / "facts.json", signer, packages)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root of Debian that holds what seamstep needs and nothing of it."""
    root = tmp_path_factory.mktemp("base") / "root"
    debian = [debian for _, debian in NAMES.values()]
    include = ",".join([*debian, "systemd", "man-db", "bash-completion"])
    codename = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE)
    assert codename, "this is no Debian"
    run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={include}", codename[1], root)
    return root


class Root:
    """A root folder with rpm's database in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rpm(self, *words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        return run("rpm", "--root", self.path, *words, code=code)

    def enter(self, *command: str | Path, code: int | None = 0) -> str:
        """What a command in the root prints, without a network."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        done = run("unshare", "--net", "chroot", self.path, *command, code=code, env=environment)
        return done.stdout + done.stderr

    def asked(self) -> list[str]:
        """What systemctl was asked since the last time, reloads apart."""
        path = self.path / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line for line in lines if line != "daemon-reload"]

    def boot(self) -> None:
        """Make it look as if systemd ran, with the stand-in for systemctl."""
        (self.path / "run/systemd/system").mkdir(parents=True, exist_ok=True)
        program = self.path / "usr/bin/systemctl"
        program.rename(program.with_name("systemctl.real"))
        program.write_text(SYSTEMCTL)
        program.chmod(0o755)

    def make_host(self) -> None:
        """Make the root that of a host that says itself that it is made up, which runs 1.5.24."""
        for name, text in HOST.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text(f"{text}\n")

    @property
    def enabled(self) -> Path:
        return self.path / "etc/systemd/system/timers.target.wants/seamstep.timer"

    def enable(self) -> None:
        self.enabled.parent.mkdir(parents=True, exist_ok=True)
        self.enabled.symlink_to("/usr/lib/systemd/system/seamstep.timer")


@pytest.fixture(scope="session")
def provider(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package without files that provides what Debian's packages in the root do, by the names that RPMs use."""
    work = tmp_path_factory.mktemp("provider")
    provides = ["/bin/sh", "/usr/bin/python3"]
    for rpm, debian in [("python3", "python3"), *NAMES.values()]:
        version = run("dpkg-query", f"--root={base}", "-W", "-f=${Version}", debian).stdout
        upstream = re.match(r"(?:\d+:)?([0-9.]+)", version)
        assert upstream, version
        provides.append(f"{rpm} = {upstream[1].rstrip('.')}")
    spec = work / "provider.spec"
    spec.write_text(
        "Name: root-of-debian\nVersion: 1\nRelease: 1\nSummary: x\nLicense: MIT\nBuildArch: noarch\n"
        + "".join(f"Provides: {provided}\n" for provided in provides)
        + "%description\nx\n%files\n"
    )
    run("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {work}", spec)
    return one(work, "RPMS/noarch/*.rpm")


@pytest.fixture
def root(base: Path, provider: Path, tmp_path: Path) -> Iterator[Root]:
    """A fresh root of its own: an overlay of the base, or a copy where the file system is no place for an overlay."""
    for name in ("upper", "work", "root"):
        (tmp_path / name).mkdir()
    layers = f"lowerdir={base},upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    mounted = run("mount", "-t", "overlay", "overlay", "-o", layers, tmp_path / "root", code=None).returncode == 0
    if not mounted:
        run("cp", "-a", f"{base}/.", tmp_path / "root")
    try:
        made = Root(tmp_path / "root")
        made.rpm("--initdb")
        made.rpm("-i", provider)
        yield made
    finally:
        if mounted:
            run("umount", tmp_path / "root")


@pytest.fixture
def installed(root: Root, built: Built) -> Root:
    root.rpm("-i", built.now)
    return root


def test_packages_and_spec_are_clean_by_rpmlint(built: Built, demo: Demo) -> None:
    settings = TREE / "packaging/rpm/rpmlint.toml"
    packages = (built.now, built.source, demo.package("1"))
    said = run("rpmlint", "-c", settings, *packages, TREE / "packaging/rpm/seamstep.spec")
    assert " 0 errors, 0 warnings" in said.stdout, said.stdout


def test_two_builds_are_the_same_bytes(built: Built, demo: Demo, tmp_path: Path) -> None:
    script = f'umask 077; TZ=Asia/Tokyo exec "{TREE}/packaging/build-rpm" "{tmp_path}"'
    run("sh", "-c", script, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert one(tmp_path, "*.noarch.rpm").read_bytes() == built.now.read_bytes()
    environment = {**os.environ, "PYTHON": sys.executable, "TMPDIR": str(tmp_path), "TZ": "Asia/Tokyo"}
    options = ("--rpm", "--simulated", "--signer", demo.signer, "--version", "1")
    run(TREE / "packaging/catalog/build", *options, demo.catalog, tmp_path, env=environment)
    made = one(tmp_path, "simulated-*.rpm")
    assert made.read_bytes() == demo.package("1").read_bytes()


def test_the_package_needs_what_pyproject_says(built: Built) -> None:
    wanted = set()
    for text in tomllib.loads((TREE / "pyproject.toml").read_text())["project"]["dependencies"]:
        name, bound = text.split(">=")
        wanted.add(f"{NAMES[name][0]} >= {bound}")
    needed = set(run("rpm", "-qp", "--requires", built.now).stdout.splitlines())
    assert {text for text in needed if text.startswith("python3-")} == wanted
    assert "python3 >= 3.11" in needed


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
        "/usr/lib/systemd/system/seamstep.service",
        "/usr/lib/systemd/system/seamstep.timer",
        "/usr/lib/systemd/system/seamstep-look.service",
        "/usr/lib/systemd/system/seamstep-metrics.service",
        f"/{MODULES}/cli/__init__.py",
    ):
        assert name in files
    settings = {name: words for name, words in files.items() if name.startswith("/etc/") and name.endswith(".yaml")}
    shipped = {f"/etc/seamstep/policies/{path.name}" for path in (TREE / "policies").glob("*.yaml")}
    assert set(settings) == shipped | {"/etc/seamstep/config.yaml"}
    assert all("cn" in words[1:] for words in settings.values()), "config(noreplace), each of them"
    assert files["/var/lib/seamstep"][0] == "drwx------"
    assert all(line.split()[-2] == "root" for line in lines)
    assert not [name for name in files if "/tests/data" in name or name.startswith(f"/{PLACE}")], "no images"
    scripts = run("rpm", "-qp", "--scripts", "--filetriggers", built.now).stdout
    assert f"transfiletriggerin scriptlet (using /bin/sh) -- /{PLACE}\n" in scripts
    assert not re.search(r"\bapply\b|systemctl [^\n]*\b(enable|preset|start|restart)\b", scripts), "nothing begins"


def test_a_missing_or_old_dependency_stops_the_installation(built: Built, tmp_path: Path) -> None:
    said = run("rpm", "--root", tmp_path, "-i", built.now, code=None)
    assert said.returncode
    assert "python3-networkx >= 2.8.8 is needed" in said.stderr


def test_a_fresh_root_with_the_package_and_a_catalog_plans_without_a_network(installed: Root, demo: Demo) -> None:
    assert "1.5.34 runs" in installed.enter("seamstep", "demo")
    assert installed.enter("man", "-w", "seamstep").strip() == "/usr/share/man/man1/seamstep.1.gz"
    completed = installed.enter(
        "bash", "-c", "source /usr/share/bash-completion/completions/seamstep && complete -p seamstep"
    )
    assert "seamstep" in completed
    installed.enter("systemd-analyze", "verify", "seamstep.service", "seamstep.timer", "seamstep-look.service")
    installed.enter("systemd-analyze", "verify", "seamstep-metrics.service", "seamstep-metrics.timer")
    assert "no mistakes" not in installed.enter("seamstep", "service", "check", code=None), "there is no catalog yet"
    installed.rpm("-i", demo.package("1"))
    installed.make_host()
    assert "1.5.24" in installed.enter("seamstep", "status")
    trust = ("--signer", demo.signer)
    plan = json.loads(installed.enter("sh", "-c", f"seamstep plan {' '.join(trust)} --json 2> /said"))
    assert plan["outcome"] == "update", "the catalog of the package is the default one"
    told = installed.enter("seamstep", "apply", *trust, "--dry-run")
    assert "1.5.24 → 1.5.34" in told
    assert installed.rpm("-V", "seamstep", "simulated-tdx-module").stdout == "", "nothing wrote over a file"


def test_the_service_looks_once_when_a_catalog_comes(installed: Root, demo: Demo) -> None:
    installed.boot()
    look = ["start --no-block seamstep-look.service"]
    installed.rpm("-i", demo.package("1"))
    assert not [line for line in installed.asked() if line.startswith("start")], "nothing is enabled: no look"
    installed.rpm("-e", "simulated-tdx-module")
    installed.enable()
    installed.asked()

    def looks(*words: str | Path) -> list[str]:
        installed.rpm(*words)
        return [line for line in installed.asked() if not line.startswith("is-enabled")]

    assert looks("-i", demo.package("1")) == look
    assert looks("-U", demo.package("2")) == look, "the removal of the old version is no second one"
    assert looks("-U", "--oldpackage", demo.package("1")) == look
    assert looks("-e", "simulated-tdx-module") == [], "nothing to look at"
    (installed.path / "refuse").touch()
    assert looks("-i", demo.package("1")) == look, "the installation does not fail with the look"
    (installed.path / "usr/bin/seamstep").write_text("#!/bin/sh\nexit 70\n")
    said = installed.rpm("-U", demo.package("2")).stderr
    assert "could not be asked to look at the new catalog (exit code 70)" in said
    installed.rpm("-q", "simulated-tdx-module-2")


def test_nothing_is_asked_where_systemd_does_not_run(installed: Root, demo: Demo) -> None:
    installed.boot()
    installed.enable()
    shutil.rmtree(installed.path / "run/systemd/system")
    installed.rpm("-i", demo.package("1"))
    assert installed.asked() == []


def test_an_upgrade_keeps_what_the_administrator_changed(installed: Root, built: Built) -> None:
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
    assert not [line for line in installed.asked() if "disable" in line or line.startswith("stop")]


def test_removal_keeps_the_journal_and_changed_settings_and_nothing_else(installed: Root) -> None:
    installed.boot()
    installed.enable()
    before = {path for path in installed.path.rglob("*seamstep*") if not path.is_dir()}
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
    left = {path for path in installed.path.rglob("*seamstep*") if not path.is_dir()}
    assert len(before) > 5
    assert left == set()
    assert not (installed.path / MODULES).exists(), "no bytecode stays behind"
    assert sorted(path.name for path in settings.iterdir()) == ["config.yaml.rpmsave"]
