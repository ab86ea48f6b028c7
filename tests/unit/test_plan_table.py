"""Which way seamstep goes on the real mapping file. Adding a case is adding a row."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import LATEST, Run, host_like, write_facts
from seamstep.domain.facts import HostFacts


class Case(NamedTuple):
    running: str
    seamldr: str
    profile: str
    remaining: int
    policy: str
    path: str
    code: int = 0


UP_FROM_FIRST = "1.5.01 1.5.05 1.5.06 1.5.08 1.5.09 1.5.13 1.5.16 1.5.20 1.5.24 1.5.28 1.5.34"
CASES = [
    Case("1.5.24", "1.5.02", "mainline", 5, "fewest-hops", "1.5.24 1.5.34"),
    Case("1.5.24", "1.5.02", "mainline", 5, "shortest-path", "1.5.24 1.5.28 1.5.34"),
    Case("1.5.25", "2.0.01", "mainline", 5, "shortest-path", "1.5.25 1.5.28 1.5.34"),
    Case("1.5.24", "1.5.02", "mainline", 1, "shortest-path", "1.5.24 1.5.34"),
    Case("2.0.14", "2.0.00", "mainline", 9, "shortest-path", "2.0.14 2.0.16 2.0.18"),
    Case("1.5.01", "1.5.00", "legacy", 20, "shortest-path", UP_FROM_FIRST),
    Case("1.5.01", "1.5.00", "legacy", 3, "shortest-path", "1.5.01 1.5.08 1.5.20 1.5.34"),
    Case("1.5.24", "2.0.00", "mainline", 5, "shortest-path", "1.5.24 1.5.25 1.5.28 1.5.34"),
    Case("1.5.34", "1.5.02", "mainline", 5, "fewest-hops", "up to date"),
    Case("1.5.34", "1.5.02", "mainline", 0, "fewest-hops", "up to date"),
    Case("1.5.99", "1.5.02", "mainline", 5, "fewest-hops", "up to date"),
    Case("2.0.18", "2.0.00", "legacy", 5, "shortest-path", "up to date"),
    Case("1.5.16", "1.5.02", "mainline", 5, "fewest-hops", "update-compatibility", 1),
    Case("2.0.02", "2.0.00", "legacy", 5, "fewest-hops", "minimum-module", 1),
    Case("1.5.24", "1.4.09", "mainline", 5, "fewest-hops", "seamldr-minimum", 1),
    Case("1.5.07", "1.5.02", "mainline", 5, "fewest-hops", "update-compatibility", 1),
    Case("1.5.24", "1.5.02", "mainline", 0, "fewest-hops", "updates-remaining", 3),
    Case("1.5.07", "1.5.02", "legacy", 1, "shortest-path", "1.5.07 1.5.34"),
]


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.running}-{case.seamldr}-{case.remaining}-{case.policy}"
)
def test_plan_goes_the_way_of_the_table(case: Case, run: Run, spr: HostFacts, tmp_path: Path) -> None:
    host = host_like(spr, case.running, case.seamldr, profile=case.profile, remaining_updates=case.remaining)
    facts = write_facts(tmp_path / "facts.json", host)
    arguments = ("plan", "--mapping", LATEST, "--without-images", "--facts", facts, "--policy", case.policy)

    ran = run(*arguments, "--json")
    plan = ran.json

    assert ran.code == case.code
    if case.path[0].isdigit():
        assert plan["outcome"] == "update"
        assert [plan["source"], *(hop["to"] for hop in plan["hops"])] == case.path.split()
        assert plan["provisional"]
        assert all("cpu-supported" in {v["rule"] for v in hop["verdicts"]} for hop in plan["hops"])
        assert run(*arguments, "--exit-code").code == 10
    elif case.path == "up to date":
        assert (plan["outcome"], plan["hops"], plan["target"]) == ("up-to-date", [], None)
    else:
        assert plan["outcome"] == "no-path"
        refused = [step for step in plan["rejected"] if step["from"] == case.running]
        assert refused
        assert all(case.path in {verdict["rule"] for verdict in step["verdicts"]} for step in refused)
        assert case.path in run(*arguments).out


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("newest", "1.5.24 1.5.34"),
        ("1.5.28", "1.5.24 1.5.28"),
        (">=1.5.24,<1.5.30", "1.5.24 1.5.28"),
        ("1.5.*", "1.5.24 1.5.34"),
        ("==1.5.25", None),
        ("2.0.18", "up to date"),
        ("<1.5.24", "up to date"),
        ("1.5.24", "up to date"),
    ],
)
def test_target(target: str, path: str | None, run: Run, spr: HostFacts, tmp_path: Path) -> None:
    facts = write_facts(tmp_path / "facts.json", spr)
    ran = run("plan", "--mapping", LATEST, "--without-images", "--facts", facts, "--target", target, "--json")
    versions = [ran.json["source"], *(hop["to"] for hop in ran.json["hops"])]
    if path is None:
        assert (ran.code, ran.json["outcome"]) == (1, "no-path")
    elif path == "up to date":
        assert (ran.code, ran.json["outcome"]) == (0, "up-to-date")
        assert target in ran.json["reason"]
    else:
        assert (ran.code, versions) == (0, path.split())


def test_a_target_that_no_release_has_is_an_error_with_a_hint(run: Run, spr: HostFacts, tmp_path: Path) -> None:
    facts = write_facts(tmp_path / "facts.json", spr)
    ran = run("plan", "--mapping", LATEST, "--without-images", "--facts", facts, "--target", "1.5.35")
    assert ran.code == 2
    assert "the target 1.5.35 is not in the mapping file; did you mean '1.5.34'?" in ran.err


def test_budget_keeps_what_the_policy_reserves(run: Run, spr: HostFacts, tmp_path: Path) -> None:
    policy = tmp_path / "reserve.yaml"
    policy.write_text("schema: seamstep/policy/v1\nname: reserve\npath: shortest-path\nkeep_updates: 4\n")
    facts = write_facts(tmp_path / "facts.json", spr)
    arguments = ("plan", "--mapping", LATEST, "--without-images", "--facts", facts, "--policy", policy, "--json")
    assert [hop["to"] for hop in run(*arguments).json["hops"]] == ["1.5.34"]

    policy.write_text("schema: seamstep/policy/v1\nname: reserve\nkeep_updates: 5\n")
    ran = run(*arguments)
    assert (ran.code, ran.json["outcome"]) == (1, "no-path")
    assert "keeps 5 updates in reserve" in ran.json["reason"]


def test_hop_limit_and_prefer_cost(run: Run, spr: HostFacts, tmp_path: Path) -> None:
    """From 1.5.06, 1.5.08 is strictly compatible and 1.5.09 is not: a price on that changes the shortest path."""
    facts = write_facts(tmp_path / "facts.json", host_like(spr, "1.5.06", profile="legacy", remaining_updates=9))
    policy = tmp_path / "p.yaml"
    head = "schema: seamstep/policy/v1\nname: p\npath: shortest-path\ntarget: 1.5.13\n"

    def path_under(more: str) -> tuple[list[str], int]:
        policy.write_text(head + more)
        ran = run("plan", "--mapping", LATEST, "--without-images", "--facts", facts, "--policy", policy, "--json")
        return [hop["to"] for hop in ran.json["hops"]], ran.json["objective"]["cost"]

    assert path_under("") == (["1.5.08", "1.5.09", "1.5.13"], 3)
    assert path_under("max_hops: 2\n") == (["1.5.08", "1.5.13"], 5)
    assert path_under("max_hops: 1\n") == (["1.5.13"], 9)
    assert path_under("rules: {strict-compat: prefer}\n") == (["1.5.08", "1.5.13"], 5)
    assert path_under("rules: {strict-compat: {level: prefer, cost: 0x1}}\n") == (["1.5.08", "1.5.13"], 5)
    assert path_under("rules: {strict-compat: {level: prefer, cost: 0}}\n") == (["1.5.08", "1.5.09", "1.5.13"], 3)
    assert path_under("rules: {strict-compat: require}\n") == (["1.5.08", "1.5.13"], 5)


def test_same_inputs_same_bytes_whatever_the_order_of_releases_and_keys(
    run: Run, tmp_path: Path, spr: HostFacts
) -> None:
    import json

    facts = write_facts(tmp_path / "facts.json", spr)
    arguments = ("plan", "--mapping", tmp_path / "m.json", "--without-images", "--facts", facts, "--json")
    document = json.loads(LATEST.read_text())
    plans = []
    for _ in range(2):
        (tmp_path / "m.json").write_text(json.dumps(document))
        plan = run(*arguments).json
        plans.append({key: value for key, value in plan.items() if key not in {"id", "mapping"}})
        reordered = [dict(reversed(entry.items())) for entry in reversed(document["tdx_module_releases"])]
        document = dict(reversed((document | {"tdx_module_releases": reordered}).items()))
    assert plans[0] == plans[1]
    assert run(*arguments).out == run(*arguments).out
