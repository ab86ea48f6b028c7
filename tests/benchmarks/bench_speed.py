"""In-process figures, measured by pytest-benchmark; run.py runs this and reads what it measured.

``extra_info["per"]`` is how many of the thing named one round does. The garbage collector runs as it does in the
command: tests/conftest.py sets the same threshold.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import decisions
import inputs
import pytest
from figures import LENGTHS, LONG

from conftest import DAY, TRUSTED
from seamstep.domain.mapping import MappingFile
from seamstep.domain.model import Release
from seamstep.image import catalog, verify
from seamstep.planning.graph import VersionGraph
from seamstep.planning.planner import make_plan
from seamstep.rules import HARD_RULES

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return inputs.write_catalog(tmp_path_factory.mktemp("bench") / "catalog")


@pytest.fixture(scope="session")
def mapping(folder: Path) -> MappingFile:
    return catalog.load(str(folder / catalog.MAPPING_FILE)).mapping


@pytest.fixture(scope="session")
def releases(folder: Path) -> tuple[Release, ...]:
    return inputs.real_releases(folder)


def measured(benchmark: BenchmarkFixture, work: Callable[[], Any], *, per: int = 1) -> Any:
    """Measure ``work``; what it returned."""
    benchmark.extra_info["per"] = per
    return benchmark(work)


Asked = tuple[decisions.Hosts, tuple[Release, ...], list[decisions.Question]]


@pytest.fixture(scope="session")
def asked(releases: tuple[Release, ...]) -> Asked:
    """Every candidate step of the real mapping file, on a host of each series."""
    hosts = {name: host for name, host in inputs.hosts().items() if name in {"SPR", "GNR"}}
    return hosts, releases, decisions.candidates(hosts, decisions.graphs(hosts, releases, ()))


def test_decision(benchmark: BenchmarkFixture, asked: Asked) -> None:
    """By all hard rules, with verdicts and reasons."""
    hosts, releases, questions = asked
    graphs = measured(benchmark, lambda: decisions.graphs(hosts, releases, HARD_RULES), per=len(questions))
    judgements = [judgement for graph in graphs for _, _, judgement in graph.steps.edges(data="judgement")]
    assert len(judgements) == len(questions)
    assert any(judgement.permitted for judgement in judgements)
    for judgement in judgements:
        assert [verdict.rule for verdict in judgement.verdicts] == list(HARD_RULES)
        assert all(verdict.reason for verdict in judgement.verdicts)


def test_handful(benchmark: BenchmarkFixture, asked: Asked) -> None:
    """The same by the handful of rules that the peers have."""
    hosts, releases, questions = asked
    measured(benchmark, lambda: decisions.graphs(hosts, releases, decisions.HANDFUL), per=len(questions))


def test_cedar(benchmark: BenchmarkFixture, asked: Asked) -> None:
    assert measured(benchmark, decisions.Cedar(*asked), per=len(asked[2])) == decisions.answers(*asked)


def test_rego(benchmark: BenchmarkFixture, asked: Asked) -> None:
    assert measured(benchmark, decisions.Rego(*asked), per=len(asked[2])) == decisions.answers(*asked)


@pytest.mark.parametrize("peer", [decisions.Cedar, decisions.Rego])
def test_peers_answer_alike(peer: type[decisions.Cedar | decisions.Rego], releases: tuple[Release, ...]) -> None:
    """On every step from anywhere to anywhere, on hosts that differ in what the handful looks at."""
    questions = decisions.everything(inputs.hosts(), releases)
    ours = decisions.answers(inputs.hosts(), releases, questions)
    theirs = peer(inputs.hosts(), releases, questions)()
    assert [q for q, a, b in zip(questions, ours, theirs, strict=True) if a != b] == []
    assert 0 < sum(ours) < len(ours)


def test_plan(benchmark: BenchmarkFixture, mapping: MappingFile, releases: tuple[Release, ...]) -> None:
    """From releases, facts and policy to the sealed document; nothing is read."""
    host, policy = inputs.hosts()["SPR"], inputs.shipped()
    plan = measured(benchmark, lambda: make_plan(mapping, releases, host, policy, as_of=DAY))
    assert len(plan.hops) == 2


def once_or_more(benchmark: BenchmarkFixture, work: Callable[[], Any], length: int) -> Any:
    """Measure what takes seconds where the series is long, with nothing left of the rounds before."""
    benchmark.extra_info["per"] = 1
    rounds = max(2 * LONG // length, 1)
    return benchmark.pedantic(work, setup=collect, rounds=rounds)  # type: ignore[no-untyped-call, unused-ignore]


def collect() -> None:
    """Look for garbage."""
    gc.collect()


@pytest.mark.parametrize("length", LENGTHS)
def test_graph(benchmark: BenchmarkFixture, length: int) -> None:
    """The graph of so many releases, by all rules of the policy."""
    ladder, host, rules = inputs.ladder(length), inputs.climber(), inputs.shipped().applied_rules()
    graph = once_or_more(benchmark, lambda: VersionGraph(ladder, host, rules), length)
    assert graph.permitted.number_of_edges() == length * (length - 1) // 2


@pytest.mark.parametrize("length", LENGTHS)
def test_series(benchmark: BenchmarkFixture, mapping: MappingFile, length: int) -> None:
    """The whole plan from the oldest of so many releases to the newest, in as many updates as remain."""
    ladder, host, policy = inputs.ladder(length), inputs.climber(), inputs.shipped()
    plan = once_or_more(benchmark, lambda: make_plan(mapping, ladder, host, policy, as_of=DAY), length)
    assert len(plan.hops) == host.remaining_updates
    assert plan.document["target"] == str(ladder[-1].version)


def test_verify(benchmark: BenchmarkFixture) -> None:
    """All checks of the twenty images, in memory."""
    contents = [memoryview(image) for image in inputs.images().values()]
    work = lambda: [verify.joined(content, TRUSTED) for content in contents]  # noqa: E731
    checks = measured(benchmark, work, per=len(contents))
    assert all(check.ok for found in checks for check in found)


def test_sha384(benchmark: BenchmarkFixture) -> None:
    """What can't be done without: SHA-384 of the same images."""
    contents = [memoryview(image) for image in inputs.images().values()]
    measured(benchmark, lambda: [hashlib.sha384(content).digest() for content in contents], per=len(contents))
