"""Denials of a step: with ``from``, a policy forbids X → Y and leaves Y open to others."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from made import made_host, made_release
from test_graph import hops, made_policy, plan
from test_policies import written

from conftest import FACTS, LATEST, Run
from seamstep.analysis import scenarios
from seamstep.base.errors import InputError
from seamstep.base.versions import ModuleVersion, Specifier
from seamstep.domain.model import Step
from seamstep.planning.explain import Situation, smallest_changes
from seamstep.planning.graph import VersionGraph
from seamstep.policy import layers, policy_file
from seamstep.rules import Denial, Deny, Scope

V = ModuleVersion
DAY = date(2026, 11, 23)
MAPPING = ("--mapping", LATEST)
PLAN = ("plan", *MAPPING, "--without-images", "--facts", FACTS, "--json")
LADDER = tuple(made_release(version) for version in ("1.5.01", "1.5.05", "1.5.10"))


def denial(versions: str, sources: str | None = None, reason: str = "r") -> Denial:
    return Denial(Specifier(versions), reason, sources=Specifier(sources) if sources else None)


def verdict(rule: Deny, source: str, target: str) -> Any:
    return rule.check(Step(made_release(source), made_release(target)), made_host())


def test_a_denied_step_leaves_its_target_open_to_others() -> None:
    assert hops(plan(LADDER, made_policy())) == ["1.5.10"]
    stepped = made_policy(denials=(denial("1.5.10", "1.5.01"),))
    assert hops(plan(LADDER, stepped)) == ["1.5.05", "1.5.10"]
    assert hops(plan(LADDER, made_policy(denials=(denial("1.5.10", "<1.5.10"),)))) == ["1.5.05"]


def test_every_step_gets_the_answer_of_its_own_source() -> None:
    """The graph keeps answers by the rule's scope: with a source, no two steps may share one."""
    graph = VersionGraph(LADDER, made_host(), made_policy(denials=(denial("1.5.10", "1.5.05"),)).applied_rules())
    assert set(graph.permitted.edges) == {(V("1.5.01"), V("1.5.05")), (V("1.5.01"), V("1.5.10"))}


def test_the_scope_is_as_narrow_as_the_denials_allow() -> None:
    assert Deny([denial("1.5.10")]).scope is Scope.TARGET
    assert Deny([denial("1.5.10"), denial("1.5.10", "1.5.01")]).scope is Scope.STEP
    assert Deny.scope is Scope.STEP


def test_the_verdict_names_what_is_denied() -> None:
    rule = Deny([denial("1.5.10", "1.5.01", "hangs"), denial(">=1.5.20", reason="broken")])
    said = verdict(rule, "1.5.01", "1.5.10")
    assert (said.outcome, said.reason) == ("block", "1.5.01 → 1.5.10 is denied: hangs")
    assert said.evidence == {"denied_by": ["1.5.01 to 1.5.10"]}
    assert verdict(rule, "1.5.01", "1.5.20").reason == "1.5.20 is denied: broken"
    assert verdict(rule, "1.5.05", "1.5.10").reason == "1.5.05 → 1.5.10 is not denied"


def test_a_plan_goes_around_a_denied_step(run: Run, tmp_path: Path) -> None:
    policy = written(tmp_path, "p", "deny: [{from: 1.5.24, versions: 1.5.34, reason: hangs}]\n")
    document = run(*PLAN, "--policy", policy).json
    assert [hop["to"] for hop in document["hops"]] == ["1.5.28", "1.5.34"]
    (refused,) = (step for step in document["rejected"] if step["to"] == "1.5.34")
    reasons = [one["reason"] for one in refused["verdicts"] if one["rule"] == "deny"]
    assert reasons == ["1.5.24 → 1.5.34 is denied: hangs"]


def test_explain_offers_to_lift_the_denial_of_the_step() -> None:
    situation = Situation(LADDER[::2], made_host(), made_policy(denials=(denial("1.5.10", "1.5.01", "bad"),)))
    changes = smallest_changes(situation, situation.graph(), V("1.5.10"))
    assert changes.sets == (("lift the denial of 1.5.01 to 1.5.10 (bad)",),)
    elsewhere = situation._replace(policy=made_policy(denials=(denial("1.5.10", "1.5.03"),), keep_updates=9**9))
    told = smallest_changes(elsewhere, elsewhere.graph(), V("1.5.10")).sets
    assert not any("lift" in change for chosen in told for change in chosen)


def test_only_the_denial_of_a_release_contradicts_a_waypoint(tmp_path: Path) -> None:
    stepped = written(tmp_path, "s", "deny: [{from: 1.5.24, versions: 1.5.28, reason: x}]\n")
    through = written(tmp_path, "w", "waypoints: [1.5.28]\n")
    both = written(tmp_path, "b", "waypoints: [1.5.28]\ndeny: [{from: 1.5.24, versions: 1.5.28, reason: x}]\n")
    whole = written(tmp_path, "d", "deny: [{versions: 1.5.28, reason: x}]\n")
    assert policy_file.load(both, DAY).waypoints
    assert layers.merge([policy_file.layer(name, DAY) for name in (stepped, through)]).denials
    with pytest.raises(InputError, match=r"every path has to stop at 1\.5\.28, but it is denied"):
        layers.merge([policy_file.layer(name, DAY) for name in (whole, through)])


ENTRIES = """td_creation: held
deny:
- {from: 1.5.24, versions: 1.5.28, reason: covered}
- {from: '>=1.5.20,<1.5.28', versions: '>=1.5.28', reason: covers}
- {from: 1.5.19, versions: 1.5.34, reason: no such release}
- {from: '>=1.5.28', versions: '<1.5.28', reason: backwards}
- {from: 1.5.01, versions: 1.5.09, reason: denied, until: 2020-01-01}
- {versions: 1.5.09, reason: whole}
- {from: 1.5.01, versions: 1.5.09, reason: covered by the release}
"""
FOUND = [
    "deny[0]: this denial changes nothing: the denial of '>=1.5.20,<1.5.28' to '>=1.5.28' covers it",
    "deny[2]: this denial changes nothing: no release matches '1.5.19'; did you mean '1.5.16'?",
    "deny[3]: this denial changes nothing: no step leads from '>=1.5.28' to '<1.5.28'",
    "deny[4].until: this denial expired on 2020-01-01; renew or remove it",
    "deny[6]: this denial changes nothing: the denial of '1.5.09' covers it",
]


def test_check_finds_denied_steps_that_change_nothing(run: Run, tmp_path: Path) -> None:
    ran = run("policy", "check", written(tmp_path, "p", ENTRIES), *MAPPING, "--as-of", "2026-11-23")
    assert sorted(line.partition(": ")[2] for line in ran.out.splitlines()[:-1]) == FOUND


def test_a_denied_step_does_not_make_a_waiver_of_its_target_useless(run: Run, tmp_path: Path) -> None:
    waiver = "accept: [{rule: td-build, versions: 1.5.28, reason: r, by: us, until: 2030-01-01}]\n"
    policy = written(tmp_path, "p", f"deny: [{{from: 1.5.24, versions: 1.5.28, reason: x}}]\n{waiver}")
    ran = run("policy", "check", policy, *MAPPING, "--as-of", "2026-11-23")
    assert "what it accepts is denied" not in ran.out


def test_show_tells_the_step_and_leaves_out_what_expired(run: Run, tmp_path: Path) -> None:
    policy = written(tmp_path, "p", ENTRIES)
    rows = run("policy", "show", "--effective", policy, "--json", "--as-of", "2026-11-23").json["values"]
    denied = [row["value"] for row in rows if row["key"] == "deny"]
    assert denied[0] == "1.5.24 to 1.5.28 (covered)"
    assert len(denied) == 6
    assert "1.5.01 to 1.5.09 (denied)" not in denied


def test_diff_closes_the_step_alone(run: Run, tmp_path: Path) -> None:
    old = written(tmp_path, "old")
    new = written(tmp_path, "new", "deny: [{from: 1.5.24, versions: 1.5.34, reason: x}]\n")
    steps = run("policy", "diff", old, new, *MAPPING, "--json").json["steps"]
    assert {(step["from"], step["to"], step["change"]) for step in steps} == {("1.5.24", "1.5.34", "closed")}


def test_scenarios_tell_denied_steps_apart(tmp_path: Path) -> None:
    policy = made_policy(denials=(denial("1.5.10", "1.5.01"), denial("1.5.10", "1.5.05"), denial("1.5.10")))
    texts = {part.text for part in scenarios.parts_of(policy) if part.kind == "denial"}
    assert texts == {"of 1.5.01 to 1.5.10: r", "of 1.5.05 to 1.5.10: r", "of 1.5.10: r"}


def test_the_example_of_the_page_is_a_policy(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "policies.md").read_text()
    (example,) = re.findall(r"```yaml\n(deny:\n.*?)```", page, re.DOTALL)
    assert len(policy_file.load(written(tmp_path, "p", example), DAY).denials) == 2
