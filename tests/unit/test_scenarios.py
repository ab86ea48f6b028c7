"""Scenarios: what passes, what fails and how it is told, what they cover, and how they are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from jsonschema import Draft202012Validator

from conftest import DAY, FACTS, LATEST, Run
from seamstep.analysis import scenario_file, scenarios
from seamstep.analysis.scenarios import Coverage, Part
from seamstep.base import resources, yaml_text
from seamstep.base.errors import InputError
from seamstep.domain.model import INTEL_SIGNER
from seamstep.policy import policy_file
from seamstep.rules import HARD_RULES, REMOVED_RULES

Write = Callable[..., str]
FORWARD = {"path": ["1.5.24", "1.5.34"]}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a scenario file: a good scenario for each mapping of what is different; None removes a key."""

    def write_it(*changes: dict[str, Any], name: str = "s.yaml") -> str:
        (tmp_path / "facts.json").write_text(FACTS.read_text())
        documents = []
        for index, change in enumerate(changes):
            good = {
                "schema": "seamstep/scenario/v1",
                "name": f"scenario {index}",
                "facts": "facts.json",
                "mapping": "demo",
                "policy": "fewest-hops",
                "expect": FORWARD,
            }
            documents.append({key: value for key, value in (good | change).items() if value is not None})
        path = tmp_path / name
        path.write_text("---\n".join(map(as_yaml, documents)))
        return str(path)

    return write_it


def as_yaml(document: dict[str, Any]) -> str:
    """A line for each key, each value as JSON, which is YAML."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in document.items())


def policy(folder: Path, more: str, name: str = "own") -> str:
    path = folder / f"{name}.yaml"
    path.write_text(f"schema: seamstep/policy/v1\nname: {name}\n{more}")
    return f"./{name}.yaml"


OWN_RULES = "rules: {%s: off, no-stranding: off}\n" % ": off, ".join(
    ("td-build", "feature-loss", "seam-memory", "preproduction")
)


def test_the_shipped_policies_have_scenarios_that_pass_and_cover_them(run: Run) -> None:
    ran = run("policy", "test", "--fail-under", "100", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert [one["policy"]["name"] for one in ran.json["coverage"]] == list(resources.policies())
    assert all(one["percent"] == 100 and one["parts"] for one in ran.json["coverage"])
    assert all(scenario["passed"] for scenario in ran.json["scenarios"])


@pytest.mark.parametrize("name", list(resources.policies()))
def test_each_part_of_a_shipped_policy_matters_in_some_of_its_scenarios_and_not_in_all(name: str) -> None:
    files = [f"{scenario_file.shipped()}/{name}.yaml"]
    results = scenarios.run_all(scenario_file.load(files))
    for part in scenarios.coverage(results)[0].parts:
        by = [part in result.exercised for result in results]
        assert any(by), part
        assert not all(by), part


def test_shipped_scenarios_fit_the_schema_as_editors_read_them() -> None:
    validator = Draft202012Validator(resources.schema("scenario"))
    for file in scenario_file.find([scenario_file.shipped()]):
        text = Path(file).read_text()
        assert text.startswith("# yaml-language-server: $schema=../../schemas/scenario.schema.json\n")
        for document in yaml.safe_load_all(text):
            validator.validate(document)


def test_shipped_policies_tell_editors_their_schema() -> None:
    for file in resources.policies().values():
        first = Path(file).read_text("utf-8").splitlines()[0]
        assert first == "# yaml-language-server: $schema=../schemas/policy.schema.json"


def described(schema: dict[str, Any]) -> list[str]:
    here = [key for key in ("title", "description") if not schema.get(key)]
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    return here + [lack for part in inner if isinstance(part, dict) for lack in described(part)]


def test_every_part_of_the_schema_is_described() -> None:
    assert described(resources.schema("scenario")) == []
    assert described({"title": "x", "items": {"description": "y"}}) == ["description", "title"]


# -- what passes and what fails

ALL_IMAGES: dict[str, Any] = {"1.5.24": {}, "1.5.28": {}, "1.5.34": {}}
CASES: list[tuple[dict[str, Any], Sequence[str]]] = [
    ({}, ()),
    ({"images": ALL_IMAGES}, ()),
    ({"mapping": str(LATEST)}, ()),
    ({"facts": json.loads(FACTS.read_text())}, ()),
    ({"policy": ["fewest-hops", "shortest-path"]}, ()),
    ({"policy": "shortest-path"}, ("expected 1.5.24 → 1.5.34, came 1.5.24 → 1.5.28 → 1.5.34",)),
    ({"images": {"1.5.24": {}, "1.5.28": {}}}, ("expected 1.5.24 → 1.5.34, came 1.5.24 → 1.5.28",)),
    ({"images": ALL_IMAGES | {"1.5.34": {"debug": True}}}, ("expected 1.5.24 → 1.5.34, came 1.5.24 → 1.5.28",)),
    ({"images": ALL_IMAGES | {"1.5.34": {"cpuid": ["0xC06F0"]}}}, ("expected 1.5.24 → 1.5.34, came 1.5.24 → 1.5.28",)),
    ({"images": ALL_IMAGES | {"1.5.34": {"seamsvn": "0x10c"}}}, ("expected 1.5.24 → 1.5.34, came 1.5.24 → 1.5.28",)),
    ({"images": ALL_IMAGES | {"1.5.34": {"min_update_hv": 1}}}, ("expected 1.5.24 → 1.5.34, came 1.5.24 → 1.5.28",)),
    (
        {"expect": FORWARD | {"refused": ["seamldr-minimum"]}},
        (),
    ),
    (
        {"expect": {"outcome": "no-path", "refused": ["deny", "same-series"]}},
        (
            "expected no-path, came 1.5.24 → 1.5.34",
            "expected deny, same-series to refuse a step out of 1.5.24, came refused by seamldr-minimum",
        ),
    ),
    ({"expect": {"outcome": "up-to-date"}}, ("expected up-to-date, came 1.5.24 → 1.5.34",)),
]


@pytest.mark.parametrize(("change", "differences"), CASES, ids=range(len(CASES)))
def test_what_was_expected_and_what_came(
    change: dict[str, Any], differences: Sequence[str], write: Write, run: Run
) -> None:
    path = write({"name": "other", "expect": {**FORWARD}}, change)
    ran = run("policy", "test", path)
    failed = [line for line in ran.out.splitlines() if line.startswith("FAILED")]
    assert failed == [f"FAILED {path}:8: scenario 1: {difference}" for difference in differences]
    assert ran.code == (1 if differences else 0)
    assert ran.out.splitlines()[-1] == f"2 scenarios: {2 - bool(differences)} passed, {bool(differences):d} failed"


def test_a_difference_says_why_something_else_was_expected(write: Write, run: Run) -> None:
    ran = run("policy", "test", write({"expect": {"outcome": "up-to-date", "note": "nothing is\u202e newer"}}))
    assert "came 1.5.24 → 1.5.34 (nothing is\\u202e newer)" in ran.out


def test_no_path_says_what_refused(write: Write, run: Run, tmp_path: Path) -> None:
    own = policy(tmp_path, "deny: [{versions: '>=1.5.25', reason: x}]\n")
    path = write({"policy": own}, {"policy": own, "expect": {"outcome": "no-path", "refused": ["deny"]}})
    ran = run("policy", "test", path)
    assert "came no-path: no update from 1.5.24 is permitted; refused by deny (3 of 3)" in ran.out
    assert "2 scenarios: 1 passed, 1 failed" in ran.out


def test_the_day_decides_what_is_in_force(write: Write, run: Run, tmp_path: Path) -> None:
    own = policy(tmp_path, "deny: [{versions: 1.5.34, reason: x, until: 2026-01-01}]\n")
    stop = {"policy": own, "expect": {"path": ["1.5.24", "1.5.28"]}}
    assert run("policy", "test", write(stop)).code == 0, "the default is 2026-01-01"
    assert run("policy", "test", write(stop | {"as_of": "2026-01-02"})).code == 1
    assert run("policy", "test", write({"policy": own, "as_of": "2026-01-02"})).code == 0


@pytest.mark.parametrize("folder", [True, False])
def test_no_scenario_is_a_failure(folder: bool, run: Run, tmp_path: Path) -> None:
    path = tmp_path
    if not folder:
        path = tmp_path / "s.yaml"
        path.write_text("# nothing yet\n")
    ran = run("policy", "test", path)
    assert (ran.code, ran.out) == (1, "no scenario was found, so nothing was tested\n")
    assert not run("policy", "test", path, "--json").json["passed"]
    root = ElementTree.fromstring(run("policy", "test", path, "--format", "junit").out)
    assert root.find("testsuite/testcase/failure") is not None


def test_files_and_folders_are_taken_once(write: Write, run: Run, tmp_path: Path) -> None:
    below = tmp_path / "b" / "c"
    below.mkdir(parents=True)
    first = write({})
    (below / "t.yml").write_text(Path(first).read_text().replace("facts.json", "../../facts.json"))
    (below / "t.txt").write_text("no scenario")
    ran = run("policy", "test", tmp_path, first, "--json").json
    assert [one["place"] for one in ran["scenarios"]] == [f"{below}/t.yml:1", f"{first}:1"]


# -- TDs in the making, CPUs that are hidden, and kernels: on the demo mapping file, policy fewest-hops

ROWS: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    ({"module_version": "1.5.16", "running_tds": 0}, "", {"path": ["1.5.16", "1.5.34"]}),
    ({"module_version": "1.5.16", "running_tds": 4}, "", {"path": ["1.5.16", "1.5.34"]}),
    ({"module_version": "1.5.06", "running_tds": 4}, "", {"path": ["1.5.06", "1.5.13"], "refused": ["td-build"]}),
    ({"module_version": "1.5.06", "running_tds": 4}, "td_creation: held\n", {"path": ["1.5.06", "1.5.34"]}),
    ({"module_version": "1.5.06", "running_tds": None}, "", {"path": ["1.5.06", "1.5.13"], "refused": ["td-build"]}),
    ({"module_version": "1.5.06", "running_tds": None}, "td_creation: held\n", {"path": ["1.5.06", "1.5.34"]}),
    ({"cpu_limits": ["nr_cpus=8"]}, "", {"outcome": "no-path", "refused": ["cpus-online"]}),
    ({"profile": "interim"}, "", {"outcome": "no-path", "refused": ["upload-interface"]}),
]


@pytest.mark.parametrize(("says", "more", "expect"), ROWS, ids=range(len(ROWS)))
def test_what_a_host_may_do(
    says: dict[str, Any], more: str, expect: dict[str, Any], write: Write, run: Run, tmp_path: Path
) -> None:
    facts = json.loads(FACTS.read_text()) | says
    ran = run("policy", "test", write({"facts": facts, "policy": policy(tmp_path, more), "expect": expect}))
    assert "FAILED" not in ran.out
    assert ran.code == 0


@pytest.mark.parametrize("name", sorted(set(REMOVED_RULES) - set(HARD_RULES)))
def test_a_rule_that_is_gone_is_named_as_such(name: str, write: Write, run: Run) -> None:
    ran = run("policy", "test", write({"expect": FORWARD | {"refused": [name]}}))
    assert f"expect.refused[0]: there is no rule '{name}' any more: {REMOVED_RULES[name]}\n" in ran.err


# -- coverage


def test_coverage_names_what_was_not_exercised(write: Write, run: Run, tmp_path: Path) -> None:
    own = policy(
        tmp_path,
        "deny:\n- {versions: 1.5.34, reason: broken}\n- {versions: 1.5.09, reason: never met}\n"
        "- {versions: 1.5.08, reason: expired long ago, until: 2020-01-01}\n"
        "waypoints: [1.5.28, 1.5.06]\n"
        "rules: {td-build: require, feature-loss: off, seam-memory: off, preproduction: off, no-stranding: off}\n"
        "accept:\n- {rule: td-build, versions: 1.5.28, reason: tested, by: a@example.com, until: 2030-01-01}\n"
        "- {rule: td-build, versions: 1.5.20, reason: too, by: a@example.com, until: 2030-01-01}\n",
    )
    facts = json.loads(FACTS.read_text()) | {"module_version": "1.5.25", "seamldr_version": "2.0.01"}
    path = write({"policy": own, "facts": facts, "expect": {"path": ["1.5.25", "1.5.28"]}})
    lines = run("policy", "test", path).out.splitlines()
    missed = (
        "denial of 1.5.08: expired long ago (until 2020-01-01); denial of 1.5.09: never met; rule td-build; "
        "waiver of td-build for 1.5.20: too (until 2030-01-01); "
        "waiver of td-build for 1.5.28: tested (until 2030-01-01); waypoint 1.5.06"
    )
    assert lines == [
        f"coverage own: 2 of 8 (25%); not exercised: {missed}",
        "1 scenario: 1 passed, 0 failed",
    ]
    old = facts | {"module_version": "1.5.06"}
    again = {"policy": own, "facts": old, "expect": {"outcome": "no-path", "refused": ["waypoint", "td-build"]}}
    document = run(
        "policy",
        "test",
        write({"policy": own, "facts": facts, "expect": {"path": ["1.5.25", "1.5.28"]}}, again),
        "--json",
    ).json
    assert "rule td-build" not in [f"{one['kind']} {one['text']}" for one in document["coverage"][0]["not_exercised"]]


def test_steps_after_the_first_are_covered_too(write: Write, tmp_path: Path) -> None:
    own = policy(tmp_path, f"deny: [{{versions: 1.5.34, reason: x}}]\nmax_hops: 1\nwaypoints: [1.5.28]\n{OWN_RULES}")
    (result,) = scenarios.run_all(
        scenario_file.load([write({"policy": own, "expect": {"path": ["1.5.24", "1.5.28"]}})])
    )
    assert result.exercised == {Part("denial", "of 1.5.34: x"), Part("waypoint", "1.5.28")}


@pytest.mark.parametrize(("hops", "exercised"), [(1, False), (2, True)])
def test_steps_out_of_what_the_budget_reaches_are_covered(
    hops: int, exercised: bool, write: Write, tmp_path: Path
) -> None:
    """Only the step from 1.5.28 to 1.5.34 needs more memory, and the waypoint puts 1.5.28 two hops away."""
    rules = OWN_RULES.replace("seam-memory: off", "seam-memory: require")
    own = policy(tmp_path, f"max_hops: {hops}\nwaypoints: [1.5.25]\n{rules}")
    facts = json.loads(FACTS.read_text()) | {"seamldr_version": "2.0.00"}
    pages = {"1.5.24": 9, "1.5.25": 9, "1.5.28": 7, "1.5.34": 8}
    images = {version: {"num_tls_pages": count} for version, count in pages.items()}
    (result,) = scenarios.run_all(scenario_file.load([write({"policy": own, "facts": facts, "images": images})]))
    assert (Part("rule", "seam-memory") in result.exercised) == exercised
    assert Part("waypoint", "1.5.25") in result.exercised


@pytest.mark.parametrize(
    ("signer", "simulated", "target"),
    [(INTEL_SIGNER, False, "1.5.34"), ("ab" * 32, False, "1.5.28"), ("ab" * 32, True, "1.5.34")],
)
def test_an_image_is_intel_s_unless_it_says_otherwise(signer: str, simulated: bool, target: str, write: Write) -> None:
    facts = json.loads(FACTS.read_text()) | {"simulated": simulated}
    images = ALL_IMAGES | {"1.5.34": {"signer": signer}}
    (result,) = scenarios.run_all(scenario_file.load([write({"facts": facts, "images": images})]))
    assert str(result.path[-1]) == target


@pytest.mark.parametrize(
    "key", ["num_stack_pages", "num_tls_pages", "num_keyhole_pages", "num_global_data_pages", "num_handoff_pages"]
)
def test_an_image_with_more_pages_may_not_fit(key: str, write: Write) -> None:
    def target(count: int) -> str:
        """The newest release that is permitted when the newest one has so many pages, and the others have 200."""
        images = {version: {key: count if version == "1.5.34" else 200} for version in ALL_IMAGES}
        (result,) = scenarios.run_all(scenario_file.load([write({"images": images})]))
        return str(result.path[-1])

    fewer = "1.5.28" if key == "num_handoff_pages" else "1.5.34"  # no room for what the source hands over
    assert [target(count) for count in (199, 200, 201)] == [fewer, "1.5.34", "1.5.28"]


def test_a_missing_image_exercises_no_rule_about_images(write: Write) -> None:
    larger = ALL_IMAGES | {"1.5.28": {"num_stack_pages": 2}}
    without, with_images = scenarios.run_all(scenario_file.load([write({}, {"images": larger})]))
    assert Part("rule", "seam-memory") not in without.exercised
    assert Part("rule", "seam-memory") in with_images.exercised


def test_a_policy_that_holds_creation_back_is_covered_where_that_makes_a_difference(
    write: Write, run: Run, tmp_path: Path
) -> None:
    held = policy(tmp_path, "td_creation: held\n" + OWN_RULES.replace("td-build: off", "td-build: require"))
    old = json.loads(FACTS.read_text()) | {"module_version": "1.5.06"}
    listed, unlisted = {"policy": held}, {"policy": held, "facts": old, "expect": {"path": ["1.5.06", "1.5.34"]}}
    out = run("policy", "test", write(listed)).out
    assert "coverage own: 0 of 1 (0%); not exercised: td_creation held\n" in out
    assert "coverage own: 1 of 1 (100%)\n" in run("policy", "test", write(listed, unlisted)).out


def test_fail_under_holds_for_every_policy(write: Write, run: Run, tmp_path: Path) -> None:
    full = policy(tmp_path, OWN_RULES + "deny: [{versions: 1.5.28, reason: x}]\n", "full")
    part = policy(tmp_path, OWN_RULES + "deny: [{versions: 1.5.28, reason: x}, {versions: 9.9.9, reason: y}]\n", "part")
    path = write({"policy": full}, {"policy": part})
    codes = {percent: run("policy", "test", path, "--fail-under", percent).code for percent in ("0", "50", "50.1")}
    assert codes == {"0": 0, "50": 0, "50.1": 1}
    out = run("policy", "test", path, "--fail-under", "100").out
    assert "coverage full: 1 of 1 (100%)\n" in out
    assert "coverage part: 1 of 2 (50%), below 100%; not exercised: denial of 9.9.9: y\n" in out


@pytest.mark.parametrize("percent", ["-1", "101", "nan", "all", ""])
def test_fail_under_is_a_percentage(percent: str, run: Run) -> None:
    ran = run("policy", "test", f"--fail-under={percent}")
    assert ran.code == 2
    assert "is not a percentage" in ran.err


@pytest.mark.parametrize(("parts", "missed", "percent"), [(0, 0, 100), (1, 0, 100), (200, 1, 99), (3, 3, 0)])
def test_only_all_of_it_is_a_hundred_percent(parts: int, missed: int, percent: int) -> None:
    every = tuple(Part("rule", str(number)) for number in range(parts))
    one = Coverage("p", "00", every, every[:missed])
    assert one.percent == percent
    assert one.below(100) == bool(missed)


# -- JUnit


def test_junit_is_xml_whatever_a_scenario_is_called(write: Write, run: Run) -> None:
    path = write({"name": "a\x07b <&> \u00e9 \ufffe", "expect": {"outcome": "no-path", "note": "x\x00y"}}, {})
    ran = run("policy", "test", path, "--format", "junit", "--fail-under", "99")
    assert ran.code == 1
    assert ran.out.isascii()
    root = ElementTree.fromstring(ran.out)
    suites = {suite.get("name"): suite for suite in root.iter("testsuite")}
    assert {name: (suite.get("tests"), suite.get("failures")) for name, suite in suites.items()} == {
        "scenarios": ("2", "1"),
        "coverage": ("1", "1"),
    }
    first, second = suites["scenarios"].iter("testcase")
    assert (first.get("name"), first.get("classname")) == ("a\\x07b <&> é \\ufffe", path)
    failure = first.find("failure")
    assert failure is not None
    assert failure.get("message") == failure.text == "expected no-path, came 1.5.24 → 1.5.34 (x\\x00y)"
    assert second.find("failure") is None
    assert "below 99%" in (root.findtext("testsuite[@name='coverage']/testcase/failure") or "")


def test_one_format_at_a_time(run: Run) -> None:
    assert run("policy", "test", "--json", "--format", "junit").code == 2
    assert run("policy", "test", "--format", "json").out == run("policy", "test", "--json").out


# -- invalid input

TWO_IMAGES: dict[str, Any] = {"1.5.24": {}, "1.5.4": {}, "v1": {}, "1.5.024": {}}
INVALID: list[tuple[dict[str, Any], Sequence[str]]] = [
    ({"schema": "seamstep/scenario/v2"}, ["1:1: schema: 'seamstep/scenario/v2' is not the text seamstep/scenario/v1"]),
    (
        {"schema": "seamstep/scenario/v2", "images": {"1.5.24": "x"}},
        ["1:1: schema: 'seamstep/scenario/v2' is not the text seamstep/scenario/v1"],
    ),
    ({"name": None}, ["1:1: the key 'name' is missing"]),
    ({"expects": {}}, ["7:1: expects: unknown key; did you mean 'expect'?"]),
    ({"policy": "fewest-hop"}, ["5:1: policy: fewest-hop: no policy of this name ships with seamstep; did you mean"]),
    ({"policy": "no.yaml"}, ["5:1: policy: {folder}/no.yaml: can't read the policy: No such file or directory"]),
    ({"policy": []}, ["5:1: policy: [] is not a policy's name or path, or a list of them"]),
    ({"facts": "none.json"}, ["3:1: facts: {folder}/none.json: can't read the facts document: No such file"]),
    ({"facts": {"cpus": 3}}, ["3:1: facts: the key 'module_version' is missing", "3:9: facts.cpus: unknown key"]),
    ({"facts": {"module_version": None}}, ["3:1: facts: the running module's version is needed, and it is null"]),
    (
        {"facts": {"module_version": "1.5.24", "cpus_online": ""}},
        ["3:37: facts.cpus_online: an empty CPU list"],
    ),
    ({"mapping": "demos"}, ["4:1: mapping: {folder}/demos: can't read the mapping file: No such file or directory"]),
    (
        {"images": TWO_IMAGES},
        [
            "7:24: images.1.5.4: the mapping file has no release 1.5.04; did you mean '1.5.34'?",
            "7:37: images.v1: 'v1' is not a version of three numbers, such as 1.5.06",
            "7:47: images.1.5.024: 1.5.24 stands twice; keep one",
        ],
    ),
    ({"images": {"1.5.24": {"seamsvn": "0x10000"}}}, ["7:21: images.1.5.24.seamsvn: 65536 is not a number from 0 to"]),
    ({"images": {"1.5.24": {"debug": "no"}}}, ["7:21: images.1.5.24.debug: 'no' is not true or false"]),
    ({"as_of": "2026-02-30"}, ["7:1: as_of: there is no day 2026-02-30"]),
    ({"as_of": "today"}, ["7:1: as_of: 'today' is not a day such as 2027-03-31"]),
    ({"expect": {}}, ["6:1: expect: expected either 'path' or 'outcome'"]),
    ({"expect": FORWARD | {"outcome": "no-path"}}, ["6:1: expect: expected either 'path' or 'outcome'"]),
    ({"expect": {"outcome": "update"}}, ["6:10: expect.outcome: 'update' is not up-to-date, no-path or not-listed"]),
    ({"expect": {"path": ["1.5.24"]}}, ['6:10: expect.path: ["1.5.24"] is not a list of two or more versions']),
    ({"expect": {"path": ["1.5.16", "1.5.34"]}}, ["6:19: expect.path[0]: a path begins with the running version"]),
    (
        {"expect": FORWARD | {"refused": ["denny", "x"]}},
        [
            "expect.refused[0]: there is no rule 'denny'; did you mean 'deny'?",
            "expect.refused[1]: there is no rule 'x'",
        ],
    ),
    ({"expect": {"path": ["1.5.24", "1.5.99999"]}}, ["6:29: expect.path[1]: '1.5.99999' is not a version of three"]),
    ({"name": ""}, ["2:1: name: '' is not text of at most 200 characters"]),
]


@pytest.mark.parametrize(("change", "expected"), INVALID, ids=range(len(INVALID)))
def test_what_is_wrong_is_told_with_its_place(
    change: dict[str, Any], expected: Sequence[str], write: Write, run: Run, tmp_path: Path
) -> None:
    path = write(change)
    ran = run("policy", "test", path)
    lines = ran.err.splitlines()
    assert (ran.code, ran.out, len(lines)) == (2, "", len(expected)), ran.err
    for line, text in zip(lines, expected, strict=True):
        assert line.startswith(f"seamstep: {path}:")
        assert text.format(folder=tmp_path) in line if "{folder}" in text else text in line


def test_a_value_is_not_read_when_too_many_others_are_wrong_to_name_it(write: Write, run: Run) -> None:
    """Its own problem is not among the hundred that are told."""
    ran = run("policy", "test", write({f"k{number}": 1 for number in range(101)} | {"images": {"1.5.24": "x"}}))
    assert (ran.code, "images" in ran.err, "problems more" in ran.err) == (2, False, True)


def test_all_problems_of_all_documents_and_files_at_once(write: Write, run: Run, tmp_path: Path) -> None:
    bad_policy = policy(tmp_path, "path: fastest\n", "bad")
    first = write({"as_of": "x", "policy": "none"}, {}, {"name": "scenario 1", "policy": bad_policy}, name="a.yaml")
    second = write({"policy": bad_policy}, {"facts": {"module_version": "1.5"}}, name="b.yaml")
    ran = run("policy", "test", first, second, "--json")
    assert ran.code == 2
    places = [(Path(one["source"]).name, one["line"], one["path"]) for one in ran.json["problems"]]
    assert places == [
        ("a.yaml", 5, "policy"),
        ("a.yaml", 7, "as_of"),
        ("bad.yaml", 3, "path"),
        ("a.yaml", 17, "name"),
        ("b.yaml", 10, "facts.module_version"),
    ]


def test_a_file_that_is_no_yaml_hides_no_other_problem(write: Write, run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "a.yaml"
    broken.write_text("a: [1\n")
    err = run("policy", "test", broken, write({"as_of": "x"})).err.splitlines()
    assert [line.partition(" ")[2].split(":")[0] for line in err] == [str(broken), str(tmp_path / "s.yaml")]
    assert ": not YAML: " in err[0]


def test_what_can_not_be_planned_is_told_with_its_place(write: Write, run: Run, tmp_path: Path) -> None:
    own = policy(tmp_path, "target: 1.5.43\n")
    path = write({}, {"policy": own}, {"policy": own})
    err = run("policy", "test", path).err
    message = "policy: target: the target 1.5.43 is not in the mapping file; did you mean '1.5.34'?"
    assert err == f"seamstep: {path}:12:1: {message}\nseamstep: {path}:19:1: {message}\n"


@pytest.mark.parametrize("name", ["none", "none.yaml"])
def test_a_path_that_is_not_there(name: str, run: Run, tmp_path: Path) -> None:
    ran = run("policy", "test", tmp_path / name)
    assert (ran.code, ran.err) == (2, f"seamstep: {tmp_path / name}: no such file or folder\n")


def test_a_policy_that_contradicts_itself_only_when_nothing_expires_is_covered_as_it_is(
    write: Write, run: Run, tmp_path: Path
) -> None:
    own = policy(
        tmp_path, f"waypoints: [1.5.28]\ndeny: [{{versions: 1.5.28, reason: x, until: 2025-01-01}}]\n{OWN_RULES}"
    )
    ran = run("policy", "test", write({"policy": own, "expect": {"path": ["1.5.24", "1.5.28", "1.5.34"]}}))
    assert (ran.code, ran.out.splitlines()[0]) == (0, "coverage own: 1 of 1 (100%)")


# -- several documents in one text


def test_documents_keep_their_own_places() -> None:
    first, second = yaml_text.read_all(b"# c\na: 1\nb: {c: 2}\n---\nb:\n  - x\n  - {c: 3}\n", "f")
    assert (first.data, second.data) == ({"a": "1", "b": {"c": "2"}}, {"b": ["x", {"c": "3"}]})
    assert (first.locate(("b", "c")), second.locate(("b", 1, "c"))) == ((3, 5), (7, 6))
    assert (first.locate(("a",)), second.locate(("a",))) == ((2, 1), (5, 1))
    assert first.sha256 == second.sha256


@pytest.mark.parametrize("text", ["", "# nothing\n", "\n\n"])
def test_no_document(text: str) -> None:
    assert yaml_text.read_all(text.encode(), "f") == []
    with pytest.raises(InputError, match=r"^f:1:1: expected a YAML mapping"):
        yaml_text.read(text.encode(), "f")


def test_all_problems_of_all_documents() -> None:
    with pytest.raises(InputError) as caught:
        yaml_text.read_all(b"a: 1\na: 2\n---\n- x\n---\n---\nb: &c 1\n", "f")
    assert [str(problem) for problem in caught.value.problems] == [
        "f:2:1: a: this key stands twice; keep one",
        "f:4:1: expected a YAML mapping at the top level",
        "f:6:1: expected a YAML mapping at the top level",
        "f:7:4: b: anchors are not allowed; write the value out where it is needed",
    ]


def test_a_single_document_is_read_alike() -> None:
    content = b"a: {b: [1, 2]}\n"
    (one,), other = yaml_text.read_all(content, "f"), yaml_text.read(content, "f")
    assert (one.data, one.sha256, one.locate(("a", "b", 1))) == (other.data, other.sha256, other.locate(("a", "b", 1)))
    with pytest.raises(InputError, match="f:3:1: expected one document, found a second"):
        yaml_text.read(b"a: 1\n---\nb: 2\n", "f")


def test_every_part_of_a_policy_counts_once(tmp_path: Path) -> None:
    policy(tmp_path, OWN_RULES.replace("preproduction: off", "preproduction: warn"))
    loaded = policy_file.load(f"{tmp_path}/own.yaml", DAY)
    assert scenarios.parts_of(loaded) == {Part("rule", "preproduction")}
