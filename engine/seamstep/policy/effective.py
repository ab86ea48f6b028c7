"""The values that layers of policies merge into, each with the lines of the files that it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from seamstep.base.errors import KeyPath
from seamstep.base.versions import ModuleVersion
from seamstep.policy.layers import Layer, choosing, merge
from seamstep.policy.policy import Policy, Target
from seamstep.policy.words import apply_words, duration, tcb_words
from seamstep.rules import AppliedRule, Level, Rule, TcbStatusRule
from seamstep.rules.td_build import TdBuild


class Effective(NamedTuple):
    """A value in force.

    Attributes:
        key: its key path in the policy document.
        value: the value in words.
        origin: file and line of each document that it comes from, or ``default``. A layer whose value is not the one in
            force is not an origin.
    """

    key: str
    value: str
    origin: str


def effective(layers: Sequence[Layer]) -> list[Effective]:
    """Every value of the merged layers, in the order of the policy document."""
    merged = merge(layers)
    return [
        *_limits(layers, merged),
        *(row for applied in merged.rules for row in _rule_rows(layers, applied)),
        *(row for layer in layers for row in _denial_rows(layer)),
        *_entry_rows(layers, "waypoints", map(str, merged.waypoints), lambda text: str(ModuleVersion(text))),
        *_entry_rows(layers, "signers", sorted(merged.signers), str),
        *_apply_rows(layers, merged.apply),
    ]


def _limits(layers: Sequence[Layer], merged: Policy) -> Iterator[Effective]:
    hops = "no limit" if merged.max_hops is None else str(merged.max_hops)
    held = "held" if merged.creation_held else "not held"
    chooser = choosing(layers)
    yield _row(layers, "target", merged.target.text, lambda layer: layer.policy.target != Target())
    yield _row(layers, "path", merged.choice.value, lambda layer: layer is chooser)
    yield _row(layers, "max_hops", hops, lambda layer: layer.policy.max_hops == merged.max_hops)
    yield _row(
        layers, "keep_updates", str(merged.keep_updates), lambda layer: layer.policy.keep_updates == merged.keep_updates
    )
    yield _row(layers, "td_creation", held, lambda layer: layer.policy.creation_held == merged.creation_held)
    if merged.uses_tcb or any(layer.states("tcb_info") for layer in layers):
        until = merged.tcb_stale_until
        yield _row(layers, "tcb_info", tcb_words(merged), lambda layer: layer.policy.tcb_stale_until == until)


def _row(layers: Sequence[Layer], key: str, value: str, gives: Callable[[Layer], bool]) -> Effective:
    """The row of a value that comes from the layers for which ``gives`` is true; from all if it is for none."""
    stated = any(layer.states(key) for layer in layers)
    giving = [layer for layer in layers if gives(layer)] or layers
    places = [_place(layer, (key,)) for layer in giving if layer.states(key)]
    defaults = [f"default of {layer.policy.name}" for layer in giving] if stated else []
    return Effective(key, value, ", ".join(places or defaults) or "default")


def _rule_rows(layers: Sequence[Layer], applied: AppliedRule) -> Iterator[Effective]:
    name = applied.rule.name
    cost = f", cost {applied.cost}" if applied.level is Level.PREFER else ""
    origins = []
    for layer in layers:
        own = next((one for one in layer.policy.rules if one.rule.name == name), None)
        if own and _weight(own) == _weight(applied):
            stated = name in layer.document.data.get("rules", {})
            origins.append(_place(layer, ("rules", name)) if stated else f"default of {layer.policy.name}")
    yield Effective(f"rules.{name}", f"{applied.level.value}{cost}{_parameters(applied.rule)}", ", ".join(origins))
    for waiver in (waiver for group in applied.waivers for waiver in group):
        said = {"rule": waiver.rule, "reason": waiver.reason, "by": waiver.by, "until": waiver.until}
        value = f"{waiver.versions} until {waiver.until} ({waiver.reason}, by {waiver.by})"
        found = _entries(layers, "accept", said | {"versions": waiver.versions.text})
        yield Effective(f"accept.{waiver.rule}", value, _places(found))


def _weight(applied: AppliedRule) -> tuple[object, ...]:
    """The parts of an applied rule that are compared between layers. ``td_creation`` has a row of its own."""
    strictness = () if applied.rule.name == TdBuild.name else applied.rule.strictness()
    return applied.level, applied.cost, strictness


def _parameters(rule: Rule) -> str:
    if isinstance(rule, TcbStatusRule):
        return f", {rule.wanted}"
    return f", at least 0x{rule.strictness()[0]:x}" if rule.parameters and rule.strictness() else ""


def _entries(layers: Sequence[Layer], key: str, said: Mapping[str, Any]) -> list[tuple[Layer, KeyPath]]:
    """The places of the entries under ``key`` that say this."""
    return [
        (layer, (key, index))
        for layer in layers
        for index, entry in enumerate(_stated(layer, key))
        if {name: text.strip() if name == "versions" else text for name, text in entry.items()} == said
    ]


def _denial_rows(layer: Layer) -> Iterator[Effective]:
    expired = {entry.problem.path[:2] for entry in layer.policy.expired}
    for index, entry in enumerate(_stated(layer, "deny")):
        if ("deny", index) not in expired:
            steps = f"{entry['from']} to {entry['versions']}" if "from" in entry else entry["versions"]
            yield Effective("deny", f"{steps} ({entry['reason']})", _place(layer, ("deny", index)))


def _entry_rows(
    layers: Sequence[Layer], key: str, values: Iterable[str], read: Callable[[str], str]
) -> Iterator[Effective]:
    listed = [(layer, (key, index), read(text)) for layer in layers for index, text in enumerate(_stated(layer, key))]
    for value in values:
        yield Effective(key, value, _places([(layer, path) for layer, path, text in listed if text == value]))


def _stated(layer: Layer, key: str) -> Sequence[Any]:
    entries: Sequence[Any] = layer.document.data.get(key, ())
    return entries


def _apply_rows(layers: Sequence[Layer], settings: Mapping[str, Any]) -> Iterator[Effective]:
    yield from _listed(layers, "windows")
    if "soak" in settings:
        longest = [layer for layer in layers if layer.policy.apply.get("soak") == settings["soak"]]
        yield _setting("soak", apply_words("soak", settings["soak"]), [(layer, ("soak",)) for layer in longest])
    for part, words in (("retries", str), ("wait", duration)):
        value = settings.get("busy", {}).get(part)
        if value is not None:
            strictest = [layer for layer in layers if layer.policy.apply.get("busy", {}).get(part) == value]
            yield _setting(f"busy.{part}", words(value), [(layer, ("busy", part)) for layer in strictest])
    yield from _listed(layers, "before")
    yield from _listed(layers[::-1], "after")


def _listed(layers: Sequence[Layer], key: str) -> Iterator[Effective]:
    for layer in layers:
        for index, item in enumerate(layer.policy.apply.get(key, ())):
            yield _setting(key, apply_words(key, [item]), [(layer, (key, index))])


def _setting(key: str, value: str, places: Sequence[tuple[Layer, KeyPath]]) -> Effective:
    return Effective(f"apply.{key}", value, _places([(layer, ("apply", *path)) for layer, path in places]))


def _places(found: Sequence[tuple[Layer, KeyPath]]) -> str:
    return ", ".join(_place(layer, path) for layer, path in found) or "default"


def _place(layer: Layer, path: KeyPath) -> str:
    line, _ = layer.document.locate(path) or (1, 1)
    return f"{layer.document.source}:{line}"
