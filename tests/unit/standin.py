"""The ``seamstep`` of a made-up world: the program itself, with three parts replaced. Command lines need no change.

- The key of the tests stands for Intel's, which signs nothing that a test could make. With ``--signer`` instead, a
  page's commands would not run as printed, and plans would name a further signer.
- A simulated host answers for the upload node, since plain files install nothing. All facts come from the files in
  /sys and /proc; an installed module is written back to them, for the commands that follow.
- The clock is ahead by the seconds in the file ``ahead``, and sleeping takes no time: policies have windows and soak
  times.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import NoReturn

WORLD = "world.json"
_PROGRAM = """#!{python}
import sys
sys.path.insert(0, {here!r})
import standin
standin.main({world!r})
"""


def install(program: Path, world: Path, signer: str, modules: dict[str, str]) -> None:
    """Write the program.

    Args:
        program: its path.
        world: a folder for its settings; the file ``ahead`` there sets its clock.
        signer: the fingerprint of the key that stands for Intel's.
        modules: the version that each image installs, by the SHA-256 of the upload.
    """
    (world / WORLD).write_text(json.dumps({"signer": signer, "modules": modules}))
    here = str(Path(__file__).parent)
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(_PROGRAM.format(python=sys.executable, here=here, world=str(world)))
    program.chmod(0o755)


def main(folder: str) -> NoReturn:
    """Run seamstep in the world of ``folder``."""
    world = json.loads((Path(folder) / WORLD).read_text())
    from seamstep.domain import model  # before any module that takes the fingerprint from there

    model.INTEL_SIGNER = world["signer"]
    ahead, now = float((Path(folder) / "ahead").read_text()), time.time
    time.time = lambda: now() + ahead
    put_kernel(world["modules"])
    from seamstep.cli import entry

    entry()


def put_kernel(modules: dict[str, str]) -> None:
    """Let a simulated host answer for the upload node. A wait, which every update takes, writes the two attributes that
    an update changes."""
    from seamstep.base.versions import ModuleVersion
    from seamstep.host import sysfs
    from seamstep.host.base import MAINLINE, MODULE_VERSION, PAGE
    from seamstep.host.read_facts import read_facts
    from seamstep.host.simulated import SimulatedHost

    files = sysfs.SysfsHost
    installs = {digest: ModuleVersion(version) for digest, version in modules.items()}

    class Host(files):  # type: ignore[misc, valid-type]
        """The files, and a kernel that takes images."""

        def __init__(self, root: str = "/") -> None:
            super().__init__(root)
            self._kernel = SimulatedHost(read_facts(files(root)), installs)

        def read(self, path: str, limit: int) -> bytes:
            if path.startswith(f"{MAINLINE.upload_path}/"):
                return self._kernel.read(path, limit)
            return bytes(super().read(path, limit))

        def write(self, path: str, data: bytes, offset: int = 0) -> int:
            return self._kernel.write(path, data, offset)

        def monotonic(self) -> float:
            return self._kernel.monotonic()

        def wall(self) -> float:
            return self._kernel.wall()

        def sleep(self, seconds: float) -> None:
            self._kernel.sleep(seconds)
            for path in (MODULE_VERSION, MAINLINE.remaining_updates):
                Path(path).write_bytes(self._kernel.read(path, PAGE))

    sysfs.SysfsHost = Host  # type: ignore[misc]
