"""The smallest engine: the loop of docs/rollout.md over ssh. It proves the lab, and shows what an engine has to do."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fleet.driver import Lab, Ran, seamstep
from fleet.prepare import SEAMSTEP

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Engine:
    """A rollout on a lab.

    Attributes:
        green: the hosts that this engine said were updated, with the version.
    """

    def __init__(self, lab: Lab, folder: Path, at_once: int = 4) -> None:
        self.lab = lab
        self.folder = folder
        self.ledger = folder / "ledger"
        self.at_once = at_once
        self.green: list[tuple[str, str]] = []
        self._planning = ("--catalog", lab.folder / "catalog", "--policy", lab.folder / "policy.yaml")
        self._trust = ("--signer", (lab.folder / "signer").read_text().strip())

    def start(self, rollout: Path, *, again: bool = False, hosts: Sequence[str] = ()) -> None:
        """Read the facts of all hosts, or of these, as far as they are reached; plan, and put them into the ledger."""
        with ThreadPoolExecutor(self.at_once) as pool:
            facts = pool.map(lambda host: self.lab.ssh(host, f"{SEAMSTEP}", "facts", "--json"), hosts or self.lab.hosts)
        inventory = self.folder / "inventory.jsonl"
        inventory.write_text("".join(json.dumps(ran.json) + "\n" for ran in facts if ran.code == 0))
        out = self.folder / f"plan-{time.monotonic_ns()}"
        labels = ("--labels", self.lab.folder / "labels.csv")
        _must(seamstep("fleet", "plan", inventory, *labels, *self._planning, *self._trust, "-o", out))
        how = ("--again",) if again else ("--rollout", rollout)
        _must(seamstep("fleet", "start", out, *how, "--ledger", self.ledger))

    def go(self, limit: int = 20, seconds: float = 300.0) -> str:
        """Lead hosts until the rollout is finished or halted, which is returned, or can't go on (``stuck``)."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            answer = seamstep("fleet", "next", "--ledger", self.ledger, "--limit", limit, "--json").json
            if answer["code"] in {"finished", "halted"}:
                return str(answer["code"])
            if not answer["leases"]:
                time.sleep(0.3)
            with ThreadPoolExecutor(self.at_once) as pool:
                list(pool.map(self._lead, answer["leases"]))
        return "stuck"

    def _lead(self, lease: dict[str, Any]) -> None:
        host = lease["host"]
        about = ("--ledger", self.ledger, "--host", host, "--lease", lease["lease"])
        seen = self.lab.ssh(host, "cat", _BOOT_ID)
        if seen.code == 255:
            seamstep("fleet", "record", *about, "--outcome", "unreachable", "--note", seen.err.strip()[-200:])
            return
        if seamstep("fleet", "begin", *about, "--boot-id", seen.out.strip()).code != 0:
            seamstep("fleet", "record", *about, "--outcome", "not-begun")
            return
        words = map(str, (SEAMSTEP, "apply", *self._planning, *self._trust))
        ran = self.lab.ssh(host, *words, "--approved", lease["class_id"], "--max-hops", "1", "--yes", "--json")
        if ran.code == 255 or not ran.out:
            seamstep("fleet", "record", *about, "--outcome", "unreachable", "--note", ran.err.strip()[-200:])
            return
        said = self.folder / f"{lease['lease']}.json"
        said.write_text(ran.out)
        recorded = seamstep("fleet", "record", *about, "--boot-id", seen.out.strip(), said, "--json")
        if ran.code == 0 and recorded.code == 0:
            self.green.append((host, lease["step"]["to"]))


def _must(ran: Ran) -> None:
    if ran.code != 0:
        raise AssertionError(ran.err or ran.out)
