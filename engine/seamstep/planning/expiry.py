"""Which expired entries of a policy matter to a plan: denials of releases that the path leads to, and waivers of rules
that refuse a step. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from seamstep.base.versions import ModuleVersion
from seamstep.policy.policy import Policy
from seamstep.rules import Deny


def that_matter(policy: Policy, document: Mapping[str, Any]) -> list[str]:
    """A sentence for each release and each expired entry that would have changed its judgement, with file and line.
    ``document`` is a plan document."""
    led = [hop["to"] for hop in document["hops"]]
    refused = [(step["to"], verdict["rule"]) for step in document["rejected"] for verdict in step["verdicts"]]
    return sentences(policy, led, refused)


def sentences(policy: Policy, led: Iterable[str], refused: Iterable[tuple[str, str]]) -> list[str]:
    """The same for a path through the releases ``led``, and pairs of a release and a rule that refuses a step to it."""
    found = {}
    for target, rule in [*((target, Deny.name) for target in led), *refused]:
        version = ModuleVersion(target)
        for entry in policy.expired:
            if entry.rule == rule and version in entry.versions:
                was = "not denied any more: its denial" if rule == Deny.name else f"refused by {rule}, and its waiver"
                text = f"{version} is {was} expired on {entry.until} ({entry.place})"
                found[version, entry.place, rule] = text
    return [found[key] for key in sorted(found)]
