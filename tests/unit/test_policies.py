"""Policies: what expires, what layers amount to, and rules that packages bring."""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from collections.abc import Iterator
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from conftest import FACTS, LATEST, Run
from seamstep.base.errors import InputError
from seamstep.base.versions import ModuleVersion
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import Release, Step
from seamstep.policy import layers as policy_layers
from seamstep.policy import policy_file
from seamstep.policy.policy import PathChoice, Policy
from seamstep.rules import Level, plugins
from seamstep.rules.updates_remaining import UpdatesRemaining

HEAD = "schema: seamstep/policy/v1\nname: {name}\n"
V = ModuleVersion("1.5.06")
PLUGIN = Path(__file__).parents[1] / "plugin"


def written(folder: Path, name: str, more: str = "") -> str:
    path = folder / f"{name}.yaml"
    path.write_text(HEAD.format(name=name) + more)
    return str(path)


def merged(*names: str, as_of: date = date(2026, 11, 23)) -> Policy:
    return policy_layers.merge([policy_file.layer(name, as_of) for name in names])


def level(policy: Policy, rule: str) -> Level:
    return next((applied.level for applied in policy.rules if applied.rule.name == rule), Level.OFF)


PLAN = ("plan", "--mapping", LATEST, "--without-images", "--facts", FACTS, "--json")
DENY = "deny:\n- versions: '>=1.5.30'\n  reason: broken\n  until: 2026-12-31\n"
ACCEPT = """rules: {td-build: require}
accept:
- rule: td-build
  versions: 1.5.34
  reason: tested
  by: us@example.com
  until: 2026-12-31
"""


def test_denials_and_waivers_last_through_their_day(run: Run, tmp_path: Path) -> None:
    deny = written(tmp_path, "deny", DENY)

    def target(policy: str, day: str) -> Any:
        document = run(*PLAN, "--policy", policy, "--as-of", day).json
        assert document["as_of"] == day
        return document["target"]

    assert [target(deny, day) for day in ("2026-12-31", "2027-01-01")] == ["1.5.28", "1.5.34"]
    assert len(policy_file.load(deny, date(2027, 1, 1)).expired) == 1
    accept = written(tmp_path, "accept", ACCEPT)
    assert policy_file.load(accept, date(2026, 12, 31)).rules[0].waivers
    assert not policy_file.load(accept, date(2027, 1, 1)).rules[0].waivers
    assert run(*PLAN, "--policy", deny, "--as-of", "tomorrow").code == 2


def test_everything_a_policy_can_say(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "all",
        "waypoints: [1.5.28, 1.5.06]\n"
        "apply:\n"
        "  windows:\n"
        "  - {days: [sat, sun], from: 22:30, to: 04:00, timezone: Europe/Berlin}\n"
        "  soak: 10m\n"
        "  busy: {retries: 10, wait: 2h}\n"
        "  before: [[/usr/bin/true, --now]]\n"
        "  after: []\n",
    )
    policy = policy_file.load(path, date(2026, 1, 1))
    assert policy.waypoints == (ModuleVersion("1.5.06"), ModuleVersion("1.5.28"))
    assert policy.apply == {
        "windows": [{"days": ["sat", "sun"], "from": "22:30", "to": "04:00", "timezone": "Europe/Berlin"}],
        "soak": 600,
        "busy": {"retries": 10, "wait": 7200},
        "before": [["/usr/bin/true", "--now"]],
        "after": [],
    }
    json.dumps(policy.apply)


def test_layers_the_stricter_value_wins(tmp_path: Path, run: Run) -> None:
    organisation = written(
        tmp_path,
        "org",
        "max_hops: 3\nkeep_updates: 1\ntarget: 1.5.*\nrules:\n  seam-memory: warn\n"
        "  td-build: {level: prefer, cost: 5}\n  minimum-svn: {level: require, svn: 0x10b}\n"
        "signers: [" + "ab" * 32 + "]\n",
    )
    team = written(
        tmp_path,
        "team",
        "path: shortest-path\nmax_hops: 5\nkeep_updates: 2\ntarget: '<1.5.30'\nwaypoints: [1.5.28]\n"
        + DENY
        + "rules:\n  no-stranding: off\n  td-build: {level: prefer, cost: 9}\n"
        "  minimum-svn: {level: require, svn: 0x10c}\n",
    )
    policy = merged(organisation, team)
    assert (policy.max_hops, policy.keep_updates, policy.choice) == (3, 2, PathChoice.SHORTEST_PATH)
    assert policy.name == "org + team"
    assert policy.target.names(ModuleVersion("1.5.28"))
    assert not policy.target.names(ModuleVersion("1.5.34"))
    assert not policy.target.names(ModuleVersion("1.4.01"))
    assert level(policy, "seam-memory") is Level.REQUIRE, "the team did not name it, so its default stands"
    assert level(policy, "no-stranding") is Level.REQUIRE, "a layer can't turn off what another has"
    preferred = next(applied for applied in policy.rules if applied.rule.name == "td-build")
    assert (preferred.level, preferred.cost) == (Level.PREFER, 9)
    floor = next(applied for applied in policy.rules if applied.rule.name == "minimum-svn")
    assert floor.rule.strictness() == (0x10C,)
    assert (len(policy.denials), policy.waypoints, policy.signers) == (1, (ModuleVersion("1.5.28"),), frozenset())
    document = run(*PLAN, "--policy", organisation, "--policy", team).json
    assert [layer["name"] for layer in document["policy"]["layers"]] == ["org", "team"]
    assert merged(organisation).name == "org"
    reverse = merged(team, organisation)
    assert {applied.rule.name: applied.level for applied in reverse.rules} == {
        applied.rule.name: applied.level for applied in policy.rules
    }


def test_layers_a_waiver_counts_only_where_everybody_waives(tmp_path: Path, run: Run) -> None:
    accept = written(tmp_path, "accept", ACCEPT)
    strict = written(tmp_path, "strict", "rules: {td-build: require}\n")
    silent = written(tmp_path, "silent", "rules: {td-build: off}\n")
    facts = tmp_path / "facts.json"
    facts.write_text(FACTS.read_text().replace('"1.5.24"', '"1.5.06"'))

    def goes_to_34(*policies: str) -> bool:
        layers = [part for policy in policies for part in ("--policy", policy)]
        arguments = ("plan", "--mapping", LATEST, "--without-images", "--facts", facts, "--json", *layers)
        return any(hop["waived"] for hop in run(*arguments).json["hops"])

    assert goes_to_34(accept)
    text = run("plan", "--mapping", LATEST, "--without-images", "--facts", facts, "--policy", accept).out
    assert "accepted: td-build: tested (by us@example.com, until 2026-12-31)" in text
    assert goes_to_34(accept, silent)
    assert not goes_to_34(accept, strict)
    assert not goes_to_34(strict, accept)


@pytest.mark.parametrize(
    ("layers", "held", "target"),
    [
        (["held"], True, "1.5.34"),
        (["silent"], False, "1.5.13"),
        (["held", "silent"], False, "1.5.13"),
        (["silent", "held"], False, "1.5.13"),
        (["held", "held-too"], True, "1.5.34"),
    ],
)
def test_layers_creation_is_held_where_everybody_says_so(
    layers: list[str], held: bool, target: str, tmp_path: Path, run: Run
) -> None:
    """The host has three TDs and runs 1.5.06, which no release newer than 1.5.13 lists."""
    files = [written(tmp_path, name, "" if name == "silent" else "td_creation: held\n") for name in layers]
    facts = tmp_path / "facts.json"
    facts.write_text(FACTS.read_text().replace('"1.5.24"', '"1.5.06"'))
    assert merged(*files).creation_held is held
    options = [part for file in files for part in ("--policy", file)]
    document = run("plan", "--mapping", LATEST, "--without-images", "--facts", facts, "--json", *options).json
    assert (document["target"], document["td_creation"]) == (target, "held" if held else None)


def install(folder: Path, name: str, entry_points: str, form: str = "dist-info") -> None:
    """What pip leaves of a package beside its modules."""
    kept = folder / f"{name}-1.0.{form}"
    kept.mkdir(parents=True)
    (kept / ("METADATA" if form == "dist-info" else "PKG-INFO")).write_text(f"Name: {name}\nVersion: 1.0\n")
    (kept / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """The example package, as it is installed, with more entry points than it should have."""
    install(
        tmp_path / "site",
        "quiet_hours",
        "[seamstep.rules]\nquiet-hours = quiet_hours:QuietHours\nbroken-rule = quiet_hours:Missing\n"
        "other-name = quiet_hours:QuietHours\nno-rule = json:dumps\nforward-only = quiet_hours:QuietHours\n",
    )
    monkeypatch.syspath_prepend(str(PLUGIN))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    plugins.installed.cache_clear()
    importlib.invalidate_caches()
    yield
    plugins.installed.cache_clear()
    sys.modules.pop("quiet_hours", None)


@pytest.mark.parametrize("form", ["dist-info", "egg-info", "DIST-INFO", "egg", "archive", "finder"])
def test_plug_ins_are_found_wherever_the_library_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Whether there are any is found out without the library that knows; never are there fewer than it finds."""
    site, entry_points = tmp_path / "site", "[seamstep.rules]\nquiet-hours = quiet_hours:QuietHours\n"
    elsewhere = ["", str(tmp_path / "missing"), __file__]
    if form == "archive":
        install(site / "x", "quiet_hours", entry_points)
        shutil.make_archive(str(tmp_path / "packed"), "zip", site / "x")
        monkeypatch.setattr(sys, "path", [str(tmp_path / "packed.zip")])
    elif form == "egg":  # as setuptools installed them once: the folder itself is on the path
        (site / "x.egg" / "EGG-INFO").mkdir(parents=True)
        (site / "x.egg" / "EGG-INFO" / "PKG-INFO").write_text("Name: quiet_hours\nVersion: 1.0\n")
        (site / "x.egg" / "EGG-INFO" / "entry_points.txt").write_text(entry_points)
        monkeypatch.setattr(sys, "path", [*elsewhere, str(site / "x.egg")])
    elif form == "finder":
        install(site, "quiet_hours", entry_points)
        found = [metadata.PathDistribution(path) for path in site.iterdir()]
        finder = type("Finder", (), {"find_distributions": lambda *_: found, "find_spec": lambda *_: None})
        monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, finder])
        monkeypatch.setattr(sys, "path", elsewhere)
    else:
        install(site, "quiet_hours", entry_points, form)
        monkeypatch.setattr(sys, "path", [*elsewhere, str(site)])
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    assert [point.name for point in metadata.entry_points(group=plugins.GROUP)] == ["quiet-hours"]
    plugins.installed.cache_clear()
    try:
        assert list(plugins.installed()) == ["quiet-hours"]
    finally:
        plugins.installed.cache_clear()


def test_a_rule_that_two_packages_bring_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of the two was meant is nobody's guess."""
    for package in ("one", "two"):
        install(tmp_path, package, f"[seamstep.rules]\nours = {package}:Rule\n")
    (tmp_path / "odd.py").write_text(
        "from seamstep.rules.td_build import TdBuild\nclass Odd(TdBuild):\n    name = 'odd'\n    scope = 'target'\n"
    )
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(0)\n")
    install(tmp_path, "odd", "[seamstep.rules]\nodd = odd:Odd\nleaves = leaves:Rule\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.installed.cache_clear()
    try:
        rules = plugins.installed()
        said = {name: rule().check(Step(Release(V), Release(V)), HostFacts()) for name, rule in rules.items()}
    finally:
        plugins.installed.cache_clear()
        sys.modules.pop("odd", None)
    assert {verdict.outcome for verdict in said.values()} == {"unknown"}
    assert "more than one package brings it: one:Rule and two:Rule" in said["ours"].reason
    assert "its scope is not a Scope" in said["odd"].reason
    assert "SystemExit: 0" in said["leaves"].reason


def test_a_rule_that_limits_hops_is_neither_preferred_nor_waived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Quota(UpdatesRemaining):
        name = "quota"

    monkeypatch.setattr(policy_file, "policy_rules", lambda: {"quota": Quota})
    path = tmp_path / "p.yaml"
    path.write_text(
        "schema: seamstep/policy/v1\nname: p\nrules:\n  quota: {level: prefer, cost: 3}\naccept:\n"
        "  - {rule: quota, versions: 1.5.28, reason: r, by: b, until: '2099-01-01'}\n"
    )
    with pytest.raises(InputError) as caught:
        policy_file.load(str(path), date(2026, 11, 23))
    told = str(caught.value)
    assert "p.yaml:4:3: rules.quota: quota limits how many hops a path may have and can't be preferred" in told
    assert "p.yaml:6:6: accept[0].rule: quota limits how many hops a path may have and can't be waived" in told


OFF = "broken-rule: off, other-name: off, no-rule: off"


def test_a_plug_in_s_rule_judges(run: Run, tmp_path: Path, plugin: None) -> None:
    policy = written(tmp_path, "p", f"rules: {{quiet-hours: {{level: require, prefix: host-}}, {OFF}}}\n")
    document = run(*PLAN, "--policy", policy).json
    assert document["outcome"] == "no-path"
    assert "host-a is to be left alone" in json.dumps(document["rejected"])
    policy = written(tmp_path, "p", f"rules: {{quiet-hours: {{level: require, prefix: lab-}}, {OFF}}}\n")
    assert run(*PLAN, "--policy", policy).json["outcome"] == "update"


def test_a_plug_in_s_parameters_are_checked_by_its_schema(run: Run, tmp_path: Path, plugin: None) -> None:
    policy = written(tmp_path, "p", "rules:\n  quiet-hours: {level: require, prefix: ''}\n  quiet-hour: off\n")
    err = run(*PLAN[:-1], "--policy", policy).err
    assert f"{policy}:4:33: rules.quiet-hours.prefix: '' is not the beginning of a host name" in err
    assert f"{policy}:5:3: rules.quiet-hour: unknown key; did you mean 'quiet-hours'?" in err
    policy = written(tmp_path, "p", "rules: {quiet-hours: require}\n")
    assert "'require' is not 'off', or an object with" in run(*PLAN[:-1], "--policy", policy).err


def test_a_plug_in_that_can_not_be_loaded_blocks_until_it_is_turned_off(run: Run, tmp_path: Path, plugin: None) -> None:
    document = run(*PLAN, "--policy", written(tmp_path, "p")).json
    assert document["outcome"] == "no-path"
    reasons = {verdict["rule"]: verdict["reason"] for verdict in document["rejected"][0]["verdicts"]}
    assert set(reasons) >= {"broken-rule", "other-name", "no-rule"}
    assert "AttributeError" in reasons["broken-rule"]
    assert "its name is not 'other-name'" in reasons["other-name"]
    assert "it is not a rule class" in reasons["no-rule"]
    assert run(*PLAN, "--policy", written(tmp_path, "p", f"rules: {{{OFF}}}\n")).json["outcome"] == "update"


def test_hard_rules_stay_ours(plugin: None) -> None:
    from seamstep.rules import policy_rules

    assert "forward-only" not in policy_rules()
    assert "quiet-hours" in policy_rules()


@pytest.mark.parametrize("more", ["waypoints: [1.5.28]\ndeny: [{versions: 1.5.*, reason: x, until: 2026-11-22}]\n"])
def test_what_has_expired_contradicts_nothing(tmp_path: Path, more: str) -> None:
    path = written(tmp_path, "p", more)
    assert policy_file.load(path, date(2026, 11, 23)).denials == ()
    with pytest.raises(InputError, match=r"every path has to stop at 1\.5\.28, but it is denied"):
        policy_file.load(path, date(2026, 11, 22))
