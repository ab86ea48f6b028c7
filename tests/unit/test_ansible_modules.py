"""The modules of the Ansible collection, called as Ansible calls them. Rollouts by its playbook are in tests/fleet."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from fleet_plans import ROLLOUT, fleet_class, fleet_host, write_fleet

from conftest import Run
from seamstep.base.errors import ExitCode
from seamstep.service import configuration

if not os.environ.get("SEAMSTEP_REQUIRE_ANSIBLE"):
    pytest.importorskip("ansible.module_utils.testing", reason="needs ansible-core, 2.19 for Python 3.11")

COLLECTIONS = Path(__file__).parents[2] / "integrations" / "ansible"
PLUGINS = "ansible_collections.seamstep.tdx.plugins"
SEAMSTEP = str(Path(sys.executable).parent / "seamstep")
CODES = {
    0: "done",
    1: "refused",
    2: "invalid",
    3: "not-updatable",
    4: "busy",
    5: "stale",
    6: "failed",
    7: "lost",
    8: "unknown",
    10: "update-available",
    70: "internal",
    130: "interrupted",
}
OLD, NEW = "1.5.24", "1.5.34"


class Result(NamedTuple):
    """What a module answered. ``failed`` is whether Ansible shows it as failed."""

    failed: bool
    data: dict[str, Any]

    @property
    def code(self) -> str:
        return str(self.data["code"])


@pytest.fixture(autouse=True)
def collections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(COLLECTIONS))


def play(name: str, *, check: bool = False, **arguments: Any) -> Result:
    """Run a module."""
    from ansible.module_utils.testing import patch_module_args

    said = {**arguments, "_ansible_check_mode": check, "_ansible_diff": check, "_ansible_remote_tmp": "/tmp"}
    out = io.StringIO()
    with patch_module_args(said), contextlib.redirect_stdout(out), pytest.raises(SystemExit) as ended:
        importlib.import_module(f"{PLUGINS}.modules.{name}").main()
    data = json.loads(out.getvalue())
    assert bool(data.get("failed")) is bool(ended.value.code)
    return Result(bool(data.get("failed")), data)


def status(version: str | None, tdx: str = "running") -> dict[str, Any]:
    return {"schema": "seamstep/status/v1", "tdx": tdx, "module_version": version, "boot_id": "b1"}


def ran(version: str | None = NEW, code: int = 0, *, applied: bool = True) -> dict[str, Any]:
    hops = [{"from": OLD, "to": version}] if applied else []
    return {"schema": "seamstep/run/v1", "exit_code": code, "module_version": version, "applied": hops, "message": "m"}


class Program:
    """A program that answers as seamstep does: before the update, at it, and after it."""

    def __init__(self, folder: Path) -> None:
        self.path, self._folder = folder / "seamstep", folder

    def says(self, before: object, told: str, code: int, after: object) -> str:
        """Set what it says; returns its path."""
        for name, text in (("before", json.dumps(before)), ("told", told), ("after", json.dumps(after))):
            (self._folder / name).write_text(text)
        (self._folder / "done").unlink(missing_ok=True)
        self.path.write_text(
            f'#!/bin/sh\ncd {self._folder}\nif [ "$1" = apply ]; then cat told; touch done; exit {code}; fi\n'
            "if [ -e done ]; then cat after; else cat before; fi\n"
        )
        self.path.chmod(0o755)
        return str(self.path)


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def test_there_is_a_word_for_each_exit_code() -> None:
    utils = importlib.import_module(f"{PLUGINS}.module_utils.seamstep")
    assert utils.CODES == CODES
    assert set(CODES) == {int(code) for code in ExitCode}


@pytest.mark.parametrize("number", sorted(CODES))
def test_only_what_was_done_is_green(program: Program, number: int) -> None:
    after = NEW if number == 0 else OLD
    told = json.dumps(ran(after, number, applied=number == 0))
    result = play("apply", catalog="/c", executable=program.says(status(OLD), told, number, status(after)))
    assert result.code == CODES[number]
    assert (result.failed, result.data["changed"]) == (number != 0, number == 0)
    assert result.data["document"] == json.loads(told)


@pytest.mark.parametrize(
    ("told", "after"),
    [
        pytest.param(ran(), status(OLD), id="the version is the old one"),
        pytest.param(ran(), status("1.5.28"), id="another version runs"),
        pytest.param(ran(), status(None, "lost"), id="TDX is lost"),
        pytest.param(ran(), {"schema": "seamstep/error/v1"}, id="the host can't be read"),
        pytest.param(ran(OLD, applied=False), status(NEW), id="something else updated it"),
        pytest.param({**ran(), "module_version": OLD}, status(NEW), id="apply contradicts itself"),
        pytest.param("", status(NEW), id="apply says nothing"),
        pytest.param("[" * 100_000, status(NEW), id="apply says what is no document"),
        pytest.param("x" * (17 << 20), status(OLD), id="apply says too much"),
    ],
)
def test_a_host_that_reads_back_otherwise_is_not_green(program: Program, told: Any, after: object) -> None:
    text = told if isinstance(told, str) else json.dumps(told)
    result = play("apply", catalog="/c", executable=program.says(status(OLD), text, 0, after))
    assert (result.failed, result.code) == (True, "unknown")
    report = result.data["document"]
    assert (report["schema"], report["exit_code"]) == ("seamstep/error/v1", 8), "it is recorded as unknown"
    assert len(json.dumps(result.data)) < 10_000


def test_a_seamstep_that_is_not_there(tmp_path: Path) -> None:
    needed: dict[str, dict[str, Any]] = {"apply": {"catalog": "/c"}, "plan": {"catalog": "/c"}, "hold": {"reason": "x"}}
    for name in ("apply", "facts", "hold", "plan"):
        result = play(name, executable=str(tmp_path / "none"), **needed.get(name, {}))
        assert (result.failed, result.code) == (True, "not-run"), name
        assert "No such file" in result.data["msg"]


def test_facts_of_a_host(program: Program) -> None:
    """The folder is no TDX host, which is an answer."""
    result = play("facts", executable=SEAMSTEP, sysroot=str(program.path.parent))
    assert (result.failed, result.code) == (False, "not-updatable")
    assert result.data["ansible_facts"]["seamstep"]["facts"]["module_version"] is None
    result = play("facts", executable=SEAMSTEP, sysroot="/nowhere")
    assert (result.failed, result.code) == (True, "invalid")


def test_a_plan_says_no_in_red(images: Path, tmp_path: Path) -> None:
    from conftest import FACTS, SIGNER

    common: dict[str, Any] = {
        "executable": SEAMSTEP,
        "catalog": str(images),
        "signers": [SIGNER.fingerprint],
        "facts": str(FACTS),
    }
    result = play("plan", policy=["shortest-path"], **common)
    assert (result.failed, result.code) == (False, "update-available")
    assert result.data["path"] == ["1.5.24", "1.5.28", "1.5.34"]
    result = play("plan", target="1.5.25", **common)
    assert (result.failed, result.code, result.data["path"]) == (True, "refused", [])
    result = play("plan", policy=["no-such"], **common)
    assert (result.failed, result.code) == (True, "invalid")


def test_a_hold(tmp_path: Path) -> None:
    """In this order: what is asked for, and whether it changes something, fails, and holds the host."""
    common: dict[str, Any] = {"executable": SEAMSTEP, "sysroot": str(tmp_path), "state_dir": str(tmp_path / "state")}
    mine, other = {"reason": "rack work"}, {"reason": "a test"}
    for arguments, check, changed, failed, reason in (
        (mine, True, True, False, "rack work"),
        ({"state": "released"}, False, False, False, None),
        (mine, False, True, False, "rack work"),
        (mine, False, False, False, "rack work"),
        (other, False, False, False, "rack work"),
        ({"state": "released", **other}, False, False, True, "rack work"),
        ({"replace": True, **other}, False, True, False, "a test"),
        ({"state": "released", **other}, True, True, False, None),
        ({"state": "released", **other}, False, True, False, None),
    ):
        result = play("hold", check=check, **common, **arguments)
        held = (result.data["hold"] or {}).get("reason")
        assert (bool(result.data.get("changed")), result.failed, held) == (changed, failed, reason), arguments


# -- rollouts


@pytest.fixture
def ledger(run: Run, tmp_path: Path) -> Path:
    """A rollout of four hosts in two classes, with a canary for each."""
    classes = [fleet_class("c0001", OLD, NEW), fleet_class("c0002", OLD, NEW, kernel="7.1")]
    hosts = [
        fleet_host(name, class_, rack)
        for name, class_, rack in zip("abcd", ["c0001", "c0002"] * 2, "rstu", strict=True)
    ]
    out = write_fleet(tmp_path, classes, hosts, ROLLOUT)
    path = tmp_path / "ledger"
    assert run("fleet", "start", out, "--rollout", tmp_path / "rollout.yaml", "--ledger", path).code == 0
    return path


def rollout(ledger: Path, command: str, *, check: bool = False, **arguments: object) -> Result:
    return play("rollout", check=check, command=command, ledger=str(ledger), executable=SEAMSTEP, **arguments)


def test_the_core_answers_in_words(ledger: Path, run: Run) -> None:
    assert rollout(ledger, "next", check=True).code == "running", "check mode gives no lease"
    given = rollout(ledger, "next", limit=1)
    assert (given.code, given.data["changed"]) == ("leases", True)
    (lease,) = given.data["leases"]
    about = {"host": lease["host"], "lease": lease["lease"], "boot_id": lease["boot_id"]}
    assert rollout(ledger, "open").data["leases"][0]["lease"] == lease["lease"]
    assert rollout(ledger, "begin", **about).code == "begun"
    again = rollout(ledger, "begin", **about)
    assert (again.failed, again.code) == (True, "already-begun"), "the core says begun to both"
    said = {**ran(), "boot_id": lease["boot_id"]}
    assert rollout(ledger, "record", document=said, **{**about, "lease": "00"}).code == "not-believed"
    assert rollout(ledger, "record", document=said, **about).code == "recorded"
    assert rollout(ledger, "next", limit=1).code == "leases"
    waiting = rollout(ledger, "next")
    assert (waiting.failed, waiting.code, waiting.data["stuck"]) == (False, "waiting", False)
    assert run("fleet", "halt", "--ledger", ledger, "--by", "alice", "--reason", "a test").code == 0
    halted = rollout(ledger, "next")
    assert (halted.failed, halted.code) == (True, "halted")
    assert "Who can resume: alice, bob" in halted.data["msg"]
    assert "seamstep fleet resume --ledger" in halted.data["msg"]
    status_ = rollout(ledger, "status")
    assert (status_.failed, status_.code) == (False, "halted")
    assert any("is leased" in line for line in status_.data["left"])
    assert rollout(ledger.parent / "none", "status").code == "invalid"


class Step:
    """The action of a host's turn, with a host that answers as it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ledger: Path) -> None:
        self.module = importlib.import_module(f"{PLUGINS}.action.step")
        self._patch, self.ledger = monkeypatch, ledger
        self.asked: list[str] = []
        monkeypatch.setattr(self.module.time, "sleep", lambda _: None)

    def __call__(
        self, lease: Mapping[str, Any], answers: Mapping[str, Any], *, known: bool = True, **arguments: object
    ) -> dict[str, Any]:
        """Take the step. ``answers`` has each module's result, or an exception."""
        from ansible.plugins.action import ActionBase

        def execute(_self: object, module_name: str, **_: object) -> dict[str, Any]:
            name = module_name.rpartition(".")[2]
            self.asked.append(name)
            found = answers[name]
            if isinstance(found, Exception):
                raise found
            return dict(found)

        self._patch.setattr(ActionBase, "_execute_module", execute)
        given = {
            "ledger": str(self.ledger),
            "fleet_executable": SEAMSTEP,
            "host": lease["host"],
            "lease": lease["lease"],
            "class_id": lease["class_id"],
            "catalog": "/c",
            **arguments,
        }
        task = SimpleNamespace(args=given, delegate_to=lease["host"], check_mode=False, async_val=0, diff=False)
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="x"))
        action = self.module.ActionModule(task, connection, None, None, None, None)
        names = [lease["host"]] if known else []
        found: dict[str, Any] = action.run(task_vars={"groups": {"all": names}, "inventory_hostname": "worker"})
        return found


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch, ledger: Path) -> Step:
    return Step(monkeypatch, ledger)


def lease_of(ledger: Path) -> dict[str, Any]:
    found: dict[str, Any] = rollout(ledger, "next", limit=1).data["leases"][0]
    return found


def phase(run: Run, ledger: Path, host: str) -> str:
    document = run("fleet", "status", "--json", "--ledger", ledger).json
    listed = [*document["unavailable"], *document["aside"]]
    return next((one["phase"] for one in listed if one["host"] == host), "as before")


def seen(lease: Mapping[str, Any], boot_id: str = "") -> dict[str, Any]:
    return {"status": {**status(OLD), "boot_id": boot_id or lease["boot_id"]}, "facts": {}}


def applied(lease: Mapping[str, Any], code: int = 0) -> dict[str, Any]:
    document = {**ran(NEW if code == 0 else OLD, code, applied=code == 0), "boot_id": lease["boot_id"]}
    return {"code": CODES[code], "changed": code == 0, "document": document, "failed": code != 0}


def unreached() -> Exception:
    from ansible.errors import AnsibleConnectionFailure

    found: Exception = AnsibleConnectionFailure("no route to it")
    return found


def crashed(_: object) -> dict[str, Any]:
    return {"failed": True, "msg": "MODULE FAILURE", "module_stderr": "Killed"}


Answer = Callable[[Mapping[str, Any]], object]
NOT_REACHED: Answer = lambda _: unreached()  # noqa: E731 - the exception is made once Ansible is there
#: For the answers of facts and of apply: the code, whether it is red, how the host stands then, whether a halt follows.
TURNS: dict[str, tuple[Answer, Answer, str, bool, str, bool]] = {
    "applied": (seen, applied, "done", False, "as before", False),
    "busy": (seen, lambda lease: applied(lease, 4), "busy", True, "waiting", False),
    "refused": (seen, lambda lease: applied(lease, 1), "refused", True, "refused", False),
    "failed": (seen, lambda lease: applied(lease, 6), "failed", True, "failed", True),
    "lost": (seen, lambda lease: applied(lease, 7), "lost", True, "lost", True),
    "unknown": (seen, lambda lease: applied(lease, 8), "unknown", True, "unknown", True),
    "not reached": (NOT_REACHED, applied, "unreachable", True, "unreachable", False),
    "without seamstep": (crashed, applied, "unreachable", True, "unreachable", False),
    "lost on the way": (seen, NOT_REACHED, "unreachable", True, "unreachable", False),
    "rebooted": (lambda lease: seen(lease, "b9"), applied, "rebooted", True, "void", False),
}


@pytest.mark.parametrize("case", sorted(TURNS))
def test_what_comes_of_a_turn_is_recorded(step: Step, run: Run, case: str) -> None:
    facts, apply, code, failed, stands, halts = TURNS[case]
    lease = lease_of(step.ledger)
    result = step(lease, {"facts": facts(lease), "apply": apply(lease)})
    assert (result["code"], bool(result.get("failed"))) == (code, failed), result
    assert phase(run, step.ledger, lease["host"]) == stands
    assert bool(result["halts"]) is halts
    assert ("apply" in step.asked) is result["begun"]


def test_no_host_begins_after_a_halt(step: Step, run: Run) -> None:
    lease = lease_of(step.ledger)
    assert run("fleet", "halt", "--ledger", step.ledger, "--by", "alice", "--reason", "x").code == 0
    result = step(lease, {"facts": seen(lease), "apply": applied(lease)})
    assert (result["code"], result["failed"], step.asked) == ("halt", True, ["facts"])
    assert phase(run, step.ledger, lease["host"]) == "as before", "the lease was given back"


def test_a_lease_is_for_one_host_and_one_controller(step: Step, run: Run) -> None:
    from ansible.errors import AnsibleActionFail

    lease = lease_of(step.ledger)
    with pytest.raises(AnsibleActionFail, match="the lease is for"):
        step(lease, {}, host="b" if lease["host"] != "b" else "a")
    assert rollout(step.ledger, "begin", host=lease["host"], lease=lease["lease"]).code == "begun"
    result = step(lease, {"facts": seen(lease), "apply": applied(lease)})
    assert (result["code"], "failed" in result, step.asked) == ("taken", False, ["facts"])
    assert phase(run, step.ledger, lease["host"]) == "leased"


def test_a_host_that_ansible_does_not_know(step: Step, run: Run) -> None:
    lease = lease_of(step.ledger)
    result = step(lease, {}, known=False)
    assert (result["code"], step.asked) == ("unreachable", [])
    assert "not in the inventory" in result["msg"]
    assert phase(run, step.ledger, lease["host"]) == "unreachable"


def test_the_result_that_stayed_on_the_host_is_recorded_later(step: Step, run: Run) -> None:
    """The connection broke during the update, or the controller was killed; the host has what apply printed."""
    lease = lease_of(step.ledger)
    report = applied(lease)["document"]
    assert step(lease, {"facts": seen(lease), "apply": unreached()}, patience=0)["code"] == "unreachable"
    result = step(lease, {"facts": {**seen(lease), "report": report}}, mode="look")
    assert result["code"] == "seen"
    assert phase(run, step.ledger, lease["host"]) == "as before"
    assert result["recorded"]["results"][0]["phase"] == "done"


def test_a_lost_host_that_was_rebooted_is_seen(step: Step, run: Run) -> None:
    """Its last result is still there, and is of the boot before."""
    lease = lease_of(step.ledger)
    lost = applied(lease, 7)
    assert step(lease, {"facts": seen(lease), "apply": lost})["code"] == "lost"
    step(lease, {"facts": {**seen(lease), "report": lost["document"]}}, mode="look")
    assert phase(run, step.ledger, lease["host"]) == "lost", "in this boot nothing mends it"
    step(lease, {"facts": {**seen(lease, "b9"), "report": lost["document"]}}, mode="look")
    assert phase(run, step.ledger, lease["host"]) == "void"


def test_a_report_is_a_file_of_the_host_s_own(program: Program, tmp_path: Path) -> None:
    """apply is told to write it, into a folder for root alone; facts reads it, and follows no link."""
    report = tmp_path / "reports" / "5d0c.json"
    executable = program.says(status(OLD), json.dumps(ran()), 0, status(NEW))
    assert play("apply", catalog="/c", executable=executable, report=str(report)).code == "done"
    assert stat.S_IMODE(report.parent.stat().st_mode) == 0o700
    common: dict[str, Any] = {"executable": SEAMSTEP, "sysroot": str(tmp_path), "report": str(report)}
    assert play("facts", **common).data["report"] == {}
    report.write_text(json.dumps(ran()))
    assert play("facts", **common).data["report"] == ran()
    report.rename(tmp_path / "elsewhere")
    report.symlink_to(tmp_path / "elsewhere")
    assert play("facts", **common).data["report"] == {}


def test_the_role_writes_the_configuration_that_the_units_read(tmp_path: Path) -> None:
    """The catalog and the policies are the role's; the rest is the administrator's, and no mistake is written."""
    config = tmp_path / "config.yaml"
    config.write_text("schema: seamstep/config/v1\n#catalog: /x\npolicies: [canary]\nhold: until Monday\n")
    play = tmp_path / "play.yml"
    play.write_text(
        json.dumps(
            [
                {
                    "hosts": "localhost",
                    "gather_facts": False,
                    "vars": {
                        "ansible_python_interpreter": sys.executable,
                        "seamstep_executable": SEAMSTEP,
                        "seamstep_catalog": "/srv/the catalog",
                        "seamstep_policy": ["cautious", "/etc/seamstep/site.yaml"],
                    },
                    "tasks": [
                        {
                            "ansible.builtin.include_role": {
                                "name": "seamstep.tdx.seamstep",
                                "tasks_from": "configuration",
                            }
                        }
                    ],
                }
            ]
        )
    )
    program = [sys.executable, "-m", "ansible.cli.playbook", "-c", "local", "-i", "localhost,", str(play)]
    extra = ["-e", f"seamstep_configuration={config}"]
    environment = os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_HOME": str(tmp_path / "home")}
    for more in ([], ["-e", '{"seamstep_policy": ["../x"]}']):
        done = subprocess.run(
            [*program, *extra, *more], env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode != 0) == bool(more), done.stdout + done.stderr
        found = configuration.load(str(config))
        assert (found.catalog, found.policies) == ("/srv/the catalog", ("cautious", "/etc/seamstep/site.yaml"))
        assert found.hold == "until Monday"
