"""``fleet plan``: inventories, labels, outcomes, what is written, and approved plans."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import pytest
from jsonschema import Draft202012Validator
from terminals import on_terminal
from test_host_facts import COMMON, DOUBLE, LAYOUTS, tree

from conftest import FACTS, LATEST, TRUST, Ran, Run
from seamstep.base import resources
from seamstep.cli.output import to_json
from seamstep.fleet import inventory, planning, writing
from seamstep.fleet.classes import Classes
from seamstep.fleet.findings import Findings
from seamstep.fleet.members import Members, Waiting, spool
from seamstep.show.fleet_plan import SHOWN_CLASSES
from seamstep.show.fleet_progress import progress

SPR: dict[str, Any] = json.loads(FACTS.read_text())
PLAN = ("fleet", "plan", "--mapping", LATEST, "--without-images")


def host(name: str, **changes: Any) -> dict[str, Any]:
    return SPR | {"hostname": name, "boot_id": f"boot of {name}", **changes}


#: Every outcome, and TDs in all ways.
FLEET = [
    host("a", labels={"domain": "r1"}),
    host("b", running_tds=4, labels={"domain": "r2"}),
    host("c", running_tds=0),
    host("d", running_tds=None, unknown={"running_tds": "missing: no misc cgroup"}),
    host("newest", module_version="1.5.34"),
    host("offline", cpus_online="0-1"),
    host("unlisted", module_version="1.5.99"),
    host("lost", module_version=None, unknown={"module_version": "ENXIO: gone"}),
    host("none", module_version=None, unknown={"module_version": "missing: no TDX"}),
    host("old", module_version="1.5.06", seamldr_version="1.5.00"),
]


def as_lines(path: Path, documents: list[Any]) -> Path:
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return path


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    return as_lines(tmp_path / "fleet.jsonl", FLEET)


def result(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The fleet document, checked against its schema, and the hosts."""
    document = json.loads((folder / "fleet.json").read_text())
    Draft202012Validator(resources.schema("fleet")).validate(document)
    lines = (folder / "hosts.jsonl").read_bytes()
    assert document["hosts"] == {
        "file": "hosts.jsonl",
        "lines": lines.count(b"\n"),
        "sha256": hashlib.sha256(lines).hexdigest(),
    }
    return document, list(map(json.loads, lines.splitlines()))


def planned(run: Run, folder: Path, *arguments: object, code: int = 0) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    ran = run(*PLAN, *arguments, "-o", folder, "--force")
    assert ran.code == code, ran.err
    return result(folder)


# -- what is planned


def test_outcomes_classes_and_totals(run: Run, fleet: Path, tmp_path: Path) -> None:
    document, hosts = planned(run, tmp_path / "out", fleet)
    assert document["totals"] == {
        "hosts": 10,
        "classes": 7,
        "tds": 25,
        "tds_unknown": 1,
        "by_outcome": {"update": 5, "up-to-date": 1, "no-path": 1, "not-listed": 1, "lost": 1, "not-updatable": 1},
        "by_rule": {"cpus-online": 1, "td-build": 1},
    }
    first = document["classes"][0]
    assert (first["class"], first["hosts"], first["tds"], first["tds_unknown"]) == ("c0001", 4, 7, 1)
    assert first["path"] == ["1.5.24", "1.5.34"]
    assert first["plan"]["host"]["running_tds"] == 1, "a group with TDs stands for the class"
    assert (first["plan"]["host"]["hostname"], first["plan"]["host"]["boot_id"]) == (None, None)
    assert [one["host"] for one in hosts] == [one["hostname"] for one in FLEET]
    assert [one["class"] for one in hosts[:4]] == ["c0001"] * 4
    assert hosts[0] == {
        "host": "a",
        "boot_id": "boot of a",
        "class": "c0001",
        "outcome": "update",
        "wave": None,
        "labels": {"domain": "r1"},
    }
    by_name = {one["class"]: one for one in document["classes"]}
    for one, facts in zip(hosts, FLEET, strict=True):
        assert by_name[one["class"]]["outcome"] == one["outcome"]
        assert by_name[one["class"]]["module"] == facts["module_version"]
    lost = by_name[hosts[7]["class"]]
    assert (lost["outcome"], lost["plan"], lost["reason"]) == ("lost", None, "ENXIO: gone")
    assert len({one["class_id"] for one in document["classes"]}) == len(document["classes"])
    assert by_name[hosts[8]["class"]]["outcome"] == "not-updatable"


def test_each_host_s_own_plan_is_of_its_class(run: Run, fleet: Path, tmp_path: Path) -> None:
    document, hosts = planned(run, tmp_path / "out", fleet)
    by_name = {one["class"]: one for one in document["classes"]}
    for one, facts in zip(hosts, FLEET, strict=True):
        path = tmp_path / "facts.json"
        path.write_text(json.dumps({key: value for key, value in facts.items() if key != "labels"}))
        ran = run("plan", "--mapping", LATEST, "--without-images", "--facts", path, "--json")
        own = ran.json
        if by_name[one["class"]]["plan"] is None:
            assert "class_id" not in own, "there is no plan"
        else:
            assert own["class_id"] == by_name[one["class"]]["class_id"] == by_name[one["class"]]["plan"]["class_id"]
            assert own["outcome"] == one["outcome"]


def test_text_json_and_page_tell_the_same(run: Run, fleet: Path, tmp_path: Path) -> None:
    page = tmp_path / "fleet.html"
    ran = run(*PLAN, fleet, "--html", page)
    assert ran.code == 0
    for part in (
        "10 hosts in 7 classes under the policy fewest-hops",
        "how many TDs run is not known of 1 host",
        "update",
        "1.5.24 → 1.5.34",
        "7 at least",
        "may go on",
        "TDX is lost: reboot",
        "held up by cpus-online",
    ):
        assert part in ran.out, part
        assert part in page.read_text(), part
    document = run(*PLAN, fleet, "--json").json
    Draft202012Validator(resources.schema("fleet")).validate(document)
    assert document["hosts"] is None
    written, _ = planned(run, tmp_path / "out", fleet)
    assert {**written, "hosts": None} == document
    assert run(*PLAN, fleet, "--html", page).code == 1, "not without --force"
    assert stat_mode(page) == 0o600


def stat_mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_long_table_is_cut(run: Run, tmp_path: Path) -> None:
    hosts = [host(str(number), kernel=f"7.{number}") for number in range(SHOWN_CLASSES + 2)]
    out = run(*PLAN, as_lines(tmp_path / "fleet.jsonl", hosts)).out
    assert "and 2 more classes (--json, --html and -o have all)" in out
    assert len(re.findall(r"^c[0-9]{4} ", out, re.MULTILINE)) == SHOWN_CLASSES


def test_creation_of_tds(run: Run, tmp_path: Path) -> None:
    hosts = [host("none", module_version="1.5.06", running_tds=0), host("some", module_version="1.5.06")]
    held = tmp_path / "held.yaml"
    held.write_text(json.dumps({"schema": "seamstep/policy/v1", "name": "held", "td_creation": "held"}))
    lines = as_lines(tmp_path / "fleet.jsonl", hosts)
    assert "only while no TD runs: 1.5.06 → " in run(*PLAN, lines).out
    assert "hold back: 1.5.06 → " in run(*PLAN, lines, "--policy", held).out


def test_the_same_hosts_in_another_order_are_the_same_classes(run: Run, tmp_path: Path) -> None:
    unknown = [host(f"u{n}", running_tds=None, unknown={"running_tds": f"missing: {n}"}) for n in range(3)]
    hosts = [*unknown, *FLEET, *(document | {"hostname": f"k{n}", "kernel": "9"} for n, document in enumerate(unknown))]
    one, _ = planned(run, tmp_path / "one", as_lines(tmp_path / "one.jsonl", hosts))
    other, _ = planned(run, tmp_path / "other", as_lines(tmp_path / "other.jsonl", hosts[::-1]))
    assert {**one, "hosts": None} == {**other, "hosts": None}


def test_a_signer_is_for_made_up_hosts(run: Run, tmp_path: Path, images: Path) -> None:
    arguments = ("fleet", "plan", "--catalog", images, *TRUST)
    assert run(*arguments, as_lines(tmp_path / "fleet.jsonl", [host("a")])).code == 0
    ran = run(*arguments, as_lines(tmp_path / "fleet.jsonl", [host("a", simulated=False)]))
    assert (ran.code, "real hosts take Intel's key alone" in ran.err) == (2, True)


# -- inventories


def test_every_form_of_an_inventory(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fleet: Path) -> None:
    expected, lines = planned(run, tmp_path / "out", fleet)
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, document in enumerate(FLEET):
        (folder / f"{number}.json").write_text(json.dumps(document, indent=1))
    (folder / "README").write_text("passed over")
    assert planned(run, tmp_path / "out", folder)[1] == lines
    (folder / "8.json").unlink()
    (folder / "9.json").unlink()
    assert planned(run, tmp_path / "out", folder, as_lines(folder / "rest.ndjson", FLEET[8:9]), code=1)
    (folder / "rest.ndjson").unlink()
    rest = as_lines(tmp_path / "rest", FLEET[8:])
    assert planned(run, tmp_path / "out", folder, rest)[1] == lines
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(fleet.read_bytes())))
    assert planned(run, tmp_path / "out", "-")[0] == expected
    assert planned(run, tmp_path / "out", FACTS)[1][0]["host"] == "host-a"
    assert run(*PLAN, "-", "-").code == 2


def test_findings_have_places_and_the_rest_is_planned(run: Run, tmp_path: Path) -> None:
    good = json.dumps(host("a")).encode()
    path = tmp_path / "fleet.jsonl"
    lines = [
        good,
        b"",
        b'{"schema": "seamstep/facts/v1", "module_version": "1.5"}',
        b"[1]",
        b"\xff" + good,
        b"x" * 2_100_000,
        good,
        json.dumps(host("b")).encode() + b"\r",
        json.dumps(SPR | {"hostname": None}).encode(),
        json.dumps(host("c")).encode()[:-1],
    ]
    path.write_bytes(b"\n".join(lines))
    ran = run(*PLAN, path, "-o", tmp_path / "out")
    assert ran.code == 1
    document, hosts = result(tmp_path / "out")
    assert [one["host"] for one in hosts] == ["a", "b"]
    assert document["findings"]["count"] == 7
    found = {problem["line"]: problem["message"] for problem in document["findings"]["problems"]}
    assert set(found) == {3, 4, 5, 6, 7, 9, 10}
    assert found[7] == 'host "a": this host\'s facts stand above already; the first ones count'
    for place in ("fleet.jsonl:3:33: module_version: ", "fleet.jsonl:6:1: too large", "fleet.jsonl:9:1: no host name"):
        assert place in ran.err
    assert "7 findings in the inventory" in ran.out


def test_findings_are_bounded(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "fleet.jsonl"
    path.write_text(json.dumps(host("a")) + "\n" + "[]\n" * 250)
    ran = run(*PLAN, path, "--json")
    assert ran.code == 1
    assert (ran.json["findings"]["count"], len(ran.json["findings"]["problems"])) == (250, 100)
    assert ran.err.endswith("seamstep: and 150 findings more\n")
    ran = run("diff", LATEST, LATEST, "--facts", path)
    assert (ran.code, "and 150 problems more" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda path: path.mkdir(), "holds no facts"),
        (lambda path: path.write_text(""), "the file is empty"),
        (lambda path: path.write_text("\n\n"), "holds no facts"),
        (lambda path: None, "can't read the facts document"),
    ],
)
def test_what_holds_nothing_is_an_error(run: Run, tmp_path: Path, made: Any, told: str) -> None:
    path = tmp_path / "fleet.jsonl"
    made(path)
    ran = run(*PLAN, path)
    assert (ran.code, told in ran.err) == (2, True), ran.err


def test_a_folder_has_regular_files(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    os.mkfifo(folder / "fifo.json")
    (folder / "gone.json").symlink_to("nowhere")
    (folder / "big.json").write_text(" " * (1 << 21))
    (folder / "a.json").write_text(json.dumps(SPR))
    ran = run(*PLAN, folder)
    assert (ran.code, "1 host in 1 class" in ran.out) == (1, True)
    for told in (
        "fifo.json: can't read the facts document: a pipe, not a regular file",
        "gone.json: can't",
        "too large",
    ):
        assert told in ran.err


def test_lines_of_any_length_across_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "SIZE_LIMIT", 5)
    content = b"one\ntwo\n\nlonger than five\nsix\n" + b"x" * 40 + b"\nend"
    expected = [b"one", b"two", b"", b"longer than five", b"six", b"x" * 40, b"end"]
    for size in (1, 2, 3, 7, 100):
        monkeypatch.setattr(inventory, "_CHUNK", size)
        found = list(inventory.lines(io.BytesIO(content), lambda _read: None))
        assert len(found) == len(expected)
        for line, one in zip(found, expected, strict=True):
            assert line == one or (line is None and len(one) > 5)
    monkeypatch.setattr(inventory, "_CHUNK", 2)
    assert list(inventory.lines(io.BytesIO(b"a\n" + b"x" * 40), lambda _read: None)) == [b"a", None]


# -- labels


LABELS = {
    "labels.csv": 'host,domain,row\na,r9,7\n"b",r2,\nc,"r,3",1\n',
    "labels.jsonl": '{"host": "a", "labels": {"domain": "r9", "row": "7"}}\n\n'
    '{"host": "b", "labels": {"domain": "r2"}}\n{"host": "c", "labels": {"domain": "r,3", "row": "1"}}\n',
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_from_a_file(run: Run, fleet: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(LABELS[name])
    document, hosts = planned(run, tmp_path / "out", fleet, "--labels", path, code=1)
    assert [one["labels"] for one in hosts[:4]] == [
        {"domain": "r9", "row": "7"},
        {"domain": "r2"},
        {"domain": "r,3", "row": "1"},
        {},
    ]
    (problem,) = document["findings"]["problems"]
    assert problem["line"] == 1
    assert problem["message"] == "the label domain is 'r1' here and 'r9' in the file of labels, which counts"


@pytest.mark.parametrize(
    ("name", "text", "line", "told"),
    [
        ("l.csv", "host,domain\nb\n", 2, "1 columns; the first line has 2"),
        ("l.csv", "host,domain\nb,r2\nb,2\n", 3, "this host stands above already"),
        ("l.csv", "host,domain\n,1\n", 2, "no host name"),
        ("l.csv", 'host,domain\nb,"1"x\n', 2, "not CSV"),
        ("l.jsonl", "[]\n", 1, "expected an object such as"),
        ("l.jsonl", '{"host": "b", "labels": {"a": 1}}\n', 1, "a label is a text"),
        ("l.jsonl", '{"host": "b"}\n', 1, "expected an object such as"),
        ("l.jsonl", '{"host": "b", "labels": {}, "host": "c"}\n', 1, "twice"),
        ("l.jsonl", "x" * (1 << 21), 1, "too large"),
        ("l.csv", "host,domain\n" + "x" * (1 << 21), 2, "too large"),
    ],
)
def test_mistakes_in_labels(run: Run, fleet: Path, tmp_path: Path, name: str, text: str, line: int, told: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    ran = run(*PLAN, fleet, "--labels", path, "--json")
    problems = ran.json["findings"]["problems"]
    assert (ran.code, [(one["line"], told in one["message"]) for one in problems]) == (1, [(line, True)]), problems
    assert ran.json["totals"]["hosts"] == 10


@pytest.mark.parametrize("text", ["a,b\n", "", "host,a,a\n", "host,,b\n"])
def test_a_csv_file_of_labels_has_a_head(run: Run, fleet: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "l.csv").write_text(text)
    assert run(*PLAN, fleet, "--labels", tmp_path / "l.csv").code == 2
    assert run(*PLAN, fleet, "--labels", tmp_path / "nowhere.csv").code == 2


# -- what is written


def test_the_result_is_not_overwritten_without_force(run: Run, fleet: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    assert run(*PLAN, fleet, "-o", out).code == 0
    assert {path.name: stat_mode(path) for path in out.iterdir()} == {"fleet.json": 0o600, "hosts.jsonl": 0o600}
    assert stat_mode(out) == 0o700
    before = (out / "fleet.json").read_bytes()
    ran = run(*PLAN, FACTS, "-o", out)
    assert (ran.code, "give --force" in ran.err) == (1, True)
    assert (out / "fleet.json").read_bytes() == before
    assert run(*PLAN, FACTS, "-o", out, "--force").code == 0
    assert len(result(out)[1]) == 1
    assert run(*PLAN, fleet, "-o", fleet, "--force").code == 1, "not a folder"
    assert run(*PLAN, fleet, "-o", fleet / "below").code == 2


@pytest.mark.parametrize("name", ["fleet.json", "hosts.jsonl"])
def test_nothing_is_left_of_what_could_not_be_written(
    run: Run, fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    out = tmp_path / "out"
    replace = os.replace

    def full(old: str, new: str) -> None:
        if new.endswith(name):
            raise OSError(28, "No space left on device")
        replace(old, new)

    monkeypatch.setattr(os, "replace", full)
    ran = run(*PLAN, fleet, "-o", out)
    assert (ran.code, f"{name}: can't write: No space left on device" in ran.err) == (2, True)
    assert {path.name for path in out.iterdir()} <= {"hosts.jsonl"} - {name}
    monkeypatch.undo()
    monkeypatch.setattr(writing, "document", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    ran = run(*PLAN, fleet, "-o", out, "--force")
    assert (ran.code, "can't write" in ran.err) == (2, True)
    assert {path.name for path in out.iterdir()} == {"hosts.jsonl"}


@pytest.fixture
def spooled() -> Iterator[IO[bytes]]:
    with spool(None) as file:
        yield file


def test_members_are_read_as_often_as_wanted(fleet: Path, spooled: IO[bytes]) -> None:
    classes, findings = Classes(), Findings()
    members = Members(inventory.hosts([str(fleet)], classes, findings, lambda _read: None), findings, None, spooled)
    assert len(members) == 10
    first, second = iter(members), iter(members)
    assert next(first).name == next(second).name == b'"a"'
    assert [json.loads(one.name) for one in first][-1] == "old"
    assert len(list(second)) == 9
    names: list[str | None] = [None] * len(members.groups)
    names[0] = "c0001"
    assert list(Waiting(members, names)) == [("a", "c0001", {"domain": "r1"}), ("b", "c0001", {"domain": "r2"})]


def test_waves_are_given_in_the_order_of_hosts(fleet: Path, tmp_path: Path, spooled: IO[bytes]) -> None:
    """What the rollout gives goes to the hosts that are to be updated, and to no other."""
    from seamstep.policy import policy_file

    classes, findings = Classes(), Findings()
    members = Members(inventory.hosts([str(fleet)], classes, findings, lambda _read: None), findings, None, spooled)
    from conftest import DAY
    from seamstep.image import catalog

    loaded = catalog.load(str(LATEST))
    ground = planning.Ground(
        loaded.mapping, loaded.releases, policy_file.load("fewest-hops", DAY), DAY, False, without_images=True
    )
    with spool(None) as file:
        plan = planning.FleetPlan(ground, classes.facts, members.groups, file)
        writing.write(str(tmp_path), writing.Result(plan, members, findings), iter(range(5)))
    _, hosts = result(tmp_path)
    assert [one["wave"] for one in hosts] == [0, 1, 2, 3, *[None] * 5, 4]


def test_hostile_names_are_spelled_out(run: Run, tmp_path: Path) -> None:
    hosts = [
        host('<script>"\x1b[2J', kernel="\x1b[2J<b>"),
        host("a", module_version=None, unknown={"module_version": "\x1b"}),
    ]
    page = tmp_path / "page.html"
    ran = run(*PLAN, as_lines(tmp_path / "fleet.jsonl", hosts), "--html", page, "-o", tmp_path / "out")
    assert ran.code == 0
    assert "\x1b" not in ran.out + page.read_text()
    assert result(tmp_path / "out")[1][0]["host"] == '<script>"\x1b[2J'


def test_options_that_need_a_folder(run: Run, fleet: Path) -> None:
    for option in (("--rollout", "r.yaml"), ("--parquet",)):
        ran = run(*PLAN, fleet, *option)
        assert (ran.code, "takes -o OUT" in ran.err) == (2, True)


def test_bars_on_a_terminal(fleet: Path, tmp_path: Path) -> None:
    code, shown = on_terminal([*map(str, PLAN), str(fleet), "-o", str(tmp_path / "out")], 120)
    assert code == 0
    for stage in ("reading", "planning", "writing"):
        assert stage in shown
    assert "10 hosts in 7 classes" in shown


# -- approved plans


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The files of a host with an upload node. No kernel answers, so an update fails."""
    files = COMMON | LAYOUTS["mainline"] | {"sys/devices/faux/tdx_host/version": "1.5.24\n"}
    node = "sys/class/firmware/tdx_module"
    tree(tmp_path / "root", files, DOUBLE, {f"{node}/{name}": "" for name in ("loading", "data", "error")})
    return tmp_path / "root"


def approve(run: Run, root: Path, images: Path, *arguments: object) -> Ran:
    return run("apply", *TRUST, "--catalog", images, "--sysroot", root, "--yes", *arguments)


def test_what_was_approved_is_performed(run: Run, root: Path, images: Path, tmp_path: Path) -> None:
    """The inventory's plan is that of the host, though the catalog lay elsewhere, TDs came and the host has a name."""
    facts = run("facts", "--sysroot", root, "--json").json | {"hostname": "elsewhere", "boot_id": "x", "running_tds": 9}
    other = tmp_path / "elsewhere"
    other.symlink_to(images)
    out = tmp_path / "out"
    lines = as_lines(tmp_path / "fleet.jsonl", [facts])
    assert run("fleet", "plan", lines, "--catalog", other, *TRUST, "-o", out).code == 0
    (one,) = result(out)[0]["classes"]
    ran = approve(run, root, images, "--approved", one["class_id"])
    assert ran.code == 6, "the plan was performed, and no kernel answered"
    saved = tmp_path / "approved.json"
    saved.write_text(to_json(one["plan"]))
    assert approve(run, root, images, "--approved", saved, "--retry-failed").code == 6
    assert f"class_id {one['class_id']}" in run("plan", *TRUST, "--catalog", images, "--sysroot", root).out


def test_what_was_not_approved_is_refused(run: Run, root: Path, images: Path, tmp_path: Path) -> None:
    saved = tmp_path / "approved.json"
    assert run("plan", *TRUST, "--catalog", images, "--sysroot", root, "-o", saved).code == 0
    ran = approve(run, root, images, "--approved", "00" * 32)
    assert (ran.code, f"{'00' * 32} was approved; this plan: 1.5.24 → 1.5.34, 1 hop" in ran.err) == (5, True)
    (root / "sys/devices/faux/tdx_host/num_remaining_updates").write_text("2\n")
    ran = approve(run, root, images, "--approved", saved)
    assert ran.code == 5
    assert "was approved: host.remaining_updates was" in ran.err
    ran = approve(run, root, images, "--approved", saved, "--target", "1.5.28", "--json")
    assert ran.json["exit_code"] == 5
    assert "policy.target was newest, is 1.5.28" in ran.json["error"]
    assert not (root / "sys/class/firmware/tdx_module/data").read_text(), "nothing was staged"


def test_approval_is_of_a_plan_made_here(run: Run, root: Path, images: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    assert run("plan", *TRUST, "--catalog", images, "--sysroot", root, "-o", saved).code == 0
    ran = approve(run, root, images, saved, "--approved", "00" * 32)
    assert (ran.code, "a saved PLAN is another way" in ran.err) == (2, True)
    assert approve(run, root, images, "--approved", "nonsense").code == 2
    forged = json.loads(saved.read_text()) | {"class_id": "00" * 32}
    from seamstep.plan.document import digest

    saved.write_text(json.dumps(forged | {"id": digest(forged)}))
    ran = approve(run, root, images, "--approved", saved)
    assert (ran.code, "class_id: is not the class of this plan" in ran.err) == (2, True)


# -- the edges


def test_waves_come_from_the_rollout(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes of the same platform, module, P-SEAMLDR and kernel go by one name, whatever else tells them apart."""
    given: list[tuple[str, str, dict[str, str]]] = []
    rollout_file, waves = ModuleType("rollout_file"), ModuleType("waves")

    def assign(rollout: object, waiting: Iterable[tuple[str, str, dict[str, str]]]) -> Iterator[int]:
        assert rollout == "the rollout in r.yaml"
        given.extend(waiting)
        return iter(range(len(given)))

    rollout_file.load = lambda path: f"the rollout in {path}"  # type: ignore[attr-defined]
    waves.group = lambda *of: repr(of)  # type: ignore[attr-defined]
    waves.assign = assign  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "seamstep.fleet.rollout_file", rollout_file)
    monkeypatch.setitem(sys.modules, "seamstep.fleet.waves", waves)
    hosts = [host("a"), host("b", remaining_updates=2), host("new", module_version="1.5.34"), host("c", kernel="9")]
    lines = as_lines(tmp_path / "fleet.jsonl", hosts)
    _, written = planned(run, tmp_path / "out", lines, "--rollout", "r.yaml")
    assert [one["wave"] for one in written] == [0, 1, None, 2]
    assert [name for name, _, _ in given] == ["a", "b", "c"]
    assert given[0][1] == given[1][1] == "(['0x806F8'], '1.5.24', '1.5.02', '7.2.0')" != given[2][1]
    assert len({one["class"] for one in written}) == 4


def test_findings_on_the_page(run: Run, tmp_path: Path) -> None:
    page, path = tmp_path / "page.html", tmp_path / "fleet.jsonl"
    path.write_text(json.dumps(host("a")) + "\n" + "[<b>]\n" * 101)
    assert run(*PLAN, path, "--html", page).code == 1
    text = page.read_text()
    assert "101 findings in the inventory" in text
    assert "fleet.jsonl:2" in text
    assert "and 1 more" in text
    assert "<b>" not in text


def test_the_size_of_inventories(tmp_path: Path, fleet: Path) -> None:
    assert inventory.size([str(fleet), str(tmp_path)]) == 2 * fleet.stat().st_size
    assert inventory.size(["-"]) is None
    assert inventory.size([str(tmp_path / "nowhere")]) is None


def test_closed_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    ran = run(*PLAN, "-")
    assert (ran.code, "standard input is closed" in ran.err) == (2, True)


def test_progress_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with progress(terminal) as shown:
        assert shown.visible
        shown.stage("reading", 10)(10)
        shown.stage("planning", None)(3)
    assert "100%" in terminal.getvalue()
    with progress(io.StringIO()) as shown:
        shown.stage("reading", 10)(10)
        assert not shown.visible


def test_a_folder_for_temporary_files_that_is_not_there(run: Run, fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", fails)
    ran = run(*PLAN, fleet)
    assert (ran.code, "can't write: No space left on device" in ran.err) == (2, True)
