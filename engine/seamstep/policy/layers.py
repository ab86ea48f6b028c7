"""Layers of policies (organisation, then team, then host): a step has to satisfy all of them.

The stricter value wins: the higher level of a rule, the fewer hops, the larger reserve of updates, the targets and
signers that all layers name, and the denials and waypoints of all layers. A waiver is in force only if every layer that
sets the rule accepts the step. Values without an order (the choice of path, the executor's settings) are those of the
first layer that states them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from seamstep.base.documents import Document
from seamstep.base.errors import InputError, KeyPath, Problem
from seamstep.policy.policy import Policy, Target
from seamstep.policy.words import apply_words
from seamstep.rules import AppliedRule, Level, Rule
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
    problem = _contradiction(policies)
    if problem:
        raise InputError(Problem(" + ".join(policy.name for policy in policies), problem))
    held = _creation_held(policies)
    limits = [policy.max_hops for policy in policies if policy.max_hops is not None]
    choosing = next((layer.policy for layer in layers if layer.states("path")), first)
    return Policy(
        sources=tuple(source for policy in policies for source in policy.sources),
        target=Target(tuple(specifier for policy in policies for specifier in policy.target.specifiers)),
        choice=choosing.choice,
        max_hops=min(limits, default=None),
        keep_updates=max(policy.keep_updates for policy in policies),
        rules=tuple(_with_held(applied, held=held) for applied in _rules(policies)),
        denials=tuple(dict.fromkeys(denial for policy in policies for denial in policy.denials)),
        waypoints=tuple(sorted({waypoint for policy in policies for waypoint in policy.waypoints})),
        signers=frozenset.intersection(*(policy.signers for policy in policies)),
        apply=_apply(policies),
        creation_held=held,
        expired=tuple(entry for policy in policies for entry in policy.expired),
        description=first.description,
    )


def _contradiction(policies: Sequence[Policy]) -> str | None:
    """Demands that no step can satisfy together, or parameters without an order; None if there are none."""
    specifiers = [specifier for policy in policies for specifier in policy.target.specifiers]
    for exact in specifiers:
        for other in specifiers:
            if exact.version and exact.version not in other:
                return f"the targets {exact} and {other} contradict each other"
    for waypoint in {waypoint for policy in policies for waypoint in policy.waypoints}:
        for denial in (denial for policy in policies for denial in policy.denials):
            if waypoint in denial.versions:
                return f"every path has to stop at {waypoint}, but it is denied: {denial}"
    parameters: dict[str, dict[str, object]] = {}
    for applied in (applied for policy in policies for applied in policy.rules):
        mine = vars(applied.rule)
        known = parameters.setdefault(applied.rule.name, mine)
        if known != mine and not applied.rule.strictness():
            return f"the layers give {applied.rule.name} different parameters, and it can't tell which is stricter"
    return None


def _creation_held(policies: Sequence[Policy]) -> bool:
    """Whether the layers together say that no TD is created: all with ``td-build`` in force, or all if none has it."""
    asking = [policy for policy in policies if any(applied.rule.name == TdBuild.name for applied in policy.rules)]
    return all(policy.creation_held for policy in asking or policies)


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


def _apply(policies: Sequence[Policy]) -> Mapping[str, object]:
    merged: dict[str, object] = {}
    for policy in policies:
        merged = {**policy.apply, **merged}
    return merged


class Effective(NamedTuple):
    """A value in force.

    Attributes:
        key: its key path in the policy document.
        value: the value in words.
        origin: file and line of the documents that state it, or ``default``. For a waiver, its reason and author.
    """

    key: str
    value: str
    origin: str


def effective(layers: Sequence[Layer]) -> list[Effective]:
    """Every value of the merged layers, in the order of the policy document."""
    merged = merge(layers)
    rows = [
        _row(layers, "target", merged.target.text),
        _row(layers, "path", merged.choice.value),
        _row(layers, "max_hops", "no limit" if merged.max_hops is None else str(merged.max_hops)),
        _row(layers, "keep_updates", str(merged.keep_updates)),
        _row(layers, "td_creation", "held" if merged.creation_held else "not held"),
    ]
    for applied in merged.rules:
        cost = f", cost {applied.cost}" if applied.level is Level.PREFER else ""
        parameters = _parameters(applied.rule)
        rows.append(_rule_row(layers, applied, f"{applied.level.value}{cost}{parameters}"))
        for group in applied.waivers:
            rows += [
                Effective(f"accept.{one.rule}", f"{one.versions} until {one.until}", f"{one.reason}, by {one.by}")
                for one in group
            ]
    rows += [row for layer in layers for row in _denial_rows(layer)]
    rows += [_row(layers, "waypoints", str(waypoint)) for waypoint in merged.waypoints]
    rows += [_row(layers, "signers", signer) for signer in sorted(merged.signers)]
    rows += [_row(layers, "apply", f"{key} {apply_words(key, value)}") for key, value in merged.apply.items()]
    return rows


def _parameters(rule: Rule) -> str:
    return f", at least 0x{rule.strictness()[0]:x}" if rule.parameters and rule.strictness() else ""


def _row(layers: Sequence[Layer], key: str, value: str) -> Effective:
    stated = [_place(layer, (key,)) for layer in layers if layer.states(key)]
    return Effective(key, value, ", ".join(stated) or "default")


def _denial_rows(layer: Layer) -> Iterator[Effective]:
    in_force = {denial.versions.text for denial in layer.policy.denials}
    for index, entry in enumerate(layer.document.data.get("deny", ())):
        if entry["versions"].strip() in in_force:
            yield Effective("deny", f"{entry['versions']} ({entry['reason']})", _place(layer, ("deny", index)))


def _rule_row(layers: Sequence[Layer], applied: AppliedRule, value: str) -> Effective:
    name = applied.rule.name
    origins = []
    for layer in layers:
        own = next((one for one in layer.policy.rules if one.rule.name == name), None)
        if own and (own.level, own.cost, own.rule.strictness()) == (
            applied.level,
            applied.cost,
            applied.rule.strictness(),
        ):
            stated = name in layer.document.data.get("rules", {})
            origins.append(_place(layer, ("rules", name)) if stated else f"default of {layer.policy.name}")
    return Effective(f"rules.{name}", value, ", ".join(origins))


def _place(layer: Layer, path: KeyPath) -> str:
    line, _ = layer.document.locate(path) or (1, 1)
    return f"{layer.document.source}:{line}"
