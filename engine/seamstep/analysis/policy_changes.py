"""What two policies say differently, whether or not any step or path changes by it: every setting, and every date,
owner, reason and link of an entry. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from seamstep.base.errors import KeyPath, Problem
from seamstep.base.versions import ModuleVersion
from seamstep.policy.layers import Layer
from seamstep.policy.policy import Policy
from seamstep.policy.words import apply_words, rule_words, tcb_words
from seamstep.rules import policy_rules

#: The lists of entries, with the keys that say which entry it is. Entries that agree in these are compared.
_ENTRIES = {"deny": ("versions",), "accept": ("rule", "versions")}
#: The other keys of entries, with the words for an entry without them.
_FIELDS = {"reason": "", "by": "", "link": "none", "until": "no end"}
_APPLY = ("windows", "soak", "busy", "before", "after")


class Change(NamedTuple):
    """One difference.

    Attributes:
        what: the setting or the entry, and which value of it, such as ``deny 1.5.28 until``.
        old: the old value in words; None where it was added.
        new: the new value in words; None where it was removed.
        place: where the new policy has it, or where the old one had it.
    """

    what: str
    old: str | None
    new: str | None
    place: Problem

    def __str__(self) -> str:
        return f"{self.what}: {self.words}"

    @property
    def words(self) -> str:
        """The change without its subject: ``1 becomes 2``, ``added: 2`` or ``removed: 1``."""
        if self.old is None:
            return f"added: {self.new}"
        return f"removed: {self.old}" if self.new is None else f"{self.old} becomes {self.new}"


class _Row(NamedTuple):
    """A setting or an entry of a policy: what it is, its value in words, and its key path."""

    what: str
    value: str
    path: KeyPath


class _Entry(NamedTuple):
    """A denial or waiver: its key path, and its values besides those that identify it."""

    path: KeyPath
    values: Mapping[str, str]

    @property
    def words(self) -> str:
        return ", ".join(value if field == "reason" else f"{field} {value}" for field, value in self.values.items())


def changes(old: Layer, new: Layer) -> list[Change]:
    """Every difference, in the order of the policy document. A value that is stated in one and the default in the other
    is no difference; neither is another order of entries, nor another way of writing a duration."""
    found = [*_settings(old, new), *_rules(old, new)]
    for key in _ENTRIES:
        found += _entries(key, old, new)
    for key in ("waypoints", "signers"):
        found += _listed(key, old, new)
    return [*found, *_apply(old, new)]


def _settings(old: Layer, new: Layer) -> Iterator[Change]:
    for before, after in zip(_values(old.policy), _values(new.policy), strict=True):
        yield from _difference(old, new, before, after)


def _values(policy: Policy) -> Iterator[_Row]:
    limit = "no limit" if policy.max_hops is None else str(policy.max_hops)
    for key, value in (
        ("name", policy.name),
        ("description", policy.description or "none"),
        ("target", policy.target.text),
        ("path", policy.choice.value),
        ("max_hops", limit),
        ("keep_updates", str(policy.keep_updates)),
        ("td_creation", "held" if policy.creation_held else "not held"),
        ("tcb_info", tcb_words(policy)),
    ):
        yield _Row(key, value, (key,))


def _rules(old: Layer, new: Layer) -> Iterator[Change]:
    for name in policy_rules():
        path = ("rules", name)
        yield from _difference(old, new, *(_Row(f"rules.{name}", _rule(name, layer), path) for layer in (old, new)))


def _rule(name: str, layer: Layer) -> str:
    applied = next((one for one in layer.policy.rules if one.rule.name == name), None)
    return rule_words(applied, layer.document.data.get("rules", {}).get(name))


def _apply(old: Layer, new: Layer) -> Iterator[Change]:
    for key in _APPLY:
        rows = (_Row(f"apply.{key}", apply_words(key, one.policy.apply.get(key)), ("apply", key)) for one in (old, new))
        yield from _difference(old, new, *rows)


def _difference(old: Layer, new: Layer, before: _Row, after: _Row) -> Iterator[Change]:
    if before.value != after.value:
        yield Change(after.what, before.value, after.value, _place(old, new, before.path, after.path))


def _listed(key: str, old: Layer, new: Layer) -> Iterator[Change]:
    """The values that were added to a list or removed from it."""
    before, after = (_named(key, layer) for layer in (old, new))
    for value in sorted(before.keys() - after.keys()):
        yield Change(key, value, None, _at(old, before[value]))
    for value in sorted(after.keys() - before.keys()):
        yield Change(key, None, value, _at(new, after[value]))


def _named(key: str, layer: Layer) -> dict[str, KeyPath]:
    listed = layer.document.data.get(key, ())
    parse = ModuleVersion if key == "waypoints" else str
    return {str(parse(text)): (key, index) for index, text in enumerate(listed)}


def _entries(key: str, old: Layer, new: Layer) -> Iterator[Change]:
    """The entries that were added or removed, and the values of others that changed."""
    before, after = (_by_identity(key, layer) for layer in (old, new))
    for identity in dict.fromkeys([*before, *after]):
        was, now = before.get(identity, []), after.get(identity, [])
        gone = [entry for entry in was if entry.values not in [other.values for other in now]]
        come = [entry for entry in now if entry.values not in [other.values for other in was]]
        what = " ".join((key, *identity))
        for one, other in zip(gone, come, strict=False):
            for field, absent in _FIELDS.items():
                rows = [_Row(f"{what} {field}", e.values.get(field, absent), (*e.path, field)) for e in (one, other)]
                yield from _difference(old, new, *rows)
        paired = min(len(gone), len(come))
        for entry in gone[paired:]:
            yield Change(what, entry.words, None, _at(old, entry.path))
        for entry in come[paired:]:
            yield Change(what, None, entry.words, _at(new, entry.path))


def _by_identity(key: str, layer: Layer) -> dict[tuple[str, ...], list[_Entry]]:
    found: dict[tuple[str, ...], list[_Entry]] = {}
    for index, entry in enumerate(layer.document.data.get(key, ())):
        identity = tuple(entry[part].strip() for part in _ENTRIES[key])
        values = {field: entry[field] for field in _FIELDS if field in entry}
        found.setdefault(identity, []).append(_Entry((key, index), values))
    return found


def _place(old: Layer, new: Layer, before: KeyPath, after: KeyPath) -> Problem:
    """Where the new policy states a value; else where the old one stated it."""
    return _at(new, after) if _states(new, after) or not _states(old, before) else _at(old, before)


def _states(layer: Layer, path: KeyPath) -> bool:
    value = layer.document.data
    for key in path:
        if isinstance(value, Mapping) and key not in value:
            return False
        value = value[key]
    return True


def _at(layer: Layer, path: KeyPath) -> Problem:
    return layer.document.problem(path, "")
