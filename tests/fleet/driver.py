"""A lab as tests and engines use it: started, asked and ended by its own command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import yaml

from fleet import commands, events
from fleet.prepare import SEAMSTEP

LAB = Path(__file__).with_name("lab.py")
_PATIENCE = 120.0


class Ran(NamedTuple):
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed."""
        return json.loads(self.out)


class Lab:
    """A running lab, which ends with the block or with this process, whichever is first.

    Attributes:
        folder: its folder.
        inventory: its inventory for Ansible, as data.
    """

    def __init__(self, folder: Path, hosts: int = 50) -> None:
        self.folder = folder
        ran = run(sys.executable, LAB, "up", folder, "--hosts", hosts, "--until", os.getpid())
        if ran.code != 0:
            raise commands.LabError(ran.err)
        self.inventory: dict[str, Any] = yaml.safe_load((folder / "inventory.yaml").read_text())["all"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self("down")

    def __call__(self, command: str, *words: str) -> None:
        """Run a command of the lab in this process."""
        if commands.main([command, str(self.folder), *words]) != 0:
            raise commands.LabError(f"{command} {' '.join(words)}")

    @property
    def hosts(self) -> dict[str, dict[str, Any]]:
        """The hosts with their variables."""
        found: dict[str, dict[str, Any]] = self.inventory["hosts"]
        return found

    def members(self, group: str) -> list[str]:
        """The hosts of a group."""
        return list(self.inventory["children"][group]["hosts"])

    def see(self, host: str) -> dict[str, Any]:
        """What the host's own files say, without asking the host."""
        return commands.read(self.folder, host)

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """What happened on hosts."""
        return [event for event in events.read(self.folder) if not kinds or event["event"] in kinds]

    def ssh(self, host: str, *words: str) -> Ran:
        """Run a command on a host as an engine does. 255: it can't be reached."""
        return run(*self.login(host), " ".join(words))

    def login(self, host: str) -> list[str]:
        """The ssh command for a host, without what to run there."""
        variables = self.inventory["vars"]
        address, port = self.hosts[host]["ansible_host"], str(variables["ansible_port"])
        options = [*variables["ansible_ssh_common_args"].split(), "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]
        return ["ssh", *options, "-i", variables["ansible_ssh_private_key_file"], "-p", port, f"root@{address}"]


def run(*words: object, **options: Any) -> Ran:
    """Run a program to its end."""
    ended = subprocess.run(
        list(map(str, words)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
        **options,
    )
    return Ran(ended.returncode, ended.stdout, ended.stderr)


def seamstep(*words: object) -> Ran:
    """Run the installed command on this machine."""
    return run(SEAMSTEP, *words)
