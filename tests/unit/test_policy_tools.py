"""``policy check``, ``show``, ``diff`` and ``schema``."""

from __future__ import annotations

import json
from datetime import date
from itertools import combinations, zip_longest
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft4Validator, Draft202012Validator
from made import made_image, made_release
from test_oracle import LADDER, Oracle
from test_policies import written

from conftest import DATA, LATEST, TRUST, Ran, Run
from seamstep import service
from seamstep.analysis import environments, policy_review, policy_warnings
from seamstep.analysis.environments import Environment
from seamstep.base import yaml_text
from seamstep.base.versions import SeamldrVersion
from seamstep.domain.model import INTEL_SIGNER
from seamstep.policy import policy_file
from seamstep.show.changes import hosts_text

MAPPING = ("--mapping", LATEST)
USELESS = """deny:
- {versions: 1.5.28, reason: broken}
- {versions: '>=1.5.28,<1.5.30', reason: broken too}
- {versions: 1.5.82, reason: not there}
- {versions: 2.0.02, reason: nothing leads there anyway}
waypoints: [1.5.08, 1.5.99, 1.5.01, 1.5.16]
rules: {td-build: require, seam-memory: off}
accept:
- {rule: td-build, versions: 1.5.13, reason: r, by: us, until: 2030-01-01}
- {rule: td-build, versions: 1.5.28, reason: r, by: us, until: 2030-01-01}
- {rule: preproduction, versions: 2.0.*, reason: r, by: us, until: 2030-01-01}
- {rule: seam-memory, versions: 1.5.34, reason: r, by: us, until: 2030-01-01}
- {rule: no-stranding, versions: 1.5.34, reason: r, by: us, until: 2030-01-01}
- {rule: td-build, versions: 1.5.05, reason: r, by: us, until: 2020-01-01}
"""
EXPECTED = [
    "deny[0]: this denial changes nothing: the denial of '>=1.5.28,<1.5.30' covers it",
    "deny[1]: this denial changes nothing: the denial of '1.5.28' covers it",
    "deny[2]: this denial changes nothing: no release matches '1.5.82'; did you mean '1.5.28'?",
    "deny[3]: this denial changes nothing: every step that it forbids is forbidden anyway",
    "waypoints[1]: this waypoint changes nothing: the mapping file does not list 1.5.99; did you mean '1.5.09'?",
    "waypoints[2]: this waypoint changes nothing: no step passes over it",
    "waypoints[3]: this waypoint changes nothing: every step that passes over it is refused anyway",
    "accept[1]: this waiver changes nothing: what it accepts is denied",
    "accept[2]: this waiver changes nothing: the rule preproduction only warns",
    "accept[3]: this waiver changes nothing: the rule seam-memory is off",
    "accept[4]: this waiver changes nothing: no step that it covers is refused by no-stranding alone",
    "accept[5].until: this waiver expired on 2020-01-01; renew or remove it",
]


def test_check_finds_exactly_what_changes_nothing(run: Run, tmp_path: Path) -> None:
    policy = written(tmp_path, "p", USELESS)
    ran = run("policy", "check", policy, *MAPPING, "--as-of", "2026-11-23")
    assert ran.code == 1
    told = [line.partition(": ")[2] for line in ran.out.splitlines()[:-1]]
    assert sorted(told) == sorted(EXPECTED)
    assert ran.out.splitlines()[0].startswith(f"{policy}:")
    as_json = run("policy", "check", policy, *MAPPING, "--as-of", "2026-11-23", "--json").json
    assert len(as_json["findings"]) == len(EXPECTED)
    without = run("policy", "check", policy, "--as-of", "2026-11-23")
    assert (without.code, without.out.count(f"{policy}:")) == (1, 1), "without a mapping file only what has expired"


@pytest.mark.parametrize("name", ["fewest-hops", "shortest-path"])
def test_the_shipped_policies_are_clean(run: Run, name: str, images: Path) -> None:
    assert run("policy", "check", name, *MAPPING).code == 0
    assert run("policy", "check", name, "--catalog", images, *TRUST).code == 0


def test_check_tells_the_mistakes_of_all_files(run: Run, tmp_path: Path) -> None:
    one, other = written(tmp_path, "one", "path: x\n"), written(tmp_path, "other", "max_hops: y\n")
    ran = run("policy", "check", one, "fewest-hops", other)
    assert (ran.code, ran.err.count("\n")) == (2, 2)


def test_show(run: Run, tmp_path: Path) -> None:
    denials = USELESS[: USELESS.index("waypoints")]
    rules = "rules:\n  minimum-svn: {level: require, svn: 0x10d}\n"
    team = written(tmp_path, "team", f"max_hops: 3\n{rules}{denials}")
    rows = run("policy", "show", "--effective", "fewest-hops", team, "--json").json["values"]
    by_key = {row["key"]: (row["value"], row["origin"]) for row in rows}
    assert by_key["max_hops"] == ("3", f"{team}:3")
    assert by_key["path"][0] == "fewest-hops"
    assert by_key["path"][1].startswith("fewest-hops.yaml:")
    assert by_key["rules.minimum-svn"] == ("require, at least 0x10d", f"{team}:5")
    assert by_key["rules.seam-memory"] == ("require", "default of fewest-hops, default of team")
    denied = [(row["value"], row["origin"]) for row in rows if row["key"] == "deny"]
    assert denied[0] == ("1.5.28 (broken)", f"{team}:7")
    text = run("policy", "show", "--effective", "fewest-hops", team).out
    assert "max_hops: 3 " in text
    assert f"# {team}:3" in text
    assert json.loads(run("policy", "show", "fewest-hops", "--json").out)["policies"][0]["name"] == "fewest-hops"
    assert "# fewest-hops.yaml" in run("policy", "show", "fewest-hops").out


def test_schema(run: Run) -> None:
    for kind in ("policy", "mapping", "facts", "plan"):
        Draft202012Validator.check_schema(run("policy", "schema", kind).json)
    assert "properties" in run("policy", "schema").json


def test_diff_of_steps_and_paths(run: Run, tmp_path: Path) -> None:
    old = written(tmp_path, "old")
    new = written(tmp_path, "new", "path: shortest-path\ndeny: [{versions: 1.5.28, reason: '<b>|bad'}]\n")
    ran = run("policy", "diff", old, new, *MAPPING, "--json")
    document = ran.json
    assert (ran.code, document["environments"]) == (0, 4)
    assert {step["change"] for step in document["steps"]} == {"closed"}
    assert {step["to"] for step in document["steps"]} == {"1.5.28"}
    assert all(step["rules"] == ["deny"] for step in document["steps"])
    (path,) = (path for path in document["paths"] if path["from"] == "1.5.24" and len(path["where"]) == 2)
    assert (path["old"], path["new"]) == (["1.5.34"], ["1.5.25", "1.5.34"])
    assert all("P-SEAMLDR 2.0.00" in where for where in path["where"])
    assert run("policy", "diff", old, new, *MAPPING, "--fail-on", "opened").code == 0
    assert run("policy", "diff", old, new, *MAPPING, "--fail-on", "closed").code == 1
    back = run("policy", "diff", new, old, *MAPPING, "--fail-on", "opened")
    assert (back.code, "opened (was refused by deny)" in back.out) == (1, True)
    assert run("policy", "diff", new, old, *MAPPING, "--fail-on", "any").code == 1
    same = run("policy", "diff", old, old, *MAPPING)
    assert same.out == "0 steps and 0 paths change, of 4 kinds of hosts\n"
    markdown = run("policy", "diff", old, new, *MAPPING, "--format", "markdown").out
    assert "| 1.5.24 → 1.5.28 | closed | deny | " in markdown
    assert run("policy", "diff", old, new).code == 2


def test_diff_is_not_silent_about_what_only_images_can_tell(run: Run, images: Path, tmp_path: Path) -> None:
    old = written(tmp_path, "old")
    for name, more in [("svn", "rules: {seam-memory: off}\n"), ("signer", "signers: [" + "ab" * 32 + "]\n")]:
        new = written(tmp_path, name, more)
        ran = run("policy", "diff", old, new, *MAPPING, "--fail-on", "opened")
        assert (ran.code, "only images can tell" in ran.err) == (2, True)
    trusting = written(tmp_path, "trusting", f"signers: [{TRUST[1]}]\n")
    ran = run("policy", "diff", old, trusting, "--catalog", images, "--fail-on", "opened")
    assert ran.code == 1
    assert "opened (was refused by " in ran.out
    assert "image-authentic" in ran.out


def test_diff_tells_of_settings(run: Run, tmp_path: Path) -> None:
    old, new = written(tmp_path, "old"), written(tmp_path, "new", "keep_updates: 3\nmax_hops: 2\n")
    ran = run("policy", "diff", old, new, *MAPPING, "--fail-on", "any")
    assert (ran.code, "keep_updates: 0 becomes 3" in ran.out, "max_hops: no limit becomes 2" in ran.out) == (
        1,
        True,
        True,
    )
    assert run("policy", "diff", old, new, *MAPPING, "--fail-on", "opened").code == 0


STATED = """description: for tests
td_creation: held
deny:
- {versions: 1.5.99, reason: broken, link: a page, until: 2030-01-01}
- {versions: 1.5.98, reason: broken}
accept:
- {rule: td-build, versions: 1.5.99, reason: quiet, by: us, until: 2030-01-01}
waypoints: [1.5.08]
signers: [%s]
rules: {td-build: warn, no-stranding: {level: prefer, cost: 7}}
apply:
  windows: [{days: [sat, sun], from: "22:30", to: "04:00", timezone: Europe/Berlin}]
  soak: 10m
  busy: {retries: 3, wait: 30s}
  before: [[/bin/cordon, a b]]
  after: [[/bin/uncordon]]
""" % ("ab" * 32)
#: A change of the policy above, and the sentence that tells it.
CHANGED = [
    ("page, until: 2030-01-01", "page, until: 2026-11-24", "deny 1.5.99 until: 2030-01-01 becomes 2026-11-24"),
    ("page, until: 2030-01-01", "page", "deny 1.5.99 until: 2030-01-01 becomes no end"),
    ("page, until: 2030-01-01", "page, until: 2020-01-01", "deny 1.5.99 until: 2030-01-01 becomes 2020-01-01"),
    ("broken, link", "'-', link", "deny 1.5.99 reason: broken becomes -"),
    ("a page", "another", "deny 1.5.99 link: a page becomes another"),
    (", link: a page", "", "deny 1.5.99 link: a page becomes none"),
    ("- {versions: 1.5.98, reason: broken}\n", "", "deny 1.5.98: removed: broken"),
    ("deny:\n", "deny:\n- {versions: 1.5.97, reason: r}\n", "deny 1.5.97: added: r"),
    ("by: us", "by: them", "accept td-build 1.5.99 by: us becomes them"),
    ("us, until: 2030-01-01", "us, until: 2099-12-31", "accept td-build 1.5.99 until: 2030-01-01 becomes 2099-12-31"),
    ("reason: quiet", "reason: loud", "accept td-build 1.5.99 reason: quiet becomes loud"),
    ("waypoints: [1.5.08]\n", "", "waypoints: removed: 1.5.08"),
    ("[1.5.08]", "[1.5.08, 3.0.01]", "waypoints: added: 3.0.01"),
    ("td-build: warn", "td-build: off", "rules.td-build: warn becomes off"),
    ("cost: 7", "cost: 8", "rules.no-stranding: prefer, cost 7 becomes prefer, cost 8"),
    ("td_creation: held\n", "", "td_creation: held becomes not held"),
    ("for tests", "for us", "description: for tests becomes for us"),
    (
        '"22:30"',
        '"21:30"',
        "apply.windows: sat, sun from 22:30 to 04:00 (Europe/Berlin) becomes "
        "sat, sun from 21:30 to 04:00 (Europe/Berlin)",
    ),
    ("soak: 10m", "soak: 2h", "apply.soak: 10m becomes 2h"),
    ("  soak: 10m\n", "", "apply.soak: 10m becomes 0s"),
    ("wait: 30s", "wait: 90s", "apply.busy: 3 retries, 30s before each becomes 3 retries, 90s before each"),
    ("a b]", "c]", "apply.before: /bin/cordon 'a b' becomes /bin/cordon c"),
    ("  after: [[/bin/uncordon]]\n", "", "apply.after: /bin/uncordon becomes no command"),
]


@pytest.mark.parametrize(("text", "becomes", "told"), CHANGED, ids=[told for _, _, told in CHANGED])
def test_diff_tells_all_that_is_said_differently(run: Run, tmp_path: Path, text: str, becomes: str, told: str) -> None:
    assert STATED.count(text) == 1
    old = written(tmp_path, "p", STATED)
    (tmp_path / "new").mkdir()
    new = written(tmp_path / "new", "p", STATED.replace(text, becomes))
    day = ("--as-of", "2026-11-23")
    ran = run("policy", "diff", old, new, *MAPPING, *day, "--fail-on", "any")
    assert (ran.code, told in [line.strip() for line in ran.out.splitlines()]) == (1, True), ran.out
    assert "1 value of the policy changes" in ran.out
    assert not set(ran.out) & set("{}["), "no data as a program has it"
    document = run("policy", "diff", old, new, *MAPPING, *day, "--json").json
    (change,) = document["changes"]
    assert document["settings"] == [told]
    lines = zip_longest(Path(old).read_text().splitlines(), Path(new).read_text().splitlines())
    assert change["line"] == next(number for number, (one, other) in enumerate(lines, 1) if one != other)
    markdown = run("policy", "diff", old, new, *MAPPING, *day, "--format", "markdown").out
    assert "| value | old | new |\n|---|---|---|\n" in markdown
    assert markdown.splitlines()[-1].replace("\\|", "").count("|") == 4


def test_diff_passes_over_what_says_the_same(run: Run, tmp_path: Path) -> None:
    """Another order of entries, another form of a duration, and a default that is stated are no changes."""
    old = written(tmp_path, "p", STATED)
    (tmp_path / "new").mkdir()
    other = STATED.replace("soak: 10m", "soak: 600s").replace("[sat, sun]", "[sun, sat]").replace("1.5.08", "1.5.8")
    lines = other.splitlines()
    lines[3], lines[4] = lines[4], lines[3]
    new = written(tmp_path / "new", "p", "\n".join([*lines, "path: fewest-hops", "keep_updates: 0", ""]))
    ran = run("policy", "diff", old, new, *MAPPING, "--fail-on", "any")
    assert (ran.code, ran.out) == (0, "0 steps and 0 paths change, of 4 kinds of hosts\n")


SARIF = json.loads((DATA / "sarif-2.1.0.schema.json").read_text())


def sarif_results(ran: Ran) -> list[tuple[str, str, str | None, int]]:
    """Code, level, URI and line of each result of a log that is valid."""
    log = ran.json
    Draft4Validator(SARIF).validate(log)
    found = []
    for result in log["runs"][0]["results"]:
        place = result["locations"][0]["physicalLocation"]
        uri = place["artifactLocation"]["uri"]
        found.append((result["ruleId"], result["level"], uri, place["region"]["startLine"]))
    return found


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with two policies; the command runs in its folder ``policies``."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "policies").mkdir()
    monkeypatch.chdir(tmp_path / "policies")
    written(Path(), "old", STATED)
    written(Path(), "p", USELESS)
    written(Path(), "new", STATED.replace("us, until: 2030-01-01", "them, until: 2099-12-31") + "path: shortest-path\n")
    return tmp_path


def test_check_speaks_the_formats_of_ci(run: Run, repository: Path) -> None:
    day = ("--as-of", "2026-11-23")
    ran = run("policy", "check", "p.yaml", *MAPPING, *day, "--format", "sarif")
    found = sarif_results(ran)
    assert (ran.code, len(found)) == (1, len(EXPECTED))
    assert ("policy-entry-expired", "warning", "policies/p.yaml", 16) in found
    assert {code for code, *_ in found} == {"policy-entry-expired", "policy-doubtful"}
    prints = [str(result["partialFingerprints"]) for result in ran.json["runs"][0]["results"]]
    assert len(set(prints)) == len(EXPECTED)
    lines = run("policy", "check", "p.yaml", *MAPPING, *day, "--format", "github").out.splitlines()
    assert "::warning file=policies/p.yaml,line=16,col=" in "\n".join(lines)
    assert lines[-1] == "1 policy file: 0 errors, 12 warnings, 0 notes"
    root = ElementTree.fromstring(run("policy", "check", "p.yaml", *MAPPING, *day, "--format", "junit").out)
    assert (root.get("name"), root[0].get("failures")) == ("seamstep policy check", str(len(EXPECTED)))
    clean = run("policy", "check", "fewest-hops", "--format", "junit")
    assert (clean.code, ElementTree.fromstring(clean.out)[0].get("failures")) == (0, "0")


def test_check_names_the_places_of_mistakes_in_ci(run: Run, repository: Path) -> None:
    written(Path(), "bad", "path: x\nmax_hops: y\n")
    arguments = ("policy", "check", "bad.yaml", "p.yaml", "none.yaml", "--as-of", "2026-11-23", "--format")
    ran = run(*arguments, "sarif")
    assert ran.code == 2
    assert sarif_results(ran) == [
        ("policy-invalid", "error", "policies/bad.yaml", 3),
        ("policy-invalid", "error", "policies/bad.yaml", 4),
        ("policy-invalid", "error", "policies/none.yaml", 1),
        ("policy-entry-expired", "warning", "policies/p.yaml", 16),
    ]
    annotations = run(*arguments, "github")
    assert annotations.code == 2
    assert "::error file=policies/bad.yaml,line=3,col=" in annotations.out
    assert run(*arguments, "json", "--json").json["exit_code"] == 2


def test_diff_speaks_the_formats_of_ci(run: Run, repository: Path) -> None:
    arguments = ("policy", "diff", "old.yaml", "new.yaml", *MAPPING, "--as-of", "2026-11-23")
    ran = run(*arguments, "--format", "sarif")
    found = sarif_results(ran)
    assert ran.code == 0
    assert ("policy-value-changed", "note", "policies/new.yaml", 9) in found
    assert {uri for _, _, uri, _ in found} == {"policies/new.yaml"}
    texts = [result["message"]["text"] for result in ran.json["runs"][0]["results"]]
    assert "accept td-build 1.5.99 until: 2030-01-01 becomes 2099-12-31" in texts
    failed = run(*arguments, "--format", "sarif", "--fail-on", "any")
    assert (failed.code, {level for _, level, _, _ in sarif_results(failed)}) == (1, {"error"})
    root = ElementTree.fromstring(run(*arguments, "--format", "junit", "--fail-on", "any").out)
    assert root.get("name") == "seamstep policy diff"
    assert root[0].get("failures") == root[0].get("tests") == str(len(found))
    assert ElementTree.fromstring(run(*arguments, "--format", "junit").out)[0].get("failures") == "0"
    annotations = run(*arguments, "--format", "github").out
    assert "::notice file=policies/new.yaml,line=9,col=" in annotations
    written(Path(), "denying", STATED.replace("1.5.98, reason", "1.5.28, reason"))
    closed = run("policy", "diff", "old.yaml", "denying.yaml", *MAPPING, "--format", "sarif", "--fail-on", "closed")
    levels = {code: level for code, level, _, _ in sarif_results(closed)}
    assert (closed.code, levels["policy-step-closed"], levels["policy-value-changed"]) == (1, "error", "note")


def test_the_day_of_a_waiver_is_no_question_to_images(run: Run, tmp_path: Path) -> None:
    entry = "accept: [{rule: seam-memory, versions: 1.5.34, reason: r, by: us, until: %s}]\n"
    old, new = written(tmp_path, "old", entry % "2030-01-01"), written(tmp_path, "new", entry % "2099-01-01")
    ran = run("policy", "diff", old, new, *MAPPING, "--as-of", "2026-11-23")
    assert "accept seam-memory 1.5.34 until: 2030-01-01 becomes 2099-01-01" in ran.out


def test_diff_groups_hosts(run: Run, images: Path, tmp_path: Path) -> None:
    signers = f"signers: [{TRUST[1]}]\n"
    old = written(tmp_path, "old", signers)
    new = written(tmp_path, "new", signers + "deny: [{versions: 1.5.28, reason: x}, {versions: 1.5.24, reason: x}]\n")
    ran = run("policy", "diff", old, new, "--catalog", images)
    lines = {line.strip() for line in ran.out.splitlines()}
    assert (
        "1.5.20 → 1.5.24  closed by deny  on Sapphire Rapids, Sierra Forest, Emerald Rapids with P-SEAMLDR 1.5.x"
        in lines
    )
    assert max(map(len, lines)) < 200
    bare = run("policy", "diff", old, new, *MAPPING)
    assert "1.5.24 → 1.5.28  closed by deny  on every host" in bare.out


def test_hosts_are_named_by_what_they_have_in_common() -> None:
    kinds = [
        Environment(profile, SeamldrVersion(seamldr), None)
        for profile in ("mainline", "legacy")
        for seamldr in ("1.5.00", "1.5.02", "2.0.00")
    ]
    assert hosts_text(kinds, kinds) == "on every host"
    assert hosts_text(kinds[:2], kinds) == "on mainline with P-SEAMLDR 1.5.x"
    assert hosts_text(kinds[:3], kinds) == "on mainline"
    assert hosts_text([kinds[2], kinds[5]], kinds) == "on hosts with P-SEAMLDR 2.0.x"
    assert hosts_text([kinds[1], kinds[5]], kinds) == (
        "on mainline with P-SEAMLDR 1.5.02; on legacy with P-SEAMLDR 2.0.x"
    )


def test_show_has_the_words_of_a_policy(run: Run, tmp_path: Path) -> None:
    text = run("policy", "show", "--effective", written(tmp_path, "p", STATED)).out
    assert "apply.windows: sat, sun from 22:30 to 04:00 (Europe/Berlin)" in text
    assert "apply.busy.retries: 3" in text
    assert "apply.busy.wait: 30s" in text
    assert "apply.before: /bin/cordon 'a b'" in text


def test_a_mapping_without_any_seamldr_is_no_ground_to_judge_on(run: Run, tmp_path: Path) -> None:
    import re

    path = tmp_path / "m.json"
    path.write_text(re.sub(r'"min_seamldr_versions": \[[^]]*\]', '"min_seamldr_versions": []', LATEST.read_text()))
    assert run("policy", "diff", "fewest-hops", "shortest-path", "--mapping", path).code == 2


def test_layers_that_contradict_each_other(run: Run, tmp_path: Path) -> None:
    one, other = written(tmp_path, "one", "target: 1.5.28\n"), written(tmp_path, "other", "target: 1.5.34\n")
    ran = run("policy", "show", "--effective", one, other)
    assert (ran.code, "the targets 1.5.28 and 1.5.34 contradict each other" in ran.err) == (2, True)
    stop = written(tmp_path, "stop", "waypoints: [1.5.28]\n")
    deny = written(tmp_path, "deny", "deny: [{versions: 1.5.28, reason: bad}]\n")
    assert "every path has to stop at 1.5.28" in run("policy", "show", "--effective", stop, deny).err


def test_diff_with_images_tells_platforms_apart(run: Run, images: Path, tmp_path: Path) -> None:
    signers = f"signers: [{TRUST[1]}]\n"
    old = written(tmp_path, "old", signers)
    new = written(tmp_path, "new", signers + "deny: [{versions: 2.0.18, reason: x}]\n")
    document = run("policy", "diff", old, new, "--catalog", images, "--json").json
    assert document["environments"] == 2 * 2 * 5
    wheres = {where for step in document["steps"] for where in step["where"]}
    assert wheres
    assert all("Granite Rapids" in where for where in wheres)


def test_diff_agrees_with_brute_force(tmp_path: Path) -> None:
    """Every candidate step, judged from the definitions in every environment."""
    listed = tuple(
        made_release(
            version,
            image=made_image(cpuid=(0x806F8, 0xC06F0) if index % 2 else (0x806F8,), signer=INTEL_SIGNER),
            minimum_seamldrs=(SeamldrVersion("1.5.00"),) if index % 3 else (SeamldrVersion("2.0.00"),),
        )
        for index, version in enumerate(LADDER)
    )
    old, new = (
        policy_file.load(written(tmp_path, name, more), date(2026, 1, 1))
        for name, more in [("old", "rules: {td-build: warn}\n"), ("new", "waypoints: [1.5.04]\n")]
    )
    changed = {
        (change.source, change.target, where)
        for change in policy_review.changes(policy_review.Side(old, listed), policy_review.Side(new, listed))[0]
        for where in change.environments
    }
    expected: set[Any] = set()
    for where in environments.environments(listed):
        for source, target in combinations(LADDER, 2):
            judged = [
                Oracle(listed, where.host(source), policy, without_images=False).step(source, target, 0)
                for policy in (old, new)
            ]
            if (judged[0] is None) != (judged[1] is None):
                expected.add((source, target, where))
    assert changed == expected
    assert expected


def test_a_waypoint_that_is_not_listed_counts_where_steps_pass_over_it(run: Run, tmp_path: Path) -> None:
    policy = written(tmp_path, "p", "td_creation: held\nwaypoints: [1.5.12, 3.0.01]\n")
    ran = run("policy", "check", policy, *MAPPING)
    assert (ran.code, "waypoints[0]" in ran.out, "does not list 3.0.01" in ran.out) == (1, False, True)


def test_what_would_take_minutes_is_refused(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = written(tmp_path, "old"), written(tmp_path, "new", "deny: [{versions: 1.5.28, reason: bad}]\n")
    commands = (("policy", "check", new), ("policy", "diff", old, new))
    for command in commands:
        assert run(*command, *MAPPING).code == 0
    monkeypatch.setattr(environments, "STEPS_MAX", 100)
    for command in commands:
        ran = run(*command, *MAPPING)
        assert (ran.code, "on 4 kinds of hosts this is as much work as judging " in ran.err) == (2, True)
    assert run("policy", "check", old, *MAPPING).code == 0, "without entries there is nothing to judge"
    monkeypatch.setattr(environments, "STEPS_MAX", 4)
    ran = run("policy", "check", new, *MAPPING)
    assert (ran.code, " comparisons of entries with releases this is as much work as " in ran.err) == (2, True)


def test_a_series_that_is_too_long_is_refused(run: Run, tmp_path: Path) -> None:
    entry = json.loads(LATEST.read_text())["tdx_module_releases"][0]
    mapping = tmp_path / "m.json"
    listed = [dict(entry, version=f"1.5.{number:02}") for number in range(501)]
    mapping.write_text(json.dumps({"tdx_module_releases": listed}))
    for command in (("check", "fewest-hops"), ("diff", "fewest-hops", "shortest-path")):
        ran = run("policy", *command, "--mapping", mapping)
        assert (ran.code, "series 1.5 has 501 releases; at most 500 are judged" in ran.err) == (2, True)


def checked(run: Run, policy: str, *more: object) -> list[str]:
    """What ``policy check`` says, without the names of files and the count."""
    ran = run("policy", "check", policy, *more, "--as-of", "2026-11-23", "--json")
    return [f"{finding['path']}: {finding['message']}" for finding in ran.json["findings"]]


NEVER = "this window never opens: it names no day"
WHOLE = "'from' and 'to' are equal, so the window is open for a whole day; if that is meant, say 00:00 to 23:59"
SKIPPED = "this window does not open on {}: the clocks of {} skip it; widen it past the change"


@pytest.mark.parametrize(
    ("window", "says"),
    [
        ("{from: 02:10, to: 02:50, timezone: Europe/Berlin}", SKIPPED.format("2027-03-28", "Europe/Berlin")),
        (
            "{from: 02:10, to: 02:50, timezone: America/New_York, days: [sun]}",
            SKIPPED.format("2027-03-14", "America/New_York"),
        ),
        ("{from: 00:00, to: 00:30, timezone: Asia/Beirut}", SKIPPED.format("2027-03-28", "Asia/Beirut")),
        ("{from: 02:10, to: 02:50, timezone: Europe/Berlin, days: [sat]}", None),
        ("{from: 02:10, to: 03:10, timezone: Europe/Berlin}", None),
        ("{from: 02:10, to: 02:50}", None),
        ("{from: 22:00, to: 04:00, timezone: Europe/Berlin}", None),
        ("{from: 02:30, to: 02:30, timezone: Europe/Berlin}", WHOLE),
        ("{from: 01:00, to: 02:00, days: []}", NEVER),
    ],
)
def test_check_warns_of_windows_that_can_hardly_be_meant(
    run: Run, tmp_path: Path, window: str, says: str | None
) -> None:
    policy = written(tmp_path, "p", f"apply: {{windows: [{{from: 10:00, to: 11:00}}, {window}]}}\n")
    assert checked(run, policy) == ([f"apply.windows[1]: {says}"] if says else [])


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_check_at_the_ends_of_the_calendar(run: Run, tmp_path: Path, day: str) -> None:
    policy = written(tmp_path, "p", "apply: {windows: [{from: 02:10, to: 02:50, timezone: Europe/Berlin}]}\n")
    assert run("policy", "check", policy, "--as-of", day).code in {0, 1}


@pytest.mark.parametrize(("soak", "long"), [("59m", False), ("3599s", False), ("1h", True), ("2h", True)])
def test_check_warns_of_a_soak_that_the_service_does_not_wait_for(
    run: Run, tmp_path: Path, soak: str, long: bool
) -> None:
    found = checked(run, written(tmp_path, "p", f"apply: {{soak: {soak}}}\n"))
    assert len(found) == long
    assert all(one.startswith(f"apply.soak: systemd ends a run that soaks for {soak} ") for one in found)


def test_the_service_waits_as_long_as_check_says() -> None:
    hours, unit = policy_warnings.SERVICE_WAITS // 3600, service.unit("seamstep.service", "/usr/bin/seamstep")
    assert f"\nTimeoutStartSec={hours}h\n" in unit


DENY_28 = "deny: [{versions: '>=1.5.25,<1.5.30', reason: broken}]\n"


@pytest.mark.parametrize(
    ("more", "mapping", "says"),
    [
        ("target: 1.5.28\n" + DENY_28, False, "target: no path can lead to the target: 1.5.28 is denied: broken"),
        ("target: 1.5.28\n" + DENY_28, True, "target: no path can lead to the target: 1.5.28 is denied: broken"),
        (
            "target: '>=1.5.25,<1.5.30'\n" + DENY_28,
            True,
            "target: no path can lead to any of the 2 releases that the target names: 1.5.28 is denied: broken",
        ),
        ("target: '>=1.5.25,<1.5.30'\n" + DENY_28, False, None),
        ("target: '>=1.5.24'\n" + DENY_28, True, None),
        ("target: 1.5.34\n" + DENY_28, True, None),
        ("target: 1.5.29\n", True, "target: no release matches the target '1.5.29'; did you mean '1.5.28'?"),
        (
            "target: 2.0.08\nrules: {preproduction: require}\n",
            False,
            "target: no path can lead to the target: 2.0.08 holds pre-production interfaces",
        ),
        ("target: 1.5.28\n" + DENY_28[:-3] + ", until: 2026-11-22}]\n", False, "deny[0].until: this denial expired"),
    ],
)
def test_check_warns_of_a_target_that_nothing_can_lead_to(
    run: Run, tmp_path: Path, more: str, mapping: bool, says: str | None
) -> None:
    found = checked(run, written(tmp_path, "p", more), *(MAPPING if mapping else ()))
    assert len(found) == bool(says)
    assert not says or found[0].startswith(says)


def test_check_warns_of_waypoints_at_which_no_path_can_stop() -> None:
    """The floor on the SVN refuses the stop from everywhere; a waiver opens it again."""
    releases = [
        made_release(version, image=made_image(svn=svn, signer=INTEL_SIGNER))
        for version, svn in (("1.5.01", 0x105), ("1.5.03", 0x105), ("1.5.04", 0x106), ("1.5.07", 0x107))
    ]
    text = (
        "schema: seamstep/policy/v1\nname: p\nwaypoints: [1.5.4, 1.5.03]\n"
        "rules: {minimum-svn: {level: require, svn: 0x106}}\n"
    )

    def found(more: str, *, target: str = "newest", known: bool = True) -> list[str]:
        document = yaml_text.read(f"{text}target: {target}\n{more}".encode(), "p.yaml")
        policy = policy_file.parse(document, None, date(2026, 11, 23))
        return list(map(str, policy_warnings.warnings(document, policy, releases if known else (), date(2026, 11, 23))))

    refused = "1.5.03 has SVN 0x105, below 0x106"
    stop = f"p.yaml:3:20: waypoints[1]: every path across 1.5.03 has to stop there, and none can: {refused}"
    assert found("") == [stop]
    assert found("", known=False) == []
    target = f"p.yaml:5:1: target: no path can lead to the target: {refused}"
    assert found("", target="1.5.03") == [target, stop]
    waiver = "accept: [{rule: minimum-svn, versions: 1.5.03, reason: r, by: us, until: 2030-01-01}]\n"
    assert found(waiver) == []


def test_identical_entries_are_told_once(run: Run, tmp_path: Path) -> None:
    waiver = "{rule: td-build, versions: 1.5.13, reason: r, by: us, until: 2030-01-01}"
    policy = written(
        tmp_path,
        "p",
        "deny:\n- {versions: 1.5.28, reason: broken}\n- {versions: 1.5.34, reason: bad}\n"
        "- {versions: 1.5.28, reason: broken}\n- {versions: ==1.5.28, reason: other}\n"
        f"accept: [{waiver}, {waiver}]\n",
    )
    expected = [
        "deny[2]: this denial is identical to deny[0]; keep one",
        "deny[3]: this denial has the same effect as deny[0]; keep one",
        "accept[1]: this waiver is identical to accept[0]; keep one",
    ]
    assert checked(run, policy) == expected
    assert checked(run, policy, *MAPPING) == expected
    useless = written(tmp_path, "q", "deny: [{versions: 2.0.02, reason: r}, {versions: 2.0.02, reason: r}]\n")
    assert checked(run, useless, *MAPPING) == [
        "deny[0]: this denial changes nothing: every step that it forbids is forbidden anyway",
        "deny[1]: this denial is identical to deny[0]; keep one",
    ]
