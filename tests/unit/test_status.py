"""``status``, ``history`` and the options of ``apply`` that live from the journal, as users meet them."""

from __future__ import annotations

import builtins
import errno
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from crashing import run_to
from test_cli import reseal
from test_executor import simulated
from test_host_facts import COMMON, CPUINFO, DOUBLE, LAYOUTS, tree
from test_startup import modules_of
from test_transaction import with_settings

from conftest import TRUST, Run, plan_for
from seamstep.cli import apply_privileges
from seamstep.cli.output import to_json
from seamstep.domain.facts import HostFacts
from seamstep.host.simulated import Fault, SimulatedHost
from seamstep.run import status
from seamstep.run.journal import NAME
from seamstep.run.lock import locked
from seamstep.show.status import status_text

V24 = {"sys/devices/faux/tdx_host/version": "1.5.24\n"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tree(tmp_path / "root", COMMON, LAYOUTS["mainline"], V24, DOUBLE)
    return tmp_path / "root"


def standing_for(root: Path, host: SimulatedHost) -> SimulatedHost:
    """``host`` as the one below ``root``, whose runs are no rehearsals."""
    host.sysroot = str(root)
    return host


def test_status_in_one_screen(run: Run, root: Path, images: Path) -> None:
    ran = run("status", "--sysroot", root, "--catalog", images, *TRUST)
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "host               host-a",
        "TDX                running",
        "TDX module         1.5.24",
        "P-SEAMLDR          1.5.02",
        "remaining updates  5",
        "TDs                0 TDs run on this host",
        "upload             idle",
        "last run           none",
        "permitted          1.5.34, 1 hop, by policy fewest-hops",
        "reboot needed      no",
    ]
    document = run("status", "--sysroot", root, "--json").json
    assert (document["schema"], document["tdx"], document["permitted"]) == ("seamstep/status/v1", "running", None)
    assert "give --catalog DIR" in run("status", "--sysroot", root).out
    assert not (root / "var").exists(), "reading leaves no trace"


NODE = "sys/devices/faux/tdx_host/"
HELD = [
    (
        {"sys/devices/system/cpu/online": "0\n", "proc/cpuinfo": CPUINFO.format(n=0)},
        "cpus-online",
        "no update now, by policy fewest-hops",
        True,
    ),
    ({f"{NODE}num_remaining_updates": "0\n"}, "updates-remaining", "no update now", True),
    ({"sys/class/firmware/tdx_module/status": "transferring\n"}, "upload-interface", "no update now", True),
    ({f"{NODE}seamldr_version": "nonsense\n"}, "seamldr-minimum", "no update now", False),
]


@pytest.mark.parametrize(("files", "rule", "told", "known"), HELD)
def test_what_is_held_up_is_not_called_up_to_date(
    run: Run, root: Path, images: Path, files: dict[str, str], rule: str, told: str, known: bool
) -> None:
    tree(root, files)
    looking = ("status", "--sysroot", root, "--catalog", images, *TRUST)
    text = " ".join(run(*looking).out.split())
    assert told in text
    assert "nothing newer" not in text
    assert (f"1.5.34 is held up by {rule}" in text) == known
    assert ("whether 1.5.34 is permitted can't be told" in text) != known
    held = run(*looking, "--json").json["permitted"]["held_up"]
    assert (held["version"], held["rules"], held["known"]) == ("1.5.34", [rule], known)
    metrics = run(*looking, "--format", "prometheus").out
    assert f'outcome="no-path",policy="fewest-hops",held_up="1.5.34",rules="{rule}"' in metrics
    assert "seamstep_update_permitted 0" in metrics


@pytest.mark.parametrize(
    ("version", "told"),
    [
        (
            "1.5.40",
            "list 1.5.40; its newest release of series 1.5 is 1.5.34; it is older than the running module",
        ),
        ("1.5.26", "1.5.34, 1 hop"),
        ("1.9.01", "has no release of series 1.9, so it can't tell what is newer than 1.9.01"),
        (
            "1.5.34",
            "nothing newer, by policy fewest-hops: 1.5.34 is the newest release of series 1.5 in the",
        ),
    ],
)
def test_what_the_mapping_file_does_not_list_is_told(
    run: Run, root: Path, images: Path, version: str, told: str
) -> None:
    tree(root, {f"{NODE}version": f"{version}\n"})
    looking = ("--sysroot", root, "--catalog", images, *TRUST)
    text = " ".join(run("status", *looking).out.split())
    assert told in text or (version == "1.5.26" and "can't be told" in text)
    if version in {"1.5.40", "1.9.01"}:
        assert run("plan", *looking).code == 1
        ran = run("status", *looking)
        assert "was last changed on" in ran.err
        assert 'outcome="not-listed"' in run("status", *looking, "--format", "prometheus").out


STATES: list[tuple[dict[str, Any], str, int, bool | None]] = [
    ({}, "running", 0, False),
    ({"remaining_updates": 0}, "running", 0, False),  # a P-SEAMLDR without updates shows 0 too
    ({"module_version": None, "unknown": {"module_version": "ENXIO: x"}}, "lost", 7, True),
    ({"module_version": None, "unknown": {"module_version": "missing: x"}}, "absent", 3, False),
    ({"module_version": None, "unknown": {"module_version": "EIO: x"}}, "unknown", 8, None),
    ({"remaining_updates": None, "unknown": {"remaining_updates": "permission: x"}}, "running", 0, None),
    ({"remaining_updates": None, "upload": None}, "running", 0, False),
]


@pytest.mark.parametrize(("changes", "tdx", "code", "reboot"), STATES)
def test_what_is_told_of_tdx(spr: HostFacts, changes: dict[str, Any], tdx: str, code: int, reboot: bool | None) -> None:
    document = status.status(spr._replace(**changes), None, "", None, None)
    assert (document["tdx"], int(status.exit_code(document)), document["reboot_needed"]) == (tdx, code, reboot)
    told = {True: "yes", False: "no", None: "unknown"}
    assert f"reboot needed      {told[reboot]}" in status_text(document)


def test_no_update_left_means_a_reboot_where_a_run_has_seen_some(spr: HostFacts, images: Path, tmp_path: Path) -> None:
    plan = plan_for(spr, images)
    run_to(plan, simulated(plan), tmp_path / "state", None)
    history, _, running = status.read_history(str(tmp_path / "state"))
    used_up = status.status(spr._replace(remaining_updates=0), history, "", running, None)
    assert used_up["reboot_needed"] is True
    assert "reboot needed      yes" in status_text(used_up)
    assert status.status(spr, history, "", running, None)["reboot_needed"] is False


@pytest.mark.parametrize(
    ("fault", "kill", "outcome", "code"),
    [
        (None, None, "applied", 0),
        (Fault(error="hw-error"), None, "failed", 0),
        (Fault(keeps_count=True), None, "unknown", 8),
        (None, "state staged", "interrupted", 0),
        (None, "state committed", "unknown", 8),
    ],
)
def test_the_last_run(
    spr: HostFacts, images: Path, tmp_path: Path, fault: Fault | None, kill: str | None, outcome: str, code: int
) -> None:
    plan = plan_for(spr, images)
    point = None
    if kill:
        point = run_to(plan, simulated(plan), tmp_path / "whole", None).interactions.index(kill)
    run_to(plan, simulated(plan, fault), tmp_path / "state", point)
    history, _, running = status.read_history(str(tmp_path / "state"))
    document = status.status(spr, history, "", running, None)
    last = document["last_run"]
    assert (last["outcome"], last["this_boot"], last["plan"]) == (outcome, True, plan.id)
    assert int(status.exit_code(document)) == code
    assert f"last run           {outcome}: 1.5.24 → 1.5.34 at" in status_text(document)
    elsewhere = status.status(spr._replace(boot_id="another"), history, "", None, None)
    assert (elsewhere["last_run"]["this_boot"], int(status.exit_code(elsewhere))) == (False, 0)
    assert "in an earlier boot" in status_text(elsewhere)


def test_a_run_that_is_under_way(run: Run, spr: HostFacts, images: Path, tmp_path: Path, root: Path) -> None:
    """A run that waits for its command is seen at work; once it is killed that is told, and that TD builds wait."""
    plan, state, released = tmp_path / "plan.json", tmp_path / "state", tmp_path / "released"
    tree(root, {"proc/sys/kernel/random/boot_id": f"{spr.boot_id}\n"})
    settings = {"before": [["sh", "-c", f"until [ -e {released} ]; do sleep 0.1; done"]], "after": [["true"]]}
    plan.write_text(to_json(with_settings(plan_for(spr, images), **settings).document))
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); from conftest import judge_for;"
        "from seamstep.plan import document as plan; from seamstep.run import transaction;"
        "from seamstep.host.simulated import SimulatedHost;"
        "loaded = plan.load(sys.argv[1]); host = SimulatedHost(loaded.host, {}); host.sysroot = sys.argv[3]\n"
        "with transaction.begun(host, sys.argv[2]) as begun: begun.perform(loaded, judge_for(loaded))"
    )

    def seen() -> Any:
        return run("status", "--sysroot", root, "--state-dir", state, "--json").json["last_run"] or {}

    with subprocess.Popen([sys.executable, "-c", program, plan, state, root]) as process:
        while not (told := seen()) or "before-hooks" not in (state / NAME).read_text():
            assert process.poll() is None
            time.sleep(0.05)
        try:
            assert (told["outcome"], told["message"]) == ("running", f"it is under way (process {process.pid})")
            ran = run("status", "--sysroot", root, "--state-dir", state)
            assert (ran.code, "last run           running: 1.5.24 → 1.5.34 at" in ran.out) == (0, True)
        finally:
            process.kill()
            released.touch()
    told = seen()
    assert told["outcome"] == "interrupted"
    assert told["message"].endswith("; its commands 'before' were begun, and those 'after' have not ended")
    folder = os.open(state, os.O_RDONLY)
    with locked(folder, "state"):
        assert seen()["outcome"] == "interrupted", "somebody else holds the lock"
    os.close(folder)


@pytest.fixture
def owing(run: Run, spr: HostFacts, images: Path, tmp_path: Path, root: Path) -> tuple[object, ...]:
    """A run was killed once the newest module ran and before its commands 'after'. Options for a run that owes these;
    the commands write to the file ``note``."""
    settings = {"before": [["true"]], "after": [["sh", "-c", f"echo $SEAMSTEP_OUTCOME >> {tmp_path}/note"]]}
    plan = with_settings(plan_for(spr, images, "fewest-hops"), **settings)
    whole = run_to(plan, standing_for(root, simulated(plan)), tmp_path / "whole", None)
    (tmp_path / "note").unlink()
    run_to(plan, standing_for(root, simulated(plan)), tmp_path / "state", whole.interactions.index("state applied"))
    files = {"version": "1.5.34\n", "num_remaining_updates": "4\n"}
    tree(root, {f"sys/devices/faux/tdx_host/{name}": text for name, text in files.items()})
    tree(root, {"proc/sys/kernel/random/boot_id": f"{spr.boot_id}\n"})
    policy = tmp_path / "policy.yaml"
    policy.write_text(json.dumps({"schema": "seamstep/policy/v1", "name": "p", "apply": settings}))
    return "--catalog", images, *TRUST, "--policy", policy


def test_nothing_to_do_but_what_a_killed_run_owes(run: Run, tmp_path: Path, root: Path, owing: Any) -> None:
    saved = tmp_path / "saved.json"
    assert run("plan", *owing, "--sysroot", root, "-o", saved).code == 0
    for _ in range(2):
        ran = run("apply", saved, *owing, "--sysroot", root, "--state-dir", tmp_path / "state", "--yes", "--json")
        assert (ran.code, ran.json["outcome"]) == (0, "up-to-date")
        assert (tmp_path / "note").read_text() == "applied\n"


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("asks", [("--yes",), ()])
def test_what_stops_a_run_does_not_leave_the_host_quiesced(
    run: Run, spr: HostFacts, tmp_path: Path, root: Path, owing: Any, held: bool, asks: tuple[str, ...]
) -> None:
    """The plan is for the host as it was, or the host is held."""
    saved, facts, state = tmp_path / "saved.json", tmp_path / "facts.json", tmp_path / "state"
    facts.write_text(to_json(spr.to_document()))
    assert run("plan", *owing, "--facts", facts, "-o", saved).code == 0
    if held:
        assert run("hold", "--reason", "x", "--sysroot", root, "--state-dir", state).code == 0
    ran = run("apply", saved, *owing, "--sysroot", root, "--state-dir", state, *asks)
    assert (ran.code, "running the commands 'after' of the run" in ran.err) == (4 if held else 5, True)
    assert (tmp_path / "note").read_text() == "applied\n"


def test_a_journal_in_ruins_is_told_and_fatal_to_nobody(run: Run, root: Path) -> None:
    state = root / "var/lib/seamstep"
    state.mkdir(parents=True)
    (state / NAME).write_bytes(b"\x1b[2Jruin\n\xff\n")
    ran = run("status", "--sysroot", root)
    assert ran.code == 0
    assert "journal            journal.jsonl: line 1 is no record" in ran.out
    assert run("status", "--sysroot", root, "--json").json["journal"]["problems"]
    ran = run("history", "--sysroot", root)
    assert (ran.code, ran.out) == (0, "no record\nproblem: journal.jsonl: line 1 is no record\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_status_without_privileges() -> None:
    script = (
        "import os, sys; from seamstep.run import status; from seamstep.domain.facts import HostFacts;"
        "os.setuid(65534);"
        "d = status.status(HostFacts(), *status.read_history(sys.argv[1]), None);"
        "print(d['last_run'], d['unknown']['last_run'])"
    )
    with tempfile.TemporaryDirectory() as state:  # 0700, as ours
        command = [sys.executable, "-c", script, state]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == f"None permission: {state} can't be read by this user; run as root\n", done.stderr


def test_history_for_people_and_programs(run: Run, plan_file: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    apply = ("apply", plan_file, *TRUST, "--simulate", "--yes", "--state-dir", state)
    first = run(*apply, "--max-hops", "1", "--json").json
    assert (first["exit_code"], first["module_version"], first["recovered"]) == (0, "1.5.28", None)
    ran = run("history", "--state-dir", state)
    lines = ran.out.splitlines()
    assert len(lines) == 6
    assert f"{first['transaction']} outcome 1.5.24 → 1.5.28 state=applied version=1.5.28 remaining=4" in lines[4]
    assert run("history", "--state-dir", state, "--newest-first").out.splitlines() == lines[::-1]
    assert run("history", "--state-dir", state, "--transaction", "x").out == "no record\n"
    document = run("history", "--state-dir", state, "--transaction", first["transaction"], "--json").json
    assert [record["event"] for record in document["records"]][-1] == "run-ended"
    assert document["problems"] == []


def refuse(path: str, mode: int) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)


def test_a_rehearsal_leaves_nothing(run: Run, plan_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    real = tmp_path / "real"
    monkeypatch.setenv("STATE_DIRECTORY", str(real))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "passing"))
    assert run("apply", plan_file, *TRUST, "--simulate", "--yes").code == 0, "there is /tmp"
    with monkeypatch.context() as nowhere:
        nowhere.setattr(os, "mkdir", refuse)
        ran = run("apply", plan_file, *TRUST, "--simulate", "--yes")
    assert ran.code == 2
    assert "can't make a folder for the rehearsal" in ran.err
    assert "Read-only file system" in ran.err
    (tmp_path / "passing").mkdir()
    ran = run("apply", plan_file, *TRUST, "--simulate", "--yes")
    assert (ran.code, real.exists(), list((tmp_path / "passing").iterdir())) == (0, False, [])
    ran = run("apply", plan_file, *TRUST, "--simulate", "--dry-run")
    assert (ran.code, "dry run: 1.5.24 → 1.5.28, 1.5.28 → 1.5.34 could be performed now" in ran.out) == (0, True)
    assert run("history").code == 0
    real.mkdir()
    (real / NAME).write_text("x\n")
    assert "line 1 is no record" in run("history").out, "$STATE_DIRECTORY is where this host's journal is"


def test_a_crash_before_plan_and_apply_in_one_go(
    run: Run, spr: HostFacts, images: Path, tmp_path: Path, root: Path
) -> None:
    """What came of the killed run is written down even where there is nothing left to do."""
    plan = plan_for(spr, images, "fewest-hops")
    whole = run_to(plan, standing_for(root, simulated(plan)), tmp_path / "whole", None)
    state = tmp_path / "state"
    run_to(plan, standing_for(root, simulated(plan)), state, whole.interactions.index("state committed"))
    files = {"sys/devices/faux/tdx_host/version": "1.5.34\n", "sys/class/firmware/tdx_module/error": ""}
    files["sys/devices/faux/tdx_host/num_remaining_updates"] = "4\n"
    files["proc/sys/kernel/random/boot_id"] = f"{spr.boot_id}\n"
    tree(root, files)
    ran = run("apply", *TRUST, "--catalog", images, "--sysroot", root, "--state-dir", state, "--yes")
    assert ran.code == 0
    assert "was killed before its end: applied: 1.5.34 runs" in ran.err
    last = run("status", "--sysroot", root, "--state-dir", state, "--json").json["last_run"]
    assert (last["outcome"], last["recovered"], last["message"]) == ("applied", True, "1.5.34 runs")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--max-hops", "0"), "'0' is not a whole number from 1 on"),
        (("--max-hops", "x"), "'x' is not a whole number"),
        (("--state-dir", ""), "the value is empty"),
    ],
)
def test_options_that_make_no_sense(run: Run, plan_file: Path, arguments: tuple[str, ...], says: str) -> None:
    ran = run("apply", plan_file, "--simulate", *arguments)
    assert (ran.code, says in ran.err) == (2, True)


def test_settings_in_plans_are_read_strictly(run: Run, plan_file: Path) -> None:
    reseal(plan_file, apply={"windows": [{"from": "now", "to": "later"}]})
    ran = run("apply", plan_file, *TRUST, "--simulate", "--yes")
    assert (ran.code, "apply.windows[0].from: 'now' is not a time such as 22:30" in ran.err) == (2, True)


def test_root_and_cap_sys_rawio_are_named(run: Run, plan_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    ran = run("apply", plan_file, *TRUST, "--yes")
    assert (ran.code, "an update needs root" in ran.err, "CAP_SYS_RAWIO" in ran.err) == (1, True, True)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    text = "Name:\tx\nCapEff:\t{:016x}\n"
    for capabilities, found in ((0x1FFFFFFFFFF & ~(1 << 17), False), (1 << 17, True)):
        monkeypatch.setattr(builtins, "open", lambda *_, bits=capabilities, **__: io.StringIO(text.format(bits)))
        assert vars(apply_privileges)["_has_rawio"]() is found


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to drop a capability")
def test_a_root_without_the_capability_is_refused(plan_file: Path) -> None:
    import shutil

    if not shutil.which("setpriv"):
        pytest.skip("no setpriv")
    command = ["setpriv", "--inh-caps=-all", "--bounding-set=-sys_rawio", sys.executable, "-m", "seamstep"]
    done = subprocess.run([*command, "apply", plan_file, *TRUST, "--yes"], capture_output=True, text=True, check=False)
    assert (done.returncode, "this root lacks CAP_SYS_RAWIO" in done.stderr) == (1, True)


@pytest.mark.parametrize("command", ["status", "history"])
def test_reading_is_light(command: str, root: Path) -> None:
    loaded = modules_of(command, "--sysroot", root)
    assert not loaded & {"networkx", "jsonschema", "yaml", "packaging", "rich", "cryptography"}


APPLY = "import sys; from seamstep.cli import main; assert main(sys.argv[1:]) == 0"
PEAK = "\nprint(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"


def peak(program: str, *arguments: object) -> int:
    """The peak memory of an interpreter of its own, in KiB. Not ru_maxrss: that begins with our own."""
    command = [sys.executable, "-c", program + PEAK, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def test_peak_memory(spr: HostFacts, images: Path, tmp_path: Path, say: Any) -> None:
    """Below 64 MB above a bare interpreter, for an image of 2 MB."""
    import shutil

    from conftest import SIGNER
    from seamstep.demo.synthetic import Parts, synthetic_module
    from seamstep.image.pack import pack

    folder = Path(shutil.copytree(images, tmp_path / "catalog"))
    module = synthetic_module("large", 496)
    image = pack(SIGNER.sigstruct(module, Parts()), module, "2.0")
    (folder / "joined_files" / "1.5" / "tdx_module_1.5.34.blob").write_bytes(image)
    assert len(image) > 2_000_000
    path = tmp_path / "plan.json"
    path.write_text(to_json(plan_for(spr, folder, "fewest-hops").document))
    bare = peak("")
    used = peak(APPLY, "apply", path, *TRUST, "--simulate", "--yes", "--state-dir", tmp_path / "state")
    say(f"peak memory of apply with an image of {len(image)} bytes: {(used - bare) / 1024:.1f} MiB above bare Python")
    assert 1024 < used - bare < 62_500


def test_state_folder_of_this_host(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plan_file: Path) -> None:
    from seamstep.cli import options as shared

    class Options:
        sysroot, state_dir = "/", None

    monkeypatch.setenv("STATE_DIRECTORY", "/a:/b")
    assert shared.state_folder(Options()) == "/a"  # type: ignore[arg-type]
    monkeypatch.delenv("STATE_DIRECTORY")
    assert shared.state_folder(Options()) == "/var/lib/seamstep"  # type: ignore[arg-type]
    unusable = tmp_path / "file"
    unusable.write_text("mine")
    ran = run("apply", plan_file, *TRUST, "--simulate", "--yes", "--state-dir", unusable)
    assert (ran.code, "can't use the state folder" in ran.err, unusable.read_text()) == (1, True, "mine")


def test_the_run_document(run: Run, spr: HostFacts, images: Path, plan_file: Path, tmp_path: Path) -> None:
    """A killed run, and the one after it, in one JSON document."""
    plan = plan_for(spr, images)
    whole = run_to(plan, simulated(plan), tmp_path / "whole", None)
    run_to(plan, simulated(plan), tmp_path / "state", whole.interactions.index("state staged"))
    ran = run("apply", plan_file, *TRUST, "--simulate", "--yes", "--state-dir", tmp_path / "state", "--json")
    assert ran.code == 0
    assert ran.json["recovered"]["state"] == "not-started"
    assert json.loads((tmp_path / "state" / NAME).read_text().splitlines()[-1])["event"] == "run-ended"
