"""The commands as users and scripts meet them: output, exit codes, errors."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_host_facts import COMMON, DOUBLE, LAYOUTS, tree

from conftest import FACTS, LATEST, TRUST, Run, host_like, plan_for, write_facts
from seamstep import cli
from seamstep.base.versions import ModuleVersion
from seamstep.cli import facts as facts_command
from seamstep.cli.options import today
from seamstep.cli.output import to_json
from seamstep.domain.facts import HostFacts
from seamstep.host.read_facts import read_facts
from seamstep.plan.document import digest

HOP: dict[str, object] = {
    "from": "1.5.24",
    "to": "1.5.34",
    "image": None,
    "verdicts": [],
    "waived": [],
    "td_creation": {"safe": True, "needs_no_td": False, "reason": ""},
    "risks": [],
}
IMAGE: dict[str, object] = {
    "path": "x",
    "sigstruct": None,
    "sha256": "0" * 64,
    "format": "2.0",
    "mrseam": "0" * 96,
    "seamsvn": 1,
}
BLOCKED = {"rule": "cpu-supported", "outcome": "block", "reason": "", "evidence": {}}
PLAN = ("plan", "--mapping", LATEST, "--without-images", "--facts", FACTS)


@pytest.fixture
def catalog_copy(images: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(images, tmp_path / "catalog"))


@pytest.fixture
def saved(run: Run, catalog_copy: Path, tmp_path: Path) -> Path:
    path = tmp_path / "plan.json"
    sources = ("--catalog", catalog_copy, "--facts", FACTS, "--policy", "shortest-path")
    assert run("plan", *TRUST, *sources, "-o", path).code == 0
    return path


def reseal(path: Path, **changes: object) -> None:
    """Change a plan and make its id fit again, as an attacker would."""
    document = json.loads(path.read_text()) | changes
    document.pop("class_id", None)
    path.write_text(json.dumps(document | {"id": digest(document)}))


def test_plan_text_says_what_and_why(run: Run) -> None:
    out = run(*PLAN, "--policy", "shortest-path").out
    for part in (
        "host-a runs 1.5.24",
        "1.5.24 → 1.5.28 → 1.5.34, 2 hops, cost 5",
        "open: cpu-supported",
        "provisional",
    ):
        assert part in out
    assert "fewest-hops: 1.5.24 → 1.5.34, cost 9" in out
    assert "1.5.24 → 1.5.25  seamldr-minimum: 1.5.25 needs P-SEAMLDR 2.0.00" in out


def test_plan_with_images_is_not_provisional(run: Run, images: Path) -> None:
    for arguments in (("--catalog", images), ("--mapping", LATEST, "--images", images)):
        plan = run("plan", *TRUST, *arguments, "--facts", FACTS, "--json").json
        assert not plan["provisional"]
        assert Path(plan["hops"][0]["image"]["path"]).name == "tdx_module_1.5.34.blob"
        assert {verdict["outcome"] for verdict in plan["hops"][0]["verdicts"]} == {"pass"}


def test_cpu_that_no_image_names(run: Run, images: Path, spr: HostFacts, tmp_path: Path) -> None:
    facts = write_facts(tmp_path / "facts.json", spr._replace(cpu_signatures=(0xA06D1,)))
    ran = run("plan", *TRUST, "--catalog", images, "--facts", facts)
    assert ran.code == 1
    assert "1.5.24 → 1.5.25, 1.5.28, 1.5.34  cpu-supported: each is not for CPU 0xA06D1" in ran.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "COMMAND"),
        (("fly",), "fly"),
        (("facts", "--bogus"), "--bogus"),
        (("plan",), "--mapping"),
        (("plan", "--mapping", LATEST), "--without-images"),
        (("plan", "--mapping", LATEST, "--catalog", "x"), "--catalog"),
        ((*PLAN, "--images", "x"), "contradicts --images"),
        ((*PLAN, "--policy", "fewest"), "did you mean 'fewest-hops'?"),
        ((*PLAN, "--policy", "nowhere.yaml"), "nowhere.yaml: can't read the policy: No such file"),
        ((*PLAN, "--target", "1.5"), "--target: '1.5' is not a version of three numbers"),
        ((*PLAN, "--sysroot", "/x"), "not allowed with"),
        (("plan", "--mapping", "nowhere.json", "--without-images", "--facts", FACTS), "nowhere.json: can't read"),
        (("plan", "--catalog", "nowhere", "--facts", FACTS), "nowhere/mapping_file.json"),
        (("plan", "--mapping", LATEST, "--images", "nowhere", "--facts", FACTS), "nowhere: can't read the images"),
        (("apply", "nowhere.json"), "nowhere.json: can't read the plan"),
        (("apply", FACTS), "is not the text seamstep/plan/v1"),
        (("apply", "x.json", "--as-of", "2030-01-01"), "is for planning"),
        (("apply", "--simulate"), "needs a saved PLAN"),
        (("facts", "--sysroot", "/nowhere", "-o", "/nowhere/f.json"), "can't write"),
    ],
)
def test_usage_and_unreadable_input_end_in_2(run: Run, arguments: tuple[object, ...], says: str) -> None:
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert "Traceback" not in ran.err
    as_json = run(*arguments, "--json")
    assert (as_json.code, as_json.json["exit_code"], as_json.err) == (2, 2, "")
    assert says in as_json.json["error"]


def test_output_files_are_not_overwritten(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    assert run(*PLAN, "-o", path).code == 0
    first = path.read_text()
    assert json.loads(first)["schema"] == "seamstep/plan/v1"
    again = run(*PLAN, "--policy", "shortest-path", "-o", path)
    assert (again.code, path.read_text()) == (1, first)
    assert "--force" in again.err
    assert run(*PLAN, "--policy", "shortest-path", "-o", path, "--force").code == 0
    assert path.read_text() != first


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({"unknown": {"module_version": "ENXIO: TDX is lost"}}, 7, "TDX is lost"),
        ({"unknown": {"module_version": "permission: no"}}, 2, "module_version"),
    ],
)
def test_facts_without_a_running_version(
    run: Run, spr: HostFacts, tmp_path: Path, changes: Any, code: int, says: str
) -> None:
    facts = write_facts(tmp_path / "facts.json", spr._replace(module_version=None, **changes))
    ran = run("plan", "--mapping", LATEST, "--without-images", "--facts", facts)
    assert ran.code == code
    assert says in ran.err


def test_a_live_host_without_tdx_can_not_be_updated(run: Run, tmp_path: Path) -> None:
    ran = run("plan", "--mapping", LATEST, "--without-images", "--sysroot", tmp_path)
    assert ran.code == 3
    assert "module's version is not known (missing: /sys/devices/faux/tdx_host/version" in ran.err


def test_a_host_without_the_interface_can_not_be_updated(run: Run, tmp_path: Path) -> None:
    tree(tmp_path, COMMON | {"sys/devices/faux/tdx_host/version": "1.5.24\n"})
    ran = run("plan", "--mapping", LATEST, "--without-images", "--sysroot", tmp_path)
    assert ran.code == 3
    assert "upload-interface: the kernel offers no upload node" in ran.out


def test_rehearse_a_saved_plan(run: Run, saved: Path) -> None:
    ran = run("apply", saved, *TRUST, "--simulate", "--yes")
    assert ran.code == 0
    assert "1.5.28 → 1.5.34 applied" in ran.out
    assert "hop 2 of 2: 1.5.28 → 1.5.34: committed" in ran.err
    document = run("apply", saved, *TRUST, "--simulate", "--yes", "--json").json
    assert (document["state"], document["module_version"], len(document["applied"])) == ("applied", "1.5.34", 2)


def test_apply_asks_and_refuses_without_a_terminal(run: Run, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

        def fileno(self) -> int:
            return ready

    ready = os.open(os.devnull, os.O_RDONLY)  # never keeps a reader waiting
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    ran = run("apply", saved, *TRUST, "--simulate")
    assert ran.code == 1
    assert "give --yes" in ran.err
    for answer, code in [("y\n", 0), ("yes\n", 0), ("n\n", 1), ("", 1), ("maybe\n", 1)]:
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        ran = run("apply", saved, *TRUST, "--simulate")
        assert ran.code == code
        assert "1.5.24 → 1.5.28 → 1.5.34" in ran.err
        assert "Rehearse this now, without the commands?" in ran.err
    os.close(ready)


def test_apply_refuses_without_root(run: Run, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    ran = run("apply", saved, "--yes")
    assert ran.code == 1
    assert "needs root" in ran.err


def test_apply_refuses_provisional_plans(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    run(*PLAN, "-o", path)
    ran = run("apply", path, *TRUST, "--simulate", "--yes")
    assert ran.code == 1
    assert "provisional" in ran.err


@pytest.mark.parametrize(("host", "exit_code", "says"), [("1.5.34", 0, "newest release"), ("1.5.13", 1, "td-build")])
def test_apply_of_a_plan_without_update_tells_why(
    run: Run, catalog_copy: Path, tmp_path: Path, spr: HostFacts, host: str, exit_code: int, says: str
) -> None:
    facts = write_facts(tmp_path / "facts.json", host_like(spr, host))
    path = tmp_path / "plan.json"
    code = run("plan", *TRUST, "--catalog", catalog_copy, "--facts", facts, "-o", path).code
    ran = run("apply", path, *TRUST, "--simulate", "--yes")
    assert ran.code == code == exit_code
    assert says in ran.out


def test_plans_that_were_changed_are_refused(run: Run, saved: Path) -> None:
    text = saved.read_text()
    saved.write_text(text.replace('"1.5.34"', '"1.5.28"', 1))
    ran = run("apply", saved, *TRUST, "--simulate", "--yes")
    assert ran.code == 2
    assert "was changed after it was made" in ran.err


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hops": []}, "don't fit the outcome"),
        ({"hops": [HOP | {"from": "1.5.28"}]}, "don't lead on"),
        ({"hops": [HOP]}, "lack an image"),
        ({"hops": [7]}, "hops[0]: 7 is not a hop"),
        ({"hops": [{"from": "1.5", "to": "1.5.34"}]}, "hops[0].from: '1.5' is not a version"),
        ({"hops": [HOP | {"image": {"upload": {"format": "3.0"}}}]}, "hops[0].image: the key 'path' is missing"),
        ({"hops": [HOP | {"image": IMAGE | {"upload": {}}}]}, "hops[0].image.upload: the key 'format' is missing"),
        (
            {"hops": [HOP | {"image": IMAGE | {"upload": {"format": "3.0"}}}]},
            "'3.0' is not 2.0 or 1.0",
        ),
        ({"hops": [HOP | {"image": IMAGE | {"upload": {"format": "1.0", "sha256": "0" * 64}}}]}, "another format than"),
        ({"hops": [HOP | {"to": "1.5.28"}]}, "don't lead to the plan's target"),
        ({"hops": [HOP | {"to": "1.5.20"}]}, "don't lead upwards"),
        ({"hops": [HOP | {"to": "2.0.34"}]}, "don't lead upwards"),
        ({"hops": [HOP | {"verdicts": [BLOCKED]}]}, "lack an image"),
        ({"hops": [HOP | {"td_creation": None}]}, "hops[0].td_creation: null is not an object"),
        ({"hops": [HOP | {"risks": [{"rule": "td-build", "taken_by": "require", "reason": ""}]}]}, "taken_by"),
        ({"td_creation": "maybe"}, "td_creation: 'maybe' is not held or null"),
        ({"hops": [HOP | {"verdicts": [BLOCKED]}], "provisional": True}, "are refused by cpu-supported"),
        ({"attestation": {"before": {"version": "1.5.24", "mrseam": "\x1b[2J"}}}, "is not a digest of 96 hex digits"),
        ({"attestation": {"before": {"version": "1.5.24", "seamsvn": 65536}}}, "65536 is not a 16-bit number"),
        ({"attestation": []}, "attestation: [] is not an object"),
        ({"mapping": None}, "mapping: null is not an object"),
        ({"mapping": {"sha256": "x"}}, "is not a digest of 64 hex digits"),
        ({"policy": {"name": ["a"]}}, 'policy.name: ["a"] is not text'),
        ({"reason": None}, "reason: null is not text"),
        ({"objective": {"path": "x", "cost": "\x1b[2J"}}, "is not a whole number"),
        ({"rejected": 7}, "rejected: 7 is not a list"),
        ({"signers": [1]}, "signers[0]: 1 is not a digest"),
        ({"outcome": "maybe"}, "outcome"),
        ({"provisional": "no"}, "provisional: 'no' is not true or false"),
        ({"host": None}, "host: null is not a facts document"),
        ({"host": {"schema": "seamstep/facts/v1", "profile": "x"}}, "host.profile"),
        ({"host": {"schema": "seamstep/facts/v1", "cpu_signatures": ["x"]}}, "host.cpu_signatures"),
        ({"host": {"schema": "seamstep/facts/v2"}}, "host.schema"),
        ({"source": "1.5.20"}, "don't lead on"),
    ],
)
def test_hostile_plans_are_refused_without_a_traceback(
    run: Run, saved: Path, changes: dict[str, object], says: str
) -> None:
    reseal(saved, **changes)
    ran = run("apply", saved, *TRUST, "--simulate", "--yes")
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


@pytest.mark.parametrize("what", ["mapping", "policy"])
@pytest.mark.parametrize("change", ["edit", "remove"])
def test_drift_of_mapping_and_policy(run: Run, catalog_copy: Path, tmp_path: Path, what: str, change: str) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("schema: seamstep/policy/v1\nname: mine\n")
    path = tmp_path / "plan.json"
    assert run("plan", *TRUST, "--catalog", catalog_copy, "--facts", FACTS, "--policy", policy, "-o", path).code == 0
    assert run("apply", path, *TRUST, "--simulate", "--yes").code == 0
    victim = policy if what == "policy" else catalog_copy / "mapping_file.json"
    victim.write_text(victim.read_text() + "\n") if change == "edit" else victim.unlink()
    ran = run("apply", path, *TRUST, "--simulate", "--yes")
    assert ran.code == 5
    assert str(victim) in ran.err


def test_drift_of_an_image(run: Run, saved: Path, catalog_copy: Path) -> None:
    image = catalog_copy / "joined_files" / "1.5" / "tdx_module_1.5.34.blob"
    image.write_bytes(image.read_bytes()[:-1] + b"\xff")
    ran = run("apply", saved, *TRUST, "--simulate", "--yes")
    assert ran.code == 5
    assert "tdx_module_1.5.34.blob is not the one the plan was made with" in ran.out


def test_plan_and_apply_in_one_go_against_files(run: Run, images: Path, tmp_path: Path) -> None:
    """Below a sysroot of plain files no kernel answers: the version stays, and that is told."""
    root = tmp_path / "root"
    files = COMMON | LAYOUTS["mainline"] | {"sys/devices/faux/tdx_host/version": "1.5.24\n"}
    node = "sys/class/firmware/tdx_module"
    tree(root, files, DOUBLE, {f"{node}/{name}": "" for name in ("loading", "data", "error")})
    ran = run("apply", *TRUST, "--catalog", images, "--sysroot", root, "--yes")
    assert ran.code == 6
    assert "the kernel reports success, but it is none; 1.5.24 and its TDs run on" in ran.out
    staged = (root / node / "data").read_bytes()
    assert staged == (images / "joined_files" / "1.5" / "tdx_module_1.5.34.blob").read_bytes()


def test_terminal_control_in_files_is_spelled_out(run: Run, spr: HostFacts, tmp_path: Path) -> None:
    facts = write_facts(tmp_path / "facts.json", spr._replace(hostname="\x1b[2Jevil\u202e\nhost"))
    out = run("plan", "--mapping", LATEST, "--without-images", "--facts", facts).out
    assert "\\x1b[2Jevil\\u202e\\nhost runs" in out
    ran = run("plan", "--mapping", "\x1b]0;x\x07.json", "--without-images", "--facts", FACTS)
    assert "\x1b" not in ran.err


def test_internal_errors_say_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> int:
        raise RuntimeError("oops")

    monkeypatch.setattr(facts_command, "run", broken)
    ran = run("facts")
    assert (ran.code, ran.out) == (70, "")
    assert "internal error: RuntimeError: oops" in ran.err
    assert run("facts", "--json").json["exit_code"] == 70
    monkeypatch.setenv("SEAMSTEP_DEBUG", "1")
    assert "Traceback" in run("facts").err


def test_nothing_looks_done_because_nobody_listens(
    run: Run, spr: HostFacts, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question can't be asked where standard error is a broken pipe: nothing is done, and 0 would be a lie."""

    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    (tmp_path / "plan.json").write_text(to_json(plan_for(spr, images).document))
    monkeypatch.setattr("sys.stderr", Broken())
    folder = tmp_path / "state"
    assert run("apply", tmp_path / "plan.json", *TRUST, "--simulate", "--state-dir", folder).code == 2
    assert [path.read_bytes() for path in folder.glob("journal*")] == [b""]
    assert run("apply", tmp_path / "plan.json", *TRUST, "--simulate", "--state-dir", folder, "--yes").code == 0


def test_interrupt(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(facts_command, "run", interrupted)
    assert run("facts").code == 130


@pytest.mark.parametrize("command", [(), ("facts",), ("plan",), ("apply",), ("demo",)])
def test_help(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main([*command, "--help"])
    assert exit_.value.code == 0
    assert "usage: seamstep" in capsys.readouterr().out


def seamstep(*arguments: object, **settings: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "seamstep", *map(str, arguments)], capture_output=True, check=False, **settings
    )


def test_any_locale_can_print(tmp_path: Path) -> None:
    done = seamstep(*PLAN, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert b"1.5.24 -> 1.5.34" in done.stdout


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m seamstep {' '.join(map(str, PLAN))} --json | head -c 1"
    done = subprocess.run(command, shell=True, capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"{", b"")


def test_demo_files_make_a_plan_and_nothing_is_overwritten(run: Run, tmp_path: Path) -> None:
    into = tmp_path / "demo"
    files = run("demo", "--into", into, "--json").json
    arguments = ("--catalog", files["catalog"], "--facts", files["facts"])
    signer = Path(files["signer"]).read_text().strip()
    assert run("plan", *arguments, "--signer", signer, "--json").json["outcome"] == "update"
    assert run("plan", *arguments, "--json").json["outcome"] == "no-path", "nobody else trusts the demo's images"
    before = sorted((path, path.stat().st_mtime_ns) for path in into.rglob("*"))
    again = run("demo", "--into", into)
    assert (again.code, "exists; name a folder that does not" in again.err) == (1, True)
    assert sorted((path, path.stat().st_mtime_ns) for path in into.rglob("*")) == before
    nowhere = run("demo", "--into", tmp_path / "nowhere" / "demo")
    assert (nowhere.code, "can't make the folder" in nowhere.err) == (2, True)


def test_demo_files_come_whole_or_not_at_all(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from seamstep import demo

    def full(version: object, signer: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo, "synthetic_image", full)
    ran = run("demo", "--into", tmp_path / "demo")
    assert (ran.code, "can't write: No space left on device" in ran.err) == (2, True)
    assert not (tmp_path / "demo").exists()


def test_demo_plays_the_whole_job(run: Run) -> None:
    ran = run("demo")
    text = ran.out
    assert ran.code == 0
    for part in (
        "1. The host",
        "fewest-hops",
        "shortest-path",
        "applied",
        "1.5.34 runs",
        "remaining_updates was 5, is 3",
    ):
        assert part in text
    document = run("demo", "--json").json
    assert document["after"]["module_version"] == "1.5.34"
    assert [len(plan["hops"]) for plan in document["plans"]] == [1, 2]


def test_plan_of_a_live_tree_equals_plan_of_its_facts(run: Run, tmp_path: Path) -> None:
    host = tree(tmp_path / "root", COMMON, LAYOUTS["legacy"])
    facts = write_facts(tmp_path / "facts.json", read_facts(host))
    common = ("plan", "--mapping", LATEST, "--without-images", "--json")
    assert run(*common, "--sysroot", tmp_path / "root").out == run(*common, "--facts", facts).out
    assert ModuleVersion(run(*common, "--facts", facts).json["source"]) == ModuleVersion("1.5.06")


def test_saved_plan_is_what_was_planned(run: Run, saved: Path, catalog_copy: Path, spr: HostFacts) -> None:
    assert saved.read_text() == to_json(plan_for(spr, catalog_copy, as_of=today()).document)


@pytest.mark.parametrize(
    ("columns", "widest"), [("64", 64), ("1" * 5000, 80), ("0", 80), ("-1", 80), ("wide", 80), ("", 80), ("٦٤", 64)]
)
def test_help_is_as_wide_as_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str, widest: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit):
        cli.main(["plan", "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert widest - 12 < max(map(len, lines)) <= widest


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["explian"], "; did you mean 'explain'?"),
        (["policy", "chekc", "p.yaml"], "; did you mean 'check'?"),
        (["image", "verfiy", "x"], "; did you mean 'verify'?"),
        (["service", "instal"], "; did you mean 'install'?"),
        (["status", "--format", "promethius"], "; did you mean 'prometheus'?"),
        (["xyzzy"], ""),
    ],
)
def test_a_command_that_is_nearly_right_gets_a_hint(run: Run, arguments: list[str], hint: str) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert f"){hint} (see seamstep" in ran.err


def test_what_holds_no_secret_has_the_mode_of_the_umask(run: Run, tmp_path: Path, images: Path, spr: HostFacts) -> None:
    """Runs quote what the policy's commands printed; metrics are read by the user of node_exporter."""
    before = os.umask(0o027)
    tree(tmp_path / "root", COMMON, LAYOUTS["mainline"])
    catalog, sysroot = ("--catalog", images, *TRUST), ("--sysroot", tmp_path / "root")
    state = ("--state-dir", tmp_path / "state")
    facts = write_facts(tmp_path / "made-up.json", spr._replace(simulated=True))
    try:
        commands: dict[str, tuple[object, ...]] = {
            "facts": ("facts", *sysroot),
            "plan": ("plan", *catalog, "--facts", facts),
            "measurements": ("measurements", *catalog),
            "graph.svg": ("graph", *catalog, "--facts", facts),
            "lint": ("lint", LATEST),
            "history": ("history", *sysroot, *state),
            "status": ("status", *sysroot, *state),
            "metrics": ("status", *sysroot, *state, "--format", "prometheus"),
        }
        modes = {}
        for name, command in commands.items():
            run(*command, "-o", tmp_path / name)
            modes[name] = (tmp_path / name).stat().st_mode & 0o777
        run("apply", tmp_path / "plan", *TRUST, "--simulate", "--yes", "-o", tmp_path / "apply")
        modes["apply"] = (tmp_path / "apply").stat().st_mode & 0o777
    finally:
        os.umask(before)
    private = dict.fromkeys(("history", "status", "apply"), 0o600)
    assert modes == dict.fromkeys(commands, 0o640) | private | {"metrics": 0o644}
