"""A picture in DOT, the language of Graphviz."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from seamstep.show.drawing.scene import Arc, Lane, Mark, Scene, State
from seamstep.show.text import printable

_STYLES = {
    State.ALLOWED: {"style": "solid", "color": "#2b6cb8", "arrowhead": "normal"},
    State.BLOCKED: {"style": "dotted", "color": "#b3362b", "arrowhead": "tee", "label": "×", "constraint": "false"},
    State.UNKNOWN: {"style": "dashed", "color": "#8a6100", "arrowhead": "onormal", "label": "?"},
}
_SHAPES = {Mark.RUNNING: "filled,rounded,bold", Mark.NONE: "rounded"}


def dot(scene: Scene) -> str:
    """The picture as a digraph: a cluster for each series, reasons as tooltips. Folded releases and bundles of refused
    steps are nodes with a count."""
    label = printable(scene.title) + "\n" + printable(" · ".join(scene.facts))
    lines = [
        "digraph seamstep {",
        f"  graph [{_listed({'label': label, 'labelloc': 't', 'rankdir': 'LR'})}]",
        f"  graph [{_listed({'tooltip': printable(' '.join(scene.summary)), 'fontname': 'sans-serif'})}]",
        f"  node [{_listed({'shape': 'box', 'style': 'rounded', 'fontname': 'sans-serif'})}]",
        f"  edge [{_listed({'fontname': 'sans-serif', 'fontsize': '10'})}]",
    ]
    for lane in scene.lanes:
        lines += [f"  {line}" for line in _cluster(lane)]
    return "\n".join([*lines, "}"]) + "\n"


def _cluster(lane: Lane) -> Iterator[str]:
    yield f"subgraph {_quoted(f'cluster_{lane.series}')} {{"
    yield f"  graph [{_listed({'label': f'Series {lane.series}: {lane.summary}', 'color': '#a9b3bf'})}]"
    groups = list(lane.groups())
    for group in groups:
        node = group.nodes[0]
        if group.folded:
            style = {"label": f"{group.label}\n{group.ends}", "style": "rounded,dashed"}
            yield f"  {_quoted(node.version)} [{_listed(style)}]"
            continue
        label = "\n".join(filter(None, (node.version, node.mark.value, node.tcb_status)))
        style = {"label": label, "style": _SHAPES.get(node.mark, "rounded,bold")}
        more = {"peripheries": "2"} if node.mark in {Mark.TARGET, Mark.WANTED} else {}
        more |= {"tooltip": node.tcb} if node.tcb else {}
        yield f"  {_quoted(node.version)} [{_listed(style | more)}]"
    if len(groups) > 1:  # an invisible chain keeps the releases in order
        yield f"  {' -> '.join(_quoted(group.nodes[0].version) for group in groups)} [{_listed({'style': 'invis'})}]"
    for number, bundle in enumerate(lane.bundles()):
        symbol = _STYLES[bundle.state]["label"]
        style = {"label": f"{symbol} {bundle.label}", "tooltip": lane.describe_bundle(bundle)}
        style |= {"shape": "note", "style": "dotted", "color": _STYLES[bundle.state]["color"]}
        yield f"  {_quoted(f'{lane.series} bundle {number}')} [{_listed(style)}]"
    for arc in lane.single():
        ends = f"{_quoted(lane.nodes[arc.source].version)} -> {_quoted(lane.nodes[arc.target].version)}"
        yield f"  {ends} [{_listed(_step(lane, arc))}]"
    yield "}"


def _step(lane: Lane, arc: Arc) -> Mapping[str, str]:
    said = lane.describe(arc)
    style = _STYLES[arc.state] | {"tooltip": said, "edgetooltip": said, "labeltooltip": said}
    names = [str(arc.hop)] if arc.hop else []
    names += [f"R{arc.runner_up}"] if arc.runner_up else []
    if names:
        style = style | {"label": " ".join([*names, style.get("label", "")]).strip()}
    return style | ({"penwidth": "4"} if arc.hop else {"penwidth": "2.5"} if arc.runner_up else {})


def _listed(attributes: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={_quoted(value)}" for name, value in attributes.items())


def _quoted(text: str) -> str:
    """``text`` as a quoted string. Graphviz would interpret escapes such as \\N and entities, so they are escaped."""
    lines = (printable(line).replace("&", "&amp;").replace("\\", "\\\\") for line in text.split("\n"))
    return '"' + "\\n".join(line.replace('"', '\\"') for line in lines) + '"'
