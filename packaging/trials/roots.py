"""Root folders of Debian in which the trials install packages. All of this needs root's rights.

:func:`made` makes two roots, once a run. Each trial gets an overlay of one, so that it finds it as it was made.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

TREE = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
#: The files of a made-up host that runs 1.5.24; docs/kernel-tests.md has the one that says that it is made up.
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


#: Removes the control group of a container that ended.
_NO_GROUP = (
    'mount -t cgroup2 cgroup2 /mnt && cd /mnt && if [ -d "$1" ]; then find "$1" -depth -type d -exec rmdir {} +; fi'
)


def run(*command: str | Path, code: int | None = 0, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command without standard input. Its exit code has to be ``code``, unless that is None."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    if code is not None:
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def one(folder: Path, pattern: str) -> Path:
    """The one file of a folder that matches."""
    (found,) = folder.glob(pattern)
    return found


class Roots(NamedTuple):
    """The roots.

    Attributes:
        plain: Debian's essential packages, apt, and what the package depends on. Nothing else.
        full: these, and systemd, man, three shells with their completion, and rpm.
    """

    plain: Path
    full: Path


def debian_names() -> dict[str, str]:
    """The dependencies in pyproject.toml, each with its lower bound, by the names of Debian's packages."""
    project = tomllib.loads((TREE / "pyproject.toml").read_text())["project"]
    bounds = dict(text.split(">=") for text in project["dependencies"])
    return {f"python3-{name.lower().removeprefix('py')}": bound for name, bound in bounds.items()}


@functools.cache
def made(work: Path) -> Roots:
    """Make both roots, once a run, below a folder. Later runs use those in the folder that SEAMSTEP_TRIAL_ROOTS names
    again, until other packages are wanted in them."""
    codename = re.search(r"^VERSION_CODENAME=(\w+)", Path("/etc/os-release").read_text(), re.MULTILINE)
    assert codename, "this is no Debian"
    include = ",".join(["python3", "tzdata", *debian_names()])
    more = "systemd man-db bash-completion zsh fish rpm"
    folder = Path(os.environ.get("SEAMSTEP_TRIAL_ROOTS") or work / "roots")
    made, made_with = Roots(folder / "plain", folder / "full"), folder / "packages"
    if made_with.is_file() and made_with.read_text() == f"{include} {more}":
        return made
    for root in made:
        shutil.rmtree(root, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    run(
        "mmdebstrap",
        "--variant=apt",
        "--dpkgopt=force-unsafe-io",
        f"--include={include}",
        f'--customize-hook=cp --archive --one-file-system "$1" {made.plain}',  # what is mounted there is the machine's
        f'--customize-hook=APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -oDPkg::Chroot-Directory="$1" -y install {more}',
        codename[1],
        made.full,
    )
    made_with.write_text(f"{include} {more}")
    return made


@contextlib.contextmanager
def overlay(base: Path, work: Path) -> Iterator[Path]:
    """A root that begins as ``base``: an overlay, or a copy where the file system is no place for an overlay."""
    for name in ("upper", "work", "root"):
        (work / name).mkdir()
    layers = f"lowerdir={base},upperdir={work}/upper,workdir={work}/work"
    root = work / "root"
    mounted = run("mount", "-t", "overlay", "overlay", "-o", layers, root, code=None).returncode == 0
    if not mounted:
        run("cp", "-a", f"{base}/.", root)
    try:
        yield root
    finally:
        if mounted:
            run("umount", root)
        shutil.rmtree(work / "upper")


class Root:
    """A root folder, in which commands run without a network."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name, text in HOST.items():
            file = path / "srv/host" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{text}\n")

    def enter(self, *command: str | Path, code: int | None = 0) -> str:
        """What a command in the root prints."""
        alone = ("unshare", "--net", "--pid", "--fork", "--kill-child", f"--mount-proc={self.path}/proc")
        done = run(*alone, "chroot", self.path, *command, code=code, env=ENVIRONMENT)
        return done.stdout + done.stderr

    def file(self, name: str) -> Path:
        """A path in the root."""
        return self.path / name.lstrip("/")

    def there(self, *words: str | Path) -> list[str]:
        """The words of a command, with packages of this machine copied to the root."""
        for word in words:
            if isinstance(word, Path):
                shutil.copy(word, self.path / "srv")
        return [f"/srv/{word.name}" if isinstance(word, Path) else word for word in words]

    def dpkg(self, *words: str | Path) -> str:
        """Run dpkg in the root."""
        return self.enter("dpkg", *self.there(*words))


def ours(root: Root) -> list[str]:
    """The files in a root that have seamstep in their name, or are in a folder of that name."""
    found = run("find", root.path, "-path", root.path / "srv", "-prune", "-o", "-path", "*seamstep*", "-print").stdout
    return sorted(line.removeprefix(f"{root.path}/") for line in found.splitlines())


class Booted(Root):
    """A root folder in which systemd runs, as the first process of a container without a network."""

    first: int

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """Boot, and kill everything at the end."""
        alone = ("--mount", "--pid", "--fork", "--kill-child", "--uts", "--ipc", "--net")
        group = f"seamstep-trial-{os.getpid()}"
        command: list[str | Path] = [
            "setpriv",
            "--pdeathsig=KILL",
            "unshare",
            *alone,
            TREE / "packaging/trials/boot",
            self.path,
            group,
        ]
        said = self.path.parent / "boot.log"
        with (
            said.open("w") as log,
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as outer,
        ):
            try:
                children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
                self.wait(lambda: outer.poll() is not None or children.read_text().strip())
                assert outer.poll() is None, said.read_text()
                self.first = int(children.read_text())
                self.wait(lambda: self.enter("systemctl", "is-system-running", code=None).strip() == "running")
                yield
            finally:
                outer.kill()
                outer.wait()
                self.wait(
                    lambda: run("unshare", "--mount", "sh", "-c", _NO_GROUP, "sh", group, code=None).returncode == 0
                )

    def enter(self, *command: str | Path, code: int | None = 0) -> str:
        done = run("nsenter", f"--target={self.first}", "--all", *command, code=code, env=ENVIRONMENT)
        return done.stdout + done.stderr

    def wait(self, until: Callable[[], object], seconds: float = 60) -> None:
        """Wait until something is so."""
        end = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < end, f"did not come about within {seconds:g} s"
            time.sleep(0.1)


def require(*tools: str) -> None:
    """Skip the trials if a tool or the rights of root are missing; fail instead if SEAMSTEP_REQUIRE_PACKAGES is set."""
    lacking = [tool for tool in tools if shutil.which(tool) is None]
    if os.geteuid():
        lacking.append("the rights of root")
    if lacking:
        assert not os.environ.get("SEAMSTEP_REQUIRE_PACKAGES"), f"missing: {', '.join(lacking)}"
        pytest.skip(f"missing: {', '.join(lacking)}")
