"""Layers of policies: no order of layers permits a step, a time or an omission that another order forbids."""

from __future__ import annotations

import copy
import itertools
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import made_host, made_image, made_release
from test_executor import simulated
from test_policies import written
from test_transaction import NIGHT, hook, with_settings

from conftest import DAY, FACTS, LATEST, Run, plan_for
from seamstep.base import yaml_text
from seamstep.base.errors import InputError
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import HostFacts
from seamstep.plan.settings import ApplySettings
from seamstep.plan.windows import closed
from seamstep.planning.graph import VersionGraph
from seamstep.planning.planner import budget_of, find_way
from seamstep.policy import policy_file
from seamstep.policy.layers import Layer, merge
from seamstep.policy.policy import Policy
from seamstep.rules import plugins
from seamstep.rules.base import Rule
from seamstep.run.executor import Executor, RunResult, Stop
from seamstep.run.executor.commands import Commands

VERSIONS = ["1.5.01", "1.5.03", "1.5.04", "1.5.07", "1.5.08", "1.5.10"]
HOST = made_host("1.5.01", running_tds=2, remaining_updates=4)
RELEASES = tuple(
    made_release(
        version,
        image=made_image(svn=0x105 + index // 2),
        strict_compat=tuple(map(ModuleVersion, VERSIONS[max(0, index - 2) : index])),
    )
    for index, version in enumerate(VERSIONS)
)

LEVELS = st.sampled_from(["require", "warn", "off", "prefer"])
NAMED = st.sampled_from([*VERSIONS, ">=1.5.04", "<1.5.08", "1.5.*", "!=1.5.03"])
TIMES = st.times().map(lambda time: time.strftime("%H:%M"))
SECONDS = st.sampled_from(["5s", "10m", "1h", "3h"])
COMMANDS = st.lists(st.sampled_from([["/cordon"], ["/quiesce", "--now"], ["/tell", "x"]]), max_size=2)
WINDOWS = st.fixed_dictionaries(
    {"from": TIMES, "to": TIMES},
    optional={
        "days": st.lists(st.sampled_from(["mon", "tue", "sat", "sun"]), max_size=3),
        "timezone": st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    },
)
SVN = st.builds(
    lambda level, svn, cost: {"level": level, "svn": svn} | ({"cost": cost} if level == "prefer" else {}),
    st.sampled_from(["require", "warn", "prefer"]),
    st.integers(0x104, 0x108),
    st.integers(0, 30),
)
WAIVERS = st.builds(
    lambda rule, versions: {"rule": rule, "versions": versions, "reason": "r", "by": "b", "until": "2030-01-01"},
    st.sampled_from(["td-build", "minimum-svn", "no-stranding"]),
    NAMED,
)
POLICIES = st.fixed_dictionaries(
    {"schema": st.just("seamstep/policy/v1"), "name": st.just("p")},
    optional={
        "target": st.sampled_from(["newest", ">=1.5.04", "<1.5.10", "1.5.08"]),
        "path": st.sampled_from(["fewest-hops", "shortest-path"]),
        "max_hops": st.integers(1, 4),
        "keep_updates": st.integers(0, 3),
        "td_creation": st.just("held"),
        "rules": st.fixed_dictionaries(
            {}, optional={"td-build": LEVELS, "no-stranding": LEVELS, "seam-memory": LEVELS, "minimum-svn": SVN}
        ),
        "deny": st.lists(st.builds(lambda versions: {"versions": versions, "reason": "r"}, NAMED), max_size=2),
        "accept": st.lists(WAIVERS, max_size=2),
        "waypoints": st.lists(st.sampled_from(VERSIONS), max_size=2, unique=True),
        "signers": st.lists(st.sampled_from(["ab" * 32, "cd" * 32]), max_size=2, unique=True),
        "apply": st.fixed_dictionaries(
            {},
            optional={
                "windows": st.lists(WINDOWS, max_size=3),
                "soak": SECONDS,
                "busy": st.fixed_dictionaries({"retries": st.integers(0, 9), "wait": SECONDS}),
                "before": COMMANDS,
                "after": COMMANDS,
            },
        ),
    },
)
MOMENTS = st.lists(st.floats(min_value=1.6e9, max_value=2.1e9), min_size=1, max_size=20)


class Permits(NamedTuple):
    """What a policy lets pass, in whatever order its parts were named."""

    steps: frozenset[Any]
    outcome: str
    target: ModuleVersion | None
    budget: int
    signers: frozenset[str]
    open_at: tuple[bool, ...]
    soak: int
    busy: tuple[int, int]
    before: Counter[Any]
    after: Counter[Any]
    owed: str


def layer_of(data: dict[str, Any]) -> Layer:
    """A layer as it is read from a file; a policy that contradicts itself is no example."""
    document = yaml_text.read(json.dumps(data).encode(), "p.yaml")
    return Layer(policy_file.parse(document, None, DAY), document)


def graph_of(policy: Policy, *, ahead: bool = True) -> VersionGraph:
    rules = [applied for applied in policy.applied_rules() if ahead or not applied.rule.looks_ahead]
    return VersionGraph(RELEASES, HOST, rules)


def permits(policy: Policy, moments: Sequence[float]) -> Permits:
    graph = graph_of(policy)
    found = find_way(graph, policy)
    settings = ApplySettings.from_document(policy.apply)
    return Permits(
        frozenset(graph.permitted.edges),
        found.outcome,
        found.best.versions[-1] if found.best else None,
        budget_of(HOST, policy),
        policy.signers,
        tuple(not closed(settings.windows, moment) for moment in moments),
        settings.soak,
        (settings.busy_retries, settings.busy_wait),
        Counter(settings.before),
        Counter(settings.after),
        settings.after_sha256,
    )


def merged(layers: Sequence[Layer]) -> Policy | None:
    try:
        return merge(layers)
    except InputError:
        return None


def readable(written: list[dict[str, Any]]) -> list[Layer]:
    found = []
    for data in written:
        try:
            found.append(layer_of(data))
        except InputError:  # a waypoint that the same policy denies
            found.append(layer_of({**data, "waypoints": []}))
    return found


@given(st.lists(POLICIES, min_size=2, max_size=3), MOMENTS)
def test_no_order_permits_what_another_forbids(written: list[dict[str, Any]], moments: list[float]) -> None:
    layers = readable(written)
    orders = [merged(order) for order in itertools.permutations(layers)]
    if orders[0] is None:
        assert not any(orders), "one order is refused, another is not"
        return
    first, *others = [permits(policy, moments) for policy in orders if policy]
    assert len(others) == len(orders) - 1
    assert all(other == first for other in others)


@given(st.lists(POLICIES, min_size=2, max_size=3), MOMENTS)
def test_no_layer_loosens_another(written: list[dict[str, Any]], moments: list[float]) -> None:
    """All layers together permit no step, time or omission that one of them forbids by itself. Rules that look ahead
    are left out: what a layer denies is no loss to them."""
    layers = readable(written)
    together = merged(layers)
    if together is None:
        return
    steps, settings = graph_of(together, ahead=False).permitted.edges, ApplySettings.from_document(together.apply)
    every = [ApplySettings.from_document(layer.policy.apply) for layer in layers]
    for layer, own in zip(layers, every, strict=True):
        assert set(steps) <= set(graph_of(layer.policy, ahead=False).permitted.edges)
        assert budget_of(HOST, together) <= budget_of(HOST, layer.policy)
        assert together.signers <= layer.policy.signers
        assert settings.soak >= own.soak
        if "busy" in layer.policy.apply:
            assert (settings.busy_retries, -settings.busy_wait) <= (own.busy_retries, -own.busy_wait)
            assert settings.busy_wait >= own.busy_wait
    for moment in moments:
        alone = [closed(own.windows, moment) for own in every]
        assert bool(closed(settings.windows, moment)) == any(alone)
    assert settings.before == tuple(command for own in every for command in own.before)
    assert settings.after == tuple(command for own in reversed(every) for command in own.after)


ORGANISATION = """td_creation: held
waypoints: [1.5.6]
apply:
  windows:
  - {days: [sat], from: 22:00, to: 04:00, timezone: Europe/Berlin}
  soak: 30m
  busy: {retries: 9, wait: 30s}
  before:
  - [/cordon, --all]
  after: [[/uncordon]]
"""
TEAM = """path: shortest-path
deny:
- {versions: 1.5.16, reason: r, until: 2026-01-01}
- {versions: 1.5.16, reason: r}
apply:
  windows: [{from: 00:00, to: 12:00}]
  soak: 1s
  busy: {retries: 2, wait: 2s}
  before: [[/team]]
  after: [[/team, back]]
"""


@pytest.mark.parametrize("team_first", [False, True])
def test_each_value_in_force_has_the_file_that_it_comes_from(run: Run, tmp_path: Path, team_first: bool) -> None:
    org, team = written(tmp_path, "org", ORGANISATION), written(tmp_path, "team", TEAM)
    given_ = [team, org] if team_first else [org, team]
    ran = run("policy", "show", "--effective", *given_, "--as-of", str(DAY), "--json")
    rows = [(row["key"], row["value"], row["origin"]) for row in ran.json["values"]]
    assert {row for row in rows if not row[0].startswith("rules")} == {
        ("target", "newest", "default"),
        ("path", "shortest-path", f"{team}:3"),
        ("max_hops", "no limit", "default"),
        ("keep_updates", "0", "default"),
        ("td_creation", "not held", "default of team"),
        ("deny", "1.5.16 (r)", f"{team}:6"),
        ("waypoints", "1.5.06", f"{org}:4"),
        ("apply.windows", "sat from 22:00 to 04:00 (Europe/Berlin)", f"{org}:7"),
        ("apply.windows", "every day from 00:00 to 12:00 (UTC)", f"{team}:8"),
        ("apply.soak", "30m", f"{org}:8"),
        ("apply.busy.retries", "2", f"{team}:10"),
        ("apply.busy.wait", "30s", f"{org}:9"),
        ("apply.before", "/cordon --all", f"{org}:11"),
        ("apply.before", "/team", f"{team}:11"),
        ("apply.after", "/uncordon", f"{org}:12"),
        ("apply.after", "/team back", f"{team}:12"),
    }
    order = [value for key, value, _ in rows if key in {"apply.before", "apply.after"}]
    nested = ["/cordon --all", "/team", "/team back", "/uncordon"]
    assert order == (["/team", "/cordon --all", "/uncordon", "/team back"] if team_first else nested)


def test_limits_waivers_and_signers_have_their_files(run: Run, tmp_path: Path) -> None:
    accept = "accept:\n- {rule: td-build, versions: 1.5.34, reason: tested, by: us, until: 2030-01-01}\n"
    signer = "ab" * 32
    one = written(tmp_path, "one", f"max_hops: 3\nkeep_updates: 1\ntarget: newest\nsigners: [{signer}]\n{accept}")
    other = written(tmp_path, "other", f"max_hops: 5\nkeep_updates: 2\ntarget: 1.5.*\nsigners:\n- {signer}\n{accept}")
    rows = run("policy", "show", "--effective", one, other, "--as-of", str(DAY), "--json").json["values"]
    by_key = {row["key"]: (row["value"], row["origin"]) for row in rows}
    assert by_key["max_hops"] == ("3", f"{one}:3")
    assert by_key["keep_updates"] == ("2", f"{other}:4")
    assert by_key["target"] == ("1.5.*", f"{other}:5")
    assert by_key["signers"] == (signer, f"{one}:6, {other}:7")
    assert by_key["accept.td-build"] == ("1.5.34 until 2030-01-01 (tested, by us)", f"{one}:8, {other}:9")


def test_a_plan_holds_the_windows_and_commands_of_all_layers(run: Run, tmp_path: Path) -> None:
    org, team = written(tmp_path, "org", ORGANISATION), written(tmp_path, "team", TEAM)
    plan = ("plan", "--mapping", LATEST, "--without-images", "--facts", FACTS, "--json", "--as-of", str(DAY))
    document = run(*plan, "--policy", team, "--policy", org).json
    found = document["apply"]
    assert [(window["from"], window["layer"]) for window in found["windows"]] == [("00:00", 0), ("22:00", 1)]
    assert [layer["name"] for layer in document["policy"]["layers"]] == ["team", "org"]
    assert (found["soak"], found["busy"]) == (1800, {"retries": 2, "wait": 30})
    alone = run(*plan, "--policy", team).json["apply"]
    assert alone["windows"] == [{"from": "00:00", "to": "12:00"}]


@pytest.mark.parametrize(("key", "most"), [("before", 20), ("after", 20), ("windows", 100)])
def test_more_than_a_plan_holds_is_refused(tmp_path: Path, run: Run, key: str, most: int) -> None:
    one = "{from: 01:00, to: 02:00}" if key == "windows" else "[/true]"
    half = written(tmp_path, "half", f"apply: {{{key}: [{', '.join([one] * (most // 2))}]}}\n")
    more = written(tmp_path, "more", f"apply: {{{key}: [{', '.join([one] * (most // 2 + 1))}]}}\n")
    assert run("policy", "show", "--effective", half, half).code == 0
    for order in ((half, more), (more, half)):
        ran = run("policy", "show", "--effective", *order)
        assert (ran.code, ran.err.rpartition(": ")[2]) == (
            2,
            f"the layers have {most + 1} entries under apply.{key} together; a plan holds at most {most}\n",
        )


def test_parameters_of_equal_strictness_that_differ_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first layer would win otherwise."""

    class Odd(Rule):
        name, summary, source = "odd", "s", "s"
        parameters = {"word": {"title": "a word", "type": "string"}}

        def __init__(self, word: str) -> None:
            self.word = word

        def strictness(self) -> tuple[int, ...]:
            return (len(self.word),)

        def check(self, step: Any, host: Any) -> Any:
            return self.passed(self.word)

    monkeypatch.setattr(plugins, "installed", lambda: {"odd": Odd})
    text = "rules: {odd: {level: require, word: %s}}\n"
    one, other, longer = (
        policy_file.layer(written(tmp_path, word, text % word), DAY) for word in ("one", "two", "three")
    )
    for order in ((one, other), (other, one), (one, longer, other)):
        with pytest.raises(InputError, match="the layers give odd different parameters"):
            merge(order)
    assert merge([one, longer]).rules[-1].rule.strictness() == merge([longer, one]).rules[-1].rule.strictness() == (5,)
    assert merge([one, copy.copy(one)]).rules[-1].rule.strictness() == (3,)


def test_a_run_heeds_all_layers(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    """The team's file is named first: the organisation's window, soak and commands count all the same."""
    organisation = (
        "apply:\n  windows: [{from: 22:00, to: 23:30}]\n  soak: 15m\n  before: [[hold]]\n  after: [[release]]\n"
    )
    team = "apply:\n  windows: [{from: 22:30, to: 04:00}]\n  soak: 1s\n  before: [[drain]]\n  after: [[fill]]\n"
    files = [written(tmp_path, "team", team), written(tmp_path, "org", organisation)]
    policy = merge([policy_file.layer(file, DAY) for file in files])
    plan = with_settings(plan_for(spr, images), **policy.apply)

    def result_at(moment: float, commands: Commands | None = None) -> tuple[RunResult, float]:
        host = simulated(plan, epoch=moment)
        return Executor(host, commands=commands).run(plan), host.wall() - moment

    for closed_to_one in (NIGHT - 2700, NIGHT + 2700):  # 22:15 and 23:45
        refused, _ = result_at(closed_to_one)
        assert (refused.stopped, refused.applied) == (Stop.NOT_NOW, ())
        assert "outside the maintenance windows of the policies" in refused.message
    ran: Any = hook(0)
    done, took = result_at(NIGHT - 1500, Commands(plan.settings, {}, lambda *_, **__: None, ran))  # 22:35
    assert (done.exit_code, len(done.applied), took >= 900) == (0, 2, True)
    assert [argv for argv, _ in ran.ran] == [("drain",), ("hold",), ("release",), ("fill",)]
