"""A saved plan is a proposal: whatever it says of itself, the rules, the policy and the host of the moment decide."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import struct
import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from test_cli import reseal
from test_host_facts import COMMON, LAYOUTS, tree

from conftest import DAY, FACTS, TRUST, Ran, Run, host_like, judge_for, plan_for
from seamstep.base.errors import ExitCode
from seamstep.base.ownership import others_can_change
from seamstep.base.versions import SeamldrVersion
from seamstep.cli import options, output
from seamstep.cli.options import today
from seamstep.domain import facts
from seamstep.domain.facts import HostFacts
from seamstep.host.simulated import SimulatedHost
from seamstep.plan import own_files
from seamstep.plan.document import Plan, seal
from seamstep.planning import planner
from seamstep.policy import policy_file
from seamstep.run.executor import Executor, State
from seamstep.run.executor.states import Stop


@pytest.fixture
def place(tmp_path: Path, images: Path) -> Path:
    """A folder with a catalog."""
    shutil.copytree(images, tmp_path / "catalog")
    return tmp_path


def write_policy(place: Path, **keys: Any) -> Path:
    path = place / "policy.yaml"
    path.write_text(json.dumps({"schema": "seamstep/policy/v1", "name": "ours", **keys}))
    return path


def planned(run: Run, place: Path, *arguments: object) -> Path:
    path = place / "plan.json"
    ran = run("plan", "--catalog", place / "catalog", *TRUST, "--facts", FACTS, *arguments, "-o", path, "--force")
    assert ran.code == 0, ran.err
    return path


def live(place: Path, host: HostFacts) -> Path:
    """A tree with the interface of a kernel on a host that shows these facts; no kernel answers there."""
    node = "sys/devices/faux/tdx_host/"
    files = COMMON | LAYOUTS["mainline"] | {f"{node}version": f"{host.module_version}\n"}
    files |= {f"{node}seamldr_version": f"{host.seamldr_version}\n", "sys/module/tdx_host_double/name": ""}
    tree(place / "root", files)
    return place / "root"


def apply(run: Run, path: Path, *arguments: object) -> Ran:
    return run("apply", path, *TRUST, "--yes", *arguments)


# -- what the plan says of the policy


def test_a_command_that_was_put_into_a_plan_is_not_run(run: Run, place: Path) -> None:
    path = planned(run, place)
    reseal(path, apply={"before": [["touch", str(place / "ran")]]})
    for named in ((), ("--policy", "fewest-hops")):
        for how in (("--simulate",), ("--sysroot", live(place, facts.load(str(FACTS))))):
            ran = apply(run, path, *named, *how)
            assert (ran.code, "its settings are not those of its policy" in ran.err) == (5, True)
    assert not (place / "ran").exists()


@pytest.mark.parametrize("setting", [{"soak": "1s"}, {"before": [["true"]]}, {"after": [["true"]]}, {"windows": []}])
def test_settings_come_from_a_policy_that_is_named(run: Run, place: Path, setting: dict[str, Any]) -> None:
    """Windows, soak and commands are the host's to decide, so a plan whose policy has any needs that policy."""
    if "windows" in setting:
        setting = {"windows": [{"from": "00:00", "to": "23:59"}, {"from": "23:00", "to": "01:00"}]}
    policy = write_policy(place, apply=setting)
    path = planned(run, place, "--policy", policy)
    root = live(place, facts.load(str(FACTS)))
    ran = apply(run, path, "--sysroot", root)
    assert (ran.code, f"--policy {policy}" in ran.err) == (1, True)
    assert apply(run, path, "--sysroot", root, "--policy", "fewest-hops").code == 5
    assert "stale" not in apply(run, path, "--sysroot", root, "--policy", policy).err
    reseal(path, apply={})
    ran = apply(run, path, "--sysroot", root, "--policy", policy)
    assert (ran.code, "its settings are not those of its policy" in ran.err) == (5, True)


def test_layers_have_to_be_named_in_their_order(run: Run, place: Path) -> None:
    policy = write_policy(place, apply={"soak": "1s"})
    layers = ("--policy", "fewest-hops", "--policy", policy)
    path = planned(run, place, *layers)
    assert apply(run, path, *layers, "--simulate").code == 0
    for other in (layers[:2], layers[2:], (*layers[2:], *layers[:2]), (*layers, *layers)):
        assert apply(run, path, *other, "--simulate").code == 5


def test_a_file_that_is_named_is_not_called_the_plan_s(run: Run, place: Path) -> None:
    """The plan was made from another policy: this one did not change, and that one can be read."""
    path = planned(run, place)
    for other in ("shortest-path", str(write_policy(place))):
        ran = apply(run, path, "--simulate", "--policy", other)
        assert ran.code == 5
        assert f"the policy {other} is not the one that it was made from, fewest-hops, as it was then" in ran.err
    mapping = place / "mapping.json"
    mapping.write_text((place / "catalog" / "mapping_file.json").read_text() + "\n")
    ran = apply(run, path, "--simulate", "--mapping", mapping)
    assert (ran.code, f"the mapping {mapping} is not the one that it was made from" in ran.err) == (5, True)
    for nothing in (("--policy", "fewest-hop"), ("--policy", place / "no.yaml"), ("--mapping", place / "no.json")):
        ran = apply(run, path, "--simulate", *nothing)
        assert (ran.code, "stale" in ran.err, "made from" in ran.err) == (2, False, False), ran.err


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ({"max_hops": 1}, "it has 2 hops, and its policy permits at most 1"),
        ({"keep_updates": 4}, "it leaves 3 updates, and its policy keeps 4 in reserve"),
    ],
)
def test_a_plan_takes_no_more_updates_than_its_policy_permits(
    run: Run, place: Path, limit: dict[str, int], told: str
) -> None:
    path = planned(run, place, "--policy", write_policy(place, path="shortest-path"))
    assert len(json.loads(path.read_text())["hops"]) == 2
    assert apply(run, path, "--simulate").code == 0
    with_layers(path, layer_of(write_policy(place, path="shortest-path", **limit)))
    ran = apply(run, path, "--simulate")
    assert (ran.code, told in ran.err) == (5, True), ran.err


@pytest.mark.parametrize("until", [None, "2099-01-01", "2098-05-04"])
def test_the_last_day_is_the_policy_s_word(run: Run, place: Path, until: str | None) -> None:
    """Otherwise a plan that says that it is for ever goes on with a waiver that ends while it soaks."""
    deny = [{"versions": "1.5.25", "reason": "broken", "until": "2098-05-05"}]
    path = planned(run, place, "--policy", write_policy(place, deny=deny))
    reseal(path, valid_until=until)
    ran = apply(run, path, "--simulate")
    assert (ran.code, "decides alike until 2098-05-05, and the plan does not say so" in ran.err) == (5, True)


def test_a_plan_does_not_go_past_what_its_policy_wants(run: Run, place: Path) -> None:
    policy = write_policy(place, target="1.5.28")
    path = planned(run, place, "--policy", policy, "--target", "1.5.34")
    ran = apply(run, path, "--policy", policy, "--simulate")
    assert (ran.code, "leads to 1.5.34, which its policy's target 1.5.28 does not name" in ran.err) == (5, True)
    assert apply(run, path, "--policy", policy, "--simulate", "--target", "1.5.34").code == 0
    narrower = planned(run, place, "--target", "1.5.28")
    assert apply(run, narrower, "--simulate").code == 0


def test_held_creation_is_the_policy_s_word(run: Run, place: Path) -> None:
    path = planned(run, place)
    reseal(path, td_creation="held")
    assert apply(run, path, "--simulate").code == 5


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("what", ["mapping", "policy"])
def test_files_that_somebody_else_can_change_have_to_be_named(run: Run, place: Path, what: str) -> None:
    policy = write_policy(place)
    path = planned(run, place, "--policy", policy)
    root = live(place, facts.load(str(FACTS)))
    victim = policy if what == "policy" else place / "catalog" / "mapping_file.json"
    named = ("--policy", policy) if what == "policy" else ("--mapping", victim)

    def refused(*arguments: object) -> bool:
        ran = apply(run, path, "--sysroot", root, *arguments)
        return ran.code == 1 and f"--{what} {victim}" in ran.err

    assert not refused()
    os.chown(victim, 1234, 0)
    assert refused()
    assert not refused(*named)
    os.chown(victim, 0, 0)
    victim.chmod(0o646)
    assert refused()
    victim.chmod(0o644)
    victim.parent.chmod(0o777)
    assert refused()
    victim.parent.chmod(0o1777)
    assert not refused()


def layer_of(file: Path, **changes: Any) -> dict[str, Any]:
    """A layer of a plan, for a policy's file."""
    return {"name": "ours", "sha256": hashlib.sha256(file.read_bytes()).hexdigest(), "path": str(file)} | changes


def with_layers(path: Path, *layers: dict[str, Any]) -> None:
    reseal(path, policy=json.loads(path.read_text())["policy"] | {"layers": list(layers)})


@pytest.mark.parametrize("how", ["--simulate", "--sysroot"])
def test_a_policy_that_ships_is_no_file(run: Run, place: Path, how: str) -> None:
    """A layer without a path has the name of a policy that ships. A path in its place is one of a policy that nobody
    looked at: it may belong to anybody."""
    policy = write_policy(place, rules={"feature-loss": "off"})
    path = planned(run, place)
    root = live(place, facts.load(str(FACTS)))
    arguments = [how] if how == "--simulate" else [how, root]
    for name in (str(policy), os.path.relpath(policy)):
        with_layers(path, layer_of(policy, name=name, path=None))
        ran = apply(run, path, *arguments)
        assert (ran.code, "the plan says that it ships with seamstep" in ran.err) == (5, True)


def test_a_plan_of_no_policy(run: Run, place: Path) -> None:
    path = planned(run, place)
    with_layers(path)
    ran = apply(run, path, "--simulate")
    assert (ran.code, "policy.layers" in ran.err) == (2, True)


class Swapped:
    """Answers of a function, after each of which a link leads to the next place."""

    def __init__(self, link: Path, function: Any, place: Path) -> None:
        self.link, self.function, self.place = link, function, place

    def __call__(self, *arguments: Any, **keys: Any) -> Any:
        answer = self.function(*arguments, **keys)
        self.link.unlink()
        self.link.symlink_to(self.place)
        return answer


@pytest.mark.parametrize("what", ["mapping", "policy"])
def test_a_link_that_leads_elsewhere_after_the_check(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Whoever owns the link lets it lead to a file of root's while that is checked, and to their own when it is read.
    What is read is what was checked."""
    policy = write_policy(place, rules={"feature-loss": "off"})
    path = planned(run, place, *(("--policy", policy) if what == "policy" else ()))
    document = json.loads(path.read_text())
    root = live(place, facts.load(str(FACTS)))
    theirs = {"mapping": place / "catalog" / "mapping_file.json", "policy": policy}[what].rename(place / "theirs")
    good = place / "good"
    good.write_text("{}")
    link = place / "link"
    link.symlink_to(good)
    if what == "policy":
        with_layers(path, layer_of(theirs, path=str(link)))
    else:
        reseal(path, mapping={**document["mapping"], "path": str(link)})
    monkeypatch.setattr(own_files, "others_can_change", Swapped(link, others_can_change, theirs))
    ran = apply(run, path, "--sysroot", root)
    changed = str(good) in ran.err and "changed" in ran.err
    assert (ran.code, changed or "can't be read" in ran.err) == (5, True), ran


def test_a_link_is_not_looked_through(place: Path) -> None:
    (place / "link").symlink_to("/etc")
    assert others_can_change(f"{place}/link/passwd") == f"{place}/link is a symbolic link"
    assert others_can_change(f"{place}/none") == f"{place}/none: No such file or directory"
    assert not others_can_change(os.path.realpath("/etc/passwd"))


@pytest.mark.skipif(os.geteuid() != 0, reason="files of root's group")
def test_an_access_control_list_may_name_anybody(place: Path) -> None:
    """The mode of a file with a list shows the most that it grants as what the group may, and the group is root's."""
    file = place / "file"
    file.write_text("")
    file.chmod(0o664)
    assert not others_can_change(str(file))
    entries = [
        (0x01, 6, 0xFFFFFFFF),
        (0x02, 6, 1234),
        (0x04, 4, 0xFFFFFFFF),
        (0x10, 6, 0xFFFFFFFF),
        (0x20, 4, 0xFFFFFFFF),
    ]
    try:
        os.setxattr(
            file, "system.posix_acl_access", struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in entries)
        )
    except OSError:
        pytest.skip("this file system has no access control lists")
    assert others_can_change(str(file)) == f"{file} can be written by others"


def test_a_path_that_is_none(run: Run, place: Path) -> None:
    path = planned(run, place)
    root = live(place, facts.load(str(FACTS)))
    document = json.loads(path.read_text())
    reseal(path, mapping={**document["mapping"], "path": "a\0b"})
    assert apply(run, path, "--sysroot", root).code == 1


# -- what the plan says of its hops


def forged(spr: HostFacts, images: Path, verdicts: Any, **changes: Any) -> Plan:
    """A plan for a host on which the rules forbid its hops, as an attacker would write it."""
    document = json.loads(json.dumps(plan_for(spr, images).document))
    host = spr._replace(**changes)
    for hop in document["hops"]:
        hop["verdicts"] = verdicts(hop["verdicts"])
    body = {key: document[key] for key in document if key not in {"schema", "id"}}
    return seal({**body, "host": host.to_document()}, host)


VERDICTS = {
    "as they were": lambda verdicts: verdicts,
    "none": lambda _verdicts: [],
    "unknown": lambda verdicts: [{**verdict, "outcome": "unknown"} for verdict in verdicts],
}


@pytest.mark.parametrize("verdicts", VERDICTS)
@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("seamldr-minimum", {"seamldr_version": SeamldrVersion("1.4.00")}),
        ("cpu-supported", {"cpu_signatures": (0x50654,)}),
        ("cpus-online", {"cpu_limits": ("nr_cpus=8",)}),
        ("upload-interface", {"cpu_bugs": ("seamret_invd_vmcs",)}),
    ],
)
def test_a_forged_hop_is_judged_again(
    spr: HostFacts, images: Path, verdicts: str, rule: str, changes: dict[str, Any]
) -> None:
    plan = forged(spr, images, VERDICTS[verdicts], **changes)
    host = SimulatedHost(plan.host, {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image})
    result = Executor(host, judge=judge_for(plan)).run(plan)
    assert (result.state, result.stopped, host.uploads) == (State.PREFLIGHT, Stop.STALE, 0), result.message
    assert rule in result.message, result.message


def test_a_forged_second_hop_is_found_before_the_first(run: Run, place: Path) -> None:
    """The second hop claims another release's image; the first alone would strand the host half way."""
    path = planned(run, place, "--policy", "shortest-path")
    document = json.loads(path.read_text())
    assert len(document["hops"]) == 2
    mapping = json.loads((place / "catalog" / "mapping_file.json").read_text())
    entry = next(one for one in mapping["tdx_module_releases"] if one["version"] == document["hops"][1]["to"])
    entry["min_module_version_for_td_preserving"] = document["hops"][1]["to"]
    forged_mapping = place / "catalog" / "mapping_file.json"
    forged_mapping.write_text(json.dumps(mapping))
    reseal(path, mapping={**document["mapping"], "sha256": hashlib.sha256(forged_mapping.read_bytes()).hexdigest()})
    ran = apply(run, path, "--simulate", "--json")
    assert (ran.code, ran.json["applied"]) == (5, [])
    assert "1.5.28 → 1.5.34 is refused: minimum-module" in ran.json["message"]


def test_safe_while_tds_are_created_is_the_mapping_file_s_word(spr: HostFacts, images: Path) -> None:
    plan = plan_for(spr._replace(running_tds=0), images, "fewest-hops")
    hop = plan.hops[0]
    judge = judge_for(plan)
    releases = {**judge.releases, hop.target: judge.releases[hop.target]._replace(strict_compat=())}
    claims = plan._replace(hops=(hop._replace(safe_while_tds_are_created=True),))
    result = Executor(SimulatedHost(plan.host, {}), judge=judge._replace(releases=releases)).run(claims)
    assert (result.stopped, "does not list 1.5.24 in strict_compat_versions" in result.message) == (Stop.STALE, True)


def test_an_image_of_another_release_under_the_plan_s_name(run: Run, place: Path) -> None:
    path = planned(run, place)
    document = json.loads(path.read_text())
    other = plan_for(host_like(facts.load(str(FACTS)), "1.5.24"), place / "catalog", "shortest-path").hops[0]
    assert other.image
    hop = document["hops"][0]
    hop["image"] |= {"path": other.image.path, "sha256": other.image.sha256, "mrseam": other.image.mrseam}
    hop["image"]["upload"]["sha256"] = other.image.upload_sha256
    reseal(path, hops=document["hops"])
    ran = apply(run, path, "--simulate", "--json")
    assert (ran.code, ran.json["applied"]) == (5, [])


def test_a_catalog_in_another_place(run: Run, place: Path) -> None:
    """A plan that was made elsewhere is performed with the files of this host, if they are the same."""
    path = planned(run, place)
    (place / "catalog").rename(place / "moved")
    assert apply(run, path, "--simulate").code == 5
    assert apply(run, path, "--simulate", "--catalog", place / "moved").code == 0
    image = next((place / "moved").rglob("tdx_module_1.5.34.blob"))
    image.unlink()
    assert apply(run, path, "--simulate", "--catalog", place / "moved").code == 5


# -- time


def test_a_plan_as_of_another_day_is_not_applied(run: Run, place: Path) -> None:
    policy = write_policy(place, deny=[{"versions": ">=1.5.25", "reason": "broken", "until": "2099-01-01"}])
    path = planned(run, place, "--policy", policy, "--as-of", "2100-01-01")
    document = json.loads(path.read_text())
    assert (document["hypothetical"], document["valid_until"], document["outcome"]) == (True, None, "update")
    ran = apply(run, path, "--simulate")
    assert (ran.code, "policy.yaml:1:" in ran.err, "is in force again" in ran.err) == (5, True, True)
    reseal(path, hypothetical=False)
    assert apply(run, path, "--simulate").code == 5
    reseal(path, hypothetical=False, as_of=today().isoformat())
    assert apply(run, path, "--simulate").code == 5
    reseal(path, hypothetical=False, as_of=today().isoformat(), valid_until="2099-01-01")
    ran = apply(run, path, "--simulate")
    assert (ran.code, "deny" in ran.out) == (5, True), "the policy's denial is asked again"
    harmless = planned(run, place, "--as-of", "2100-01-01")
    ran = apply(run, harmless, "--simulate")
    assert (ran.code, json.loads(harmless.read_text())["hypothetical"]) == (5, True)
    reseal(harmless, as_of=today().isoformat())
    ran = apply(run, harmless, "--simulate")
    assert (ran.code, "the plan is hypothetical" in ran.err) == (1, True)


def test_what_holds_on_another_day_is_no_answer(run: Run, place: Path) -> None:
    """Nothing to do as of another day is not nothing to do."""
    deny = [{"versions": ">1.5.24", "reason": "broken", "until": "2099-01-01"}]
    policy = write_policy(place, target="<=1.5.24", deny=deny)
    root = live(place, facts.load(str(FACTS)))
    planning = ("--catalog", place / "catalog", *TRUST, "--policy", policy, "--sysroot", root)
    assert run("apply", *planning).code == 0
    ran = run("apply", *planning, "--as-of", "2100-01-01")
    assert (ran.code, "the plan is hypothetical" in ran.err) == (1, True)


@pytest.mark.parametrize("what", ["provisional", "hypothetical"])
def test_a_plan_that_is_refused_leaves_no_run_without_an_end(run: Run, place: Path, what: str) -> None:
    """Else the next run finds one that was killed, and on a host that runs another module its outcome unknown."""
    path = planned(run, place)
    reseal(path, **{what: True})
    root = live(place, host_like(facts.load(str(FACTS)), "1.5.28"))
    ran = apply(run, path, "--sysroot", root)
    assert (ran.code, f"the plan is {what}" in ran.err) == (1, True)
    ran = run("apply", "--catalog", place / "catalog", *TRUST, "--sysroot", root, "--dry-run", "--json")
    assert (ran.code, ran.json["recovered"], ran.err) == (0, None, "")
    assert "killed" not in run("history", "--sysroot", root).out


def test_an_expired_waiver_is_not_revived(run: Run, place: Path) -> None:
    accept = [{"rule": "feature-loss", "versions": ">=1.5.0", "reason": "r", "by": "b", "until": "2026-01-31"}]
    policy = write_policy(place, accept=accept)
    path = planned(run, place, "--policy", policy, "--as-of", "2026-01-15")
    assert json.loads(path.read_text())["valid_until"] == "2026-01-31"
    reseal(path, hypothetical=False)
    ran = apply(run, path, "--simulate")
    assert ran.code == 5
    assert "accept[0].until: this waiver expired on 2026-01-31" in ran.err


def test_a_plan_is_valid_until_an_entry_ends(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deny = [
        {"versions": "1.5.25", "reason": "broken", "until": "2098-05-05"},
        {"versions": "1.5.26", "reason": "broken", "until": "2099-01-01"},
        {"versions": "1.5.27", "reason": "broken"},
    ]
    path = planned(run, place, "--policy", write_policy(place, deny=deny))
    assert json.loads(path.read_text())["valid_until"] == "2098-05-05"
    shown = run("plan", "--catalog", place / "catalog", *TRUST, "--facts", FACTS, "--policy", place / "policy.yaml")
    assert "until 2098-05-05: a denial or waiver of the policy ends then" in shown.out
    assert apply(run, path, "--simulate").code == 0
    monkeypatch.setattr(options, "today", lambda: date(2098, 5, 6))
    ran = apply(run, path, "--simulate")
    assert (ran.code, "deny[0].until: this denial expired on 2098-05-05" in ran.err) == (5, True)


def test_the_day_is_looked_at_before_each_hop(spr: HostFacts, images: Path) -> None:
    """The soak time leads past midnight, and past the last day of the plan."""
    plan = plan_for(spr, images)
    document = {key: plan.document[key] for key in plan.document if key not in {"schema", "id"}}
    plan = seal({**document, "valid_until": DAY.isoformat(), "apply": {"soak": 3600}}, spr)
    modules = {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image}
    late = datetime.combine(DAY, time(23, 30), UTC).timestamp()
    result = Executor(SimulatedHost(spr, modules, epoch=late), judge=judge_for(plan)).run(plan)
    assert (result.stopped, result.exit_code, len(result.applied)) == (Stop.STALE, ExitCode.STALE, 1), result.message
    assert f"from {DAY} to {DAY}, and today is 2026-11-24" in result.message
    early = datetime.combine(DAY, time(0, 30), UTC).timestamp() - 86400
    result = Executor(SimulatedHost(spr, modules, epoch=early)).run(plan)
    assert (result.stopped, result.applied) == (Stop.STALE, ())


# -- the question


class Terminal(io.StringIO):
    """A terminal on which the answer was given already."""

    ready = os.open(os.devnull, os.O_RDONLY)

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.ready


def test_the_question_shows_what_will_be_done(run: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "before": [["cordon", "this node"]],
        "after": [["uncordon"]],
        "soak": "10m",
        "busy": {"retries": 3, "wait": "30s"},
        "windows": [{"days": ["sat"], "from": "00:00", "to": "23:59"}, {"from": "00:00", "to": "00:00"}],
    }
    policy = write_policy(place, apply=settings)
    path = planned(run, place, "--policy", policy)
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    ran = run("apply", path, *TRUST, "--simulate", "--policy", policy)
    assert (ran.code, "Rehearse this now, without the commands?" in ran.err) == (1, True)
    for told in (
        "run before the first hop: cordon 'this node'",
        "run after the last: uncordon",
        "600 s are waited between two hops",
        "tried again 3 times, at first after 30 s",
        "sat from 00:00 to 23:59 (UTC)",
    ):
        assert told in ran.err


def test_the_question_does_not_repeat_what_the_plan_says(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is agreed to is what the rules say of the hops, with the images at hand."""
    file = place / "catalog" / "mapping_file.json"
    mapping = json.loads(file.read_text())
    for release in mapping["tdx_module_releases"]:
        release["strict_compat_versions"] = []
    file.write_text(json.dumps(mapping))
    policy = write_policy(place, path="shortest-path", rules={"td-build": "off"})
    path = planned(run, place, "--policy", policy)
    document = json.loads(path.read_text())
    for hop in document["hops"]:
        hop["td_creation"]["reason"] = "safe while TDs are created: Intel says so"
        hop |= {"risks": [], "verdicts": [], "waived": []}
    reseal(path, hops=document["hops"], reason="Intel recommends this", policy=document["policy"] | {"name": "intel"})
    (place / "catalog").rename(place / "moved")

    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    ran = run("apply", path, *TRUST, "--catalog", place / "moved", "--policy", policy, "--simulate")
    assert (ran.code, "Rehearse this now" in ran.err) == (1, True), ran.out + ran.err
    told = ran.err
    assert "intel" not in told.lower().replace("trusted besides intel", "")
    assert "1.5.24 → 1.5.28 → 1.5.34, 2 hops" in told
    assert "16 of 16 rules pass" in told
    assert "risk: td-build: 3 TDs run, so one may be in the making, and 1.5.28 does not list 1.5.24" in told
    assert "hold the creation of TDs back: 1.5.34 does not list 1.5.28" in told
    assert f"image {place}/moved/" in told


def test_the_question_is_about_what_is_left(spr: HostFacts, images: Path) -> None:
    plan = plan_for(spr, images)
    releases, policy = judge_for(plan).releases.values(), policy_file.load("shortest-path", DAY)
    again = planner.hops_again(plan, releases, spr, policy)
    assert [(hop["from"], hop["to"]) for hop in again] == [("1.5.24", "1.5.28"), ("1.5.28", "1.5.34")]
    assert json.loads(json.dumps(again)) == json.loads(json.dumps(plan.document["hops"]))
    left = planner.hops_again(plan, releases, host_like(spr, "1.5.28", remaining_updates=1), policy)
    assert [(hop["from"], hop["to"]) for hop in left] == [("1.5.28", "1.5.34")]
    assert {verdict["outcome"] for verdict in left[0]["verdicts"]} == {"pass"}


@pytest.mark.parametrize("term", ["dumb", "xterm"])
def test_commands_are_shown_to_their_last_digit(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    """Digests elsewhere are shortened. What differs after the twelfth digit would be agreed to unseen."""
    policy = write_policy(place, apply={"before": [["take", "a" * 64]], "after": [["give", "b" * 70]]})
    path = planned(run, place, "--policy", policy)
    if term != "dumb":
        monkeypatch.setattr(output, "on_terminal", lambda _stream: True)
        monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    ran = run("apply", path, *TRUST, "--simulate", "--policy", policy)
    assert ran.code == 1
    for told in ("run before the first hop: take " + "a" * 64, "run after the last: give " + "b" * 70):
        assert told in ran.err, ran.err


@pytest.mark.parametrize("terminal", [True, False])
def test_what_stops_a_plan_is_found_before_the_question(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    path = planned(run, place)
    root = live(place, host_like(facts.load(str(FACTS)), "1.5.28"))
    monkeypatch.setattr(sys, "stdin", Terminal("y\n") if terminal else io.StringIO("y\n"))
    ran = run("apply", path, *TRUST, "--sysroot", root)
    assert (ran.code, "stale plan" in ran.out, "Update this host now?" in ran.err) == (5, True, False)


# -- windows


def test_whether_a_window_is_open_is_told_everywhere(run: Run, place: Path) -> None:
    opens = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(hours=2)
    times = {"from": f"{opens:%H:%M}", "to": f"{opens + timedelta(hours=1):%H:%M}"}
    policy = write_policy(place, apply={"windows": [times]})
    path = planned(run, place, "--policy", policy)
    planning = ("--catalog", place / "catalog", *TRUST, "--policy", policy)
    root = live(place, facts.load(str(FACTS)))
    outside = f"outside the maintenance windows of the policy; the next opens {opens:%Y-%m-%d %H:%M} (UTC)"
    assert f"now: {outside}" in run("plan", *planning, "--facts", FACTS).out
    status = ("status", *planning, "--sysroot", root)
    assert f"not now: {outside}" in run(*status).out
    assert run(*status, "--json").json["permitted"]["window"] == {
        "open": False,
        "opens": opens.isoformat(),
        "reason": outside,
    }
    metrics = run(*status, "--format", "prometheus").out.splitlines()
    assert {"seamstep_update_permitted 0", "seamstep_window_open 0"} <= {*metrics}
    assert f"seamstep_window_opens_timestamp_seconds {opens.timestamp():.0f}" in metrics
    ran = apply(run, path, "--policy", policy, "--sysroot", root)
    assert (ran.code, outside in ran.out) == (4, True)
    own = place / "own.json"
    assert run("plan", *planning, "--sysroot", root, "-o", own).code == 0
    ran = apply(run, own, "--policy", policy, "--sysroot", root, "--dry-run")
    assert (ran.code, f"could be performed, but not now, {outside}" in ran.out) == (0, True)
    ran = apply(run, path, "--policy", policy, "--simulate")
    assert (ran.code, f"a real run would not begin 1.5.24 → 1.5.34 now: {outside}" in ran.err) == (0, True)


def test_an_open_window_is_told_too(run: Run, place: Path) -> None:
    halves = [{"from": "00:00", "to": "12:00"}, {"from": "12:00", "to": "00:00"}]
    policy = write_policy(place, apply={"windows": halves})
    planning = ("--catalog", place / "catalog", *TRUST, "--policy", policy)
    assert "now: a maintenance window is open" in run("plan", *planning, "--facts", FACTS).out
    metrics = run("status", *planning, "--sysroot", live(place, facts.load(str(FACTS))), "--format", "prometheus").out
    assert {"seamstep_update_permitted 1", "seamstep_window_open 1"} <= {*metrics.splitlines()}
    assert "seamstep_window_opens" not in metrics
