"""Holds a rollout against the hosts themselves, and against the invariants of docs/rollout.md.

The log of the ledger goes to the independent checker of the unit tests, which knows none of the core's states. The
hosts' own files and the lab's list of uploads say what really happened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from rollout_checker import Checker, Rules

from fleet.driver import Lab
from seamstep.fleet import ledger, plan_folder
from seamstep.fleet.settings import Amount, Rollout
from seamstep.fleet.state import Phase, State

_GOOD = {"done", "ready"}


class Upload(NamedTuple):
    """An update that a host really began; ``version`` is what ran afterwards, None if TDX was lost."""

    host: str
    source: str
    target: str
    boot_id: str
    time: float
    version: str | None


class Proof:
    """What a ledger says, and what the hosts say.

    Attributes:
        state: the state of the rollout now.
        events: the events of the ledger, oldest first.
        uploads: the updates that hosts began.
    """

    def __init__(self, lab: Lab, book: Path, plans: Path) -> None:
        """``plans`` is a folder below which the fleet plans are that were put into the ledger."""
        self.lab = lab
        with ledger.opened(str(book)) as opened:
            self.state: State = opened.now()
            self.events = list(opened.events())
        self.uploads = list(_uploads(lab))
        self._plans = {hashlib.sha256(path.read_bytes()).hexdigest(): path.parent for path in plans.rglob("fleet.json")}

    def check(self) -> None:
        """Raise AssertionError if an invariant does not hold, or if something was said that is not so."""
        checker = Checker(_rules(self.state.rollout))
        for entry in self._log():
            checker.see(entry)
        self._each_upload_was_begun()
        self._each_success_is_real()

    def hosts(self, phase: str) -> set[str]:
        """The hosts that the ledger has in a phase."""
        return {host.name for host in self.state.hosts.values() if host.phase == phase}

    def times(self, kind: str) -> list[float]:
        """When events of a kind were."""
        return [event["time"] for event in self.events if event["kind"] == kind]

    def _each_upload_was_begun(self) -> None:
        """Each update on a host was begun by the ledger, for that step and that boot, and one time only."""
        granted = {event["lease"]: event for event in self.events if event["kind"] == "granted"}
        used: set[str] = set()
        for upload in self.uploads:
            before = [
                event
                for event in self.events
                if event["kind"] == "begun" and event["host"] == upload.host and event["time"] <= upload.time
            ]
            assert before, f"{upload} was not begun"
            lease = granted[before[-1]["lease"]]
            assert (lease["source"], lease["target"]) == (upload.source, upload.target), (upload, lease)
            assert lease["boot_id"] == upload.boot_id, (upload, lease)
            assert lease["lease"] not in used, f"{upload} is the second under its lease"
            used.add(lease["lease"])

    def _each_success_is_real(self) -> None:
        """What was recorded as applied had been, and hosts that are done run what they were led to."""
        for event, answer in zip(self.events, self.events[1:], strict=False):
            if event["kind"] != "report" or event["outcome"] != "applied":
                continue
            if (answer["kind"], answer.get("phase")) not in {("accepted", phase) for phase in _GOOD}:
                continue
            real = [one for one in self.uploads if one.host == event["host"] and one.time <= event["time"]]
            assert real, f"{event['host']} was said to be updated, and did nothing"
            assert (real[-1].version, real[-1].boot_id) == (event["version"], event["boot_id"]), (event, real)
        for host in self.state.hosts.values():
            seen = self.lab.see(host.name)
            if host.phase is Phase.DONE and seen["boot_id"] == host.boot_id:
                target = self.state.classes[host.class_id].versions[-1]
                assert seen["version"] == target, f"{host.name} is done, and runs {seen['version']}"

    # -- the log as the checker reads it

    def _log(self) -> Iterator[dict[str, Any]]:
        for (_, clock), group in groupby(self.events, key=lambda event: (event["time"], event["clock"])):
            batch = list(group)
            about = {"time": clock, "clock": clock}
            for event in batch:
                if event["kind"] == "started":
                    yield from ({**entry, **about} for entry in self._assigned(event))
            for translated in (_expired(batch), _observed(batch), _decided(batch)):
                yield from ({**entry, **about} for entry in translated)

    def _assigned(self, started: dict[str, Any]) -> Iterator[dict[str, Any]]:
        plan = plan_folder.load(str(self._plans[started["plan"]]), self.state.rollout)
        classes = {class_.id: class_ for class_ in plan.classes}
        left = {
            event["host"]
            for event in self.events
            if event["kind"] == "rejected" and event["clock"] == started["clock"] and event["time"] <= started["time"]
        }
        for host in plan.hosts:
            class_ = classes[host.class_id]
            if host.host not in left:
                yield {
                    "event": "assigned",
                    "host": host.host,
                    "boot": host.boot_id,
                    "group": class_.group,
                    "domain": host.domain,
                    "path": class_.versions,
                    "remaining": class_.remaining,
                    "measurements": class_.measurements,
                }


def _uploads(lab: Lab) -> Iterator[Upload]:
    """Each upload with what came of it; the latter is noted in the lab when the host is looked at next."""
    for host in lab.hosts:
        lab.see(host)
    open_: dict[str, dict[str, Any]] = {}
    for event in lab.events("upload", "uploaded", "booted"):
        begun = open_.pop(event["host"], None)
        if begun:
            version = event["version"] if event["event"] == "uploaded" else None
            at = (begun["source"], begun["target"], begun["boot_id"], begun["time"])
            yield Upload(event["host"], *at, version)
        if event["event"] == "upload":
            open_[event["host"]] = event


def _rules(rollout: Rollout) -> Rules:
    return Rules(
        in_domain=_plain(rollout.unavailable_in_domain) if rollout.domain else None,
        in_all=_plain(rollout.unavailable_in_all),
        canaries=rollout.canaries,
        soak=rollout.canary_soak,
        reserve=rollout.reserve,
        allow_list=rollout.allow_list,
    )


def _plain(amount: Amount) -> int | str:
    return f"{amount.number}%" if amount.percent else amount.number


def _expired(batch: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for event in batch:
        if event["kind"] == "expired":
            yield {"event": "expired", "host": event["host"], "lease": event["lease"]}


def _observed(batch: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    rebooted = any(event["kind"] == "denied" and event["code"] == "rebooted" for event in batch)
    for event in batch:
        match event["kind"]:
            case "report":
                kept = {key: event[key] for key in ("host", "outcome", "lease", "version")}
                yield {"event": "report", "boot": event["boot_id"], **kept}
            case "begin" if rebooted:
                about = {"host": event["host"], "lease": event["lease"], "boot": event["boot_id"], "version": None}
                yield {"event": "report", "outcome": "seen", **about}
            case "allowed":
                yield {"event": "allowed", "measurements": event["measurements"]}
            case "stop":
                yield {"event": "stopped", "group": event["group"]}
            case "resume":
                yield {"event": "resumed", "group": event["group"]}
            case "ask":
                yield {"event": "asked"}


def _decided(batch: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for event in batch:
        if event["kind"] == "granted":
            kept = {key: event[key] for key in ("host", "lease", "source", "target", "expires")}
            yield {"event": "lease", "boot": event["boot_id"], **kept}
        elif event["kind"] == "begun":
            yield {"event": "begun", "host": event["host"], "lease": event["lease"]}
