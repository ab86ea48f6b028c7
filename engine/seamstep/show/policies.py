"""The difference between two policies as JSON-able data, as text and as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from seamstep.analysis.environments import Environment
from seamstep.analysis.policy_changes import Change
from seamstep.analysis.policy_review import PathChange, StepChange
from seamstep.show.changes import cell, hosts_text, versions_text
from seamstep.show.text import printable


class PolicyDifference(NamedTuple):
    """The difference between two policies.

    Attributes:
        steps: the steps that open or close.
        paths: the releases from which hosts are led elsewhere.
        settings: what the policies say differently, whether or not a step or path changes by it.
        kinds: the kinds of hosts that were compared.
    """

    steps: Sequence[StepChange]
    paths: Sequence[PathChange]
    settings: Sequence[Change]
    kinds: Sequence[Environment]


def difference_document(found: PolicyDifference) -> dict[str, Any]:
    """The difference as JSON-able data."""
    return {
        "schema": "seamstep/policy-diff/v1",
        "environments": len(found.kinds),
        "settings": [str(change) for change in found.settings],
        "changes": [
            {
                "what": change.what,
                "old": change.old,
                "new": change.new,
                "source": change.place.source,
                "line": change.place.line,
                "column": change.place.column,
            }
            for change in found.settings
        ],
        "steps": [
            {
                "from": str(change.source),
                "to": str(change.target),
                "change": "opened" if change.opened else "closed",
                "rules": list(change.rules),
                "where": [str(environment) for environment in change.environments],
            }
            for change in found.steps
        ],
        "paths": [
            {
                "from": str(change.source),
                "old": [str(version) for version in change.old],
                "new": [str(version) for version in change.new],
                "where": [str(environment) for environment in change.environments],
            }
            for change in found.paths
        ],
    }


def difference_text(found: PolicyDifference) -> str:
    """The difference as text."""
    lines = [summary(found)]
    lines += [f"  {step_sentence(change)}  {hosts_text(change.environments, found.kinds)}" for change in found.steps]
    lines += [f"  {path_sentence(change)}  {hosts_text(change.environments, found.kinds)}" for change in found.paths]
    lines += [f"  {change}" for change in found.settings]
    return "\n".join(map(printable, lines))


def summary(found: PolicyDifference) -> str:
    """The number of changes of each kind, in one line."""
    count = len(found.settings)
    more = f"; {count} value{' of the policy changes' if count == 1 else 's of the policy change'}" if count else ""
    return f"{len(found.steps)} steps and {len(found.paths)} paths change, of {len(found.kinds)} kinds of hosts{more}"


def difference_markdown(found: PolicyDifference) -> str:
    """The difference as Markdown."""
    return "\n".join(_markdown(found))


def _markdown(found: PolicyDifference) -> Iterator[str]:
    yield f"**{summary(found)}**"
    rows: list[tuple[str, ...]] = []
    for step in found.steps:
        rules = ", ".join(step.rules)
        change = ("opened", f"no longer {rules}") if step.opened else ("closed", rules)
        rows.append((f"{step.source} → {step.target}", *change, hosts_text(step.environments, found.kinds)))
    yield from _table(("step", "change", "refused by", "where"), rows)
    rows = []
    for path in found.paths:
        where = hosts_text(path.environments, found.kinds)
        rows.append((str(path.source), versions_text(path.old), versions_text(path.new), where))
    yield from _table(("from", "old path", "new path", "where"), rows)
    rows = [(one.what, one.old or "not there", one.new or "not there") for one in found.settings]
    yield from _table(("value", "old", "new"), rows)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if rows:
        yield f"\n| {' | '.join(columns)} |\n{'|---' * len(columns)}|"
    for row in rows:
        yield f"| {' | '.join(map(cell, row))} |"


def step_sentence(change: StepChange) -> str:
    """A step that opens or closes, in words."""
    rules = ", ".join(change.rules)
    what = f"opened (was refused by {rules})" if change.opened else f"closed by {rules}"
    return f"{change.source} → {change.target}  {what}"


def path_sentence(change: PathChange) -> str:
    """A path that changes, in words."""
    return f"from {change.source}: {versions_text(change.old)} becomes {versions_text(change.new)}"
