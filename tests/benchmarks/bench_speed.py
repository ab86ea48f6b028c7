"""In-process figures, measured by pytest-benchmark; run.py runs this and reads what it measured.

``extra_info["per"]`` is how many of the thing named one round does, ``extra_info["bytes"]`` how many bytes it goes
through.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import decisions
import inputs
import pytest
from figures import LENGTHS

from conftest import DAY, TRUSTED
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Release, Step
from seamstep.image import catalog, layout, verify
from seamstep.planning.graph import VersionGraph
from seamstep.planning.paths import Router
from seamstep.planning.planner import make_plan
from seamstep.policy.policy import PathChoice
from seamstep.rules import HARD_RULES

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

_LOOP = 1000


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inputs.write_catalog(tmp_path_factory.mktemp("bench") / "catalog")


@pytest.fixture(scope="session")
def releases(folder: Path) -> tuple[Release, ...]:
    return inputs.real_releases(folder)


def measured(benchmark: BenchmarkFixture, work: Callable[[], Any], *, per: int = 1, size: int = 0) -> Any:
    """Measure ``work``; what it returned."""
    benchmark.extra_info.update(per=per, bytes=size)
    return benchmark(work)


def test_loop(benchmark: BenchmarkFixture) -> None:
    """What others are a ratio to: the interpreter's own speed, on the same machine at the same time."""

    def loop() -> int:
        total = 0
        for number in range(_LOOP):
            total += number & 7
        return total

    assert measured(benchmark, loop) == 3500


def test_rule(benchmark: BenchmarkFixture, releases: tuple[Release, ...]) -> None:
    """The mean of all hard rules, on a step that they permit."""
    rules = [rule() for rule in HARD_RULES.values()]
    host = inputs.hosts()["legacy"]
    step = Step(releases[4], releases[6])
    verdicts = measured(benchmark, lambda: [rule.check(step, host) for rule in rules], per=len(rules))
    assert {verdict.outcome for verdict in verdicts} == {"pass"}


Asked = tuple[dict[str, HostFacts], tuple[Release, ...], list[decisions.Question]]


@pytest.fixture(scope="session")
def asked(releases: tuple[Release, ...]) -> Asked:
    """Every candidate step of the real mapping file on a mainline and on a legacy host: about a third is permitted."""
    hosts = {name: host for name, host in inputs.hosts().items() if name in {"mainline", "legacy"}}
    return hosts, releases, decisions.candidates(hosts, releases)


def test_decision(benchmark: BenchmarkFixture, asked: Asked) -> None:
    """With the verdicts of all rules and their reasons, from graphs that have judged nothing in each round."""
    ours = decisions.Seamstep(*asked)
    benchmark.extra_info.update(per=len(asked[2]), bytes=0)
    judgements = benchmark.pedantic(  # type: ignore[no-untyped-call, unused-ignore]
        ours.judgements, setup=lambda: ((ours.graphs(),), {}), rounds=500
    )
    assert all(len(judgement.verdicts) == len(HARD_RULES) for judgement in judgements)
    assert all(verdict.reason for judgement in judgements for verdict in judgement.verdicts)


def test_decision_cedar(benchmark: BenchmarkFixture, asked: Asked) -> None:
    pytest.importorskip("cedarpy")
    assert measured(benchmark, decisions.Cedar(*asked), per=len(asked[2])) == decisions.Seamstep(*asked)()


def test_decision_rego(benchmark: BenchmarkFixture, asked: Asked) -> None:
    pytest.importorskip("regopy")
    assert measured(benchmark, decisions.Rego(*asked), per=len(asked[2])) == decisions.Seamstep(*asked)()


@pytest.mark.parametrize("peer", ["Cedar", "Rego"])
def test_peers_answer_alike(peer: str, releases: tuple[Release, ...]) -> None:
    """On every step from anywhere to anywhere, on hosts of all kinds, with sound images and with flawed ones."""
    pytest.importorskip({"Cedar": "cedarpy", "Rego": "regopy"}[peer])
    for known in (releases, inputs.flawed(releases)):
        questions = decisions.everything(inputs.hosts(), known)
        ours = decisions.Seamstep(inputs.hosts(), known, questions)()
        theirs = getattr(decisions, peer)(inputs.hosts(), known, questions)()
        assert [q for q, a, b in zip(questions, ours, theirs, strict=True) if a != b] == []
        assert 0 < sum(ours) < len(ours)


def test_plan(benchmark: BenchmarkFixture, folder: Path, releases: tuple[Release, ...]) -> None:
    """From releases, facts and policy to the sealed document; nothing is read."""
    mapping = catalog.load(str(folder / catalog.MAPPING_FILE)).mapping
    host, policy = inputs.spr(), inputs.shipped("shortest-path")
    plan = measured(benchmark, lambda: make_plan(mapping, releases, host, policy, as_of=DAY))
    assert len(plan.hops) == 2


@pytest.mark.parametrize("length", LENGTHS)
def test_graph(benchmark: BenchmarkFixture, length: int) -> None:
    """The graph of so many releases and the best path from the oldest to the newest, by all rules."""
    ladder, host = inputs.ladder(length), inputs.climber(length)
    rules = inputs.shipped("shortest-path").applied_rules()
    versions = [release.version for release in ladder]

    def find() -> int:
        route = Router(VersionGraph(ladder, host, rules), versions[1:], length).best(PathChoice.SHORTEST_PATH)
        assert route
        return route.cost

    assert measured(benchmark, find) == length - 1


@pytest.mark.parametrize("length", LENGTHS)
def test_graph_networkx(benchmark: BenchmarkFixture, length: int) -> None:
    """The same with networkx as one would: decide on every step, add those that are permitted, ask for the path. The
    decisions are ours, in their quick form without reasons."""
    import networkx

    ladder, host = inputs.ladder(length), inputs.climber(length)
    rules = inputs.shipped("shortest-path").applied_rules()

    def find() -> int:
        seen = VersionGraph(ladder, host, rules)
        graph: networkx.DiGraph[int] = networkx.DiGraph()
        for target in range(length):
            for source in range(target):
                cost = seen.step_cost("1.5", source, target, 0)
                if cost is not None:
                    graph.add_edge(source, target, weight=cost)
        return int(networkx.shortest_path_length(graph, 0, length - 1, weight="weight"))

    benchmark.extra_info.update(per=1, bytes=0)
    found = benchmark.pedantic(find, rounds={20: 9, 200: 3}.get(length, 1))  # type: ignore[no-untyped-call, unused-ignore]
    assert found == length - 1


def test_verify(benchmark: BenchmarkFixture) -> None:
    """All checks of the twenty images, in memory."""
    contents = [memoryview(image) for image in inputs.images().values()]
    work = lambda: [verify.joined(content, TRUSTED) for content in contents]  # noqa: E731
    checks = measured(benchmark, work, per=len(contents), size=sum(map(len, contents)))
    assert all(check.ok for found in checks for check in found)


def test_verify_one_core(benchmark: BenchmarkFixture) -> None:
    """The same on the smallest of hosts."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        test_verify(benchmark)
    finally:
        os.sched_setaffinity(0, cores)


def test_sha384(benchmark: BenchmarkFixture) -> None:
    """What can't be done without: SHA-384 of the same images."""
    contents = [memoryview(image) for image in inputs.images().values()]
    work = lambda: [hashlib.sha384(content).digest() for content in contents]  # noqa: E731
    measured(benchmark, work, per=len(contents), size=sum(map(len, contents)))


def test_images_have_the_sizes_of_published_ones() -> None:
    sizes = [len(image) - layout.MODULE_OFFSET for image in inputs.images().values()]
    assert len(sizes) == 20
    assert min(sizes) > 400_000
