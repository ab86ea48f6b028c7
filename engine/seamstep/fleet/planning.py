"""Plans each group of hosts once, and joins the groups whose plans do the same to classes.

Pure but for a file on disk that holds the plans: there may be many, and each is needed again only to be written.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import IO, Any, NamedTuple

from seamstep.base.documents import canonical
from seamstep.base.errors import InputError, Problem
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import HostFacts
from seamstep.domain.mapping import MappingFile
from seamstep.domain.model import Release
from seamstep.domain.tcb import TcbView
from seamstep.fleet.findings import Findings
from seamstep.fleet.members import Group
from seamstep.plan.document import Plan, PlanOutcome
from seamstep.planning.planner import make_plan
from seamstep.policy.policy import Policy

SCHEMA = "seamstep/fleet/v1"
#: The outcomes of hosts that can't be planned for: TDX is lost, or the running module is not known.
LOST = "lost"
NOT_UPDATABLE = "not-updatable"
OUTCOMES = (*(outcome.value for outcome in PlanOutcome), LOST, NOT_UPDATABLE)


class Ground(NamedTuple):
    """What the plans of a fleet are made from, as for one host (:func:`make_plan`)."""

    mapping: MappingFile
    releases: Sequence[Release]
    policy: Policy
    as_of: date
    hypothetical: bool
    without_images: bool
    tcb: TcbView | None = None


class Class(NamedTuple):
    """Hosts whose plans do the same.

    Attributes:
        name: ``c0001`` and so on, the largest class first.
        hosts: the number of hosts.
        document: the class as fleet documents have it, except for ``plan``.
    """

    name: str
    hosts: int
    document: Mapping[str, Any]


class FleetPlan:
    """The plans of a fleet.

    Attributes:
        classes: the classes, the largest first.
        of_group: the class of each group, by its number; None for a group without hosts.
        totals: the numbers of hosts and classes, of hosts by outcome, and of hosts held up by each rule.
    """

    def __init__(
        self,
        ground: Ground,
        facts: Sequence[HostFacts],
        groups: Sequence[Group],
        file: IO[bytes],
        planned: Callable[[], None] = lambda: None,
    ) -> None:
        """Plan for groups of hosts: ``facts`` and ``groups`` are by number. ``file`` keeps the plans on disk;
        ``planned`` is called after each group.

        Raises:
            InputError: as :func:`make_plan`; the policy trusts a signer besides Intel, and hosts are real.
            RefusedError: as :func:`make_plan`.
        """
        self.ground = ground
        self._plans = file
        self._places: dict[str, tuple[int, int]] = {}
        drafts: dict[str, _Draft] = {}
        keys: list[str | None] = []
        for one, group in zip(facts, groups, strict=False):
            if not group.hosts:
                keys.append(None)
                continue
            draft, plan = self._planned(one)
            known = drafts.setdefault(draft.key, draft)
            if draft.rank <= known.rank:
                drafts[draft.key] = draft._replace(groups=known.groups, facts=one)
                if plan:
                    self._keep(draft.key, plan)
            known.groups.append(group)
            keys.append(draft.key)
            planned()
        ordered = sorted(drafts.values(), key=lambda draft: (-draft.hosts, draft.key))
        names = {draft.key: f"c{number:04}" for number, draft in enumerate(ordered, 1)}
        self.classes = [
            Class(names[draft.key], draft.hosts, draft.document(names[draft.key], self._step_ids(draft)))
            for draft in ordered
        ]
        self._keys = {names[draft.key]: draft.key for draft in ordered}
        by_name = {one.name: one for one in self.classes}
        self.of_group = [by_name[names[key]] if key else None for key in keys]
        self.totals = _totals(self.classes)

    def plan_text(self, one: Class) -> bytes:
        """The plan document of a class as JSON text; ``null`` where there is none."""
        place = self._places.get(self._keys[one.name])
        if place is None:
            return b"null"
        self._plans.seek(place[0])
        return self._plans.read(place[1])

    def head(self, findings: Findings) -> dict[str, Any]:
        """The fleet document without its classes."""
        policy, mapping = self.ground.policy, self.ground.mapping
        return {
            "schema": SCHEMA,
            "as_of": self.ground.as_of.isoformat(),
            "policy": {"name": policy.name, "sha256": policy.sha256, "target": policy.target.text},
            "mapping": {"sha256": mapping.sha256},
            "provisional": any(one.document["provisional"] for one in self.classes),
            "totals": self.totals,
            "findings": {"count": findings.count, "problems": [one.to_document() for one in findings.problems]},
        }

    def _planned(self, facts: HostFacts) -> tuple[_Draft, Plan | None]:
        if facts.module_version is None:
            reason = facts.why_unknown("module_version")
            outcome = LOST if reason.startswith("ENXIO") else NOT_UPDATABLE
            known = {"outcome": outcome, "host": facts._replace(running_tds=None).to_document()}
            key = hashlib.sha256(canonical(known)).hexdigest()
            return _Draft(key, _about(facts, outcome, reason), [], _rank(facts)), None
        if self.ground.policy.signers and not facts.simulated:
            message = "real hosts take Intel's key alone, and the inventory has some; another signer is for hosts that"
            raise InputError(Problem("--signer", f"{message} say that they are simulated"))
        plan = self._plan(facts)
        about = _about(facts, plan.outcome.value, plan.document["reason"], plan)
        return _Draft(plan.class_id, about, [], _rank(facts)), plan

    def _plan(self, facts: HostFacts) -> Plan:
        ground = self.ground
        return make_plan(
            ground.mapping,
            ground.releases,
            facts,
            ground.policy,
            as_of=ground.as_of,
            hypothetical=ground.hypothetical,
            without_images=ground.without_images,
            tcb=ground.tcb,
        )

    def _step_ids(self, draft: _Draft) -> list[str | None]:
        """The class_id that a host's own plan has before each step of its path: a host on the way has other facts than
        it began with. None from the step on before which a host would plan another way than it was approved."""
        path = draft.about["path"]
        found: list[str | None] = [draft.key] if path else []
        for done in range(1, len(path) - 1):
            assert draft.facts is not None and draft.facts.remaining_updates is not None  # noqa: S101, PT018 - it has a plan
            left = draft.facts.remaining_updates - done
            plan = self._plan(draft.facts._replace(module_version=ModuleVersion(path[done]), remaining_updates=left))
            same = None not in found and [str(hop.target) for hop in plan.hops] == path[done + 1 :]
            found.append(plan.class_id if same else None)
        return found

    def _keep(self, key: str, plan: Plan) -> None:
        text = json.dumps(plan.document, separators=(",", ":")).encode("ascii")
        self._places[key] = self._plans.seek(0, 2), len(text)
        self._plans.write(text)


class _Draft(NamedTuple):
    """A class in the making: the ``key`` that its groups share, what is told ``about`` it, and all ``groups``. Where
    groups differ by the number of TDs alone, that with the lowest ``rank`` stands for all, with its ``facts``."""

    key: str
    about: dict[str, Any]
    groups: list[Group]
    rank: tuple[int, str]
    facts: HostFacts | None = None

    @property
    def hosts(self) -> int:
        return sum(group.hosts for group in self.groups)

    def document(self, name: str, step_ids: list[str | None]) -> dict[str, Any]:
        """The class as fleet documents have it, except for ``plan``."""
        unknown = sum(group.tds_unknown for group in self.groups)
        return {
            "class": name,
            "class_id": self.key,
            "hosts": self.hosts,
            "tds": sum(group.tds for group in self.groups) if unknown < self.hosts else None,
            "tds_unknown": unknown,
            **self.about,
            "step_ids": step_ids,
        }


def _about(facts: HostFacts, outcome: str, reason: str, plan: Plan | None = None) -> dict[str, Any]:
    """What fleet documents tell of a class, beside its name and numbers, and its plan."""
    host = facts.to_document()
    made: Mapping[str, Any] = plan.document if plan else {}
    hops = made.get("hops", ())
    tcb = made["tcb"]["before"] if "tcb" in made else None
    return {
        **({"tcb": {key: tcb[key] for key in ("status", "since", "advisories", "reason")}} if tcb else {}),
        "platform": host["cpu_signatures"] or [],
        "module": host["module_version"],
        "seamldr": host["seamldr_version"],
        "kernel": host["kernel"],
        "outcome": outcome,
        "provisional": made.get("provisional", False),
        "path": [made["source"], *(hop["to"] for hop in hops)] if hops else [],
        "held_up": made.get("held_up"),
        "reason": reason,
        "td_creation": [{"from": hop["from"], "to": hop["to"], **hop["td_creation"]} for hop in hops],
    }


def _rank(facts: HostFacts) -> tuple[int, str]:
    """Groups with TDs stand for a class before those of which nothing is known, and these before those without. Groups
    that differ by the reason why nothing is known go by its text, so that their order does not matter."""
    return {1: 0, None: 1, 0: 2}[facts.running_tds], facts.unknown.get("running_tds", "")


def _totals(classes: Sequence[Class]) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    advisories: Counter[str] = Counter()
    for one in classes:
        if "tcb" in one.document:
            statuses[one.document["tcb"]["status"] or "unknown"] += one.hosts
            advisories.update(dict.fromkeys(one.document["tcb"]["advisories"], one.hosts))
        outcomes[one.document["outcome"]] += one.hosts
        for rule in dict.fromkeys((one.document["held_up"] or {}).get("rules", ())):
            rules[rule] += one.hosts
    tds = [one.document["tds"] for one in classes if one.document["tds"] is not None]
    return {
        "hosts": sum(one.hosts for one in classes),
        "classes": len(classes),
        "tds": sum(tds) if tds else None,
        "tds_unknown": sum(one.document["tds_unknown"] for one in classes),
        "by_outcome": {outcome: outcomes[outcome] for outcome in OUTCOMES if outcomes[outcome]},
        "by_rule": _most_first(rules),
        **({"by_tcb_status": _most_first(statuses), "by_advisory": _most_first(advisories)} if statuses else {}),
    }


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
