"""The linter: what it finds, where, that it asks the rules of plans, and what teams can make of its findings."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar
from xml.etree import ElementTree

import jsonschema
import pytest

from conftest import DATA, FEBRUARY, LATEST, Run
from seamstep import rules
from seamstep.analysis.lint.codes import CODES
from seamstep.base import repository
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Step, Verdict
from seamstep.rules import Rule

EXAMPLES = Path(__file__).parents[1] / "cases" / "lint"
SIGNER = ("--signer", (EXAMPLES / "signer").read_text().strip())
TCB_INFO = DATA / "tcb" / "tcb-info-90C06F000000-18.json"
GOOD = EXAMPLES / "features-shrink" / "good.json"
BAD = EXAMPLES / "features-shrink" / "bad.json"
SARIF = json.loads((DATA / "sarif-2.1.0.schema.json").read_text())
ON_SETTINGS = ("suppression-unused", "suppression-expired")


def example(code: str, kind: str) -> tuple[object, ...]:
    """The arguments that lint an example."""
    folder = EXAMPLES / code
    if code in ON_SETTINGS:
        return FEBRUARY, "--config", folder / f"{kind}.yaml", "--as-of", "2026-11-23"
    if (folder / "signer").exists():  # a catalog that is linted with TCB Info
        signer = (folder / "signer").read_text().strip()
        return folder / kind, "--signer", signer, "--tcb-info", TCB_INFO, "--as-of", "2026-03-01"
    return (folder / kind if (folder / kind).is_dir() else folder / f"{kind}.json"), *SIGNER


def lint(run: Run, *arguments: object) -> list[dict[str, Any]]:
    """The findings."""
    findings: list[dict[str, Any]] = run("lint", *arguments, "--json").json["findings"]
    return findings


def codes(run: Run, *arguments: object) -> list[str]:
    return [finding["code"] for finding in lint(run, *arguments)]


def write(path: Path, document: Any, **style: Any) -> Path:
    path.write_text(json.dumps(document, **style))
    return path


# -- what it finds


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_bad_example_and_a_good_one(run: Run, code: str) -> None:
    assert code in codes(run, *example(code, "bad"))
    found = codes(run, *example(code, "good"))
    assert code not in found
    assert not found or code in ON_SETTINGS


def test_the_examples_are_of_codes_that_there_are() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_dir()} == set(CODES)


REAL = {
    FEBRUARY: [
        ("1.5.01", "series-split"),
        ("2.0.02", "release-stranded"),
        ("2.0.04", "release-unreachable"),
        ("2.0.05", "features-shrink"),
        ("2.0.08", "features-shrink"),
    ],
    LATEST: [
        ("1.5.01", "series-split"),
        ("1.5.06", "strict-compat-dropped"),
        ("1.5.09", "strict-compat-dropped"),
        ("1.5.16", "strict-compat-dropped"),
        ("2.0.02", "release-stranded"),
        ("2.0.04", "release-unreachable"),
        ("2.0.08", "strict-compat-dropped"),
    ],
}


@pytest.mark.parametrize(("path", "expected"), REAL.items(), ids=["February", "latest"])
def test_the_published_files(run: Run, path: Path, expected: list[tuple[str, str]]) -> None:
    assert [(finding["release"], finding["code"]) for finding in lint(run, path)] == expected
    assert run("lint", path).code == (1 if path is FEBRUARY else 0)


def test_the_features_that_february_lost_are_told_by_name(run: Run) -> None:
    told = run("lint", FEBRUARY).out
    assert "2.0.05 lacks ENHANCED_EVENT_FILTERING, DYNAMIC_PAMT, which 2.0.04 has" in told
    assert "2.0.08 lacks PARTITIONED_TD_MIGRATION, MAXPA_VIRT, VE_REDUCTION, which 2.0.05 has" in told


def test_everything_is_told_at_once(run: Run, tmp_path: Path) -> None:
    document = json.loads(FEBRUARY.read_text())
    entries = document["tdx_module_releases"]
    entries[0]["version"] = 7
    entries[1]["tdx_feature0"] = "lots"
    entries[2] = "1.5.06"
    del entries[3]["min_seamldr_versions"]
    found = [(finding["code"], finding["release"]) for finding in lint(run, write(tmp_path / "m.json", document))]
    assert {("wrong-type", None), ("hex-malformed", "1.5.05"), ("key-missing", "1.5.08")} <= set(found)
    assert ("features-shrink", "2.0.05") in found, "what can be read is still looked at"


def test_a_mistake_is_told_once(run: Run, tmp_path: Path) -> None:
    """The schema and the reader of releases both meet it."""
    document = json.loads(GOOD.read_text())
    document["tdx_module_releases"][0] |= {"tdx_feature0": "lots", "min_seamldr_versions": ["1.5"]}
    assert sorted(codes(run, write(tmp_path / "m.json", document))) == ["hex-malformed", "seamldr-malformed"]


def test_every_release_after_a_newer_one_is_out_of_order(run: Run, tmp_path: Path) -> None:
    document = json.loads(FEBRUARY.read_text())
    document["tdx_module_releases"][:5] = reversed(document["tdx_module_releases"][:5])
    found = lint(run, write(tmp_path / "m.json", document))
    late = [finding["message"] for finding in found if finding["code"] == "release-out-of-order"]
    assert len(late) == 4
    assert all(message.endswith(late[0].split()[-1]) for message in late), "all stand after the newest"


@pytest.mark.parametrize("series", [None, "1.5", "2.0"])
def test_a_list_in_descending_order_is_one_mistake(run: Run, tmp_path: Path, series: str | None) -> None:
    """Of the whole file, or of one series: it is not one mistake a release."""
    document = json.loads(LATEST.read_text())
    listed = document["tdx_module_releases"]
    turned = [one for one in listed if series is None or one["version"].startswith(series)]
    document["tdx_module_releases"] = [one for one in listed if one not in turned] + turned[::-1]
    found = lint(run, write(tmp_path / "m.json", document))
    (finding,) = (finding for finding in found if finding["code"] == "release-out-of-order")
    which = f"series {series} is" if series else "all releases are"
    assert finding["message"].startswith(f"{which} listed in descending order")
    lines = (tmp_path / "m.json").read_text()[: finding["column"]]
    assert lines.count('"version"') == len(listed) - len(turned) + 1, "at the first that stands after a newer one"
    assert len(found) == len(REAL[LATEST]) + 1


def test_what_can_not_be_read_is_not_guessed_at(run: Run, tmp_path: Path) -> None:
    """Whether 2.0.04 can be reached is open while what it needs can't be read."""
    document = json.loads(FEBRUARY.read_text())
    assert "release-unreachable" in codes(run, FEBRUARY)
    entry = next(one for one in document["tdx_module_releases"] if one["version"] == "2.0.04")
    entry["min_seamldr_versions"] = [*entry["min_seamldr_versions"], "1.5"]
    found = codes(run, write(tmp_path / "m.json", document))
    assert "seamldr-malformed" in found
    assert not {"release-unreachable", "release-stranded"} & set(found)


# -- one evaluator: what rules say is what the linter finds


class Mute(Rule):
    """A rule that has nothing against anything."""

    summary = source = "for tests"

    def check(self, step: Step, host: HostFacts) -> Verdict:
        return self.passed("mute")


class Stubborn(Rule):
    """A rule that is against everything."""

    summary = source = "for tests"
    evidence: ClassVar[dict[str, Any]] = {"lost": ["EVERYTHING"]}

    def check(self, step: Step, host: HostFacts) -> Verdict:
        return self.blocked("stubborn", **self.evidence)


def replaced(monkeypatch: pytest.MonkeyPatch, name: str, rule: type[Rule]) -> None:
    table = rules.HARD_RULES if name in rules.HARD_RULES else rules.POLICY_RULES
    monkeypatch.setitem(table, name, type(rule.__name__, (rule,), {"name": name}))


FOUND_BY = {
    "minimum-newer": "minimum-module",
    "minimum-other-series": "same-series",
    "strict-compat-not-older": "forward-only",
    "strict-compat-other-series": "same-series",
    "strict-compat-refused": "minimum-module",
    "strict-compat-dropped": "td-build",
    "features-shrink": "feature-loss",
    "features-shrink-strict-compat": "feature-loss",
    "kernel-features-missing": "kernel-features",
    "release-unreachable": "minimum-module",
    "release-stranded": "minimum-module",
    "series-split": "seamldr-minimum",
    "svn-goes-down": "svn",
    "debug-module": "debug-module",
    "cpu-table-shrinks": "cpu-supported",
    "handoff-forbids-step": "handoff",
    "svn-major-forbids-step": "svn",
}


@pytest.mark.parametrize(("code", "rule"), FOUND_BY.items())
def test_what_the_rule_passes_is_no_finding(run: Run, monkeypatch: pytest.MonkeyPatch, code: str, rule: str) -> None:
    replaced(monkeypatch, rule, Mute)
    assert code not in codes(run, *example(code, "bad"))


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("feature-loss", "features-shrink"),
        ("kernel-features", "kernel-features-missing"),
        ("kernel-features", "release-unreachable"),
        ("minimum-module", "release-stranded"),
        ("forward-only", "strict-compat-not-older"),
        ("debug-module", "debug-module"),
    ],
)
def test_what_the_rule_blocks_is_a_finding(run: Run, monkeypatch: pytest.MonkeyPatch, rule: str, code: str) -> None:
    replaced(monkeypatch, rule, Stubborn)
    assert code in codes(run, EXAMPLES / "debug-module" / "good", *SIGNER)


# -- where


def test_places_are_right_in_any_layout(run: Run, tmp_path: Path) -> None:
    document = json.loads(BAD.read_text())
    tabs = json.dumps(document, indent="\t")
    layouts = {"tabs": tabs, "crlf": tabs.replace("\n", "\r\n"), "one line": json.dumps(document)}
    for name, text in layouts.items():
        path = tmp_path / f"{name}.json"
        path.write_bytes(text.encode())
        (finding,) = lint(run, path)
        line = text.split("\n")[finding["line"] - 1]
        assert line[finding["column"] - 1 :].startswith('"tdx_feature0"'), name
        before = "\n".join([*text.split("\n")[: finding["line"] - 1], line[: finding["column"] - 1]])
        assert before.count('"version"') == 2, "it is the second release's"


@pytest.mark.parametrize("indent", [None, 1, "\t"])
def test_the_caret_is_under_the_key(run: Run, tmp_path: Path, indent: Any) -> None:
    path = write(tmp_path / "m.json", json.loads(BAD.read_text()), indent=indent)
    lines = run("lint", path).out.split("\n")
    at = next(number for number, line in enumerate(lines) if line.strip().endswith("^"))
    column = lines[at].index("^")
    assert lines[at - 1][column:].startswith('"tdx_feature0"')
    assert max(map(len, lines[at - 1 : at + 1])) < 140


def test_a_duplicate_key_is_told_where_it_stands_again(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(GOOD.read_text().replace('"Header": {', '"Header": {"Version": "0", "deep": {"a": 1, "a": 2},', 1))
    found = [(finding["code"], finding["path"]) for finding in lint(run, path)]
    assert found == [("duplicate-key", "Header.deep.a"), ("duplicate-key", "Header.Version")]


def test_lists_of_releases_that_stand_twice(run: Run, tmp_path: Path) -> None:
    """The last counts, whatever was in the first; places are in the last."""
    good = GOOD.read_text()
    first = '"tdx_module_releases": [{}, {}, {}, {}, {}, {"version": "1.5.99", "version": "1.5.98"}], "Header": {'
    for again in (good, '{"Header": {}, "tdx_module_releases": 7}'):
        path = tmp_path / "m.json"
        path.write_text(again.replace('"Header": {', first, 1))
        assert "duplicate-key" in codes(run, path)
    path.write_text(
        BAD.read_text().replace('"Header": {', '"tdx_module_releases": [{}, {"tdx_feature0": 1}], "Header": {')
    )
    (finding,) = [finding for finding in lint(run, path) if finding["code"] == "features-shrink"]
    lines = path.read_text().split("\n")
    assert lines[finding["line"] - 1][finding["column"] - 1 :].startswith('"tdx_feature0": "0x')


@pytest.mark.parametrize("where", ["version", "key"])
def test_a_huge_text_is_not_told_with_each_finding(run: Run, tmp_path: Path, where: str) -> None:
    huge = "x" * 100_000
    document = json.loads(GOOD.read_text())
    if where == "version":
        document["tdx_module_releases"][0] |= {"version": huge} | {f"unknown{number}": 0 for number in range(50)}
        text = json.dumps(document)
    else:
        pairs = ",".join('"a": 0' for _ in range(50))
        text = json.dumps(document).replace('"Header": {', f'"Header": {{"{huge}": {{{pairs}}}, ')
    path = tmp_path / "m.json"
    path.write_text(text)
    assert len(lint(run, path)) >= 49
    for form in ("text", "json", "sarif", "junit", "github"):
        assert len(run("lint", path, "--format", form).out) < 100_000, form


def test_stranded_says_what_stands_in_the_way_on_the_hosts_concerned(run: Run, tmp_path: Path) -> None:
    """With P-SEAMLDR 2.0 the next release can be reached; with 1.5 it is another one that can't, and why."""
    entry = json.loads(GOOD.read_text())["tdx_module_releases"][0]
    releases = [
        dict(
            entry,
            version="1.5.01",
            min_module_version_for_td_preserving="1.5.01",
            min_seamldr_versions=["1.5.00", "2.0.00"],
        ),
        dict(entry, version="1.5.02", min_module_version_for_td_preserving="1.5.01", min_seamldr_versions=["2.0.00"]),
        dict(entry, version="1.5.03", min_module_version_for_td_preserving="1.5.02", min_seamldr_versions=["1.5.00"]),
    ]
    found = lint(run, write(tmp_path / "m.json", {"Header": {}, "tdx_module_releases": releases}))
    (stranded,) = [finding for finding in found if finding["code"] == "release-stranded"]
    assert (stranded["release"], stranded["evidence"]) == ("1.5.01", {"seamldrs": ["1.5.00"]})
    assert "1.5.03 can be reached from 1.5.02 or newer" in stranded["message"]


def test_places_in_images(run: Run) -> None:
    (finding,) = lint(run, *example("image-signer", "bad"))
    assert finding["file"].endswith("tdx_module_1.5.34.blob")
    assert (finding["line"], finding["release"]) == (None, "1.5.34")


# -- what counts


@pytest.mark.parametrize(
    ("path", "fail_on", "code"),
    [
        (FEBRUARY, "error", 1),
        (FEBRUARY, "never", 0),
        (LATEST, "error", 0),
        (LATEST, "warning", 1),
        (GOOD, "note", 0),
        (EXAMPLES / "series-split" / "bad.json", "note", 1),
        (EXAMPLES / "series-split" / "bad.json", "warning", 0),
    ],
)
def test_exit_codes(run: Run, path: Path, fail_on: str, code: int) -> None:
    assert run("lint", path, "--fail-on", fail_on).code == code


def settings(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "lint.yaml"
    path.write_text(f"schema: seamstep/lint-settings/v1\n{text}")
    return path


ACCEPTED = """suppress:
  - {code: features-shrink, versions: "2.0.*", reason: "published so", owner: team@example.com, until: 2027-01-31}
"""


def test_severities_are_set_by_code(run: Run, tmp_path: Path) -> None:
    config = settings(tmp_path, "severity: {features-shrink: note, series-split: 'off', release-stranded: error}\n")
    found = {finding["code"]: finding["severity"] for finding in lint(run, FEBRUARY, "--config", config)}
    assert found == {"features-shrink": "note", "release-stranded": "error", "release-unreachable": "warning"}


def test_a_suppression_holds_until_its_day(run: Run, tmp_path: Path) -> None:
    config = settings(tmp_path, ACCEPTED)
    arguments = ("lint", FEBRUARY, "--config", config, "--as-of")
    held, over = run(*arguments, "2027-01-31"), run(*arguments, "2027-02-01")
    assert (held.code, over.code) == (0, 1)
    assert "2 suppressed" in held.out
    assert "features-shrink" not in held.out
    assert f"{config}:3:5: warning: the suppression of features-shrink (published so; team@example.com)" in over.out


@pytest.mark.parametrize(
    ("narrowed", "left"),
    [
        ('versions: "2.0.05"', 1),
        ('versions: "1.5.*"', 2),
        ("file: 'mapping_file-*.json'", 0),
        ("file: 'data/*.json'", 0),
        ("file: 'other/*.json'", 2),
    ],
)
def test_a_suppression_covers_what_it_names(run: Run, tmp_path: Path, narrowed: str, left: int) -> None:
    config = settings(tmp_path, ACCEPTED.replace('versions: "2.0.*"', narrowed))
    found = lint(run, FEBRUARY, "--config", config, "--as-of", "2026-11-23")
    assert sum(finding["code"] == "features-shrink" and not finding["suppressed"] for finding in found) == left
    assert ("suppression-unused" in {finding["code"] for finding in found}) == (left == 2)


def test_a_suppression_of_releases_covers_nothing_without_one(run: Run, tmp_path: Path) -> None:
    entry = ACCEPTED.replace("features-shrink", "unknown-key")
    path = write(tmp_path / "m.json", json.loads(GOOD.read_text()) | {"unknown": 0})
    for config, suppressed in ((entry, False), (entry.replace('versions: "2.0.*", ', ""), True)):
        found = lint(run, path, "--config", settings(tmp_path, config), "--as-of", "2026-11-23")
        (unknown,) = [finding for finding in found if finding["code"] == "unknown-key"]
        assert bool(unknown["suppressed"]) == suppressed


def test_settings_in_the_current_folder_are_found(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings(tmp_path, "severity: {features-shrink: note}\n").rename(tmp_path / ".seamstep-lint.yaml")
    monkeypatch.chdir(tmp_path)
    assert run("lint", FEBRUARY).code == 0


def test_the_nearest_settings_apply(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file has those of its folder, or of the nearest above it, wherever the command is run."""
    top = checkout(tmp_path / "top")
    name = ".seamstep-lint.yaml"
    settings(tmp_path, "severity: {features-shrink: 'off'}\n").rename(tmp_path / name)
    settings(tmp_path, "severity: {features-shrink: note}\n").rename(top / name)
    settings(tmp_path, "severity: {features-shrink: warning}\n").rename(top / "a" / name)
    for folder in (tmp_path, top, top / "a", top / "b" / "c"):
        monkeypatch.chdir(folder)
        found = {finding["file"]: finding["severity"] for finding in lint(run, top)}
        assert found == {
            str(top / "a" / "mapping_file.json"): "warning",
            str(top / "b" / "c" / "mapping_file.json"): "note",
        }
    config = settings(tmp_path, "severity: {features-shrink: error}\n")
    assert {finding["severity"] for finding in lint(run, top, "--config", config)} == {"error"}
    (top / "b" / name).write_text("severity: [")
    assert run("lint", top).code == 2, "none is passed over in silence"


def test_a_suppression_names_files_from_the_root(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = checkout(tmp_path / "top")
    entry = ACCEPTED.replace('versions: "2.0.*"', "file: a/mapping_file.json")
    settings(tmp_path, entry).rename(top / ".seamstep-lint.yaml")
    for folder, given, suppressed in (
        (top, "a", True),
        (top, "b", False),
        (top / "a", ".", True),
        (top / "b", ".", False),
    ):
        monkeypatch.chdir(folder)
        (finding, *_) = lint(run, given, "--as-of", "2026-11-23")
        assert bool(finding["suppressed"]) == suppressed, folder


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "severity: {feature-shrink: note}\n",
            ":2:12: severity.feature-shrink: unknown code 'feature-shrink'; did",
        ),
        ("severity: {features-shrink: bad}\n", ":2:12: severity.features-shrink: 'bad' is not error, warning, note"),
        ("suppress: [{code: features-shrink}]\n", "the key 'reason' is missing"),
        (ACCEPTED.replace("2027-01-31", "tomorrow"), "'tomorrow' is not a day such as 2027-03-31"),
        (ACCEPTED.replace("2.0.*", ">=2"), "expected comparisons with versions of three numbers"),
        (ACCEPTED.replace("versions:", "file: ./, versions:"), "'./' is no pattern of file names"),
        ("supress: []\n", "unknown key; did you mean 'suppress'?"),
    ],
)
def test_settings_are_strict(run: Run, tmp_path: Path, text: str, says: str) -> None:
    ran = run("lint", FEBRUARY, "--config", settings(tmp_path, text))
    assert ran.code == 2
    assert says in ran.err


def test_a_baseline_lets_old_findings_be(run: Run, tmp_path: Path) -> None:
    old, baseline = tmp_path / "mapping_file.json", tmp_path / "baseline.json"
    document = json.loads(FEBRUARY.read_text())
    write(old, document)
    assert run("lint", old, "-o", baseline).code == 1
    ran = run("lint", old, "--baseline", baseline)
    assert (ran.code, "5 in the baseline" in ran.out) == (0, True)

    document["tdx_module_releases"].insert(0, dict(document["tdx_module_releases"][0], version="1.4.99"))
    document["tdx_module_releases"][8]["tdx_feature0"] = "0x0"
    write(old, document, indent=1)
    found = lint(run, old, "--baseline", baseline)
    assert run("lint", old, "--baseline", baseline).code == 1
    new = {(finding["code"], finding["release"]) for finding in found if not finding["baseline"]}
    assert ("kernel-features-missing", "2.0.02") in new
    assert ("features-shrink", "2.0.05") not in new, "a finding that moved is the same"
    assert run("lint", old, "-o", baseline).code == 1
    assert "exists" in run("lint", old, "-o", baseline).err, "nothing is overwritten"


def checkout(top: Path) -> Path:
    """A repository with two mapping files of one content and one name."""
    for folder in (top / "a", top / "b" / "c"):
        folder.mkdir(parents=True)
        shutil.copy(BAD, folder / "mapping_file.json")
    (top / ".git").write_text("gitdir: elsewhere\n")  # a file, as in a worktree or a submodule
    return top


def test_a_baseline_holds_in_another_checkout(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    baseline = tmp_path / "baseline.json"
    first, second = checkout(tmp_path / "first"), checkout(tmp_path / "second")
    monkeypatch.chdir(first)
    assert run("lint", "a", "-o", baseline).code == 1
    for folder, given in ((second, "a"), (second, second / "a"), (second / "a", "."), (second / "b" / "c", "../../a")):
        monkeypatch.chdir(folder)
        assert run("lint", given, "--baseline", baseline).code == 0, (folder, given)
    without = run("lint", FEBRUARY, "--format", "sarif").json["runs"][0]["results"]
    assert not any("baselineState" in result for result in without), "nothing is new where nothing is known"


@pytest.mark.parametrize("repository", [True, False])
def test_a_baseline_of_one_file_does_not_hide_another(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: bool
) -> None:
    """Every mapping file has the same name."""
    baseline, top = tmp_path / "baseline.json", checkout(tmp_path / "top")
    if not repository:
        (top / ".git").unlink()
    monkeypatch.chdir(top)
    run("lint", "a", "-o", baseline)
    known = {finding["file"]: finding["baseline"] for finding in lint(run, top, "--baseline", baseline)}
    assert [known[str(top / name / "mapping_file.json")] for name in ("a", "b/c")] == [True, False]
    assert run("lint", "b", "--baseline", baseline).code == 1
    results = run("lint", ".", "--format", "sarif").json["runs"][0]["results"]
    assert len({str(result["partialFingerprints"]) for result in results}) == 2
    for inner in (top / "a", top / "b" / "c"):  # checkouts in a checkout: a mirror, a submodule
        (inner / ".git").mkdir()
    assert run("lint", "b", "--baseline", baseline).code == 1


def test_a_baseline_of_an_earlier_version_is_refused(run: Run, tmp_path: Path) -> None:
    """It told files apart by their names alone; to read on would hide findings, to pass over it would lose it."""
    baseline = tmp_path / "baseline.json"
    run("lint", BAD, "-o", baseline)
    report = json.loads(baseline.read_text())
    assert report.pop("fingerprints") == "seamstep/v2"
    ran = run("lint", BAD, "--baseline", write(baseline, report))
    assert (ran.code, "another version of seamstep wrote it; write it again with -o" in ran.err) == (2, True)


def test_a_baseline_counts(run: Run, tmp_path: Path) -> None:
    """The same mistake once more is a new mistake."""
    document = json.loads(GOOD.read_text())
    entries = document["tdx_module_releases"]
    entries.append(dict(entries[0]))
    path, baseline = write(tmp_path / "m.json", document), tmp_path / "baseline.json"
    run("lint", path, "-o", baseline)
    entries.append(dict(entries[0]))
    write(path, document)
    found = lint(run, path, "--baseline", baseline)
    assert sorted(finding["baseline"] for finding in found if finding["code"] == "duplicate-release") == [False, True]


def test_a_baseline_does_not_outlast_a_suppression(run: Run, tmp_path: Path) -> None:
    config, baseline = settings(tmp_path, ACCEPTED), tmp_path / "baseline.json"
    arguments = ("lint", FEBRUARY, "--config", config)
    assert run(*arguments, "--as-of", "2027-01-31", "-o", baseline).code == 0
    assert run(*arguments, "--as-of", "2027-01-31", "--baseline", baseline).code == 0
    over = run(*arguments, "--as-of", "2027-02-01", "--baseline", baseline)
    assert (over.code, "3 in the baseline" in over.out) == (1, True)


@pytest.mark.parametrize("content", ["{}", "[]", '{"schema": "seamstep/lint/v1"}', '{"schema": "seamstep/plan/v1"}'])
def test_a_baseline_that_is_none(run: Run, tmp_path: Path, content: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(content)
    assert run("lint", GOOD, "--baseline", path).code == 2


# -- formats


def test_sarif_is_as_published(run: Run, tmp_path: Path) -> None:
    baseline, config = tmp_path / "baseline.json", settings(tmp_path, ACCEPTED.replace("2.0.*", "2.0.05"))
    run("lint", LATEST, "-o", baseline)
    given = ("--config", config, "--baseline", baseline, "--as-of", "2026-11-23", "--format", "sarif")
    log = run("lint", FEBRUARY, EXAMPLES / "image-signer" / "bad", tmp_path / "none.json", *given).json
    jsonschema.Draft4Validator(SARIF).validate(log)
    (sarif,) = log["runs"]
    results = {(result["ruleId"], result["properties"]["release"]): result for result in sarif["results"]}
    suppressed = results["features-shrink", "2.0.05"]["suppressions"]
    assert suppressed == [
        {
            "kind": "external",
            "status": "accepted",
            "justification": "published so (team@example.com, until 2027-01-31)",
        }
    ]
    assert "suppressions" not in results["features-shrink", "2.0.08"]
    for result in sarif["results"]:
        assert sarif["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    assert sarif["invocations"][0]["executionSuccessful"] is False
    assert {result["baselineState"] for result in sarif["results"]} == {"new"}
    (region,) = results["features-shrink", "2.0.08"]["locations"]
    assert region["physicalLocation"]["region"] == {"startLine": 72, "startColumn": 4}


@pytest.mark.parametrize("code", CODES)
def test_sarif_of_every_code_is_valid(run: Run, code: str) -> None:
    jsonschema.Draft4Validator(SARIF).validate(run("lint", *example(code, "bad"), "--format", "sarif").json)


def test_junit(run: Run, tmp_path: Path) -> None:
    config = settings(tmp_path, ACCEPTED.replace("2.0.*", "2.0.05"))
    ran = run("lint", FEBRUARY, GOOD, "--format", "junit", "--config", config, "--as-of", "2026-11-23")
    first, second = ElementTree.fromstring(ran.out)
    assert (first.get("tests"), first.get("failures"), first.get("skipped")) == ("5", "1", "1")
    (failed,) = [case for case in first if case.find("failure") is not None]
    assert failed.get("name") == "features-shrink 2.0.08 at line 72"
    assert [case.get("name") for case in second] == ["no findings"]


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ("in the repository/m.json", "in%20the%20repository/m.json"),
        ("other/../in the repository/m.json", "in%20the%20repository/m.json"),
        ("{here}/in the repository/m.json", "in%20the%20repository/m.json"),
        ("../m.json", "file://{above}/m.json"),
    ],
)
def test_sarif_names_files_from_the_repository(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, uri: str
) -> None:
    here = tmp_path / "checkout"
    for folder in ("in the repository", "other"):
        (here / folder).mkdir(parents=True)
    for path in (here / "in the repository" / "m.json", tmp_path / "m.json"):
        shutil.copy(BAD, path)
    monkeypatch.chdir(here)
    log = run("lint", given.format(here=here), "--format", "sarif").json
    (result,) = log["runs"][0]["results"]
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact["uri"] == uri.format(above=tmp_path)
    assert ("uriBaseId" in artifact) == (not uri.startswith("file:"))


@pytest.mark.parametrize(("folder", "given"), [(".", "a"), ("a", "mapping_file.json"), ("b/c", "../../a")])
def test_files_are_named_from_the_root_in_any_folder(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, given: str
) -> None:
    top = checkout(tmp_path / "top")
    monkeypatch.chdir(top / folder)
    (result,) = run("lint", given, "--format", "sarif").json["runs"][0]["results"]
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact == {"uri": "a/mapping_file.json", "uriBaseId": "%SRCROOT%"}
    assert run("lint", given, "--format", "github").out.startswith("::error file=a/mapping_file.json,line=")
    (top / "a" / "mapping_file.json").write_text("{")
    log = run("lint", given, "--format", "sarif").json["runs"][0]
    (note,) = log["invocations"][0]["toolExecutionNotifications"]
    assert note["locations"][0]["physicalLocation"]["artifactLocation"] == artifact
    assert run("lint", given, "--format", "github").out.startswith("::error file=a/mapping_file.json,line=")


def test_github_annotations(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FEBRUARY.parent)
    name = repository.path_of(str(FEBRUARY))
    lines = run("lint", FEBRUARY, "--format", "github").out.splitlines()
    assert [line.split(" ")[0] for line in lines[:5]] == ["::notice", "::warning", "::warning", "::error", "::error"]
    assert lines[4].startswith(f"::error file={name},line=72,col=4,title=features-shrink::2.0.08 lacks ")
    assert lines[5] == "1 mapping file: 2 errors, 2 warnings, 1 note"


def test_json_says_it_all(run: Run) -> None:
    for finding in lint(run, FEBRUARY):
        code = CODES[finding["code"]]
        assert (finding["why"], finding["fix"]) == (code.why, code.fix)
        assert finding["file"] == str(FEBRUARY)
        assert finding["message"]
        assert len(finding["fingerprint"]) == 64


def test_text_explains_each_code_once(run: Run) -> None:
    told = run("lint", FEBRUARY).out
    assert told.count("why: Published mapping files") == 1
    assert all(code in told for _, code in REAL[FEBRUARY])


EVIL = "1\x1b[31m\n::error file=x::y\r<b>&\"'%0A,:\u202e"


@pytest.mark.parametrize("form", ["text", "json", "sarif", "junit", "github"])
def test_nothing_in_a_file_gets_out_of_its_place(run: Run, tmp_path: Path, form: str) -> None:
    document = json.loads(GOOD.read_text())
    document["tdx_module_releases"][1]["version"] = EVIL
    document["tdx_module_releases"][2][EVIL] = EVIL
    folder = tmp_path / "a,b:c%\x1b[1m"
    folder.mkdir()
    ran = run("lint", write(folder / "m.json", document, ensure_ascii=False), "--format", form)
    assert ran.code == 1
    assert not set(ran.out) & {"\x1b", "\r", "\u202e"}
    if form == "github":
        assert "%250A" in ran.out, "what was escaped in the file stays so"
        *commands, summary = ran.out.splitlines()
        command_form = re.compile(r"::(error|warning|notice) file=[^:,]*,line=[0-9]+,col=[0-9]+,title=[a-z-]+::.*")
        assert len(commands) == 3
        assert all(command_form.fullmatch(command) for command in commands)
        assert summary.startswith("1 mapping file: 1 error")
    elif form == "junit":
        ElementTree.fromstring(ran.out)
    elif form != "text":
        assert json.loads(ran.out)


# -- what is linted


def test_a_folder_is_a_catalog_or_holds_some(run: Run, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(EXAMPLES / "svn-goes-down" / "bad", tmp_path / name)
    (tmp_path / "three").mkdir()
    shutil.copy(GOOD, tmp_path / "three" / "mapping_file.json")
    report = run("lint", tmp_path, *SIGNER, "--json").json
    assert [finding["code"] for finding in report["findings"]] == ["svn-goes-down"] * 2
    assert {Path(file["mapping"]).parent.name: bool(file["images"]) for file in report["files"]} == {
        "one": True,
        "two": True,
        "three": False,
    }


def test_findings_on_images_come_last(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "catalog"
    shutil.copytree(EXAMPLES / "image-signer" / "bad", folder)
    (folder / "mapping_file.json").write_text(
        (folder / "mapping_file.json").read_text().replace("{", '{"unknown": 0,', 1)
    )
    for given in (folder, f"{folder}/"):
        found = [finding["code"] for finding in lint(run, given, *SIGNER)]
        assert found[0] == "unknown-key"
        assert found[-1] == "image-signer"


def test_images_may_lie_elsewhere(run: Run) -> None:
    folder = EXAMPLES / "svn-goes-down"
    assert codes(run, folder / "bad" / "mapping_file.json", *SIGNER) == []
    assert codes(run, folder / "bad" / "mapping_file.json", "--images", folder / "bad", *SIGNER) == ["svn-goes-down"]


def test_an_unreadable_file_does_not_hide_the_others(run: Run, tmp_path: Path) -> None:
    ran = run("lint", tmp_path / "none.json", FEBRUARY, tmp_path)
    assert ran.code == 2
    assert "2.0.05 lacks" in ran.out
    assert "none.json: can't read the mapping file: No such file or directory" in ran.out
    assert "there is no mapping_file.json in this folder or below it" in ran.out
    report = run("lint", tmp_path / "none.json", FEBRUARY, "--json").json
    assert len(report["findings"]) == 5
    assert [problem["source"] for problem in report["unreadable"]] == [str(tmp_path / "none.json")]


def hostile(path: Path, name: str) -> None:
    """A file that nobody should try to read to the end."""
    good = GOOD.read_text()
    header = '"Header": {'
    with path.open("w") as file:
        if name == "100 MB":
            file.truncate(100 << 20)
        elif name == "deep nesting":
            file.write(good.replace(header, f'"deep": {"[" * 200_000}{"]" * 200_000}, {header}'))
        elif name == "many values":
            file.write(good.replace(header, f'"many": [{"0," * 4_000_000}0], {header}'))
        else:
            value = {"huge number": "9" * 5000, "NaN": "NaN", "half a surrogate pair": '"\\ud800"'}[name]
            file.write(good.replace(header, f'{header}"x": {value}, '))


SAYS = {
    "100 MB": "too large for a mapping file: more than 16777216 bytes",
    "deep nesting": "nested too deeply",
    "many values": "too many values; at most 1000000 are allowed",
    "huge number": "a number of 5000 digits; at most 64 are allowed",
    "NaN": "NaN is not allowed in JSON",
    "half a surrogate pair": "it escapes half of a surrogate pair",
}
_MEMORY = 400 << 20  # bytes of address space: a bare interpreter takes some 50 MB of it


@pytest.mark.parametrize("name", SAYS)
def test_hostile_files_end_in_2_and_little_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / "mapping_file.json"
    hostile(path, name)
    ran = subprocess.run(
        [sys.executable, "-m", "seamstep", "lint", path],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY)),
    )
    assert ran.returncode == 2
    assert SAYS[name] in ran.stdout
    assert "Traceback" not in ran.stderr


def test_much_at_fault_is_told_in_part(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamstep.analysis.lint.run.FINDINGS_MAX", 1)
    ran = run("lint", FEBRUARY)
    assert "there are more findings; these are the first" in ran.out
    assert "1 more finding" in ran.out
    assert run("lint", FEBRUARY, "--json").json["incomplete"] == [str(FEBRUARY)]
    assert run("lint", GOOD, "--json").json["incomplete"] == []


def test_many_notes_do_not_hide_an_error(run: Run, tmp_path: Path) -> None:
    document = json.loads(BAD.read_text())
    document |= {f"unknown{number}": 0 for number in range(11_000)}
    ran = run("lint", write(tmp_path / "m.json", document), "--json")
    counts = {code: sum(one["code"] == code for one in ran.json["findings"]) for code in CODES}
    assert (ran.code, counts["features-shrink"], counts["unknown-key"]) == (1, 1, 1001)


def test_a_baseline_of_the_first_findings_does_not_hide_one_more(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seamstep.analysis.lint.run.FINDINGS_MAX", 1)
    path, baseline, document = tmp_path / "m.json", tmp_path / "baseline.json", json.loads(GOOD.read_text())
    document |= {"a": 0, "b": 0}
    run("lint", write(path, document), "-o", baseline)
    assert run("lint", path, "--baseline", baseline, "--fail-on", "note").code == 0
    assert run("lint", write(path, document | {"c": 0}), "--baseline", baseline, "--fail-on", "note").code == 1


def test_there_is_an_end_to_looking(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamstep.analysis.lint.run._EXAMINED_MAX", 3)
    ran = run("lint", FEBRUARY)
    assert (ran.code, "more than 3 findings" in ran.out) == (2, True)


def test_only_regular_files_are_found(run: Run, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    os.mkfifo(tmp_path / "below" / "mapping_file.json")
    for folder in (tmp_path, tmp_path / "below"):
        ran = run("lint", folder)
        assert (ran.code, "not a regular file" in ran.out) == (2, True)


def test_what_takes_too_many_questions_is_said_to_be_open(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seamstep.analysis.lint.subject._QUESTIONS_MAX", 60)
    entry = json.loads(GOOD.read_text())["tdx_module_releases"][0]
    versions = [f"1.5.{number:02}" for number in range(40)]
    entries = [dict(entry, version=one, min_module_version_for_td_preserving=one) for one in versions]
    assert "not-examined" in codes(run, write(tmp_path / "m.json", {"tdx_module_releases": entries}))


def test_a_series_too_long_does_not_hide_the_others(run: Run, tmp_path: Path) -> None:
    document = json.loads((EXAMPLES / "release-unreachable" / "bad.json").read_text())
    entry = document["tdx_module_releases"][0]
    for series in ("1.4", "3.0"):
        document["tdx_module_releases"] += [
            dict(entry, version=f"{series}.{n:02}", min_module_version_for_td_preserving=f"{series}.999")
            for n in range(501)
        ]
    found = lint(run, write(tmp_path / "m.json", document))
    unreachable = {one["release"] for one in found if one["code"] == "release-unreachable"}
    assert unreachable == {"1.5.34"}, "of the series that could be examined"
    notes = [one for one in found if one["code"] == "not-examined"]
    assert [one["evidence"] for one in notes] == [{"series": "1.4"}, {"series": "3.0"}]
    assert len({one["fingerprint"] for one in notes}) == 2
    assert "series 1.4 has 501 releases, too many to find out" in notes[0]["message"]


def test_many_p_seamldr_series_are_not_asked_about(run: Run, tmp_path: Path) -> None:
    entry = json.loads(GOOD.read_text())["tdx_module_releases"][0]
    later = dict(entry, version="1.5.99", min_seamldr_versions=["0.0.00"])
    seamldrs = [f"{number}.0.00" for number in range(65)]
    document = {"Header": {}, "tdx_module_releases": [dict(entry, min_seamldr_versions=seamldrs), later]}
    assert "series-split" not in (found := codes(run, write(tmp_path / "m.json", document)))
    assert "not-examined" in found


def test_running_out_of_questions_over_images_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somewhere between all questions and none, those about the mapping file can still be asked, not those after."""
    arguments = example("handoff-forbids-step", "bad")
    for most in range(60):
        monkeypatch.setattr("seamstep.analysis.lint.subject._QUESTIONS_MAX", most)
        found = codes(run, *arguments)
        assert ("handoff-forbids-step" in found) or ("not-examined" in found), most
    assert "not-examined" not in found
