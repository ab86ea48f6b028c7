"""``seamstep diff``: what a change of a mapping file, or of a catalog, means for hosts."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import GOOD_FEATURES, SPR, SRF, made_image, made_release

from conftest import DAY, FACTS, FEBRUARY, LATEST, SIGNER, THOROUGH, TRUST, Run, host_like
from seamstep.analysis import environments
from seamstep.analysis.diff import ways
from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.cli.diff import hosts_of
from seamstep.demo.synthetic import Parts, synthetic_module
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Image, Release, Step, Verdict
from seamstep.image.pack import pack
from seamstep.planning.planner import find_way
from seamstep.policy import policy_file
from seamstep.policy.policy import PathChoice
from seamstep.rules.minimum_module import MinimumModule

RELEASES = st.builds(
    made_release,
    st.integers(1, 9).map("1.5.{:02}".format),
    minimum_module=st.sampled_from(["1.5.00", "1.5.03", "1.5.05"]).map(ModuleVersion),
    minimum_seamldrs=st.lists(
        st.sampled_from(["1.5.00", "1.5.02"]).map(SeamldrVersion), min_size=1, max_size=2, unique=True
    ).map(tuple),
    features0=st.sampled_from([GOOD_FEATURES, GOOD_FEATURES & ~(1 << 47)]),
    image=st.sampled_from([made_image(), made_image((SPR, SRF)), made_image(module_hv=2, min_hv=1)]),
)


def ladders() -> st.SearchStrategy[list[Release]]:
    """Releases of one series, ascending."""
    several = st.lists(RELEASES, min_size=1, max_size=7, unique_by=lambda release: release.version)
    return several.map(lambda found: sorted(found, key=lambda release: release.version))


#: The releases of series 1.5 before 1.5.20.
OLDER = ("1.5.01", "1.5.05", "1.5.06", "1.5.08", "1.5.09", "1.5.13", "1.5.16")
DEFAULT_PARTS = Parts()
Edit = Callable[[dict[str, Any]], object]


def edited(folder: Path, edit: Edit, name: str = "new.json") -> Path:
    """The newest mapping file after ``edit``, which is given its releases by version."""
    document = json.loads(LATEST.read_text())
    releases = {release["version"]: release for release in document["tdx_module_releases"]}
    edit(releases)
    document["tdx_module_releases"] = list(releases.values())
    path = folder / name
    path.write_text(json.dumps(document))
    return path


def bare(folder: Path) -> Path:
    """A policy that asks for nothing but the hard rules and no stranding, so that a change shows by itself."""
    path = folder / "bare.yaml"
    path.write_text(
        "schema: seamstep/policy/v1\nname: bare\nrules: {td-build: off, feature-loss: off, seam-memory: off}\n"
    )
    return path


def difference(run: Run, old: Path, new: Path, *more: object) -> Any:
    ran = run("diff", old, new, "--json", *more)
    assert ran.code == 0, ran.out
    return ran.json


def changed_bits(document: Any) -> dict[str, tuple[list[str], list[str]]]:
    changes = {change["version"]: change["features"] for change in document["releases"]["changed"]}
    return {version: (bits["gained"], bits["lost"]) for version, bits in changes.items() if any(bits.values())}


def test_the_published_revisions(run: Run) -> None:
    found = difference(run, FEBRUARY, LATEST)
    added = [release["version"] for release in found["releases"]["added"]]
    assert added == ["1.5.20", "1.5.24", "1.5.25", "1.5.28", "1.5.34", "2.0.12", "2.0.14", "2.0.16", "2.0.18"]
    assert changed_bits(found) == {
        "1.5.05": ([], ["ICSSD", "FIXED_CTR12_PROF"]),
        "2.0.04": (["VE_REDUCTION"], ["ENHANCED_EVENT_FILTERING", "DYNAMIC_PAMT"]),
        "2.0.05": ([], ["PARTITIONED_TD_MIGRATION", "FATAL_DIAGNOSTICS"]),
        "2.0.08": (
            ["PARTITIONED_TD_MIGRATION", "MAXPA_VIRT", "VE_REDUCTION", "IMPORT_PAGE_STATUS"],
            ["ENHANCED_EVENT_FILTERING"],
        ),
    }
    assert {step["change"] for step in found["steps"]} == {"opened"}
    kinds = [kind["name"] for kind in found["environments"]]
    assert [kinds[i] for i in next(s for s in found["steps"] if s["to"] == "1.5.24")["where"]] == [
        "mainline, P-SEAMLDR 1.5.00",
        "legacy, P-SEAMLDR 1.5.00",
    ]
    assert all(not one["stranded"] for one in found["stranded"])
    back = difference(run, LATEST, FEBRUARY)
    assert {(s["from"], s["to"]) for s in back["steps"]} == {(s["from"], s["to"]) for s in found["steps"]}
    assert {step["change"] for step in back["steps"]} == {"closed"}


#: A change of the newest mapping file; steps that close and open, with the rules; what is stranded.
CASES: dict[str, tuple[Edit, set[tuple[str, str, str, tuple[str, ...]]], set[str]]] = {
    "a minimum that shuts 1.5.24 out": (
        lambda all_: all_["1.5.34"].update(min_module_version_for_td_preserving="1.5.25"),
        {
            (old, "1.5.34", "closed", ("minimum-module",))
            for old in ("1.5.01", "1.5.05", "1.5.06", "1.5.08", "1.5.09", "1.5.13", "1.5.16", "1.5.20", "1.5.24")
        },
        set(),
    ),
    "a P-SEAMLDR left out": (
        lambda all_: all_["2.0.18"].update(min_seamldr_versions=["1.5.00"]),
        {
            (old, "2.0.18", change, rules)
            for old in ("2.0.04", "2.0.05", "2.0.08", "2.0.12", "2.0.14", "2.0.16")
            for change, rules in (("closed", ("seamldr-minimum",)), ("opened", ("seamldr-minimum",)))
        },
        {"2.0.16"},
    ),
    "TD_PRESERVING lost": (
        lambda all_: all_["1.5.34"].update(tdx_feature0="0x40FBD"),
        {(old, "1.5.34", "closed", ("kernel-features",)) for old in (*OLDER, "1.5.20", "1.5.24", "1.5.25", "1.5.28")},
        {"1.5.28"},
    ),
    "a release removed": (
        lambda all_: all_.pop("1.5.28"),
        {
            *(
                (old, "1.5.28", "closed", ())
                for old in (
                    "1.5.01",
                    "1.5.05",
                    "1.5.06",
                    "1.5.08",
                    "1.5.09",
                    "1.5.13",
                    "1.5.16",
                    "1.5.20",
                    "1.5.24",
                    "1.5.25",
                )
            ),
        },
        set(),
    ),
    "another spelling": (lambda all_: all_["1.5.28"]["min_seamldr_versions"].reverse(), set(), set()),
}


@pytest.mark.parametrize("name", CASES)
def test_steps_and_strandings(run: Run, tmp_path: Path, name: str) -> None:
    edit, steps, stranded = CASES[name]
    found = difference(run, LATEST, edited(tmp_path, edit), "--policy", bare(tmp_path))
    assert {(s["from"], s["to"], s["change"], tuple(s["rules"])) for s in found["steps"]} == steps
    assert {one["version"] for one in found["stranded"] if one["stranded"]} == stranded
    back = difference(run, tmp_path / "new.json", LATEST, "--policy", bare(tmp_path))
    assert {(s["from"], s["to"]) for s in back["steps"]} == {step[:2] for step in steps}, "and back again"


def test_it_asks_the_rules_that_plan_asks(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = edited(tmp_path, CASES["a minimum that shuts 1.5.24 out"][0])
    assert difference(run, LATEST, new)["steps"]

    def easy(self: MinimumModule, step: Step, host: HostFacts) -> Verdict:
        return self.passed("replaced")

    monkeypatch.setattr(MinimumModule, "check", easy)
    found = difference(run, LATEST, new)
    assert (found["steps"], found["paths"]) == ([], [])
    assert found["releases"]["changed"], "the value still differs"

    def hard(self: MinimumModule, step: Step, host: HostFacts) -> Verdict:
        wanted = str(step.target.minimum_module) == "1.5.25" and str(step.source.version) == "1.5.28"
        return self.blocked("replaced") if wanted else self.passed("replaced")

    monkeypatch.setattr(MinimumModule, "check", hard)
    steps = difference(run, LATEST, new)["steps"]
    refused = [(step["from"], step["to"]) for step in steps if step["rules"] == ["minimum-module"]]
    assert refused == [("1.5.28", "1.5.34")]


@pytest.mark.thorough
@given(old=ladders(), new=ladders())
@settings(max_examples=60 if THOROUGH else 12)
def test_what_is_not_asked_has_not_changed(old: list[Release], new: list[Release]) -> None:
    """The steps and paths are those that are found by asking a graph of all releases for each that may run."""
    policy = policy_file.load("fewest-hops", DAY).with_signers(frozenset({"22" * 32}))  # that of made_image
    policy = policy._replace(rules=tuple(applied for applied in policy.rules if applied.rule.looks_ahead))
    found = ways.compare(old, new, policy, without_images=False)
    told: dict[environments.Environment, set[tuple[ModuleVersion, ModuleVersion, bool]]] = {}
    for change in found.steps:
        for kind in change.environments:
            told.setdefault(kind, set()).add((change.source, change.target, change.opened))
    for kind in found.environments:
        expected: set[tuple[ModuleVersion, ModuleVersion, bool]] = set()
        for source in {release.version for release in (*old, *new)}:
            before, after = (
                environments.graph(side, policy, kind, source, without_images=False) for side in (old, new)
            )
            reach = [set(graph.permitted[source]) for graph in (before, after)]
            expected |= {(source, target, target in reach[1]) for target in reach[0] ^ reach[1]}
            for choice in PathChoice:
                led = [find_way(graph, policy._replace(choice=choice), source).best for graph in (before, after)]
                moved = [best and best.versions for best in led]
                changes = {one.source for one in found.paths[choice] if kind in one.environments}
                assert (moved[0] != moved[1]) == (source in changes)
        assert told.get(kind, set()) == expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (made_image(module_hv=2), set()),
        (made_image(module_hv=1), {("1.5.01", "1.5.02", "no-stranding"), ("1.5.02", "1.5.03", "handoff")}),
        (
            made_image(module_hv=2, problem="bad"),
            {("1.5.01", "1.5.03", "image-authentic"), ("1.5.02", "1.5.03", "image-authentic")},
        ),
    ],
)
def test_a_change_reaches_steps_between_releases_that_stay(image: Image, expected: set[tuple[str, str, str]]) -> None:
    """Taking 1.5.02, which did not change, cuts off 1.5.03 once that has an older handoff version."""
    policy = policy_file.load("fewest-hops", DAY)
    policy = policy._replace(rules=tuple(one for one in policy.rules if one.rule.looks_ahead))
    stays = [made_release("1.5.01"), made_release("1.5.02", image=made_image(module_hv=2))]
    old, new = ([*stays, made_release("1.5.03", image=one)] for one in (made_image(module_hv=2), image))
    for one, other, opened in ((old, new, False), (new, old, True)):
        steps = ways.compare(one, other, policy, without_images=False).steps
        assert {(str(step.source), str(step.target), *step.rules) for step in steps} == expected
        assert all(step.opened is opened for step in steps)


def test_a_policy_decides(run: Run, tmp_path: Path) -> None:
    new = edited(tmp_path, lambda all_: all_["1.5.34"].update(strict_compat_versions=[]))
    assert difference(run, LATEST, new, "--policy", bare(tmp_path))["steps"] == []
    found = difference(run, LATEST, new, "--policy", "cautious")
    assert {step["change"] for step in found["steps"]} == {"closed"}
    assert ["td-build"] in [step["rules"] for step in found["steps"]]
    assert "1.5.28" in {one["version"] for one in found["stranded"]}


def test_both_paths(run: Run, tmp_path: Path) -> None:
    new = edited(tmp_path, lambda all_: all_.pop("1.5.28"))
    paths = difference(run, LATEST, new)["paths"]
    mainline = [path for path in paths if path["from"] == "1.5.24"]
    assert {(path["path"], tuple(path["old"]), tuple(path["new"])) for path in mainline} == {
        ("shortest-path", ("1.5.28", "1.5.34"), ("1.5.34",)),
        ("shortest-path", ("1.5.25", "1.5.28", "1.5.34"), ("1.5.25", "1.5.34")),
    }


@pytest.mark.parametrize(
    ("name", "met"),
    [
        ("a release removed", {"closed", "removed", "any"}),
        ("TD_PRESERVING lost", {"closed", "stranded", "any"}),
        ("a P-SEAMLDR left out", {"closed", "opened", "stranded", "any"}),
        ("another spelling", set()),
    ],
)
def test_fail_on(run: Run, tmp_path: Path, name: str, met: set[str]) -> None:
    new = edited(tmp_path, CASES[name][0])
    for condition in ("opened", "closed", "removed", "stranded", "any"):
        ran = run("diff", LATEST, new, "--policy", bare(tmp_path), "--fail-on", condition)
        assert ran.code == (condition in met), condition


def test_keys_that_no_rule_reads(run: Run, tmp_path: Path) -> None:
    new = edited(tmp_path, lambda all_: all_["1.5.28"].update(sha384="ab|<b>\u001b[2J"))
    found = difference(run, LATEST, new)
    (change,) = found["releases"]["changed"]
    assert change["fields"] == [{"field": "sha384", "old": "absent", "new": "ab|<b>\u001b[2J"}]
    assert (found["changed"], found["steps"]) == (True, [])
    assert "\u001b" not in run("diff", LATEST, new).out
    markdown = run("diff", LATEST, new, "--format", "markdown").out
    assert r"| 1.5.28 | sha384 | absent becomes ab\|\<b\>\\x1b\[2J |" in markdown
    document = json.loads(LATEST.read_text()) | {"comment": "x"}
    (tmp_path / "comment.json").write_text(json.dumps(document))
    assert difference(run, LATEST, tmp_path / "comment.json")["file"] == [
        {"field": "comment", "old": "absent", "new": "x"}
    ]


def catalog_of(
    images: Path, folder: Path, version: str = "", parts: Parts = DEFAULT_PARTS, name: str | None = None
) -> Path:
    """A copy of the catalog in which one release has another image."""
    shutil.copytree(images, folder)
    if version:
        (file,) = folder.rglob(f"tdx_module_{version}.blob")
        module = synthetic_module(name or version)
        file.write_bytes(pack(SIGNER.sigstruct(module, parts), module, "2.0"))
    return folder


SAME = Parts(seamsvn=0x11C)
IMAGE_CASES = {
    "same": (SAME, None, set(), set()),
    "mrseam": (SAME, "another", {"mrseam"}, set()),
    "seamsvn": (SAME._replace(seamsvn=0x108), None, {"seamsvn"}, {"svn"}),
    "platforms": (SAME._replace(cpuid=(0x806F8, 0xC06F0)), None, {"cpuid"}, {"cpu-supported"}),
    "handoff": (SAME._replace(min_update_hv=2, module_hv=2), None, {"module_hv", "min_update_hv"}, {"handoff"}),
}


@pytest.mark.parametrize("case", IMAGE_CASES)
def test_images(run: Run, images: Path, tmp_path: Path, case: str) -> None:
    parts, name, fields, rules = IMAGE_CASES[case]
    new = catalog_of(images, tmp_path / "new", "1.5.28", parts, name)
    found = difference(run, images, new, *TRUST)
    changes = [change for release in found["releases"]["changed"] for change in release["image"]]
    assert {change["field"] for change in changes} == fields
    assert {rule for step in found["steps"] for rule in step["rules"]} & {
        "svn",
        "cpu-supported",
        "handoff",
    } == rules
    assert found["images"] is True
    platforms = {found["environments"][i]["platform"] for step in found["steps"] for i in step["where"]}
    assert case != "platforms" or "0xA06F0" in platforms


def test_an_image_that_is_gone_or_broken(run: Run, images: Path, tmp_path: Path) -> None:
    new = catalog_of(images, tmp_path / "new")
    (gone,) = new.rglob("tdx_module_1.5.28.blob")
    gone.unlink()
    (broken,) = new.rglob("tdx_module_1.5.34.blob")
    content = broken.read_bytes()
    broken.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    found = difference(run, images, new, *TRUST)
    changes = {release["version"]: release["image"][0] for release in found["releases"]["changed"]}
    assert (changes["1.5.28"]["old"], "no image" in changes["1.5.28"]["new"]) == ("ok", True)
    assert "hash" in changes["1.5.34"]["new"]
    assert {step["to"] for step in found["steps"] if step["change"] == "closed"} >= {"1.5.28", "1.5.34"}
    text = run("diff", images, new, *TRUST).out
    assert "1.5.28  image  ok becomes there is no image of it at hand" in text
    for one in new.rglob("*.blob"):
        one.unlink()
    assert difference(run, images, new, *TRUST)["steps"], "a folder without images lets nothing through"
    against_file = difference(run, images, LATEST, *TRUST)
    assert (against_file["images"], against_file["changed"]) == (False, False)
    assert "rules that need one were left open" in run("diff", images, LATEST, *TRUST).out


def fleet(spr: HostFacts, *modules: str) -> list[dict[str, Any]]:
    hosts = (host_like(spr, module, hostname=f"node{number}") for number, module in enumerate(modules))
    return [host.to_document() for host in hosts]


def as_lines(path: Path, documents: list[Any]) -> Path:
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return path


def test_hosts(run: Run, spr: HostFacts, tmp_path: Path) -> None:
    new = edited(tmp_path, lambda all_: all_.pop("1.5.34"))
    lost = spr.to_document() | {
        "hostname": "lost",
        "module_version": None,
        "unknown": {"module_version": "ENXIO: gone"},
    }
    documents = [*fleet(spr, "1.5.24", "1.5.28", "1.5.24", "1.5.16", "2.0.04"), lost]
    expected = {
        "total": 6,
        "affected": 4,
        "changes": [
            {
                "from": "1.5.16",
                "old": {"outcome": "update", "versions": ["1.5.34"]},
                "new": {"outcome": "update", "versions": ["1.5.28"]},
                "count": 1,
                "hosts": ["node3"],
            },
            {
                "from": "1.5.24",
                "old": {"outcome": "update", "versions": ["1.5.34"]},
                "new": {"outcome": "update", "versions": ["1.5.28"]},
                "count": 2,
                "hosts": ["node0", "node2"],
            },
            {
                "from": "1.5.28",
                "old": {"outcome": "update", "versions": ["1.5.34"]},
                "new": {"outcome": "up-to-date", "versions": []},
                "count": 1,
                "hosts": ["node1"],
            },
        ],
        "unplannable": [{"reason": "ENXIO: gone", "count": 1, "hosts": ["lost"]}],
    }
    lines = as_lines(tmp_path / "fleet.jsonl", documents)
    assert difference(run, LATEST, new, "--facts", lines)["hosts"] == expected
    assert difference(run, LATEST, new, "--facts", lines.rename(tmp_path / "fleet"))["hosts"] == expected
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, document in enumerate(documents):
        (folder / f"{number}.json").write_text(json.dumps(document, indent=1))
    assert difference(run, LATEST, new, "--facts", folder)["hosts"] == expected
    assert difference(run, LATEST, new, "--facts", FACTS)["hosts"]["total"] == 1
    text = run("diff", LATEST, new, "--facts", folder).out
    assert "4 of 6  are led elsewhere" in text
    assert "2  on 1.5.24:  1.5.34 becomes 1.5.28  (node0, node2)" in text
    assert "1  can't be planned for: the module's version is not known (ENXIO: gone)  (lost)" in text


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"schema": "seamstep/facts/v1", "module_version": "1.5"}', "fleet.jsonl:3:33: module_version: "),
        ('{"schema": "seamstep/facts/v1", "module_version": null, "hostname": 7}', "fleet.jsonl:3:57: hostname: "),
        ('{"a": 1', "fleet.jsonl:3:8: not JSON"),
        ("[1]", "fleet.jsonl:3:1: expected a facts document"),
        ('{"a": NaN}', "fleet.jsonl:3:7: not JSON: NaN"),
        ('{"a": "1e400", "b": -1e400}', "fleet.jsonl:3:21: not JSON: -1e400 is too large a number"),
    ],
)
def test_facts_that_are_wrong_are_told_with_their_line(
    run: Run, spr: HostFacts, tmp_path: Path, line: str, told: str
) -> None:
    (good,) = fleet(spr, "1.5.24")
    path = tmp_path / "fleet.jsonl"
    path.write_text(f"{json.dumps(good)}\n\n{line}\n{json.dumps(good)}\n[2]\n")
    ran = run("diff", LATEST, LATEST, "--facts", path)
    assert (ran.code, told in ran.err, "fleet.jsonl:5:1:" in ran.err) == (2, True, True)


def test_equal_facts_are_read_once(spr: HostFacts, tmp_path: Path) -> None:
    documents = fleet(spr, *["1.5.24", "1.5.28"] * 500)
    groups = hosts_of(str(as_lines(tmp_path / "fleet.jsonl", documents)))
    assert [len(group.names) for group in groups] == [500, 500]
    assert {group.facts.hostname for group in groups} == {None}


def test_output_and_unreadable_input(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.md"
    ran = run("diff", FEBRUARY, LATEST, "--format", "markdown", "-o", out, "--fail-on", "opened")
    assert (ran.code, ran.out) == (1, "")
    assert "| opened | 1.5.16, 1.5.20, 1.5.24 → 1.5.25 | 1.5.25 is new | P-SEAMLDR 2.0.00 |" in out.read_text()
    assert run("diff", FEBRUARY, LATEST, "-o", out).code == 1, "not without --force"
    assert run("diff", FEBRUARY, tmp_path / "none.json").code == 2
    assert run("diff", FEBRUARY, tmp_path).code == 2
    assert run("diff", FEBRUARY, LATEST, "--facts", tmp_path).code == 2
    ran = run("diff", LATEST, LATEST)
    assert ran.out.startswith("nothing changes, on any of 4 kinds of hosts\n")


def test_lines_fit_a_terminal(run: Run) -> None:
    lines = run("diff", FEBRUARY, LATEST).out.splitlines()
    assert max(len(line) for line in lines[1:]) <= 100


def test_there_is_a_bound(run: Run, monkeypatch: pytest.MonkeyPatch, spr: HostFacts, tmp_path: Path) -> None:
    new = edited(tmp_path, CASES["a release removed"][0])
    hosts = as_lines(tmp_path / "fleet.jsonl", fleet(spr, "1.5.24", "1.5.20"))
    steps = 0
    for most, arguments in ((10_000, ()), (10_000, ("--facts", hosts))):
        monkeypatch.setattr(environments, "STEPS_MAX", most)
        assert run("diff", LATEST, new, *arguments).code == 0
        monkeypatch.setattr(environments, "STEPS_MAX", 1)
        assert run("diff", LATEST, LATEST, *arguments).code == 0, "what is the same is not judged"
        ran = run("diff", LATEST, new, *arguments)
        found = re.search("as much work as judging ([0-9,]+) steps; at most 1 are judged", ran.err)
        assert found, ran.err
        assert ran.code == 2
        steps, fewer = int(found[1].replace(",", "")), steps
        assert steps > fewer, "hosts are counted too"
        monkeypatch.setattr(environments, "STEPS_MAX", steps)
        assert run("diff", LATEST, new, *arguments).code == 0


def test_long_series(monkeypatch: pytest.MonkeyPatch, run: Run, tmp_path: Path) -> None:
    policy = policy_file.load("fewest-hops", DAY).with_signers(frozenset({"22" * 32}))._replace(rules=())
    old = [made_release(f"1.5.{number:02}") for number in range(1, 30)]
    monkeypatch.setattr(ways, "LADDER_MAX", 20)
    found = ways.compare(old, old[:-1], policy, without_images=False)
    assert (found.left_out, found.paths[PathChoice.SHORTEST_PATH]) == (("1.5",), ())
    assert found.paths[PathChoice.FEWEST_HOPS]
    entry = json.loads(LATEST.read_text())["tdx_module_releases"][0]
    new = tmp_path / "long.json"
    new.write_text(json.dumps({"tdx_module_releases": [dict(entry, version=f"1.5.{n:02}") for n in range(501)]}))
    ran = run("diff", LATEST, new)
    assert (ran.code, "series 1.5 has 501 releases; at most 500 are judged" in ran.err) == (2, True)


def test_markdown_cells_fit_the_headers_of_their_columns(run: Run) -> None:
    text = run("diff", FEBRUARY, LATEST, "--facts", FACTS, "--format", "markdown").out
    assert (
        "| from | change | path | where |\n|---|---|---|---|\n| 1.5.01 | stays becomes 1.5.05 | either path |" in text
    )
    assert "| count | running | change | hosts |" in text
    assert "| 1 | 1.5.24 | not-listed becomes 1.5.34 | host-a |" in text
    in_lines = run("diff", FEBRUARY, LATEST, "--facts", FACTS).out
    assert "  from 1.5.01:  stays becomes 1.5.05  (either path)  everywhere\n" in in_lines
    assert "  1  on 1.5.24:  not-listed becomes 1.5.34  (host-a)\n" in in_lines
