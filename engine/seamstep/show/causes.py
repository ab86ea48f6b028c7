"""Refused steps by cause, so that one reason is said once, whatever number of steps and rules it holds for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

#: The most versions in a row; of more, the first and the last are named.
_NAMED = 8
_DIGEST = re.compile(r"(?<!--signer )(?<!class_id )\b([0-9a-f]{12})[0-9a-f]{52,}\b")


class Cause(NamedTuple):
    """A ``reason`` for which ``rules`` refuse ``steps``. Where several steps differ in one version, the reason has
    "each" in its place."""

    steps: str
    rules: str
    reason: str


class _Refusal(NamedTuple):
    """One rule's reason for steps ``sources`` → ``targets``, one of which is a single version."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    rule: str
    reason: str

    @property
    def steps(self) -> str:
        """All steps in one text, such as ``1.5.24 → 1.5.25, 1.5.28``."""
        return f"{_named(self.sources)} → {_named(self.targets)}"


def causes(rejected: Iterable[Mapping[str, Any]]) -> list[Cause]:
    """The causes of the refused steps of a plan document, in the order in which they come up first."""
    refusals = [
        _Refusal((step["from"],), (step["to"],), verdict["rule"], verdict["reason"])
        for step in rejected
        for verdict in step["verdicts"]
    ]
    together = list(_by_source(list(_by_target(refusals))))
    rules: dict[tuple[str, str], list[str]] = {}
    for refusal in together:
        rules.setdefault((refusal.steps, refusal.reason), []).append(refusal.rule)
    steps: dict[tuple[str, str], list[str]] = {}
    for (some, reason), names in rules.items():
        steps.setdefault((", ".join(names), reason), []).append(some)
    return [Cause("; ".join(every), names, reason) for (names, reason), every in steps.items()]


def short(text: str) -> str:
    """``text`` with the first 12 digits of each digest. What is there to be copied stays whole: the
    argument of an option, and a class_id."""
    return _DIGEST.sub(r"\1…", text)


def _by_target(refusals: Sequence[_Refusal]) -> Iterator[_Refusal]:
    """The refusals of one source, rule and reason in one, whichever their targets are."""
    groups: dict[tuple[str, ...], list[_Refusal]] = {}
    for one in refusals:
        groups.setdefault((*one.sources, one.rule, _without(one.reason, one.targets[0])), []).append(one)
    for key, group in groups.items():
        several = len(group) > 1
        targets = tuple(one.targets[0] for one in group)
        yield group[0]._replace(targets=targets, reason=key[-1] if several else group[0].reason)


def _by_source(refusals: Sequence[_Refusal]) -> Iterator[_Refusal]:
    """The refusals of one target, rule and reason in one, whichever their sources are; others as they are."""
    groups: dict[tuple[str, ...], list[_Refusal]] = {}
    for one in refusals:
        alone = len(one.targets) == 1
        reason = _without(one.reason, one.sources[0]) if alone else one.reason
        groups.setdefault((*(() if alone else one.sources), *one.targets, one.rule, reason), []).append(one)
    for key, group in groups.items():
        several = len(group) > 1
        sources = tuple(one.sources[0] for one in group)
        yield group[0]._replace(sources=sources, reason=key[-1] if several else group[0].reason)


def _without(reason: str, version: str) -> str:
    """A reason with "each" for a version that stands by itself, and "*" for one in a file's name."""
    number = re.escape(version)
    alone = re.sub(rf"(?<![\w./*-]){number}(?![\w/*-]|\.\w)", "each", reason)
    return re.sub(rf"(?<!\d){number}(?!\d)", "*", alone)


def _named(versions: Sequence[str]) -> str:
    if len(versions) > _NAMED:
        versions = [*versions[:3], f"… {len(versions) - 4} more …", versions[-1]]
    return ", ".join(versions)
