"""The difference between two policies as JSON-able data, as text and as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from seamstep.analysis.environments import Environment
from seamstep.analysis.policy_review import PathChange, StepChange
from seamstep.show.changes import cell, versions_text
from seamstep.show.text import printable


def difference_document(
    steps: Sequence[StepChange], paths: Sequence[PathChange], settings: Sequence[str], total: int
) -> dict[str, Any]:
    """The difference as JSON-able data; ``total`` is the number of environments compared."""
    return {
        "schema": "seamstep/policy-diff/v1",
        "environments": total,
        "settings": list(settings),
        "steps": [
            {
                "from": str(change.source),
                "to": str(change.target),
                "change": "opened" if change.opened else "closed",
                "rules": list(change.rules),
                "where": [str(environment) for environment in change.environments],
            }
            for change in steps
        ],
        "paths": [
            {
                "from": str(change.source),
                "old": [str(version) for version in change.old],
                "new": [str(version) for version in change.new],
                "where": [str(environment) for environment in change.environments],
            }
            for change in paths
        ],
    }


def difference_text(
    steps: Sequence[StepChange], paths: Sequence[PathChange], settings: Sequence[str], total: int
) -> str:
    """The difference as text."""
    lines = [f"{len(steps)} steps and {len(paths)} paths change, of {total} kinds of hosts"]
    lines += [f"  {_sentence(change)}  [{_where(change.environments, total)}]" for change in steps]
    lines += [f"  {_path(change)}  [{_where(change.environments, total)}]" for change in paths]
    lines += [f"  {setting}" for setting in settings]
    return "\n".join(map(printable, lines))


def difference_markdown(
    steps: Sequence[StepChange], paths: Sequence[PathChange], settings: Sequence[str], total: int
) -> str:
    """The difference as Markdown."""
    return "\n".join(_markdown(steps, paths, settings, total))


def _markdown(
    steps: Sequence[StepChange], paths: Sequence[PathChange], settings: Sequence[str], total: int
) -> Iterator[str]:
    yield f"**{len(steps)} steps and {len(paths)} paths change**, of {total} kinds of hosts."
    if steps:
        yield "\n| step | change | rules | where |\n|---|---|---|---|"
    for change in steps:
        word = "opened" if change.opened else "closed"
        step, rules = f"{change.source} → {change.target}", cell(", ".join(change.rules))
        yield f"| {step} | {word} | {rules} | {cell(_where(change.environments, total))} |"
    if paths:
        yield "\n| from | old path | new path | where |\n|---|---|---|---|"
    for path in paths:
        cells = (str(path.source), versions_text(path.old), versions_text(path.new), _where(path.environments, total))
        yield f"| {' | '.join(map(cell, cells))} |"
    if settings:
        yield ""
    for setting in settings:
        yield f"- {cell(setting)}"


def _sentence(change: StepChange) -> str:
    rules = ", ".join(change.rules)
    what = f"opened (was refused by {rules})" if change.opened else f"closed by {rules}"
    return f"{change.source} → {change.target}  {what}"


def _path(change: PathChange) -> str:
    return f"from {change.source}: {versions_text(change.old)} becomes {versions_text(change.new)}"


def _where(found: Sequence[Environment], total: int) -> str:
    return "everywhere" if len(found) == total else "; ".join(map(str, found))
