"""The commands of a rollout, as engines and people meet them."""

from __future__ import annotations

import io
import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from fleet_plans import ROLLOUT, fleet_class, fleet_host, mrseam, write_fleet
from prometheus_client.parser import text_string_to_metric_families

from conftest import FACTS, TRUST, Ran, Run, plan_for
from seamstep.domain.facts import HostFacts
from seamstep.fleet import ledger, plan_folder, rollout_file
from seamstep.fleet.state import Moment
from seamstep.plan import measurements

CLASSES = [
    fleet_class("c0001", "1.5.05", "1.5.06"),
    fleet_class("c0002", "1.5.06"),
    fleet_class("c0003", "1.5.05", "1.5.06", kernel="6.20"),
]
HOSTS = [
    *(fleet_host(f"h{number}", domain=f"r{number % 3}") for number in range(6)),
    fleet_host("new", "c0002", "r0"),
    *(fleet_host(f"k{number}", "c0003", f"r{number}") for number in range(3)),
]


class Fleet:
    """A rollout in a folder, and a clock that can be set."""

    def __init__(
        self, run: Run, folder: Path, rollout: str = ROLLOUT, classes: Any = CLASSES, hosts: Any = HOSTS
    ) -> None:
        self.run, self.folder = run, folder
        self.ledger = folder / "ledger"
        self.plan = write_fleet(folder, classes, hosts, rollout)
        self.time = 0.0

    def __call__(self, command: str, *arguments: object) -> Ran:
        return self.run("fleet", command, *arguments, "--ledger", self.ledger)

    def start(self) -> Ran:
        return self("start", self.plan, "--rollout", self.folder / "rollout.yaml")

    def next(self, *arguments: object) -> list[dict[str, Any]]:
        leases: list[dict[str, Any]] = self("next", "--json", *arguments).json["leases"]
        return leases

    def record(self, lease: dict[str, Any], **run: Any) -> Ran:
        said = {
            "schema": "seamstep/run/v1",
            "exit_code": 0,
            "module_version": lease["step"]["to"],
            "message": "x",
            **run,
        }
        path = self.folder / "said.json"
        path.write_text(json.dumps({"boot_id": lease["boot_id"], **said}))
        return self("record", path, "--host", lease["host"], "--lease", lease["lease"])

    def status(self) -> Any:
        return self("status", "--json").json


@pytest.fixture
def fleet(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    made = Fleet(run, tmp_path)
    monkeypatch.setattr(ledger, "present", lambda: Moment("controller", made.time))
    assert made.start().code == 0
    return made


def test_from_start_to_end(fleet: Fleet) -> None:
    begun = []
    for _ in range(40):
        ran = fleet("next", "--json")
        if ran.json["code"] == "finished":
            break
        for lease in ran.json["leases"]:
            assert set(lease) == {"host", "class", "class_id", "step", "lease", "boot_id", "expires", "seconds"}
            begun.append(lease["host"])
            assert fleet("begin", "--host", lease["host"], "--lease", lease["lease"]).code == 0
            assert fleet.record(lease).code == 0
        fleet.time += 3600 * 12
    assert sorted(begun) == sorted(host["host"] for host in HOSTS if host["class"] != "c0002")
    assert fleet.status()["state"] == "finished"
    assert fleet.status()["totals"]["phases"] == {"done": 9, "outside": 1}
    assert "finished" in fleet("next").out


def test_what_next_says_when_nothing_may_begin(fleet: Fleet) -> None:
    leases = fleet.next()
    assert sorted(lease["class"] for lease in leases) == ["c0001", "c0003"]
    ran = fleet("next", "--json")
    assert (ran.code, ran.json["code"], ran.json["leases"]) == (4, "waiting", [])
    assert {one["code"] for one in ran.json["blocked"]} == {"canary"}
    assert [lease["lease"] for lease in fleet.next("--open")] == [lease["lease"] for lease in leases]
    fleet("halt", "--by", "alice", "--reason", "maintenance")
    ran = fleet("next", "--json")
    assert (ran.code, ran.json["code"]) == (1, "halted")
    assert "halted by alice: maintenance" in fleet("next").out
    denied = fleet("begin", "--host", leases[0]["host"], "--lease", leases[0]["lease"], "--json")
    assert (denied.code, denied.json["code"], denied.json["may_begin"]) == (1, "halt", False)
    assert (
        fleet("record", "--host", leases[0]["host"], "--lease", leases[0]["lease"], "--outcome", "not-begun").code == 0
    )
    fleet("resume", "--by", "alice", "--reason", "over")
    again = fleet.next()
    assert [lease["host"] for lease in again] == [leases[0]["host"]]
    assert again[0]["lease"] != leases[0]["lease"]


def test_a_person_paged_at_night_knows_what_to_do(fleet: Fleet) -> None:
    lost, _ = fleet.next()
    ran = fleet.record(lost, exit_code=7, state="lost", module_version=None, message="TDX is lost; reboot")
    assert "HALT of the fleet" in ran.out
    ran = fleet("status")
    assert ran.code == 1
    assert "HALTED" in ran.out
    assert f"{lost['host']} of {lost['class']} is lost: TDX is lost; reboot" in ran.out
    assert "who can resume: alice, bob" in ran.out
    assert f"seamstep fleet resume --ledger {fleet.ledger} --by NAME --reason TEXT" in ran.out
    assert "invariant 3 (halt), since 20" in ran.out
    assert "reboot it, record its status, then plan it again" in ran.out
    document = fleet.status()
    assert document["state"] == "halted"
    assert document["halts"][0]["kind"] == "lost"
    assert document["halts"][0]["since"]
    assert sum(one["hosts"] for one in document["blocked"]) == 7
    assert all(one["invariant"] == 3 and one["remedy"] for one in document["blocked"])
    page = fleet("status", "--format", "html").out
    assert "TDX is lost; reboot" in page
    assert "alice, bob" in page
    metrics = fleet("status", "--format", "prometheus").out
    names = {family.name for family in text_string_to_metric_families(metrics)}
    assert {"seamstep_fleet_state", "seamstep_fleet_halt", "seamstep_fleet_blocked_hosts"} <= names
    assert 'state="halted"} 1' in metrics


def test_the_limits_name_the_hosts_that_use_them_up(fleet: Fleet) -> None:
    for rack in range(3):
        fleet("record", "--host", f"k{rack}", "--outcome", "unreachable", "--note", "no route")
    assert fleet.next() == []
    blocked = fleet.status()["blocked"]
    assert {(one["invariant"], one["code"]) for one in blocked} == {(1, "domain")}
    assert {one["reason"] for one in blocked} == {
        f"rack r{rack}: 1 host is unavailable, and 1 may be" for rack in range(3)
    }
    assert "bring back, and record as seen: k0 (unreachable)" in fleet("status").out
    assert "no route" in fleet("status").out


def test_a_lease_that_expires_halts_and_shows(fleet: Fleet) -> None:
    lease = fleet.next("--limit", 1)[0]
    fleet.time += 3601
    assert "its lease expired without a report" in fleet("status").out  # before any controller asks again
    assert fleet("next").code == 1
    ran = fleet.record(lease)
    assert (ran.code, "1 recorded" in ran.out) == (0, True)
    assert fleet.status()["state"] == "halted", "a person has to look all the same"
    assert fleet("resume", "--by", "bob", "--reason", "it was slow").code == 0
    assert fleet.status()["totals"]["phases"]["done"] == 1


def test_a_host_that_rebooted_is_planned_again(fleet: Fleet) -> None:
    lease = fleet.next("--limit", 1)[0]
    begin = ("begin", "--host", lease["host"], "--lease", lease["lease"], "--boot-id", "another")
    assert fleet(*begin).code == 5
    assert "plan it again" in fleet("status").out
    hosts = [{**host, "boot_id": "another"} if host["host"] == lease["host"] else host for host in HOSTS]
    write_fleet(fleet.folder, CLASSES, hosts)
    assert fleet("start", fleet.plan, "--again").code == 0
    assert fleet.next("--limit", 1)[0]["boot_id"] == "another"


def test_a_plan_of_an_earlier_boot_is_left_out(fleet: Fleet) -> None:
    host = HOSTS[0]["host"]
    status = {"schema": "seamstep/status/v1", "boot_id": "another", "tdx": "running", "module_version": "1.5.05"}
    (fleet.folder / "s.json").write_text(json.dumps(status))
    assert fleet("record", fleet.folder / "s.json", "--host", host).code == 0
    ran = fleet("start", fleet.plan, "--again", "--json")
    assert [one["code"] for one in ran.json["rejected"]] == ["earlier-boot"]


def test_reports_as_json_lines_from_standard_input(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    leases = fleet.next()
    lines = [
        json.dumps({"host": lease["host"], "lease": lease["lease"], "boot_id": lease["boot_id"], "run": said(lease)})
        for lease in leases
    ]

    def feed(text: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    feed("\n".join(lines) + "\n")
    assert fleet("record", "-", "--json").json["recorded"] == 2
    feed(lines[0])
    ran = fleet("record", "-", "--json")
    assert (ran.code, ran.json["results"][0]["code"]) == (0, "doubled")
    feed(lines[0].replace(leases[0]["lease"], "f0f0"))
    ran = fleet("record", "-", "--json")
    assert (ran.code, ran.json["results"][0]["code"]) == (1, "other-lease")
    feed(f'{lines[0]}\n{{"host": 1}}\nno\n')
    ran = fleet("record", "-")
    assert ran.code == 2
    assert "-:2:1:" in ran.err
    assert "-:3:1:" in ran.err


def said(lease: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "schema": "seamstep/run/v1",
        "exit_code": 0,
        "module_version": lease["step"]["to"],
        "message": "",
        **changes,
    }


def test_the_allow_list(run: Run, tmp_path: Path) -> None:
    fleet = Fleet(run, tmp_path, f"{ROLLOUT}allow_list: required\n")
    assert fleet.start().code == 0
    assert "the verifier's allow-list was not given yet" in fleet("next").out
    allowed = tmp_path / "allowed"
    allowed.write_text(f"# before\n{mrseam('1.5.05')}\n\n")
    assert fleet("record", "--allow-list", allowed).code == 0
    assert f"the verifier's allow-list lacks 1.5.06 ({mrseam('1.5.06')})" in fleet("next").out
    allowed.write_text(f"{mrseam('1.5.05')}\n{mrseam('1.5.06').upper()}  # after\n")
    fleet("record", "--allow-list", allowed)
    assert len(fleet.next()) == 2
    allowed.write_text("nonsense\n")
    assert "not an MRSEAM in 96 hex digits" in fleet("record", "--allow-list", allowed).err


def test_one_class_is_halted_and_resumed(fleet: Fleet) -> None:
    ran = fleet.record(next(one for one in fleet.next() if one["class"] == "c0003"), exit_code=6, message="bad image")
    assert "HALT of 0x806F8, module 1.5.05" in ran.out
    document = fleet.status()
    assert "--class c0003" in document["halts"][0]["command"]
    assert {one["code"] for one in document["blocked"] if one["classes"] == ["c0003"]} == {"halt"}
    assert {one["code"] for one in document["blocked"] if one["classes"] == ["c0001"]} == {"canary"}
    assert fleet("resume", "--by", "alice", "--reason", "x", "--class", "c0009").code == 2
    assert fleet("resume", "--by", "alice", "--reason", "x", "--class", "c0003").out.startswith("1 halts of")
    assert fleet.next()[0]["class"] == "c0003"


def test_canaries_are_listed_for_as_long_as_they_soak(fleet: Fleet) -> None:
    (first, second) = fleet.next()
    fleet.record(first)
    assert [one["host"] for one in fleet.status()["soaking"]] == [first["host"]]
    fleet.record(second)
    status = {"schema": "seamstep/status/v1", "boot_id": "another", "tdx": "running", "module_version": "1.5.05"}
    (fleet.folder / "s.json").write_text(json.dumps(status))
    fleet("record", fleet.folder / "s.json", "--host", first["host"], "--lease", first["lease"])
    assert [one["host"] for one in fleet.status()["soaking"]] == [second["host"]], "it rebooted, so it does not count"
    fleet.time += 86401
    fleet.next()
    assert fleet.status()["soaking"] == []


def test_the_log_tells_halts_from_their_causes(fleet: Fleet) -> None:
    fleet.record(fleet.next()[0], exit_code=7, module_version=None)
    with ledger.opened(str(fleet.ledger)) as book:
        assert [event["cause"] for event in book.events() if event["kind"] == "halted"] == ["lost"]


def test_only_operators_halt_and_resume(fleet: Fleet) -> None:
    for command in ("halt", "resume"):
        ran = fleet(command, "--by", "mallory", "--reason", "x")
        assert (ran.code, "mallory is not among them: alice, bob" in ran.err) == (1, True)


def test_start_refuses_what_could_never_end(run: Run, tmp_path: Path) -> None:
    percent = ROLLOUT.replace("in_domain: 1", "in_domain: 10%").replace("in_all: 50%", "in_all: 1%")
    ran = Fleet(run, tmp_path, percent).start()
    assert ran.code == 2
    assert "unavailable.in_all: 1% of 10 hosts is no host" in ran.err
    assert "rack r0: 10% of 4 hosts is no host" in ran.err
    assert not (tmp_path / "ledger").exists()


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ({**HOSTS[0], "labels": {}}, "has no label 'rack'"),
        ({**HOSTS[0], "class": "c9"}, "no class 'c9'"),
        ({**HOSTS[1]}, "stands twice"),
        ({**HOSTS[0], "host": 7}, "has to be a name"),
        ({"host": "x"}, "is missing"),
        ([], "expected a host"),
    ],
)
def test_start_names_bad_lines(run: Run, tmp_path: Path, host: Any, told: str) -> None:
    ran = Fleet(run, tmp_path, hosts=[HOSTS[1], host]).start()
    assert ran.code == 2
    assert "hosts.jsonl:2:1" in ran.err
    assert told in ran.err


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"schema": "x"}, "expected the text seamstep/fleet/v1"),
        ({"schema": "seamstep/fleet/v1"}, "the key 'classes' is missing"),
        ({"schema": "seamstep/fleet/v1", "classes": [1]}, "not a fleet plan"),
        ({"schema": "seamstep/fleet/v1", "classes": [CLASSES[0], CLASSES[0]]}, "two classes have the class_id"),
    ],
)
def test_start_refuses_what_is_no_fleet_plan(run: Run, tmp_path: Path, document: Any, told: str) -> None:
    fleet = Fleet(run, tmp_path)
    (fleet.plan / "fleet.json").write_text(json.dumps(document))
    ran = fleet.start()
    assert (ran.code, told in ran.err) == (2, True)


def test_hosts_that_can_not_be_led_are_outside_with_their_reason(run: Run, tmp_path: Path) -> None:
    provisional = fleet_class("c2", "1.5.05", "1.5.06", kernel="b")
    provisional["plan"]["provisional"] = True
    classes = [fleet_class("c1", "1.5.05", "1.5.06", remaining=1), provisional, fleet_class("c3", "1.5.05", "1.5.06")]
    hosts = [fleet_host("a", "c1"), fleet_host("b", "c2"), {**fleet_host("c", "c3"), "boot_id": None}]
    fleet = Fleet(run, tmp_path, f"{ROLLOUT}reserve: 1\n", classes, hosts)
    assert "0 of 3 hosts are to be updated" in fleet.start().out
    reasons = " ".join(fleet.status()["outside"])
    assert "1 updates remain; the path takes 1, and 1 have to be kept" in reasons
    assert "provisional" in reasons
    assert "boot id is not known" in reasons
    assert fleet.status()["state"] == "finished"


def test_record_says_how_it_is_used(fleet: Fleet) -> None:
    for arguments in (
        (),
        ("--outcome", "unreachable"),
        ("x", "--host", "h0", "--outcome", "unreachable"),
        ("--host", "h0"),
    ):
        assert fleet("record", *arguments).code == 2
    ran = fleet("record", "--host", "nobody", "--outcome", "unreachable")
    assert (ran.code, "there is no such host" in ran.out) == (1, True)


def test_metrics_are_written_for_all_to_read(fleet: Fleet) -> None:
    path = fleet.folder / "fleet.prom"
    fleet("status", "--format", "prometheus", "-o", path)
    assert path.stat().st_mode & 0o777 == 0o644 & ~current_umask()
    fleet("status", "--format", "html", "-o", fleet.folder / "page.html")
    assert (fleet.folder / "page.html").read_text().startswith("<!DOCTYPE html>")


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_plans_of_the_planner_are_read(run: Run, spr: HostFacts, images: Path, tmp_path: Path) -> None:
    """A class with a plan as it is: its steps, its updates and the measurements of the whole path."""
    plan = dict(plan_for(spr, images).document)
    assert len(plan["hops"]) > 1
    class_ = {**fleet_class("c0001", "1.5.24", "1.5.34"), "plan": plan, "module": "1.5.24"}
    write_fleet(tmp_path, [class_], [fleet_host("a"), fleet_host("b")], f"{ROLLOUT}allow_list: required\n")
    read = plan_folder.load(str(tmp_path / "out"), rollout_file.load(str(tmp_path / "rollout.yaml"))).classes[0]
    assert read.versions == ("1.5.24", *(hop["to"] for hop in plan["hops"]))
    assert read.remaining == spr.remaining_updates
    wanted = {row["mrseam"] for row in measurements.of_plan(plan)["during"]}
    assert set(read.measurements) == wanted
    (tmp_path / "allowed").write_text("\n".join(wanted))
    fleet = ("--ledger", tmp_path / "ledger")
    assert run("fleet", "start", tmp_path / "out", "--rollout", tmp_path / "rollout.yaml", *fleet).code == 0
    assert run("fleet", "record", "--allow-list", tmp_path / "allowed", *fleet).code == 0
    assert run("fleet", "next", *fleet, "--json").json["leases"][0]["step"] == {
        "from": "1.5.24",
        "to": read.versions[1],
    }


def test_many_unreachable_hosts_halt_if_the_rollout_says_so(run: Run, tmp_path: Path) -> None:
    fleet = Fleet(run, tmp_path, f"{ROLLOUT}halt:\n  unreachable: {{hosts: 2, of: fleet}}\n")
    fleet.start()
    for host in ("h0", "new"):
        assert fleet.status()["halts"] == []
        fleet("record", "--host", host, "--outcome", "unreachable")
    assert "(2 hosts since the last resume)" in fleet.status()["halts"][0]["reason"]
    fleet("resume", "--by", "alice", "--reason", "the rack is being repaired")
    assert fleet.status()["halts"] == []


def test_from_an_inventory_to_the_first_lease(run: Run, images: Path, tmp_path: Path) -> None:
    """What fleet plan writes, fleet start reads; the waves of both are the same."""
    facts = json.loads(FACTS.read_text())
    lines = [
        {**facts, "hostname": f"h{number}", "boot_id": f"b{number}", "cpus_online": online, "cpus_present": online}
        | {"labels": {"rack": f"r{number % 3}"}}
        for number, online in enumerate(["0-15", "0-31"] * 6)
    ]
    (tmp_path / "inventory.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "rollout.yaml").write_text(ROLLOUT)
    out, rollout = tmp_path / "out", ("--rollout", tmp_path / "rollout.yaml")
    ran = run("fleet", "plan", tmp_path / "inventory.jsonl", "--catalog", images, *TRUST, *rollout, "-o", out)
    assert ran.code == 0, ran.err
    written = [json.loads(line) for line in (out / "hosts.jsonl").read_text().splitlines()]
    canaries = [host["host"] for host in written if host["wave"] == 0]
    ledger_ = ("--ledger", tmp_path / "ledger")
    assert "12 of 12 hosts are to be updated" in run("fleet", "start", out, *rollout, *ledger_).out
    leases = run("fleet", "next", *ledger_, "--json").json["leases"]
    assert [lease["host"] for lease in leases] == canaries
    assert all(len(lease["class_id"]) == 64 for lease in leases)
    (out / "hosts.jsonl").write_text("")
    ran = run("fleet", "start", out, *rollout, "--ledger", tmp_path / "other")
    assert (ran.code, "is not the file that this was written with" in ran.err) == (2, True)


def test_each_step_has_the_class_id_that_the_host_itself_finds(
    run: Run, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the way a host has other facts than it was planned from; apply --approved compares with these."""
    days = iter(range(100))
    monkeypatch.setattr(ledger, "present", lambda: Moment("controller", 100_000.0 * next(days)))
    facts = {**json.loads(FACTS.read_text()), "boot_id": "b0", "labels": {"rack": "r0"}}
    planning = ("--catalog", images, *TRUST, "--policy", "shortest-path")
    (tmp_path / "inventory.jsonl").write_text(json.dumps(facts) + "\n")
    (tmp_path / "rollout.yaml").write_text(f"{ROLLOUT}lease: 1000h\n".replace("50%", "100%"))
    out, fleet = tmp_path / "out", ("--ledger", tmp_path / "ledger")
    assert run("fleet", "plan", tmp_path / "inventory.jsonl", *planning, "-o", out).code == 0
    assert run("fleet", "start", out, "--rollout", tmp_path / "rollout.yaml", *fleet).code == 0
    path = json.loads((out / "fleet.json").read_text())["classes"][0]["path"]
    assert len(path) > 2
    del facts["labels"]
    for done, (source, target) in enumerate(itertools.pairwise(path)):
        now = {**facts, "module_version": source, "remaining_updates": facts["remaining_updates"] - done}
        (tmp_path / "now.json").write_text(json.dumps(now))
        (lease,) = run("fleet", "next", *fleet, "--json").json["leases"]
        assert lease["step"] == {"from": source, "to": target}
        own = run("plan", "--facts", tmp_path / "now.json", *planning, "--json").json
        assert lease["class_id"] == own["class_id"]
        (tmp_path / "said.json").write_text(json.dumps({**said(lease), "boot_id": "b0"}))
        about = ("--host", lease["host"], "--lease", lease["lease"])
        assert run("fleet", "record", tmp_path / "said.json", *about, *fleet).code == 0
    assert run("fleet", "next", *fleet, "--json").json["code"] == "finished"


def test_a_path_ends_where_hosts_would_plan_another_way(tmp_path: Path) -> None:
    class_ = {**fleet_class("c1", "1.5.05", "1.5.06", "1.5.08"), "step_ids": ["a" * 64, None]}
    out = write_fleet(tmp_path, [class_], [fleet_host("a", "c1"), fleet_host("b", "c1")])
    read = plan_folder.load(str(out), rollout_file.load(str(tmp_path / "rollout.yaml"))).classes[0]
    assert (read.versions, read.step_ids) == (("1.5.05", "1.5.06"), ("a" * 64,))
