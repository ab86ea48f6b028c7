"""A made-up host on which systemd runs and seamstep's service is enabled, and the catalog packages that come to it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

from roots import TREE, Booted, one, run

PLACE = "usr/lib/firmware/intel/tdx-module"
ETC = "etc/seamstep"
#: The policy of the host. Signers other than Intel's count on a made-up host alone.
POLICY = """schema: seamstep/policy/v1
name: trial
signers: [{signer}]
td_creation: held
apply:
  windows: [{{days: [{day}], from: 00:00, to: 23:59}}]
  before: {before}
"""
#: Added to the unit: the kernel that stands in, and a record of runs. The rest of the unit is as it is installed.
DROP_IN = """[Service]
Environment=PYTHONPATH=/srv/kernel
BindReadOnlyPaths=/srv/host/proc/cpuinfo:/proc/cpuinfo
ReadWritePaths=/sys/devices/faux/tdx_host /srv/runs
ExecStopPost=sh -c 'echo "$EXIT_STATUS" >> /srv/runs/all'
"""


class Catalogs(NamedTuple):
    """Catalog packages of the demonstration's images.

    Attributes:
        first: a package.
        second: one of the next version.
        signer: the key that signs the images.
        modules: the version that each image installs, by its SHA-256.
        folder: what the packages were made from.
    """

    first: Path
    second: Path
    signer: str
    modules: dict[str, str]
    folder: Path


def made_catalogs(work: Path, form: str) -> Catalogs:
    """Make the catalog packages of a form, ``deb`` or ``rpm``, in a new folder."""
    work.mkdir()
    run(sys.executable, "-m", "seamstep", "demo", "--into", work / "demo")
    folder = work / "demo/catalog"
    signer = (work / "demo/signer").read_text().strip()
    for version in ("1", "2"):
        (work / version).mkdir()
        options = (f"--{form}", "--simulated", "--signer", signer, "--version", version)
        environment = {**os.environ, "PYTHON": sys.executable}
        run(TREE / "packaging/catalog/build", *options, folder, work / version, env=environment)
    modules = {
        hashlib.sha256(path.read_bytes()).hexdigest(): path.stem.rpartition("_")[2] for path in folder.rglob("*.blob")
    }
    return Catalogs(one(work / "1", f"*.{form}"), one(work / "2", f"*.{form}"), signer, modules, folder)


class Served(Booted):
    """A made-up host on which systemd runs and the service can be enabled."""

    def __init__(self, path: Path, catalogs: Catalogs) -> None:
        super().__init__(path)
        self._signer = catalogs.signer
        for folder in ("srv/kernel", "srv/runs", "etc/systemd/system/seamstep.service.d"):
            self.file(folder).mkdir(parents=True)
        shutil.copy(TREE / "tests/unit/standin.py", self.file("srv/kernel"))
        shutil.copy(TREE / "packaging/trials/kernel_stand_in.py", self.file("srv/kernel/sitecustomize.py"))
        self.file("srv/kernel/modules.json").write_text(json.dumps(catalogs.modules))
        self.file("etc/systemd/system/seamstep.service.d/kernel.conf").write_text(DROP_IN)
        look = self.file("etc/systemd/system/seamstep-look.service.d/soon.conf")
        look.parent.mkdir()
        look.write_text("[Service]\nExecStartPre=\nExecStartPre=sleep 2\n")

    @contextlib.contextmanager
    def serving(self, *packages: Path) -> Iterator[Self]:
        """Boot, and install packages, the one of seamstep among them."""
        with self.up():
            self.manage("-i", *packages)
            self.policy()
            config = f"schema: seamstep/config/v1\npolicies: [/{ETC}/policies/trial.yaml]\n"
            self.file(f"{ETC}/config.yaml").write_text(config)
            yield self

    def manage(self, act: str, *words: str | Path) -> str:
        """Let the package manager do something."""
        return self.dpkg(act, *words)

    def policy(self, *, open_now: bool = True, before: str = "[]") -> None:
        """Write the policy of the service. Its window is today's, or that of a day far from here."""
        day = (datetime.now(UTC) + timedelta(days=0 if open_now else 3)).strftime("%a").lower()
        text = POLICY.format(signer=self._signer, day=day, before=before)
        self.file(f"{ETC}/policies/trial.yaml").write_text(text)

    def begin_run(self) -> None:
        """Start the service, and wait until it is in the command that precedes the update; the next run has none."""
        self.policy(before="[[sleep, '60']]")
        self.enter("systemctl", "start", "--no-block", "seamstep.service")
        self.wait(lambda: "activating" in self.states() and "sleep" in self.enter("sh", "-c", "cat /proc/[0-9]*/comm"))
        self.policy()

    def runs(self, act: str, *words: str | Path) -> list[str]:
        """The exit codes of the runs of the service that an act of the package manager leads to, once all is quiet."""
        record = self.file("srv/runs/all")
        record.unlink(missing_ok=True)
        self.manage(act, *words)
        self.wait(lambda: "activ" not in self.states().replace("inactive", ""))
        codes = record.read_text().split() if record.exists() else []
        print(codes, "\n", self.enter("journalctl", "--no-pager", "--output=cat", "--lines=30", code=None))
        return codes

    def states(self) -> str:
        """The states of the two services."""
        return self.enter("systemctl", "is-active", "seamstep-look.service", "seamstep.service", code=None)

    @property
    def version(self) -> str:
        """The module that runs."""
        return self.enter("cat", "/sys/devices/faux/tdx_host/version").strip()
