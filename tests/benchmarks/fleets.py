"""Whole-process figures of ``fleet plan``: inventories of many sizes as JSON Lines, against one ``seamstep plan`` a
host."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import processes
from figures import Fleet, Process

from conftest import FACTS, TRUST

_RACK = 40
_MODULES = ("1.5.16", "1.5.20", "1.5.24", "1.5.28")


class Sizes(NamedTuple):
    """What is measured: fleets, and how often each."""

    fleets: Iterable[Fleet]
    rounds: int


def write_inventory(path: Path, fleet: Fleet) -> None:
    """Facts of hosts as ``seamstep facts --json`` has them, one a line, each with its rack. Every class has its own
    kernel, module and number of updates left; every host has its own name, boot and number of TDs."""
    base = json.loads(FACTS.read_text())
    forms = []
    for number in range(fleet.classes):
        own = {"kernel": f"7.{number // 40}.0", "module_version": _MODULES[number % 4]}
        document = base | own | {"remaining_updates": 1 + number // 4 % 10, "hostname": "@1", "boot_id": "@2"}
        text = json.dumps(document | {"running_tds": 123454321, "labels": {"domain": "@3"}}) + "\n"
        forms.append(text.replace("123454321", "@4"))
    draw = random.Random(7)
    with path.open("w", encoding="ascii") as file:
        for number in range(fleet.hosts):
            text = forms[number % fleet.classes if number < fleet.classes else draw.randrange(fleet.classes)]
            text = text.replace("@1", f"node-{number:07}.example.net", 1)
            text = text.replace("@2", str(uuid.UUID(int=draw.getrandbits(128))), 1)
            text = text.replace("@3", f"rack{number // _RACK}", 1)
            file.write(text.replace("@4", str(draw.randrange(1, 60)), 1))


def measure(folder: Path, sizes: Sizes) -> dict[Fleet, Process]:
    """Medians of each fleet; ``folder`` holds the catalog (:func:`processes.write_inputs`). Raises RuntimeError if a
    command fails."""
    found: dict[Fleet, Process] = {}
    for fleet in sizes.fleets:
        inventory, out = folder / "fleet.jsonl", folder / "out"
        write_inventory(inventory, fleet)
        command = ("fleet", "plan", str(inventory), "--catalog", str(folder / "catalog"), *TRUST, "-o", str(out))
        runs = [processes.once((*command, "--force")) for _ in range(sizes.rounds)]
        document = json.loads((out / "fleet.json").read_bytes())
        if Fleet(document["totals"]["hosts"], document["totals"]["classes"]) != fleet:
            raise RuntimeError(f"{fleet}: planned {document['totals']}")
        found[fleet] = Process(
            median(one.wall for one in runs), median(one.busy for one in runs), max(one.peak for one in runs)
        )
    return found
