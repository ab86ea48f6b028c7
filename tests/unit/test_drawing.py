"""Pictures of the version graph: what is drawn, where, and in every format the same, harmless bytes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import networkx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import made_host, made_release
from test_graph import made_policy
from test_oracle import hosts, policies, releases

from conftest import FACTS, LATEST, TRUST, Run
from seamstep.base.errors import InputError
from seamstep.base.versions import ModuleVersion, Specifier
from seamstep.cli import main
from seamstep.domain.facts import UploadNode
from seamstep.domain.model import Outcome
from seamstep.planning.explain import Situation
from seamstep.planning.graph import VersionGraph
from seamstep.policy.policy import Source
from seamstep.rules import Denial
from seamstep.show.drawing import dot, exchange, html, mermaid, svg
from seamstep.show.drawing.choose import Blocked, Subject, scene
from seamstep.show.drawing.layout import NODE_HEIGHT, layout
from seamstep.show.drawing.scene import Arc, Lane, Mark, Node, Scene, State

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "graph.svg"
#: How docs/images/graph.svg came to be.
PICTURE_OF = ("--platform", "SPR", "--seamldr", "1.5.02", "--running", "1.5.16")
FORMATS: dict[str, Callable[[Scene], str]] = {
    "svg": svg.svg,
    "html": html.html,
    "dot": dot.dot,
    "mermaid": mermaid.mermaid,
    "graphml": exchange.graphml,
    "json": lambda drawn: json.dumps(exchange.node_link(drawn)),
}
LADDER = tuple(made_release(f"1.5.{number:02}") for number in range(1, 9))


def steps(drawn: Scene) -> dict[tuple[str, str], Arc]:
    return {
        (lane.nodes[arc.source].version, lane.nodes[arc.target].version): arc
        for lane in drawn.lanes
        for arc in lane.arcs
    }


def situation(**changes: Any) -> Situation:
    values: dict[str, Any] = {"releases": LADDER, "host": made_host("1.5.03"), "policy": made_policy()}
    return Situation(**values | changes)


# -- what is drawn


@settings(max_examples=60, deadline=None)
@given(releases(), hosts(), policies, st.sampled_from(Blocked))
def test_every_step_is_drawn_as_the_rules_judge_it(listed: Any, host: Any, policy: Any, blocked: Blocked) -> None:
    drawn = steps(scene(Situation(listed, host, policy), blocked=blocked))
    graph = VersionGraph(listed, host, policy.applied_rules())
    assert set(drawn) <= {(str(a), str(b)) for a, b in graph.steps.edges}
    if blocked is Blocked.ALL:
        assert len(drawn) == graph.steps.number_of_edges()
    if blocked is Blocked.NONE:
        assert all(arc.permitted for arc in drawn.values())
    for (source, target), arc in drawn.items():
        version = {str(release.version): release.version for release in (*listed, graph.release(graph.running))}
        judgement = graph.judge(version[source], version[target], 0)
        if source == str(graph.running):
            assert arc.permitted == judgement.permitted
            assert {reason.rule for reason in arc.reasons if reason.effect in {"blocks", "can't tell"}} == {
                verdict.rule for verdict in judgement.blocking
            }
        blocking = {verdict.outcome for verdict in judgement.blocking}
        if Outcome.BLOCK in blocking and source == str(graph.running):
            assert arc.state is State.BLOCKED


@settings(max_examples=60, deadline=None)
@given(releases(), hosts(), policies, st.integers(1, 6))
def test_the_paths_are_drawn_whatever_the_limit(listed: Any, host: Any, policy: Any, limit: int) -> None:
    drawn = scene(Situation(listed, host, policy), limit=limit)
    found = steps(drawn)
    assert all(len(lane.arcs) <= max(limit, len(drawn.path) + len(drawn.runner_up)) for lane in drawn.lanes)
    by_hop = {arc.hop: step for step, arc in found.items() if arc.hop}
    best = list(pairwise(drawn.path))
    assert [by_hop[hop] for hop in sorted(by_hop)] == best[:limit] or set(best) >= set(by_hop.values())
    if len(best) <= limit:
        assert [by_hop[hop] for hop in sorted(by_hop)] == best


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({}, State.ALLOWED, "allowed, cost 1"),
        ({"host": made_host("1.5.03", cpus_online="0")}, State.BLOCKED, "blocked"),
        ({"host": made_host("1.5.03", cpus_online=None)}, State.UNKNOWN, "unknown, so refused"),
        (
            {"releases": tuple(one._replace(image=None) for one in LADDER), "without_images": True},
            State.UNKNOWN,
            "unknown, left open, cost 1",
        ),
    ],
)
def test_states(changes: dict[str, Any], state: State, words: str) -> None:
    drawn = steps(scene(situation(**changes)))
    arc = drawn["1.5.03", "1.5.04"]
    assert (arc.state, arc.verdict) == (state, words)


def test_what_lies_on_the_way() -> None:
    policy = made_policy(denials=(Denial(Specifier("1.5.05"), "bad"), Denial(Specifier("1.5.08"), "worse")))
    drawn = {blocked: set(steps(scene(situation(policy=policy), blocked=blocked))) for blocked in Blocked}
    permitted = {(a, b) for a, b in combinations(["1.5.03", "1.5.04", "1.5.06", "1.5.07"], 2)}
    assert drawn[Blocked.NONE] == permitted
    assert drawn[Blocked.PATH] == permitted | {("1.5.03", "1.5.05"), ("1.5.03", "1.5.08")}
    assert len(drawn[Blocked.ALL]) == 28


def test_refused_steps_to_the_goal_lie_on_the_way() -> None:
    listed = (*LADDER[:-1], made_release("1.5.08", minimum_module=ModuleVersion("1.5.05")))
    policy = made_policy(denials=(Denial(Specifier("1.5.06"), "bad"),))
    refused = {
        step for step, arc in steps(scene(situation(releases=listed, policy=policy))).items() if not arc.permitted
    }
    assert refused == {("1.5.03", "1.5.06"), ("1.5.03", "1.5.08"), ("1.5.04", "1.5.08")}


def test_marks() -> None:
    marks = {node.version: node.mark for node in scene(situation()).nodes() if node.mark}
    assert marks == {"1.5.03": Mark.RUNNING, "1.5.08": Mark.TARGET}
    stuck = scene(situation(host=made_host("1.5.03", upload=UploadNode("tdx_module", "programming"))))
    assert {node.version: node.mark for node in stuck.nodes() if node.mark} == {
        "1.5.03": Mark.RUNNING,
        "1.5.08": Mark.WANTED,
    }
    assert "No permitted path leads to any release that is wanted; the newest wanted is 1.5.08." in stuck.summary
    there = scene(situation(host=made_host("1.5.08")))
    assert there.summary[1:] == ("No newer release is wanted.",)


def test_a_kind_of_host_has_no_path() -> None:
    drawn = scene(situation(host=made_host("1.5.01")), subject=Subject.KIND)
    assert (drawn.path, {node.mark for node in drawn.nodes()}) == ((), {Mark.NONE})
    assert len(list(drawn.arcs())) == 28


def test_series_are_lanes_in_order() -> None:
    listed = tuple(made_release(version) for version in ("1.5.02", "1.10.01", "1.5.01", "2.0.01", "1.9.01"))
    drawn = scene(situation(releases=listed, host=made_host("1.5.01")), blocked=Blocked.ALL)
    assert [lane.series for lane in drawn.lanes] == ["1.5", "1.9", "1.10", "2.0"]
    assert [node.version for node in drawn.lanes[0].nodes] == ["1.5.01", "1.5.02"]
    assert "no update leads here from series 1.5" in drawn.lanes[1].summary


def test_only_series_of_which_steps_may_be_drawn_are_judged() -> None:
    many = tuple(made_release(f"{series}.{number:02}") for series in ("1.6", "1.7") for number in range(501))
    listed = (*LADDER, *many)
    drawn = scene(situation(releases=listed))
    assert [(lane.series, len(lane.nodes), bool(lane.arcs)) for lane in drawn.lanes] == [
        ("1.5", 8, True),
        ("1.6", 501, False),
        ("1.7", 501, False),
    ]
    with pytest.raises(InputError, match=r"series 1\.6 has 501 releases"):
        scene(situation(releases=listed), blocked=Blocked.ALL)
    some = tuple(made_release(f"1.{series}.{number:02}") for series in range(5) for number in range(500))
    with pytest.raises(InputError, match="at most 400,000 are judged"):
        scene(situation(releases=some), subject=Subject.KIND)


def test_a_path_is_whole_even_where_not_all_steps_are_looked_at() -> None:
    listed = tuple(
        made_release(f"1.5.{number:02}", minimum_module=ModuleVersion(f"1.5.{max(number - 30, 1):02}"))
        for number in range(1, 301)
    )
    drawn = scene(Situation(listed, made_host("1.5.01", remaining_updates=10), made_policy()), limit=100)
    by_hop = {arc.hop: step for step, arc in steps(drawn).items() if arc.hop}
    assert [by_hop[hop] for hop in sorted(by_hop)] == list(pairwise(drawn.path))
    assert len(by_hop) == 10


def test_a_large_series_stays_usable() -> None:
    listed = tuple(made_release(f"1.5.{number:02}") for number in range(1, 201))
    drawn = scene(situation(releases=listed, host=made_host("1.5.20", remaining_updates=200)), limit=100)
    lane = drawn.lanes[0]
    assert (len(lane.arcs) <= 100, lane.candidates) == (True, 19900)
    assert f"200 releases, {len(lane.arcs)} of 19900 possible steps drawn" in svg.svg(drawn)
    slots = layout(drawn).rows[0].slots
    assert len(slots) < 120, "releases that no step touches are gathered"
    assert [node for slot in slots for node in slot.nodes] == list(lane.nodes)


# -- what is folded and bundled


def test_older_and_other_releases_are_folded_unless_all_are_wanted() -> None:
    """Releases before the running one without a step, and a series that no step leads to, are a count each."""
    listed = (*LADDER, *(made_release(f"2.0.{number:02}") for number in range(1, 6)))
    host = made_host("1.5.05")
    folded = scene(situation(releases=listed, host=host))
    assert [[group.label for group in lane.groups()] for lane in folded.lanes] == [
        ["4 older releases", "1.5.05", "1.5.06", "1.5.07", "1.5.08"],
        ["5 releases"],
    ]
    assert [lane.bundles() for lane in folded.lanes] == [[], []]
    whole = scene(situation(releases=listed, host=host), fold=False)
    assert [[group.label for group in lane.groups()] for lane in whole.lanes] == [
        [f"1.5.{number:02}" for number in range(1, 9)],
        [f"2.0.{number:02}" for number in range(1, 6)],
    ]
    for name, form in FORMATS.items():
        said = {"svg": "1.5.01 – 1.5.04", "dot": "1.5.01 – 1.5.04", "mermaid": "1.5.01 - 1.5.04"}.get(name, "1.5.03")
        assert said in form(folded), name
        assert ("4 older releases" in form(folded)) == (name not in {"json", "graphml"}), name
        assert "older releases" not in form(whole), name
        assert "1.5.03" in form(whole), name


def test_two_older_releases_are_not_worth_folding() -> None:
    (lane,) = scene(situation()).lanes
    assert [group.label for group in lane.groups()] == [node.version for node in lane.nodes]


def test_refused_steps_that_are_not_on_the_way_are_bundled_by_their_rules() -> None:
    policy = made_policy(denials=(Denial(Specifier("1.5.05"), "bad"), Denial(Specifier("1.5.08"), "worse")))
    listed = (*LADDER[:-2], made_release("1.5.07", minimum_module=ModuleVersion("1.5.06")), LADDER[-1])
    drawn = scene(situation(releases=listed, policy=policy), blocked=Blocked.ALL)
    (lane,) = drawn.lanes
    assert [(bundle.rules, len(bundle.arcs)) for bundle in lane.bundles()] == [
        (("deny",), 9),
        (("minimum-module",), 3),
    ]
    on_the_way = scene(situation(releases=listed, policy=policy)).lanes[0].arcs
    refused = {(arc.source, arc.target) for arc in lane.single() if not arc.permitted}
    assert refused == {(arc.source, arc.target) for arc in on_the_way if not arc.permitted}, "only these are arcs"
    assert len(lane.single()) + 12 == len(lane.arcs) == 28
    for name in ("svg", "html", "dot", "mermaid"):
        assert "9 steps: deny" in FORMATS[name](drawn), name
    assert "1.5.04 → 1.5.05, 1.5.08" in svg.svg(drawn), "the steps of a bundle, by where they begin"
    whole = scene(situation(releases=listed, policy=policy), blocked=Blocked.ALL, fold=False)
    assert whole.lanes[0].single() == whole.lanes[0].arcs
    assert "steps: deny" not in svg.svg(whole)


def test_a_bundle_is_a_line_below_the_lane(images: Path) -> None:
    policy = made_policy(denials=(Denial(Specifier("1.5.05"), "bad"),))
    (row,) = layout(scene(situation(policy=policy), blocked=Blocked.ALL)).rows
    (shelf,) = row.shelves
    lowest = max(curve.middle[1] for curve in row.curves)
    assert lowest < shelf.y - 12 < shelf.y < row.bottom
    assert (len(shelf.starts), len(shelf.ends)) == (3, 1)
    assert max(shelf.starts) < min(shelf.ends)


@pytest.mark.parametrize("count", [2, 5, 12, 16, 20, 40])
def test_as_many_releases_as_there_are_fit_into_the_width(count: int) -> None:
    listed = tuple(made_release(f"1.5.{number:02}") for number in range(1, count + 1))
    placed = layout(scene(Situation(listed, made_host("1.5.01", remaining_updates=count), made_policy()), limit=100))
    assert 960 <= placed.width <= 1280
    assert {slot.label for slot in placed.rows[0].slots if slot.nodes[0].mark} == {"1.5.01", f"1.5.{count:02}"}


def test_the_legend_has_what_is_drawn_and_no_more() -> None:
    def legend(**changes: Any) -> str:
        blocked = changes.pop("blocked", Blocked.PATH)
        return svg.svg(scene(situation(**changes), blocked=blocked)).partition('class="legend"')[2]

    everything = {"allowed", "blocked", "unknown: ", "chosen path", "runner-up", "Arcs above", "Arcs below", "A line"}

    def words(text: str) -> set[str]:
        return {word for word in everything if f">{word}" in text or f" {word}" in text}

    nothing_refused = words(legend())
    assert nothing_refused == {"allowed", "chosen path", "runner-up", "Arcs above"}
    refused = words(legend(host=made_host("1.5.03", cpus_online="0")))
    assert refused == {"blocked", "Arcs below"}
    unknown = words(legend(host=made_host("1.5.03", cpus_online=None)))
    assert unknown == {"unknown: ", "Arcs below"}
    bundled = words(legend(policy=made_policy(denials=(Denial(Specifier("1.5.05"), "bad"),)), blocked=Blocked.ALL))
    assert bundled == everything - {"unknown: "}
    assert legend(host=made_host("1.5.08")) == "", "no step, no legend"


# -- where


@settings(max_examples=40, deadline=None)
@given(releases(), hosts(), policies, st.sampled_from(Blocked))
def test_the_layout_is_in_order_and_in_its_bounds(listed: Any, host: Any, policy: Any, blocked: Blocked) -> None:
    placed = layout(scene(Situation(listed, host, policy), blocked=blocked))
    for row in placed.rows:
        for left, right in pairwise(row.slots):
            assert left.x + left.width / 2 < right.x - right.width / 2
        assert row.slots[-1].x + row.slots[-1].width / 2 < placed.width
        ends: list[tuple[float, float]] = []
        for curve in row.curves:
            assert row.top < curve.middle[1] < row.bottom
            assert (curve.height > 0) == curve.arc.permitted, "above what may be taken, below what is refused"
            assert abs(curve.y - row.y) == pytest.approx(NODE_HEIGHT / 2)
            assert curve.x0 < curve.x1
            ends += [(curve.x0, curve.y), (curve.x1, curve.y)]
        assert len(ends) == len(set(ends)), "no two arcs share an end"
        for one, other in combinations(row.curves, 2):
            if one.arc.span < other.arc.span:
                assert abs(one.height) <= abs(other.height) + 1e-9  # folded releases bring longer arcs together
    for upper, lower in pairwise(placed.rows):
        assert upper.bottom == lower.top


# -- formats

HOSTILE = [
    "<script>alert(1)</script>",
    "</title></svg><img src=x onerror=alert(1)>",
    "\"><b onload='x'>",
    "]]><!-- --> &lt;b&gt; &#x202e; &amp;",
    "a\x00b\x1b[31mred\x07\x7f\x9b",
    "left\u202eright\u2066x\u2069",
    'x"];\n evil [label="',
    'back\\slash\\N \\"quote\\',
    '"]\n  click n0 "javascript:alert(1)"\n %%{init: {"theme":"dark"}}%%',
    "`*md* ~~~ | {a} ((b)) --> c; end #quot;`",
    "\ud800 lone, \ufeff mark, \u2028 line",
    "x" * 5000,
]


def hostile_scene(text: str) -> Scene:
    """A picture in which every text that can come from a file is ``text``."""
    policy = made_policy(denials=(Denial(Specifier("1.5.05"), text),))._replace(
        sources=(Source(text, "00" * 32, text),)
    )
    return scene(situation(policy=policy, host=made_host("1.5.03", hostname=text, kernel=text)), blocked=Blocked.ALL)


SVG_TAGS = {"svg", "title", "desc", "style", "rect", "text", "tspan", "g", "line", "path", "circle", "polygon"}
HTML_TAGS = SVG_TAGS.union(
    re.findall(
        "[a-z0-9]+",
        "html head meta body header main section h1 h2 h3 p div table caption thead tbody tr th td span code ul li a"
        " fieldset legend label input output script details summary",
    )
)


def check_printable(text: str) -> None:
    assert [character for character in text if not character.isprintable() and character != "\n"] == []
    text.encode()


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_svg_holds_texts_and_nothing_else(text: str) -> None:
    drawn = svg.svg(hostile_scene(text))
    check_printable(drawn)
    root = ElementTree.fromstring(drawn)
    plain = ElementTree.fromstring(svg.svg(hostile_scene("x")))
    assert {one.tag.rpartition("}")[2] for one in root.iter()} <= SVG_TAGS
    assert {name for one in root.iter() for name in one.attrib} == {name for one in plain.iter() for name in one.attrib}
    assert not [name for one in root.iter() for name in one.attrib if name.startswith("on") or "href" in name]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_html_holds_texts_and_nothing_else(text: str) -> None:
    from html.parser import HTMLParser

    class Shape(HTMLParser):
        def __init__(self) -> None:
            super().__init__(convert_charrefs=True)
            self.found: list[tuple[str, tuple[str, ...]]] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found.append((tag, tuple(name for name, _ in attrs)))

        def handle_comment(self, data: str) -> None:
            raise AssertionError(data)

    def shape(drawn: str) -> list[tuple[str, tuple[str, ...]]]:
        parser = Shape()
        parser.feed(drawn)
        return parser.found

    drawn = html.html(hostile_scene(text))
    check_printable(drawn)
    found = shape(drawn)
    assert {tag for tag, _ in found} <= HTML_TAGS
    assert found == shape(html.html(hostile_scene("x")))
    assert drawn.count("<script>") == drawn.count("</script>") == 1


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_dot_holds_texts_and_nothing_else(text: str) -> None:
    drawn = dot.dot(hostile_scene(text))
    check_printable(drawn)
    strings = re.findall(r'"(?:[^"\\]|\\.)*"', drawn)
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "@", drawn)
    assert bare == re.sub(r'"(?:[^"\\]|\\.)*"', "@", dot.dot(hostile_scene("x")))
    for string in strings:
        assert not re.search(r"(?<!\\)(?:\\\\)*\\[^\\\"n]", string), "no escape but for line ends, quotes, backslashes"
        assert not re.search(r"&(?!amp;)", string)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_mermaid_holds_texts_and_nothing_else(text: str) -> None:
    drawn = mermaid.mermaid(hostile_scene(text))
    check_printable(drawn)
    harmless = r'"(?:[A-Za-z0-9 .,:/→×?-]|#[0-9]+;)*"'
    assert re.sub(harmless, "@", drawn) == re.sub(harmless, "@", mermaid.mermaid(hostile_scene("x")))


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_graphml_and_json_can_be_read_back(text: str) -> None:
    drawn = hostile_scene(text)
    written = exchange.graphml(drawn)
    check_printable(written)
    graph = networkx.parse_graphml(written)
    document = json.loads(json.dumps(exchange.node_link(drawn)))
    keyword = "edges" if networkx.__version__ >= "3.4" else "link"
    again = networkx.node_link_graph(document, **{keyword: "edges"})
    assert set(graph.nodes) == set(again.nodes) == {node.version for node in drawn.nodes()}
    assert set(graph.edges) == set(again.edges) == set(steps(drawn))
    assert again.edges["1.5.04", "1.5.05"]["reasons"][0]["reason"].count(text) == 1
    assert graph.edges["1.5.03", "1.5.04"]["state"] == again.edges["1.5.03", "1.5.04"]["state"] == "allowed"


def test_reasons_are_in_every_format() -> None:
    drawn = scene(situation(policy=made_policy(denials=(Denial(Specifier("1.5.05"), "regression"),))))
    for name, form in FORMATS.items():
        assert ("deny" if name == "mermaid" else "regression") in form(drawn), name


def test_states_differ_in_more_than_colour() -> None:
    """Dashes, ends and symbols; what the style sheet says is looked at in a browser."""
    arcs = tuple(Arc(0, 1, state, state is State.ALLOWED, 1) for state in State)
    shapes = []
    for arc in arcs:
        root = ElementTree.fromstring(svg.svg(Scene("t", (), (), (Lane("1.5", (Node("a"), Node("b")), (arc,), 1),))))
        space = "{http://www.w3.org/2000/svg}"
        step = next(one for one in root.iter(f"{space}g") if "step" in one.get("class", "").split())
        shapes.append([(one.tag, one.get("class"), one.text if "text" in one.tag else "") for one in step][1:])
    assert len({str(shape) for shape in shapes}) == 3
    style = (Path(svg.__file__).parent / "assets" / "picture.css").read_text()
    dashes = re.findall(r"\.(allowed|blocked|unknown) \.line \{[^}]*stroke-dasharray: ([0-9 ]+)", style)
    assert dashes == [("blocked", "2 4"), ("unknown", "9 5")]


def test_a_title_too_long_is_whole_on_hover() -> None:
    drawn = svg.svg(Scene("n" * 300, ("f" * 300,), (), ()))
    assert f"{'n' * 75}…<title>{'n' * 300}</title>" in drawn


def test_same_input_same_bytes(images: Path) -> None:
    base = ["graph", "--catalog", str(images), *TRUST, "--facts", str(FACTS), "--blocked", "all", "--format"]
    program = f"from seamstep.cli import main\nfor form in {list(FORMATS)}: assert main([*{base}, form]) == 0"
    seen = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1
    assert len(seen.pop()) > 10_000


# -- the command


def graph(run: Run, *arguments: object) -> Any:
    return run("graph", "--mapping", LATEST, "--without-images", *arguments)


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("g.svg", "<svg "),
        ("g.html", "<!DOCTYPE html>"),
        ("g.HTM", "<!DOCTYPE html>"),
        ("g.dot", "digraph"),
        ("g.gv", "digraph"),
        ("g.mmd", "---\ntitle"),
        ("g.graphml", "<graphml"),
        ("g.json", "{\n"),
        ("g", "<svg "),
        ("g-1.5", "<svg "),
    ],
)
def test_the_format_follows_the_name(run: Run, tmp_path: Path, name: str, start: str) -> None:
    out = tmp_path / name
    ran = graph(run, "--facts", FACTS, "-o", out)
    assert (ran.code, ran.out) == (0, "")
    assert out.read_text().startswith(start)
    again = graph(run, "--facts", FACTS, "--format", "dot", "-o", out)
    assert (again.code, "--force" in again.err) == (1, True)
    assert graph(run, "--facts", FACTS, "--format", "dot", "-o", out, "--force").code == 0
    assert out.read_text().startswith("digraph")


@pytest.mark.parametrize(
    ("name", "also"),
    [
        ("g.png", "rsvg-convert"),
        ("g.PDF", "rsvg-convert"),
        ("g.jpg", "rsvg-convert"),
        ("g.txt", "--format chooses"),
        ("g.svgz", "--format chooses"),
    ],
)
def test_a_suffix_of_another_format_is_refused(run: Run, tmp_path: Path, name: str, also: str) -> None:
    out = tmp_path / name
    ran = graph(run, "--facts", FACTS, "-o", out)
    assert (ran.code, ran.out, out.exists()) == (2, "", False)
    assert f"can't write {out.suffix.lower()}: a picture is written as .svg, .html, .htm, .dot" in ran.err
    assert also in ran.err
    assert graph(run, "--facts", FACTS, "-o", out, "--format", "svg").code == 0, "who names the format knows"
    assert out.read_text().startswith("<svg ")


def test_all_releases_on_request(run: Run) -> None:
    folded = graph(run, "--facts", FACTS, "--blocked", "all", "--format", "mermaid").out
    assert "steps: " in folded
    assert "steps: " not in graph(run, "--facts", FACTS, "--blocked", "all", "--format", "mermaid", "--all").out
    assert "8 older releases" in graph(run, "--facts", FACTS).out
    whole = graph(run, "--facts", FACTS, "--all").out
    assert "older releases" not in whole
    assert ">1.5.05<" in whole


def test_the_path_of_a_real_host(run: Run) -> None:
    document = graph(run, "--facts", FACTS, "--policy", "shortest-path", "--json").json
    assert document["graph"]["path"] == ["1.5.24", "1.5.28", "1.5.34"]
    assert document["graph"]["runner_up"] == ["1.5.24", "1.5.34"]
    edges = {(edge["source"], edge["target"]): edge for edge in document["edges"]}
    assert edges["1.5.24", "1.5.25"]["state"] == "blocked"
    assert edges["1.5.24", "1.5.25"]["reasons"][0]["rule"] == "seamldr-minimum"
    assert (edges["1.5.28", "1.5.34"]["hop"], edges["1.5.28", "1.5.34"]["state"]) == (2, "unknown")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--platform", "SPR"), "--seamldr"),
        (("--platform", "XYZ", "--seamldr", "1"), "'XYZ' is neither one of SPR, EMR, SRF, GNR, GNR-D, CWF"),
        (("--platform", "SPR", "--seamldr", "1.5"), "--seamldr"),
        (("--platform", "SPR", "--seamldr", "1.5.02", "--running", "x"), "--running"),
        (("--platform", "SPR", "--seamldr", "1.5.02", "--facts", FACTS), "leave --facts and --sysroot out"),
        (("--seamldr", "1.5.02", "--facts", FACTS), "give --platform with it"),
        (("--facts", FACTS, "--limit", "-1"), "--limit"),
        (("--facts", FACTS, "--limit", "many"), "'many' is not a number of steps"),
    ],
)
def test_what_can_not_be_drawn(run: Run, arguments: tuple[object, ...], message: str) -> None:
    ran = graph(run, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


@pytest.mark.parametrize("platform", ["spr", "0x806F8", "GNR-D"])
def test_a_platform(run: Run, platform: str) -> None:
    document = graph(run, "--platform", platform, "--seamldr", "2.0.00", "--blocked", "all", "--json").json
    assert len(document["edges"]) == 66 + 28
    assert document["graph"]["path"] == []


def test_a_platform_and_what_runs_there(run: Run) -> None:
    kind = ("--platform", "SPR", "--seamldr", "1.5.02", "--running", "1.5.20")
    assert graph(run, *kind, "--json").json["graph"]["path"] == ["1.5.20", "1.5.34"], "1.5.34 lists 1.5.20"
    unlisted = ("--platform", "SPR", "--seamldr", "1.5.02", "--running", "1.5.13")
    assert graph(run, *unlisted, "--json").json["graph"]["path"] == [], "TDs run on hosts of a kind"


def test_the_picture_of_the_readme(images: Path, tmp_path: Path) -> None:
    """Made by the tool from Intel's mapping file; if this fails, look at the new one and put it in its place."""
    out = tmp_path / "graph.svg"
    options = ("graph", "--catalog", images, *TRUST, *PICTURE_OF, "--policy", "shortest-path", "-o", out)
    assert main([str(option) for option in options]) == 0
    if os.environ.get("SEAMSTEP_PICTURES"):
        PICTURE.write_bytes(out.read_bytes())
    assert out.read_bytes() == PICTURE.read_bytes()
