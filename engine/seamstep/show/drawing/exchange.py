"""A graph for other programs: GraphML, and JSON in networkx's node-link form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seamstep.show.drawing.scene import Scene
from seamstep.show.text import printable

if TYPE_CHECKING:
    import networkx

SCHEMA = "seamstep/graph/v1"


def node_link(scene: Scene) -> dict[str, Any]:
    """The document, which ``networkx.node_link_graph(document, edges="edges")`` reads back. Texts from files are not
    escaped."""
    return {
        "schema": SCHEMA,
        "directed": True,
        "multigraph": False,
        "graph": {
            "title": scene.title,
            "facts": list(scene.facts),
            "summary": list(scene.summary),
            "path": list(scene.path),
            "runner_up": list(scene.runner_up),
            "series": [
                {
                    "series": lane.series,
                    "releases": len(lane.nodes),
                    "steps": len(lane.arcs),
                    "candidates": lane.candidates,
                }
                for lane in scene.lanes
            ],
        },
        "nodes": [
            {
                "id": node.version,
                "series": lane.series,
                "rank": rank,
                "mark": node.mark.value or None,
                "hops": node.hops,
                **({"tcb_status": node.tcb_status, "advisories": list(node.advisories)} if node.tcb else {}),
            }
            for lane in scene.lanes
            for rank, node in enumerate(lane.nodes)
        ],
        "edges": [
            {
                "source": lane.nodes[arc.source].version,
                "target": lane.nodes[arc.target].version,
                "state": arc.state.value,
                "permitted": arc.permitted,
                "cost": arc.cost if arc.permitted else None,
                "hop": arc.hop,
                "runner_up": arc.runner_up,
                "reasons": [
                    {"rule": reason.rule, "effect": reason.effect, "reason": reason.text} for reason in arc.reasons
                ],
            }
            for lane, arc in scene.arcs()
        ],
    }


def _advisories(node: dict[str, Any]) -> dict[str, str]:
    """The open advisories of a node as one text, which GraphML can hold."""
    return {"advisories": ", ".join(node["advisories"])} if "advisories" in node else {}


def graphml(scene: Scene) -> str:
    """The same graph as GraphML. Values that are null in JSON are left out, and the reasons of a step are one text."""
    import networkx

    document = node_link(scene)
    graph: networkx.DiGraph[str] = networkx.DiGraph()
    for name in ("title", "facts", "summary"):
        value = document["graph"][name]
        graph.graph[name] = printable(value if isinstance(value, str) else "; ".join(value))
    for node in document["nodes"]:
        values = _plain(node, {"id", "advisories"})
        graph.add_node(node["id"], **values, **_advisories(node))
    for (lane, arc), edge in zip(scene.arcs(), document["edges"], strict=True):
        values = _plain(edge, {"source", "target", "reasons"}) | {"reasons": lane.describe(arc)}
        graph.add_edge(edge["source"], edge["target"], **values)
    return "\n".join(networkx.generate_graphml(graph)) + "\n"


def _plain(values: dict[str, Any], without: set[str]) -> dict[str, Any]:
    """The values that are not null, except those ``without``. All are versions, numbers and words of seamstep, so they
    need no escaping."""
    return {name: value for name, value in values.items() if name not in without and value is not None}
