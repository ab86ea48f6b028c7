"""The archives of a catalog package, the same bytes for the same catalog, version, time and tools."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from catalog_staging import PLACE, Staged
from seamstep.base.errors import InputError, Problem

_TOOLS = {"deb": ("dpkg-deb", "dpkg"), "rpm": ("rpmbuild", "rpm")}
_HOMEPAGE = "https://github.com/intel/confidential-computing.tdx.tdx-module.binaries"
#: A path that neither a shell nor rpm reads as more than a path.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._+-]*", re.ASCII)
_NO_LICENCE = (
    "The folder that this package was made from holds no licence file. The terms of Intel's images are not known\n"
    "here; see the repository above before the package is passed on.\n"
)
_REAL = (
    "The images of Intel's TDX modules as Intel delivers them, and the mapping file that says which update is possible."
    " They are the default catalog of seamstep, which verified them when this package was built."
)
_MADE_UP = (
    "These images are made up and signed by a test key. No real CPU takes them, and seamstep refuses them on a real"
    " host."
)


class Package(NamedTuple):
    """A package to be made.

    Attributes:
        name: its name.
        conflicts: the name of the package that has other files in the same place.
        simulated: whether the images are made up.
        version: its version.
        release: counts the packages of one version.
        packager: name and address.
        epoch: the time of all files, in seconds since 1970.
        releases: the releases that have an image.
        staged: its files.
    """

    name: str
    conflicts: str
    simulated: bool
    version: str
    release: int
    packager: str
    epoch: int
    releases: tuple[str, ...]
    staged: Staged

    def file_name(self, form: str) -> str:
        """The name of the archive, as the tools of its format have it."""
        if form == "deb":
            return f"{self.name}_{self.version}-{self.release}_all.deb"
        return f"{self.name}-{self.version}-{self.release}.noarch.rpm"

    @property
    def summary(self) -> str:
        """One line."""
        return "made-up TDX modules for simulated hosts" if self.simulated else "Intel TDX modules for runtime updates"

    @property
    def modules(self) -> str:
        """The contents in a few words."""
        first, last = self.releases[0], self.releases[-1]
        return f"TDX modules {first} to {last}" if last != first else f"TDX module {first}"

    @property
    def licence(self) -> str:
        """The licences as an SPDX expression."""
        if self.simulated:
            return "MIT"
        return "LicenseRef-Intel-TDX-module AND MIT" if self.staged.licences else "LicenseRef-unknown"

    @property
    def description(self) -> list[str]:
        """Its paragraphs, each in lines."""
        first = _MADE_UP if self.simulated else _REAL
        return [textwrap.fill(text, 75) for text in (first, f"Releases: {', '.join(self.releases)}.")]


def require_tools(forms: list[str]) -> None:
    """Raise InputError if a program that makes a form is missing."""
    missing = [form for form in forms if shutil.which(_TOOLS[form][0]) is None]
    if missing:
        raise InputError(
            Problem(f"--{form}", f"{_TOOLS[form][0]} is missing; install the package {_TOOLS[form][1]}")
            for form in missing
        )


def deb(package: Package, work: Path) -> bytes:
    """The content of the .deb. Raises InputError if dpkg-deb fails."""
    root = work / "root"
    shutil.copytree(package.staged.catalog, root / PLACE)
    documents = root / "usr/share/doc" / package.name
    documents.mkdir(parents=True)
    (documents / "copyright").write_text(_copyright(package), "utf-8")
    (documents / "changelog.Debian.gz").write_bytes(gzip.compress(_changelog(package).encode(), mtime=0))
    files = sorted(path for path in root.rglob("*") if path.is_file())
    sums = [f"{_md5(path)}  {path.relative_to(root)}\n" for path in files]
    kilobytes = sum(-(-path.stat().st_size // 1024) for path in files)
    control = root / "DEBIAN"
    control.mkdir()
    (control / "control").write_text(_control(package, kilobytes), "utf-8")
    (control / "md5sums").write_text("".join(sums), "utf-8")
    _settle(root, package.epoch)
    made = work / "made.deb"
    _run(["dpkg-deb", "--root-owner-group", "-Zxz", "-z6", "--build", str(root), str(made)], package.epoch, work)
    return made.read_bytes()


def rpm(package: Package, work: Path) -> bytes:
    """The content of the .rpm. Raises InputError if rpmbuild fails."""
    if not _PLAIN_PATH.fullmatch(str(work)):
        raise InputError(Problem("TMPDIR", f"{str(work)!r} is no path that rpmbuild takes; name another folder"))
    root = work / "root"
    shutil.copytree(package.staged.catalog, root / PLACE)
    licences = root / "usr/share/licenses" / package.name
    licences.mkdir(parents=True)
    for name, text in package.staged.licences.items():
        (licences / name).write_text(text, "utf-8")
    if not package.staged.licences:
        (licences / "NO-LICENCE").write_text(_NO_LICENCE, "utf-8")
    _settle(root, package.epoch)
    spec = work / "package.spec"
    spec.write_text(_spec(package, root), "utf-8")
    defined = {
        "_topdir": str(work / "top"),
        "_rpmdir": str(work / "made"),
        "_rpmfilename": "made.rpm",
        "_buildhost": "localhost",
        "_binary_payload": "w6.xzdio",
        "use_source_date_epoch_as_buildtime": "1",
        "clamp_mtime_to_source_date_epoch": "1",
        "source_date_epoch_from_changelog": "0",
        "__os_install_post": "%{nil}",  # the images are packaged as they are: not stripped, not compressed
        "_build_id_links": "none",
    }
    defines = [word for name, value in defined.items() for word in ("--define", f"{name} {value}")]
    _run(["rpmbuild", "-bb", "--quiet", "--target", "noarch", *defines, str(spec)], package.epoch, work)
    return (work / "made/made.rpm").read_bytes()


def _control(package: Package, kilobytes: int) -> str:
    paragraphs = "\n .\n".join("\n".join(f" {line}" for line in text.split("\n")) for text in package.description)
    return f"""\
Package: {package.name}
Version: {package.version}-{package.release}
Architecture: all
Multi-Arch: foreign
Maintainer: {package.packager}
Installed-Size: {kilobytes}
Conflicts: {package.conflicts}
Enhances: seamstep
Section: {"misc" if package.simulated else "non-free-firmware/kernel"}
Priority: optional
Homepage: {_HOMEPAGE}
Description: {package.summary}
{paragraphs}
"""


def _copyright(package: Package) -> str:
    if package.simulated:
        head = (
            f"The images of this package are made up. Its mapping file comes from a folder laid out as\n{_HOMEPAGE}\n"
        )
    else:
        head = f"The files of this package come from a folder laid out as\n{_HOMEPAGE}\n"
    texts = [f"{name}:\n\n{text.strip()}\n" for name, text in package.staged.licences.items()]
    return "\n".join([head, *(texts or [_NO_LICENCE])])


def _changelog(package: Package) -> str:
    day = datetime.fromtimestamp(package.epoch, UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
    return (
        f"{package.name} ({package.version}-{package.release}) unstable; urgency=medium\n\n"
        f"  * {package.modules}.\n\n -- {package.packager}  {day}\n"
    )


def _spec(package: Package, root: Path) -> str:
    """The spec of the .rpm. Its names come from fixed words and from names that were checked."""
    folders = {PLACE, os.path.dirname(PLACE)}
    for path in package.staged.files:
        while path := os.path.dirname(path):
            folders.add(f"{PLACE}/{path}")
    files = [f"%dir /{folder}" for folder in sorted(folders)]
    files += [f"/{PLACE}/{path}" for path in package.staged.files]
    licences = sorted(package.staged.licences) or ["NO-LICENCE"]
    files += [f"%dir /usr/share/licenses/{package.name}"]
    files += [f"%license /usr/share/licenses/{package.name}/{name}" for name in licences]
    day = datetime.fromtimestamp(package.epoch, UTC).strftime("%a %b %d %Y")
    description, listed = "\n\n".join(package.description), "\n".join(files)
    return f"""\
Name: {package.name}
Version: {package.version}
Release: {package.release}
Summary: {package.summary[0].upper()}{package.summary[1:]}
License: {package.licence}
Group: System/Kernel
URL: {_HOMEPAGE}
Packager: {package.packager}
BuildArch: noarch
AutoReqProv: no
Conflicts: {package.conflicts}
Enhances: seamstep

%description
{description}

%install
mkdir -p %{{buildroot}}
cp -a {root}/. %{{buildroot}}/

%files
%defattr(0644, root, root, 0755)
{listed}

%changelog
* {day} {package.packager} - {package.version}-{package.release}
- {package.modules}
"""


def _md5(path: Path) -> str:
    """The digest that dpkg looks for damage with; it is no defence."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _settle(root: Path, epoch: int) -> None:
    """Give all files one time and plain modes, so that neither the umask nor the clock is in the archive."""
    for at, _, names in os.walk(root, topdown=False):
        for path, mode in [*((os.path.join(at, name), 0o644) for name in names), (at, 0o755)]:
            os.chmod(path, mode)
            os.utime(path, (epoch, epoch))


def _run(command: list[str], epoch: int, work: Path) -> None:
    """Run a tool. Its HOME is empty: settings of the user who builds are not in the archive."""
    home = work / "home"
    home.mkdir()
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    done = subprocess.run(
        command,
        env=environment | {"SOURCE_DATE_EPOCH": str(epoch)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise InputError(Problem(command[0], f"failed: {done.stderr.strip() or done.stdout.strip()}"))
