"""A picture as a Mermaid flow chart, which code hosting sites draw in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator

from seamstep.show.drawing.scene import Arc, Lane, Mark, Scene, State
from seamstep.show.text import printable

#: Characters that are written as codes, since they could be syntax of Mermaid, HTML or Markdown.
_HARMLESS = re.compile(r"[^A-Za-z0-9 .,:/→×?-]")
_LINES = {State.ALLOWED: "-->", State.BLOCKED: "-.-x", State.UNKNOWN: "-.->"}
_CLASSES = (
    "classDef running fill:#1f5fae,stroke:#1f5fae,color:#ffffff",
    "classDef target fill:#dcebff,stroke:#1f5fae,stroke-width:4px,color:#1c2430",
    "classDef wanted stroke:#1f5fae,stroke-width:2px,stroke-dasharray:4 3",
    "classDef folded stroke-dasharray:3 3",
    "classDef bundle stroke:#b3362b,stroke-dasharray:2 4",
)


def mermaid(scene: Scene) -> str:
    """The picture as a flow chart: a subgraph for each series; rules that refuse a step or leave it open label it.
    Folded releases and bundles of refused steps are nodes with a count."""
    lines = ["---", f"title: {_quoted(scene.title)}", "---", "flowchart LR"]
    styles: list[str] = []
    count = 0
    for number, lane in enumerate(scene.lanes):
        lines.append(f"  subgraph s{number}[{_quoted(f'Series {lane.series}: {lane.summary}')}]")
        lines += [f"    {line}" for line in _nodes(number, lane)]
        for arc in lane.single():
            lines.append(f"    n{number}x{arc.source} {_line(arc)} n{number}x{arc.target}")
            style = _style(arc)
            styles += [f"linkStyle {count} {style}"] if style else []
            count += 1
        lines.append("  end")
    return "\n".join([*lines, *(f"  {line}" for line in (*_CLASSES, *styles))]) + "\n"


def _nodes(number: int, lane: Lane) -> Iterator[str]:
    position = 0
    for group in lane.groups():
        node = group.nodes[0]
        label = ": ".join(filter(None, (node.version, ", ".join(filter(None, (node.mark.value, node.tcb_status))))))
        mark = f":::{node.mark}" if node.mark is not Mark.NONE else ""
        if group.folded:
            label, mark = f"{group.label}: {group.nodes[0].version} - {group.nodes[-1].version}", ":::folded"
        yield f"n{number}x{position}[{_quoted(label)}]{mark}"
        position += len(group.nodes)
    for position, bundle in enumerate(lane.bundles()):
        symbol = "×" if bundle.state is State.BLOCKED else "?"
        yield f"n{number}b{position}[{_quoted(f'{symbol} {bundle.label}')}]:::bundle"


def _line(arc: Arc) -> str:
    line = "==>" if arc.hop and arc.state is State.ALLOWED else _LINES[arc.state]
    rules = [reason.rule for reason in arc.reasons if reason.effect in {"blocks", "can't tell", "left open"}]
    parts = [f"hop {arc.hop}"] if arc.hop else []
    parts += [f"runner-up {arc.runner_up}"] if arc.runner_up else []
    parts += [f"{'×' if arc.state is State.BLOCKED else '?'} {', '.join(rules)}"] if rules else []
    return f"{line}|{_quoted('; '.join(parts))}|" if parts else line


def _style(arc: Arc) -> str:
    if arc.hop:
        return "stroke:#1f5fae,stroke-width:5px"
    if arc.runner_up:
        return "stroke:#5b48b0,stroke-width:3px"
    return {State.BLOCKED: "stroke:#b3362b", State.UNKNOWN: "stroke:#8a6100", State.ALLOWED: ""}[arc.state]


def _quoted(text: str) -> str:
    return '"' + _HARMLESS.sub(lambda found: f"#{ord(found[0])};", printable(text)) + '"'
