"""Explanation documents (``seamstep/explanation/v1``) as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from seamstep.show.causes import short
from seamstep.show.text import Note, printable, tcb_lines, way, way_of

_MARKS = {"blocks": "BLOCKS", "waived": "waived", "open": "open", "none": "note"}


def mark(verdict: Mapping[str, Any]) -> str:
    """The word for a verdict: ``ok`` if the rule is met, else a word for the effect on the step."""
    return "ok" if verdict["outcome"] == "pass" else _MARKS[verdict["effect"]]


def explanation_text(document: Mapping[str, Any]) -> str:
    """The result and the runner-up, each step that matters with all its verdicts, and the changes that open a path."""
    return "\n".join(short(printable(line)) for line in _lines(document))


def verdict_notes(step: Mapping[str, Any]) -> list[Note]:
    """The verdicts on a step. Rules that answer alike have one note."""
    rules: dict[tuple[str, str], list[str]] = {}
    for verdict in step["verdicts"]:
        rules.setdefault((mark(verdict), verdict["reason"]), []).append(verdict["rule"])
    return [Note(effect, ", ".join(names), reason) for (effect, reason), names in rules.items()]


def unmet(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """The document without the verdicts of rules that are met. A step of which none is left has one that says so."""
    met = {"rule": "all rules", "outcome": "pass", "effect": "none", "reason": "met"}
    steps = [
        step | {"verdicts": [verdict for verdict in step["verdicts"] if verdict["outcome"] != "pass"] or [met]}
        for step in document["steps"]
    ]
    return {**document, "steps": steps}


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    yield from findings(document)
    for step in document["steps"]:
        yield ""
        yield f"{way_of(step)}: {answer(step)}"
        yield f"  {'note':<6}  {step['td_creation']['reason']}"
        for note in verdict_notes(step):
            yield f"  {note.mark:<6}  {note.rule}: {note.text}"
    yield from change_lines(document)


def answer(step: Mapping[str, Any]) -> str:
    """The outcome of a step in words: ``permitted`` with its cost and what that is made up of, or ``refused``."""
    if not step["permitted"]:
        return "refused"
    parts = [f"{part['cost']} for {part['for']}" for part in step["cost_parts"]]
    if len(parts) == 1:
        return f"permitted, cost {parts[0]}"
    return f"permitted, cost {step['cost']}: {', '.join(parts)}"


def findings(document: Mapping[str, Any]) -> Iterator[str]:
    """Lines with the path and the runner-up, or with the newest reachable release if there is no path; then the expired
    entries of the policy that matter."""
    running, goal, path = document["running"], document["to"], document["path"]
    if goal is None:
        yield f"{document['nothing_newer']} (policy {document['policy']})"
    elif path and path[-1] == goal:
        yield f"{way(path)}, cost {document['cost']}, by {document['objective']} (policy {document['policy']})"
        second = document["runner_up"]
        yield f"runner-up: {way(second['path'])}, cost {second['cost']}" if second else "there is no other path"
    else:
        yield f"no path from {running} to {goal} under the policy {document['policy']}"
        if path:
            yield f"the newest that can be reached is {path[-1]}"
    yield from tcb_lines(document, goal)
    yield from (f"expired: {sentence}" for sentence in document.get("expired", ()))


def change_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Lines with the changes that would open a path; none if there is a path or no newer release is wanted."""
    goal = document["to"]
    if goal is None or (document["path"] and document["path"][-1] == goal):
        return
    untried = document.get("changes_untried", 0)
    changes = list(remedies(goal, document["changes"], untried))
    yield ""
    if document["changes"] or untried:
        yield f"what would open a path to {goal}" + (" (any one of these)" if len(changes) > 1 else "")
        yield from (f"  {line}" for line in changes)
    else:
        yield from changes


def remedies(goal: object, changes: Iterable[Iterable[str]], untried: int) -> Iterator[str]:
    """The changes any of which opens a path to ``goal``, a line each. ``untried`` is the number of sets of changes that
    were not tried."""
    lines = [", and ".join(together) for together in changes]
    if untried:
        lines = [f"not known: {untried:,} sets of changes were not tried, the series being so long; no other opens one"]
    yield from lines or [f"no change to host, policy or catalog that seamstep knows of would open a path to {goal}"]
