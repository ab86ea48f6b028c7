"""Layers of policies (organisation, then team, then host): a step has to satisfy all of them.

No order of layers permits a step, a time or an omission that another order forbids:

- Rules: the highest level, the strictest parameters. A waiver is in force only if every layer that sets the rule
  accepts the step.
- Targets and signers: those that all layers name, and releases that close the advisories of all layers.
- ``tcb_info``: the first ``stale_until``, and none if a layer that uses TCB Info has none.
- Denials and waypoints: those of any layer.
- ``max_hops``: the smallest. ``keep_updates``: the largest. ``td_creation``: held if all layers with ``td-build`` say
  so.
- Windows: each layer that has any needs one open. ``soak``: the longest. ``busy``: the fewest retries and the longest
  wait of the layers that state it.
- Commands: those of all layers, ``before`` in the order of the layers, ``after`` in the reverse order.

The order decides three things that permit nothing: that of the commands, the ``path`` (the first layer that states it
chooses among the permitted paths) and the ``description`` (that of the first layer).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from seamstep.base import resources
from seamstep.base.documents import Document
from seamstep.base.errors import InputError, Problem
from seamstep.policy.policy import Policy, Target
from seamstep.rules import AppliedRule, Level
from seamstep.rules.td_build import TdBuild

_STRICTNESS = {Level.WARN: 1, Level.PREFER: 2, Level.REQUIRE: 3}


class Layer(NamedTuple):
    """A ``policy`` and the ``document`` from which it was read."""

    policy: Policy
    document: Document

    def states(self, key: str) -> bool:
        """Whether the document has the key; otherwise the value is a default."""
        return key in self.document.data


def merge(layers: Sequence[Layer]) -> Policy:
    """One policy with the demands of all layers; the policy itself for a single layer.

    Raises:
        InputError: the layers contradict each other.
    """
    first, *others = (layer.policy for layer in layers)
    if not others:
        return first
    policies = (first, *others)
    settings = _apply(policies)
    problem = _contradiction(policies) or _excess(settings)
    if problem:
        raise InputError(Problem(" + ".join(policy.name for policy in policies), problem))
    held = _creation_held(policies)
    limits = [policy.max_hops for policy in policies if policy.max_hops is not None]
    return Policy(
        sources=tuple(source for policy in policies for source in policy.sources),
        target=Target(
            tuple(specifier for policy in policies for specifier in policy.target.specifiers),
            tuple(dict.fromkeys(advisory for policy in policies for advisory in policy.target.closes)),
        ),
        choice=choosing(layers).policy.choice,
        max_hops=min(limits, default=None),
        keep_updates=max(policy.keep_updates for policy in policies),
        rules=tuple(_with_held(applied, held=held) for applied in _rules(policies)),
        denials=tuple(dict.fromkeys(denial for policy in policies for denial in policy.denials)),
        waypoints=tuple(sorted({waypoint for policy in policies for waypoint in policy.waypoints})),
        signers=frozenset.intersection(*(policy.signers for policy in policies)),
        apply=settings,
        creation_held=held,
        expired=tuple(entry for policy in policies for entry in policy.expired),
        description=first.description,
        tcb_stale_until=_stale_until(policies),
    )


def choosing(layers: Sequence[Layer]) -> Layer:
    """The layer that chooses among permitted paths: the first that states ``path``; the first of all if none does."""
    return next((layer for layer in layers if layer.states("path")), layers[0])


def _contradiction(policies: Sequence[Policy]) -> str | None:
    """Demands that no step can satisfy together, or parameters without an order; None if there are none."""
    specifiers = [specifier for policy in policies for specifier in policy.target.specifiers]
    for exact in specifiers:
        for other in specifiers:
            if exact.version and exact.version not in other:
                return f"the targets {exact} and {other} contradict each other"
    for waypoint in {waypoint for policy in policies for waypoint in policy.waypoints}:
        for denial in (denial for policy in policies for denial in policy.denials):
            if denial.sources is None and waypoint in denial.versions:
                return f"every path has to stop at {waypoint}, but it is denied: {denial}"
    parameters: dict[tuple[str, tuple[int, ...]], dict[str, object]] = {}
    for applied in (applied for policy in policies for applied in policy.rules):
        mine = vars(applied.rule)
        if parameters.setdefault((applied.rule.name, applied.rule.strictness()), mine) != mine:
            return f"the layers give {applied.rule.name} different parameters, and it can't tell which is stricter"
    return None


def _excess(settings: Mapping[str, Any]) -> str | None:
    """Windows or commands that are too many for one plan; None if there are none."""
    bounds = resources.schema("plan")["properties"]["apply"]["properties"]
    for key in ("windows", "before", "after"):
        count, most = len(settings.get(key, ())), bounds[key]["maxItems"]
        if count > most:
            return f"the layers have {count} entries under apply.{key} together; a plan holds at most {most}"
    return None


def _creation_held(policies: Sequence[Policy]) -> bool:
    """Whether the layers together say that no TD is created: all with ``td-build`` in force, or all if none has it."""
    asking = [policy for policy in policies if any(applied.rule.name == TdBuild.name for applied in policy.rules)]
    return all(policy.creation_held for policy in asking or policies)


def _stale_until(policies: Sequence[Policy]) -> date | None:
    """The first of the days that the layers name; None if a layer that uses TCB Info names none."""
    if any(policy.uses_tcb and policy.tcb_stale_until is None for policy in policies):
        return None
    return min((policy.tcb_stale_until for policy in policies if policy.tcb_stale_until), default=None)


def _with_held(applied: AppliedRule, *, held: bool) -> AppliedRule:
    """The rule in force; ``td-build`` with the word of all layers on the creation of TDs."""
    if applied.rule.name != TdBuild.name:
        return applied
    return applied._replace(rule=TdBuild(held=held and applied.level is not Level.PREFER))


def _rules(policies: Sequence[Policy]) -> tuple[AppliedRule, ...]:
    by_name: dict[str, list[AppliedRule]] = {}
    for policy in policies:
        for applied in policy.rules:
            by_name.setdefault(applied.rule.name, []).append(applied)
    return tuple(_strictest(applied) for applied in by_name.values())


def _strictest(applied: Sequence[AppliedRule]) -> AppliedRule:
    strictest = max(applied, key=lambda one: (_STRICTNESS[one.level], one.rule.strictness(), one.cost))
    groups = tuple(group for one in applied for group in one.waivers)
    everyone_waives = len(groups) == len(applied)
    return AppliedRule(strictest.rule, strictest.level, strictest.cost, groups if everyone_waives else ())


def _apply(policies: Sequence[Policy]) -> dict[str, Any]:
    """The executor's settings with the demands of all policies, in the form that plans have."""
    settings = [policy.apply for policy in policies]
    busy = [one["busy"] for one in settings if "busy" in one]
    merged = {
        "windows": [
            {**window, "layer": layer} for layer, one in enumerate(settings) for window in _listed(one, "windows")
        ],
        "soak": max(one.get("soak", 0) for one in settings),
        "busy": {"retries": min(one["retries"] for one in busy), "wait": max(one["wait"] for one in busy)}
        if busy
        else {},
        "before": [command for one in settings for command in _listed(one, "before")],
        "after": [command for one in reversed(settings) for command in _listed(one, "after")],
    }
    return {key: value for key, value in merged.items() if value}


def _listed(settings: Mapping[str, Any], key: str) -> Sequence[Any]:
    found: Sequence[Any] = settings.get(key, ())
    return found
