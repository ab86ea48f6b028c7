"""Settings of a policy that can hardly be meant: windows that do not open, a soak that outlasts the service, demands
that no release meets, entries that repeat each other. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

from seamstep.base.documents import Document
from seamstep.base.errors import Problem
from seamstep.base.validation import did_you_mean
from seamstep.base.versions import ModuleVersion, Specifier
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Outcome, Release, Step
from seamstep.plan.settings import ApplySettings
from seamstep.plan.windows import Window
from seamstep.policy.policy import Policy
from seamstep.rules import POLICY_RULES, AppliedRule, Deny, Level, Scope
from seamstep.rules.asking import ask

#: What the entries under a key are called.
NOUNS = {"deny": "denial", "accept": "waiver", "waypoints": "waypoint"}
#: Seconds that a run may take in the service that ships: TimeoutStartSec= in service/seamstep.service.
SERVICE_WAITS = 3600
#: Days ahead in which clock changes are looked for; every zone that changes its clocks does so within a year.
_YEAR = 366
#: The days between which clock changes are looked for; near the ends of the calendar, times have no instant.
_DAYS = (date(1970, 1, 2), date(9000, 1, 1))


def warnings(document: Document, policy: Policy, releases: Sequence[Release], as_of: date) -> Iterator[Problem]:
    """The settings of one policy that can hardly be meant.

    Without ``releases``, only the policy itself is examined. SVNs are compared where the releases have images.
    """
    for index, window in enumerate(ApplySettings.from_document(policy.apply).windows):
        message = _on_window(window, as_of)
        if message:
            yield document.problem(("apply", "windows", index), message)
    if policy.apply.get("soak", 0) >= SERVICE_WAITS:
        yield document.problem(
            ("apply", "soak"),
            f"systemd ends a run that soaks for {document.data['apply']['soak']} before its next hop: the service that"
            " ships lets a run take 1h; shorten the soak, or raise TimeoutStartSec= in a drop-in of seamstep.service",
        )
    yield from _on_target(document, policy, releases)
    yield from _on_waypoints(document, policy, releases)
    for (key, index), first in repeated(document, policy).items():
        entries = document.data[key]
        how = "is identical to" if entries[index] == entries[first] else "has the same effect as"
        yield document.problem((key, index), f"this {NOUNS[key]} {how} {key}[{first}]; keep one")


def repeated(document: Document, policy: Policy) -> dict[tuple[str, int], int]:
    """The denials and waivers in force that name the same releases, by the same text, as an earlier one: their keys and
    positions, each with the position of the first."""
    expired = {entry.problem.path[:2] for entry in policy.expired}
    found: dict[tuple[str, int], int] = {}
    for key in ("deny", "accept"):
        known: dict[object, int] = {}
        for index, entry in enumerate(document.data.get(key, ())):
            if (key, index) not in expired:
                first = known.setdefault(effect(entry), index)
                if first != index:
                    found[key, index] = first
    return found


def effect(entry: Any) -> object:
    """A value that is equal for entries under one key that do the same: a waypoint, or the rule of a waiver (None for a
    denial), the versions, and the sources of a denial of steps."""
    if isinstance(entry, str):
        return entry
    named = (Specifier(entry[key]) if key in entry else None for key in ("versions", "from"))
    return entry.get("rule"), *(one and str(one.version or "".join(one.text.split())) for one in named)


def _on_window(window: Window, as_of: date) -> str:
    if not window.days:
        return "this window never opens: it names no day"
    if window.start == window.end:
        return "'from' and 'to' are equal, so the window is open for a whole day; if that is meant, say 00:00 to 23:59"
    first = min(max(as_of, _DAYS[0]), _DAYS[1])
    for day in (first + timedelta(days=ahead) for ahead in range(_YEAR)):
        if day.weekday() in window.days and window.stretch(day) is None:
            return (
                f"this window does not open on {day}: the clocks of {window.zone.key} skip it; widen it past the change"
            )
    return ""


def _on_target(document: Document, policy: Policy, releases: Sequence[Release]) -> Iterator[Problem]:
    target = policy.target
    wanted = [release for release in releases if target.names(release.version)]
    if not releases and target.version:
        wanted = [Release(target.version)]
    if releases and not wanted:
        near = did_you_mean(target.text, (str(release.version) for release in releases))
        yield document.problem(("target",), f"no release matches the target {target.text!r}{near}")
    if wanted and all(_refused(policy, release) for release in wanted):
        which = "the target" if len(wanted) == 1 else f"any of the {len(wanted)} releases that the target names"
        yield document.problem(("target",), f"no path can lead to {which}: {_refused(policy, wanted[-1])}")


def _on_waypoints(document: Document, policy: Policy, releases: Sequence[Release]) -> Iterator[Problem]:
    listed = {release.version: release for release in releases}
    for index, text in enumerate(document.data.get("waypoints", ())):
        version = ModuleVersion(text)
        reason = _refused(policy, listed.get(version, Release(version)))
        if reason:
            message = f"every path across {version} has to stop there, and none can: {reason}"
            yield document.problem(("waypoints", index), message)


def _refused(policy: Policy, release: Release) -> str:
    """The reason why the policy permits no step to a release, whatever the host and the source; empty if it may."""
    step, host = Step(release, release), HostFacts()
    whatever_the_source = tuple(denial for denial in policy.denials if denial.sources is None)
    for applied in (*policy.rules, AppliedRule(Deny(whatever_the_source))):
        rule = applied.rule
        judged = rule.scope is Scope.TARGET and rule.name in {*POLICY_RULES, Deny.name}
        if judged and applied.level is Level.REQUIRE and not applied.waivers_for(release.version):
            verdict = ask(rule, step, host)
            if verdict.outcome is Outcome.BLOCK:
                return verdict.reason
    return ""
