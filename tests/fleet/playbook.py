"""The real ``ansible-playbook`` with the collection of this repository, on a lab."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from fleet import namespaces
from fleet.driver import Lab
from fleet.prepare import SEAMSTEP

ANSIBLE = Path(sys.executable).parent / "ansible-playbook"
COLLECTIONS = Path(__file__).parents[2] / "integrations" / "ansible"
_PLAYBOOK = "seamstep.tdx.rollout"
_SECONDS = 400.0


class Play:
    """A run of the playbook of a rollout, which is killed with this process."""

    def __init__(self, lab: Lab, folder: Path, ledger: Path, **variables: object) -> None:
        """Begin the playbook; what it prints is in a file in ``folder``."""
        settings = {
            "rollout_ledger": ledger,
            "rollout_executable": SEAMSTEP,
            "rollout_interval": 2,
            "rollout_wait": 20,
            "rollout_at_once": 4,
            **variables,
        }
        words = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
        forks = ["--forks", str(int(str(settings["rollout_at_once"])) + 1)]
        self._mark = f"SEAMSTEP_PLAY={uuid.uuid4()}"
        self.said = folder / f"play-{time.monotonic_ns()}.txt"
        with self.said.open("wb") as file:
            self._process = subprocess.Popen(
                [ANSIBLE, "-i", lab.folder / "inventory.yaml", *forks, *words, _PLAYBOOK],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=namespaces.die_with_parent,  # noqa: PLW1509 - one system call
                env=_environment(folder) | dict([self._mark.split("=")]),
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Kill the playbook with all its processes, as a power cut of the controller does. Its workers have sessions of
        their own, so they are found by their environment."""
        while self._signal(signal.SIGKILL):
            self._process.poll()
            time.sleep(0.01)
        self._process.wait()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Context manager in which its processes stand still; hosts go on."""
        before = 0
        while before != (before := self._signal(signal.SIGSTOP)):
            time.sleep(0.01)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> int:
        """Send a signal to all its processes; returns how many there are."""
        found = list(_marked(self._mark))
        for process in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
        return len(found)

    def wait(self) -> int:
        """Its exit code."""
        return self._process.wait(_SECONDS)

    def until(self, happened: Callable[[], object]) -> None:
        """Wait until something happened. Raises AssertionError if the playbook ends before."""
        while not happened():
            assert self.running, f"the play ended too early:\n{self.text[-3000:]}"
            time.sleep(0.05)

    @property
    def text(self) -> str:
        """What it printed."""
        return self.said.read_text(errors="replace")

    @property
    def green(self) -> Counter[str]:
        """How many steps it said that each host took."""
        return Counter(re.findall(r"^changed: \[seamstep-worker-\d+ -> (\w+)", self.text, re.MULTILINE))


def _marked(mark: str) -> Iterator[int]:
    """The living processes with a word in their environment."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def _environment(folder: Path) -> dict[str, str]:
    (folder / "ansible.cfg").touch()
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    return {
        **kept,
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_HOST_KEY_CHECKING": "1",
    }
