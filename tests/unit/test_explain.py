"""Explanations: all verdicts, the runner-up, and the smallest changes that open a path, tried and not guessed."""

from __future__ import annotations

import json
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from made import made_host, made_release
from test_graph import made_policy
from test_oracle import LADDER, Oracle, hosts, policies, releases

from conftest import FACTS, LATEST, THOROUGH, TRUST, Run, host_like, write_facts
from seamstep.base.versions import ModuleVersion, SeamldrVersion, Specifier
from seamstep.domain.facts import HostFacts, UploadNode
from seamstep.planning import explain
from seamstep.policy.policy import Policy, Target
from seamstep.rules import AppliedRule, Denial
from seamstep.rules.minimum_svn import MinimumSvn
from seamstep.rules.td_build import TdBuild

V = ModuleVersion
EXPLAIN = ("explain", "--mapping", LATEST, "--without-images")
FREE = tuple(made_release(version) for version in LADDER)


def changes(listed: Any, host: HostFacts, policy: Policy, goal: str) -> list[tuple[str, ...]]:
    policy = policy.with_target(Target.parse(goal))
    return smallest_changes(explain.Situation(listed, host, policy), V(goal))


def smallest_changes(situation: explain.Situation, goal: ModuleVersion) -> list[tuple[str, ...]]:
    found = explain.smallest_changes(situation, situation.graph(), goal)
    assert found.untried == 0
    return list(found.sets)


@pytest.mark.parametrize(
    ("host", "policy", "expected"),
    [
        (made_host(cpus_present="0-5"), made_policy(), [("bring CPUs 4-5 online",)]),
        (
            made_host(upload=UploadNode("tdx_module", "programming")),
            made_policy(),
            [("wait until the update under way is done",)],
        ),
        (
            made_host(upload=None),
            made_policy(),
            [("boot a kernel that offers TDX module updates (a reboot ends every TD on the host)",)],
        ),
        (
            made_host(remaining_updates=0),
            made_policy(),
            [("reboot, if this boot had updates before (a reboot ends every TD on the host)",)],
        ),
        (
            made_host(seamldr_version=SeamldrVersion("1.4.09")),
            made_policy(),
            [("raise the P-SEAMLDR to 1.5.00 (a reboot ends every TD on the host)",)],
        ),
        (
            made_host(seamldr_version=SeamldrVersion("2.0.00")),
            made_policy(),
            [("change the P-SEAMLDR to 1.5.00 (a reboot ends every TD on the host)",)],
        ),
        (
            made_host(),
            made_policy(denials=(Denial(Specifier("1.5.10"), "bad"),)),
            [("lift the denial of 1.5.10 (bad)",)],
        ),
        (made_host(remaining_updates=10), made_policy(keep_updates=10), [("keep fewer updates in reserve than 10",)]),
        (
            made_host(),
            made_policy(max_hops=1, waypoints=(V("1.5.05"),)),
            [("allow more hops than 1",), ("drop the waypoint 1.5.05",)],
        ),
        (
            made_host("1.5.09"),
            made_policy(rules=(AppliedRule(MinimumSvn(0x106)),)),
            [("waive minimum-svn for 1.5.09 → 1.5.10",)],
        ),
        (
            made_host("1.5.09", running_tds=2),
            made_policy(rules=(AppliedRule(TdBuild()),)),
            [("hold the creation of TDs back (td_creation: held)",)],
        ),
        (
            made_host(cpu_limits=("nr_cpus=8",)),
            made_policy(),
            [("boot without nr_cpus=8 on the kernel's command line (a reboot ends every TD on the host)",)],
        ),
        (
            made_host(cpus_present="0-5", seamldr_version=SeamldrVersion("1.4.00")),
            made_policy(),
            [("bring CPUs 4-5 online", "raise the P-SEAMLDR to 1.5.00 (a reboot ends every TD on the host)")],
        ),
    ],
)
def test_the_smallest_changes(host: HostFacts, policy: Policy, expected: list[tuple[str, ...]]) -> None:
    found = changes(FREE, host, policy, "1.5.10")
    assert found[: len(expected)] == expected
    assert {len(together) for together in found} == {len(expected[0])}


DENIED = "permission: /sys/x can't be read by this user"


@pytest.mark.parametrize(
    ("unknown", "expected"),
    [
        (
            {"seamldr_version": DENIED, "remaining_updates": DENIED},
            "run as root, to read seamldr_version, remaining_updates; then ask again",
        ),
        ({"remaining_updates": "EIO: /sys/x"}, "find out remaining_updates (EIO: /sys/x); then ask again"),
        ({"cpus_online": "missing: /sys/x"}, "find out cpus_online (missing: /sys/x); then ask again"),
        ({"cpu_limits": "missing: old"}, "find out cpu_limits (missing: old); then ask again"),
        ({"upload": "EIO: /sys/x"}, "find out upload (EIO: /sys/x); then ask again"),
        ({"upload.status": DENIED}, "run as root, to read upload; then ask again"),
        (
            {"seamldr_version": DENIED, "cpus_online": "EIO: x"},
            "run as root, to read seamldr_version; find out cpus_online (EIO: x); then ask again",
        ),
    ],
)
def test_what_can_not_be_read_is_to_be_read_and_nothing_else(unknown: dict[str, str], expected: str) -> None:
    """A remedy for a fact that is not known would end every TD, and perhaps mend nothing."""
    facts: dict[str, Any] = {fact: None for fact in unknown if "." not in fact}
    if "upload.status" in unknown:
        facts["upload"] = UploadNode("tdx_module", None)
    host = made_host(**facts)._replace(unknown=unknown)
    assert changes(FREE, host, made_policy(), "1.5.10") == [(expected,)]


def test_what_is_known_to_be_bad_is_mended_beside_what_is_not_known() -> None:
    host = made_host(cpus_present="0-5", remaining_updates=None)._replace(unknown={"remaining_updates": DENIED})
    found = changes(FREE, host, made_policy(), "1.5.10")
    assert found == [("run as root, to read remaining_updates; then ask again", "bring CPUs 4-5 online")]


def test_a_kernel_without_the_interface_lacks_its_facts_too() -> None:
    missing = dict.fromkeys(("profile", "upload", "seamldr_version", "remaining_updates"), "missing: no interface")
    host = made_host(profile=None, upload=None, seamldr_version=None, remaining_updates=None)._replace(unknown=missing)
    kernel = "boot a kernel that offers TDX module updates (a reboot ends every TD on the host)"
    assert changes(FREE, host, made_policy(), "1.5.10") == [(kernel,)]


def test_no_change_leads_back(run: Run, images: Path, tmp_path: Path) -> None:
    """Not even to drop a waypoint, of which there are none on the way to an older release."""
    policy = tmp_path / "policy.yaml"
    policy.write_text('{"schema": "seamstep/policy/v1", "name": "ours", "waypoints": ["1.5.28"]}')
    given = ("--catalog", images, *TRUST, "--facts", FACTS, "--policy", policy)
    for version in ("1.5.01", "1.5.24"):
        ran = run("explain", *given, "--to", version)
        assert (ran.code, f"would open a path to {version}" in ran.out) == (1, True), ran.err
        assert "no change to host, policy or catalog" in ran.out


def test_what_no_change_helps(run: Run, spr: HostFacts, tmp_path: Path) -> None:
    listed = (made_release("1.5.01"), made_release("1.5.02", features0=0))
    assert changes(listed, made_host(), made_policy(), "1.5.02") == []
    facts = write_facts(tmp_path / "f.json", host_like(spr, "1.5.34"))
    ran = run(*EXPLAIN, "--facts", facts, "--to", "1.5.28")
    assert (ran.code, "no change to host, policy or catalog" in ran.out) == (1, True)
    assert "BLOCKS  forward-only: 1.5.28 is not newer than 1.5.34" in ran.out


@settings(max_examples=60)
@given(releases(), hosts(), policies)
def test_a_change_that_is_told_opens_the_path_and_no_smaller_one_does(listed: Any, host: Any, policy: Any) -> None:
    running = host.module_version
    newer = [
        release.version for release in listed if release.version.series == running.series and release.version > running
    ]
    if not newer:
        return
    goal = newer[-1]
    situation = explain.Situation(listed, host, policy.with_target(Target.parse(str(goal))))
    graph = situation.graph()
    reachable = situation.router(graph).target == goal
    sets = smallest_changes(situation, goal)
    candidates = {change.text: change for change in explain._candidates(situation, graph, goal)}
    for together in sets:
        assert reachable or explain._opens(situation, [candidates[text] for text in together], goal)
        for fewer in combinations(together, len(together) - 1):
            if not reachable:
                assert not explain._opens(situation, [candidates[text] for text in fewer], goal)


@pytest.mark.thorough
@settings(max_examples=300 if THOROUGH else 40)
@given(releases(), hosts(), policies)
def test_the_runner_up_is_the_second_best_of_all_paths(listed: Any, host: Any, policy: Any) -> None:
    situation = explain.Situation(listed, host, policy)
    router = situation.router(situation.graph())
    best = router.best(policy.choice)
    if best is None:
        return
    oracle = Oracle(listed, host, policy, without_images=False)
    budget = min(host.remaining_updates - policy.keep_updates, policy.max_hops or 99)
    keys = []
    for path in oracle.paths():
        cost = oracle.cost(path)
        if path[-1] == best.versions[-1] and len(path) - 1 <= budget and cost is not None:
            keys.append(best._replace(versions=path, cost=cost).key(policy.choice))
    keys.sort()
    second = router.runner_up(policy.choice)
    assert keys[0] == best.key(policy.choice)
    # The second best has as many hops as the budget allows, but it may need to leave the fewest-hops layer.
    assert (second.key(policy.choice) if second else None) == (keys[1] if len(keys) > 1 else None)


@settings(max_examples=60, deadline=None)
@given(releases(), hosts(), policies)
def test_what_a_cost_is_made_up_of(listed: Any, host: HostFacts, policy: Policy) -> None:
    graph = explain.Situation(listed, host, policy).graph()
    for source, target in graph.permitted.edges:
        judgement = graph.judge(source, target, 0)
        parts = explain.cost_parts(graph, judgement, policy)
        assert sum(cost for _, cost in parts) == judgement.cost
        assert parts[0][0] == f"{int(parts[0][1] ** 0.5)} rank{'s' * (parts[0][1] > 1)}"


def test_a_cost_says_where_it_comes_from(run: Run, images: Path, spr: HostFacts, tmp_path: Path) -> None:
    policy = tmp_path / "p.yaml"
    policy.write_text("schema: seamstep/policy/v1\nname: p\nrules:\n  td-build: {level: prefer, cost: 100}\n")
    facts = write_facts(tmp_path / "f.json", host_like(spr, "1.5.13", running_tds=1))
    explained = ("explain", "--catalog", images, *TRUST, "--facts", facts, "--policy", policy, "--to", "1.5.20")
    assert "1.5.13 → 1.5.20: permitted, cost 104: 4 for 2 ranks, 100 for td-build\n" in run(*explained).out
    assert "1.5.16 → 1.5.20: permitted, cost 1 for 1 rank\n" in run(*explained).out
    step = next(step for step in run(*explained, "--json").json["steps"] if step["from"] == "1.5.13")
    assert step["cost_parts"] == [{"for": "2 ranks", "cost": 4}, {"for": "td-build", "cost": 100}]


def test_only_what_is_not_met(run: Run, images: Path) -> None:
    explained = ("explain", "--catalog", images, *TRUST, "--facts", FACTS)
    out = run(*explained, "--to", "1.5.25", "--unmet").out
    _, _, verdicts = out.partition("1.5.24 → 1.5.25: refused\n")
    assert [line.split()[0] for line in verdicts.partition("\n\n")[0].splitlines()] == ["note", "BLOCKS"]
    assert "what would open a path to 1.5.25" in out
    assert "  ok      all rules: met\n" in run(*explained, "--unmet").out
    whole, some = run(*explained, "--json").json, run(*explained, "--unmet", "--json").json
    assert whole == some, "JSON has all"


def test_rules_that_answer_alike_have_one_line(run: Run, images: Path) -> None:
    out = run("explain", "--catalog", images, "--facts", FACTS, "--to", "1.5.28", "--unmet").out
    (line,) = (line for line in out.splitlines() if "can't tell what 1.5.24 is" in line)
    assert line.startswith("  BLOCKS  handoff, svn, seam-memory: can't tell")


def test_why_this_path(run: Run) -> None:
    ran = run(*EXPLAIN, "--facts", FACTS, "--policy", "shortest-path", "--json")
    document = ran.json
    assert (ran.code, document["path"]) == (0, ["1.5.24", "1.5.28", "1.5.34"])
    assert document["runner_up"] == {"path": ["1.5.24", "1.5.34"], "cost": 9}
    steps = {(step["from"], step["to"]): step for step in document["steps"]}
    assert set(pairwise(document["path"])) <= set(steps)
    assert ("1.5.24", "1.5.34") in steps
    assert len({len(step["verdicts"]) for step in document["steps"]}) == 1, "all verdicts, for every step"
    assert document["changes"] == []
    text = run(*EXPLAIN, "--facts", FACTS, "--policy", "shortest-path").out
    assert "runner-up: 1.5.24 → 1.5.34, cost 9" in text
    assert "open    cpu-supported" in text


def test_why_not(run: Run, spr: HostFacts, tmp_path: Path) -> None:
    ran = run(*EXPLAIN, "--facts", FACTS, "--to", "1.5.25")
    assert ran.code == 1
    assert "BLOCKS  seamldr-minimum" in ran.out
    assert "what would open a path to 1.5.25\n  raise the P-SEAMLDR to 2.0.00" in ran.out
    facts = write_facts(tmp_path / "f.json", host_like(spr, "1.5.13"))
    out = run(*EXPLAIN, "--facts", facts).out
    assert "BLOCKS  td-build: 3 TDs run, so one may be in the making" in out
    assert "note    hold the creation of TDs back: 1.5.34 does not list 1.5.13" in out
    assert "hold the creation of TDs back (td_creation: held)" in out
    assert "let the BIOS or the boot loader start 1.5.24" in out
    assert "start 1.5.25" not in out, "this P-SEAMLDR could not load it at boot either"


def test_nothing_to_explain(run: Run, spr: HostFacts, tmp_path: Path) -> None:
    facts = write_facts(tmp_path / "f.json", host_like(spr, "1.5.34"))
    ran = run(*EXPLAIN, "--facts", facts)
    assert (ran.code, "1.5.34 is the newest release of series 1.5 in the mapping file" in ran.out) == (0, True)
    write_facts(facts, host_like(spr, "1.5.40"))
    ran = run(*EXPLAIN, "--facts", facts)
    assert (ran.code, "does not list 1.5.40" in ran.out) == (1, True)
    for arguments in (("--to", "1.5"), ("--to", "1.5.99"), ("--to", "1.5.28", "--target", "newest")):
        assert run(*EXPLAIN, "--facts", FACTS, *arguments).code == 2


def test_the_best_and_the_only(run: Run, tmp_path: Path, spr: HostFacts) -> None:
    facts = write_facts(tmp_path / "f.json", host_like(spr, "1.5.28"))
    assert "there is no other path" in run(*EXPLAIN, "--facts", facts).out


def test_what_there_is_no_time_to_try_is_told(
    run: Run, spr: HostFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = made_host(cpus_present="0-5", seamldr_version=SeamldrVersion("1.4.00"))
    situation = explain.Situation(FREE, host, made_policy())
    steps = len(FREE) * (len(FREE) - 1) // 2
    both = ("bring CPUs 4-5 online", "raise the P-SEAMLDR to 1.5.00 (a reboot ends every TD on the host)")
    for trials in range(0, 80, 4):
        monkeypatch.setattr(explain, "_STEPS_MAX", trials * steps)
        found = explain.smallest_changes(situation, situation.graph(), FREE[-1].version)
        assert found.untried == 0 if found.sets else found.untried > 0, trials
    assert both in found.sets
    monkeypatch.setattr(explain, "_STEPS_MAX", 0)
    facts = write_facts(tmp_path / "f.json", host_like(spr, "1.5.34"))
    ran = run(*EXPLAIN, "--facts", facts, "--to", "1.5.28")
    assert "no change to host, policy or catalog" in ran.out, "there are none to try"
    ran = run(*EXPLAIN, "--facts", FACTS, "--to", "1.5.25")
    assert "what would open a path to 1.5.25\n  not known: " in ran.out
    document = run(*EXPLAIN, "--facts", FACTS, "--to", "1.5.25", "--json").json
    assert (document["changes"], document["changes_untried"] > 0) == ([], True)


def test_series_that_are_not_asked_about_do_not_matter(run: Run, spr: HostFacts, tmp_path: Path) -> None:
    document = json.loads(LATEST.read_text())
    entry = document["tdx_module_releases"][0]
    document["tdx_module_releases"] += [dict(entry, version=f"3.0.{number:02}") for number in range(501)]
    mapping = tmp_path / "m.json"
    mapping.write_text(json.dumps(document))
    arguments = ("explain", "--mapping", mapping, "--without-images", "--facts", FACTS)
    assert run(*arguments).code == 0
    ran = run(*arguments, "--to", "3.0.17")
    assert (ran.code, "BLOCKS  same-series" in ran.out) == (1, True)
    facts = write_facts(tmp_path / "f.json", host_like(spr, "3.0.01"))
    ran = run(*arguments[:-1], facts)
    assert (ran.code, "series 3.0 has 501 releases; at most 500 are judged" in ran.err) == (2, True)
