"""Which way seamstep goes on the real mapping file. Adding a case is adding a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from made import made_image

from conftest import DAY, LATEST, Run, host_like, write_facts
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import INTEL_SIGNER
from seamstep.image import catalog
from seamstep.planning.planner import make_plan
from seamstep.policy.policy import PathChoice, Policy, Target


class Case(NamedTuple):
    """``path`` is the way, "up to date", "not listed", or the rule that refuses every first step."""

    running: str
    seamldr: str
    profile: str
    remaining: int
    policy: str
    path: str
    code: int = 0
    host: dict[str, Any] = {}


UP_FROM_FIRST = "1.5.01 1.5.05 1.5.06 1.5.08 1.5.09 1.5.13 1.5.16 1.5.20 1.5.24 1.5.28 1.5.34"
IDLE: dict[str, Any] = {"running_tds": 0}
CASES = [
    Case("1.5.24", "1.5.02", "mainline", 5, "fewest-hops", "1.5.24 1.5.34"),
    Case("1.5.24", "1.5.02", "mainline", 5, "shortest-path", "1.5.24 1.5.28 1.5.34"),
    Case("1.5.25", "2.0.01", "mainline", 5, "shortest-path", "1.5.25 1.5.28 1.5.34"),
    Case("1.5.24", "1.5.02", "mainline", 1, "shortest-path", "1.5.24 1.5.34"),
    Case("2.0.14", "2.0.00", "mainline", 9, "shortest-path", "2.0.14 2.0.16 2.0.18"),
    Case("1.5.01", "1.5.00", "legacy", 20, "shortest-path", UP_FROM_FIRST, host=IDLE),
    Case("1.5.01", "1.5.00", "mainline", 20, "shortest-path", UP_FROM_FIRST, host=IDLE),
    Case("1.5.01", "1.5.00", "legacy", 3, "shortest-path", "1.5.01 1.5.08 1.5.20 1.5.34", host=IDLE),
    Case("1.5.01", "1.5.00", "legacy", 20, "shortest-path", "1.5.01 1.5.05"),  # the only one that lists 1.5.01
    Case("1.5.24", "2.0.00", "mainline", 5, "shortest-path", "1.5.24 1.5.25 1.5.28 1.5.34"),
    Case("1.5.34", "1.5.02", "mainline", 5, "fewest-hops", "up to date"),
    Case("1.5.34", "1.5.02", "mainline", 0, "fewest-hops", "up to date"),
    Case("1.5.99", "1.5.02", "mainline", 5, "fewest-hops", "not listed", 1),
    Case("1.9.01", "1.5.02", "mainline", 5, "fewest-hops", "not listed", 1),
    Case("2.0.18", "2.0.00", "legacy", 5, "shortest-path", "up to date"),
    Case("1.5.16", "1.5.02", "mainline", 5, "fewest-hops", "1.5.16 1.5.34"),
    Case("1.5.16", "1.5.02", "mainline", 5, "shortest-path", "1.5.16 1.5.20 1.5.24 1.5.28 1.5.34"),
    Case("2.0.02", "2.0.00", "legacy", 5, "fewest-hops", "minimum-module", 1),
    Case("1.5.24", "1.4.09", "mainline", 5, "fewest-hops", "seamldr-minimum", 1),
    Case("1.5.07", "1.5.02", "mainline", 5, "fewest-hops", "td-build", 1),  # nothing lists what the file does not know
    Case("1.5.07", "1.5.02", "mainline", 5, "fewest-hops", "feature-loss", 1, IDLE),  # nor are its features known
    Case("1.5.07", "1.5.02", "legacy", 1, "shortest-path", "feature-loss", 1, IDLE),
    Case("1.5.24", "1.5.02", "mainline", 0, "fewest-hops", "updates-remaining", 3),
    Case("1.5.24", "1.5.02", "mainline", 5, "fewest-hops", "cpus-online", 3, {"cpu_limits": ("nr_cpus=8",)}),
    Case("1.5.24", "1.5.02", "mainline", 5, "fewest-hops", "cpus-online", 1, {"cpus_online": "0-222"}),
    Case("1.5.24", "1.5.02", "interim", 5, "fewest-hops", "upload-interface", 3),
]


@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case.running}-{case.seamldr}-{case.remaining}-{case.policy}"
)
def test_plan_goes_the_way_of_the_table(case: Case, run: Run, spr: HostFacts, tmp_path: Path) -> None:
    changes = {"profile": case.profile, "remaining_updates": case.remaining} | case.host
    facts = write_facts(tmp_path / "facts.json", host_like(spr, case.running, case.seamldr, **changes))
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
    elif case.path == "not listed":
        assert (plan["outcome"], plan["hops"], plan["held_up"]) == ("not-listed", [], None)
        assert ran.json["mapping"]["sha256"][:12] in plan["reason"]
    else:
        assert plan["outcome"] == "no-path"
        assert case.path in plan["held_up"]["rules"]
        refused = [step for step in plan["rejected"] if step["from"] == case.running]
        assert refused
        assert all(case.path in {verdict["rule"] for verdict in step["verdicts"]} for step in refused)
        assert case.path in run(*arguments).out


def test_what_hides_cpus_and_which_layout_is_refused_are_named(run: Run, spr: HostFacts, tmp_path: Path) -> None:
    facts = write_facts(tmp_path / "facts.json", spr._replace(cpu_limits=("nr_cpus=8",)))
    arguments = ("plan", "--mapping", LATEST, "--without-images", "--facts", facts)
    assert "cpus-online: the kernel's command line hides CPUs that P-SEAMLDR counts (nr_cpus=8)" in run(*arguments).out
    write_facts(facts, spr._replace(profile="interim"))
    assert "upload-interface: the kernel has the interim sysfs layout" in run(*arguments).out


class Hazard(NamedTuple):
    """A host, its TDs and the policy's word on them; where that leads, for each hop whether it is safe while TDs are
    created, and what holds the newest release up."""

    running: str
    tds: int | None
    held: bool
    path: str
    safe: tuple[bool, ...]
    holds_up: str = ""
    reason: str = ""


HAZARDS = [
    Hazard("1.5.16", 0, False, "1.5.16 1.5.34", (True,)),
    Hazard("1.5.16", 4, False, "1.5.16 1.5.34", (True,)),
    Hazard("1.5.16", None, False, "1.5.16 1.5.34", (True,)),
    Hazard("1.5.06", 0, False, "1.5.06 1.5.34", (False,)),
    Hazard("1.5.06", 4, False, "1.5.06 1.5.13", (True,), "td-build", "1.5.34 does not list 1.5.06"),
    Hazard("1.5.06", 4, True, "1.5.06 1.5.34", (False,)),
    Hazard("1.5.06", None, True, "1.5.06 1.5.34", (False,)),
    Hazard("1.5.06", None, False, "1.5.06 1.5.13", (True,), "td-build", "/sys/fs/cgroup/misc.current does not exist"),
    Hazard("1.5.13", 4, False, "", (), "td-build", "1.5.34 does not list 1.5.13"),
]


@pytest.mark.parametrize("case", HAZARDS, ids=lambda case: f"{case.running}-{case.tds}-{case.held}")
def test_tds_in_the_making(case: Hazard, run: Run, spr: HostFacts, tmp_path: Path) -> None:
    unknown = {} if case.tds is not None else {"running_tds": "missing: /sys/fs/cgroup/misc.current does not exist"}
    host = host_like(spr, case.running, running_tds=case.tds, unknown=unknown)
    facts = write_facts(tmp_path / "facts.json", host)
    policy = tmp_path / "policy.yaml"
    policy.write_text("schema: seamstep/policy/v1\nname: p\n" + "td_creation: held\n" * case.held)
    arguments = ("plan", "--mapping", LATEST, "--without-images", "--facts", facts, "--policy", policy)
    plan = run(*arguments, "--json").json

    assert [hop["to"] for hop in plan["hops"]] == case.path.split()[1:]
    assert plan["td_creation"] == ("held" if case.held else None)
    assert tuple(hop["td_creation"]["safe"] for hop in plan["hops"]) == case.safe
    for hop in plan["hops"]:
        says = "safe while TDs are created: " if hop["td_creation"]["safe"] else "hold the creation of TDs back: "
        assert hop["td_creation"]["reason"].startswith(says)
        assert {risk["rule"] for risk in hop["risks"]} == {"seam-memory"}, "for lack of images"
        assert hop["td_creation"]["needs_no_td"] is (not case.held and case.tds == 0 and not hop["td_creation"]["safe"])
    refused = {
        verdict["rule"]: verdict["reason"]
        for step in plan["rejected"]
        if (step["from"], step["to"]) == (case.running, "1.5.34")
        for verdict in step["verdicts"]
    }
    assert set(refused) == ({case.holds_up} if case.holds_up else set())
    if case.holds_up:
        assert case.reason in refused[case.holds_up]
        assert case.holds_up in run(*arguments).out


NEVER: list[tuple[str, dict[str, Any], str]] = [
    ("svn", {"svn": 0x10C}, "the SVN goes down, from 0x10d (1.5.24) to 0x10c (1.5.34)"),
    ("svn", {"svn": 0x20D}, "the SVN's major byte changes"),
    ("debug-module", {"module_type": 1 << 31}, "1.5.34 is a debug module"),
    ("image-authentic", {"signer": "33" * 32}, "a real host takes Intel's key alone"),
]


@pytest.mark.parametrize(("rule", "fields", "says"), NEVER)
@pytest.mark.parametrize("choice", PathChoice)
def test_what_no_policy_makes_a_host_take(
    rule: str, fields: dict[str, Any], says: str, choice: PathChoice, spr: HostFacts
) -> None:
    """With every policy rule off, and a signer that the policy names: an image that the host would refuse is not
    planned, and is what holds the target up."""
    good: dict[str, Any] = {"svn": 0x10D, "signer": INTEL_SIGNER}
    loaded = catalog.load(str(LATEST))
    images = {True: made_image(**good), False: made_image(**good | fields)}
    listed = [one._replace(image=images[str(one.version) != "1.5.34"]) for one in loaded.releases]
    host = spr._replace(simulated=False)

    def plan(target: str) -> Any:
        everything_off = Policy((), choice=choice, target=Target.parse(target), signers=frozenset({"33" * 32}))
        return make_plan(loaded.mapping, listed, host, everything_off, as_of=DAY).document

    assert plan("newest")["target"] == "1.5.28"
    refused = plan("1.5.34")
    assert (refused["outcome"], refused["hops"]) == ("no-path", [])
    (verdict,) = (
        verdict
        for step in refused["rejected"]
        if (step["from"], step["to"]) == ("1.5.24", "1.5.34")
        for verdict in step["verdicts"]
    )
    assert verdict["rule"] == rule
    assert says in verdict["reason"]


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
    """From 1.5.06, a step to 1.5.08 is safe for TDs in the making and one to 1.5.09 is not: a price on that changes the
    shortest path, and so does the default, which forbids it while TDs run."""
    facts = write_facts(tmp_path / "facts.json", host_like(spr, "1.5.06", remaining_updates=9))
    policy = tmp_path / "p.yaml"
    head = "schema: seamstep/policy/v1\nname: p\npath: shortest-path\ntarget: 1.5.13\n"

    def path_under(more: str) -> tuple[list[str], int]:
        policy.write_text(head + more)
        ran = run("plan", "--mapping", LATEST, "--without-images", "--facts", facts, "--policy", policy, "--json")
        return [hop["to"] for hop in ran.json["hops"]], ran.json["objective"]["cost"]

    smallest_steps, safe_steps = (["1.5.08", "1.5.09", "1.5.13"], 3), (["1.5.08", "1.5.13"], 5)
    assert path_under("rules: {td-build: warn}\n") == smallest_steps
    assert path_under("rules: {td-build: warn}\nmax_hops: 2\n") == safe_steps
    assert path_under("rules: {td-build: warn}\nmax_hops: 1\n") == (["1.5.13"], 9)
    assert path_under("rules: {td-build: prefer}\n") == safe_steps
    assert path_under("rules: {td-build: {level: prefer, cost: 0x1}}\n") == safe_steps
    assert path_under("rules: {td-build: {level: prefer, cost: 0}}\n") == smallest_steps
    assert path_under("rules: {td-build: require}\n") == safe_steps
    assert path_under("") == safe_steps, "the default"
    assert path_under("td_creation: held\n") == smallest_steps


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
        plans.append({key: value for key, value in plan.items() if key not in {"id", "class_id", "mapping"}})
        reordered = [dict(reversed(entry.items())) for entry in reversed(document["tdx_module_releases"])]
        document = dict(reversed((document | {"tdx_module_releases": reordered}).items()))
    assert plans[0] == plans[1]
    assert run(*arguments).out == run(*arguments).out
