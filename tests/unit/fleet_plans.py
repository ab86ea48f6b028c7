"""Folders as ``seamstep fleet plan -o OUT`` writes them, with as much of each plan as a rollout reads."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROLLOUT = """\
schema: seamstep/rollout/v1
name: production
domain: rack
unavailable:
  in_domain: 1
  in_all: 50%
canaries:
  hosts: 1
  soak: 24h
waves:
  sizes: [10%]
  soak: 1h
operators: [alice, bob]
"""


def mrseam(version: str) -> str:
    return hashlib.sha384(version.encode()).hexdigest()


def fleet_class(
    name: str, *versions: str, remaining: int | None = 9, kernel: str = "6.19", **others: Any
) -> dict[str, Any]:
    """A class with the path ``versions``; with one version it is up to date."""
    hops = [
        {"from": source, "to": target, "image": {"mrseam": mrseam(target)}}
        for source, target in itertools.pairwise(versions)
    ]
    plan = {
        "host": {"remaining_updates": remaining},
        "attestation": {"before": {"version": versions[0], "mrseam": mrseam(versions[0])}},
        "hops": hops,
        "provisional": False,
    }
    return {
        "class": name,
        "class_id": hashlib.sha256(f"{name}{versions}{remaining}{kernel}".encode()).hexdigest(),
        "hosts": 0,
        "tds": 0,
        "platform": ["0x806F8"],
        "module": versions[0],
        "seamldr": "1.5.02",
        "kernel": kernel,
        "outcome": "update" if hops else "up-to-date",
        "path": list(versions),
        "held_up": None,
        "reason": "" if hops else f"{versions[0]} is the newest",
        "td_creation": [],
        "plan": plan,
        **others,
    }


def write_fleet(
    folder: Path, classes: Sequence[Mapping[str, Any]], hosts: Sequence[Mapping[str, Any]], rollout: str = ROLLOUT
) -> Path:
    """Write OUT and, beside it, rollout.yaml; returns OUT."""
    out = folder / "out"
    out.mkdir(exist_ok=True)
    document = {"schema": "seamstep/fleet/v1", "as_of": "2026-11-23", "classes": list(classes)}
    (out / "fleet.json").write_text(json.dumps(document))
    (out / "hosts.jsonl").write_text("".join(json.dumps(host) + "\n" for host in hosts))
    (folder / "rollout.yaml").write_text(rollout)
    return out


def fleet_host(name: str, class_: str = "c0001", domain: str = "r0", boot: int = 0) -> dict[str, Any]:
    return {
        "host": name,
        "boot_id": f"{name}-boot{boot}",
        "class": class_,
        "outcome": "update",
        "wave": None,
        "labels": {"rack": domain},
    }
