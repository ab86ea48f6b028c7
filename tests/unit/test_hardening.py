"""What reviewers broke, and what must not come back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_executor import V24, V28, Recorder, simulated
from test_host_facts import COMMON, LAYOUTS, tree

from conftest import FACTS, LATEST, PUBLISHED, SIGNER, TRUST, TRUSTED, Run, plan_for, published_parts
from seamstep.base.errors import ExitCode
from seamstep.demo.synthetic import Parts, synthetic_module
from seamstep.domain.facts import HostFacts
from seamstep.domain.model import INTEL_SIGNER
from seamstep.host.read_facts import read_facts
from seamstep.host.simulated import SimulatedHost
from seamstep.image import catalog, files, published
from seamstep.image.pack import pack
from seamstep.plan import at_hand
from seamstep.rules import POLICY_RULES
from seamstep.run.executor import Executor, Reporter, State, performing


def test_whom_we_trust_by_ourselves() -> None:
    assert PUBLISHED["signer_modulus_sha256"] == INTEL_SIGNER
    assert files.TRUSTED == vars(performing)["TRUSTED"] == {INTEL_SIGNER}


def test_what_we_trust_by_ourselves_needs_no_option(
    run: Run, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "TRUSTED", TRUSTED)
    monkeypatch.setattr(performing, "TRUSTED", TRUSTED)
    monkeypatch.setattr(at_hand, "TRUSTED", TRUSTED)
    plan = tmp_path / "plan.json"
    assert run("plan", "--catalog", images, "--facts", FACTS, "-o", plan).code == 0
    assert run("apply", plan, "--simulate", "--yes").code == 0
    assert run("image", "verify", images).code == 0
    assert run("measurements", "--catalog", images).code == 0


def test_published_mrseams_are_known() -> None:
    for release in PUBLISHED["releases"]:
        assert published.version_of(release["mrseam"]) == release["version"]


def copy_of(images: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(images, tmp_path / "copy"))


@pytest.mark.parametrize("victim", ["1.5.34", "1.5.24"])
def test_an_image_under_another_s_name_is_noticed(run: Run, images: Path, tmp_path: Path, victim: str) -> None:
    folder = copy_of(images, tmp_path)
    place = folder / "joined_files" / "1.5"
    (place / f"tdx_module_{victim}.blob").write_bytes((place / "tdx_module_1.5.28.blob").read_bytes())
    ran = run("image", "verify", folder, *TRUST)
    assert (ran.code, "a file has the wrong name" in ran.out) == (1, True)
    ran = run("plan", "--catalog", folder, *TRUST, "--facts", FACTS, "--json")
    assert victim not in {hop["to"] for hop in ran.json["hops"]}
    assert "wrong name" in ran.err
    assert victim == "1.5.34" or ran.code == 1, "what runs is not known either"


def test_an_image_that_is_known_to_be_another_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = synthetic_module("x", 1)
    (tmp_path / "tdx_module_1.5.28.blob").write_bytes(pack(SIGNER.sigstruct(module, Parts()), module, "2.0"))
    monkeypatch.setattr(published, "version_of", lambda mrseam: "1.5.24")
    loaded = catalog.load(str(LATEST), str(tmp_path), TRUSTED)
    assert all(release.image is None for release in loaded.releases)
    assert "it is the image of 1.5.24" in "\n".join(str(finding.problem) for finding in loaded.findings)


@pytest.mark.parametrize("off", [True, False])
@pytest.mark.parametrize(
    ("parts", "rule"),
    [
        (Parts(module_type=1 << 31), "debug-module"),
        (Parts(seamsvn=0x101), "svn"),
        (Parts(seamsvn=0x20D), "svn"),
        (Parts(seamsvn=0x0D), "svn"),
    ],
)
def test_no_policy_takes_debug_modules_and_lower_svns(
    run: Run, images: Path, tmp_path: Path, parts: Parts, rule: str, off: bool
) -> None:
    folder = copy_of(images, tmp_path)
    for version in ("1.5.25", "1.5.28", "1.5.34"):
        module = synthetic_module(f"{rule}{version}")
        image = pack(SIGNER.sigstruct(module, parts._replace(cpuid=(0x806F8,))), module, "2.0")
        (folder / "joined_files" / "1.5" / f"tdx_module_{version}.blob").write_bytes(image)
    policy = tmp_path / "policy.yaml"
    rules = f"rules: {{{', '.join(f'{name}: off' for name in POLICY_RULES)}}}\n" if off else ""
    policy.write_text(f"schema: seamstep/policy/v1\nname: p\n{rules}")
    ran = run("plan", "--catalog", folder, *TRUST, "--facts", FACTS, "--policy", policy)
    assert (ran.code, f"{rule}: " in ran.out) == (1, True)


def test_a_saved_plan_can_not_bring_its_own_signer(run: Run, images: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    run("plan", "--catalog", images, *TRUST, "--facts", FACTS, "-o", plan)
    ran = run("apply", plan, "--simulate", "--yes")
    assert (ran.code, f"--signer {SIGNER.fingerprint}" in ran.err) == (1, True)


def test_the_image_of_the_running_module_may_not_change(run: Run, images: Path, tmp_path: Path) -> None:
    folder = copy_of(images, tmp_path)
    plan = tmp_path / "plan.json"
    run("plan", "--catalog", folder, *TRUST, "--facts", FACTS, "-o", plan)
    running = folder / "joined_files" / "1.5" / "tdx_module_1.5.24.blob"
    running.write_bytes(running.read_bytes() + b"x")
    ran = run("apply", plan, *TRUST, "--simulate", "--yes")
    assert (ran.code, "tdx_module_1.5.24.blob is not the one" in ran.out) == (5, True)


# -- the executor


class Killing(Recorder):
    """Sends a signal when a state is reached."""

    def __init__(self, state: State, number: int) -> None:
        super().__init__()
        self.state, self.number = state, number

    def moved(self, state: State) -> None:
        super().moved(state)
        if state is self.state and self.events.count(state.value) == 1:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_commit_waits_for_the_outcome(spr: HostFacts, images: Path, number: int) -> None:
    plan = plan_for(spr, images)
    host = simulated(plan)
    result = Executor(host, Killing(State.COMMITTED, number)).run(plan)
    assert (result.state, result.version, result.exit_code) == (State.APPLIED, V28, ExitCode.INTERRUPTED)
    assert result.applied == plan.hops[:1]
    assert read_facts(host) == spr.after(V28, 1)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_reporter_that_fails_does_not_matter(spr: HostFacts, images: Path) -> None:
    class Failing(Reporter):
        def moved(self, state: State) -> None:
            raise BrokenPipeError

        def staged(self, done: int, total: int) -> None:
            raise RuntimeError

    plan = plan_for(spr, images)
    result = Executor(simulated(plan), Failing()).run(plan)
    assert (result.state, len(result.applied)) == (State.APPLIED, 2)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (OSError(6, "No such device or address"), State.LOST),
        (OSError(5, "Input/output error"), State.UNKNOWN),
        (b"1.5.28\n", State.UNKNOWN),
    ],
)
def test_the_version_is_read_after_a_failed_staging_too(
    spr: HostFacts, images: Path, answer: Any, state: State
) -> None:
    class Odd(SimulatedHost):
        staging = False

        def write(self, path: str, data: bytes, offset: int = 0) -> int:
            if path.endswith("/data"):
                self.staging = True
                raise OSError(12, "Cannot allocate memory", path)
            return super().write(path, data, offset)

        def read(self, path: str, limit: int) -> bytes:
            if self.staging and path.endswith("tdx_host/version"):
                if isinstance(answer, OSError):
                    raise answer
                return bytes(answer)
            return super().read(path, limit)

    plan = plan_for(spr, images)
    result = Executor(Odd(plan.host, {})).run(plan)
    assert result.state is state
    assert result.version in {None, V28}


def test_what_the_kernel_holds_beyond_the_image_is_noticed(spr: HostFacts, images: Path) -> None:
    class Longer(SimulatedHost):
        def read(self, path: str, limit: int) -> bytes:
            content = super().read(path, limit)
            return (content + b"x")[:limit] if path.endswith("/data") else content

    plan = plan_for(spr, images)
    result = Executor(Longer(plan.host, {})).run(plan)
    assert (result.state, result.version) == (State.FAILED, V24)


# -- the host


def test_a_cpuinfo_without_bugs_is_not_one_without_errata(tmp_path: Path) -> None:
    lines = [line for line in COMMON["proc/cpuinfo"].splitlines() if not line.startswith("bugs")]
    facts = read_facts(tree(tmp_path, COMMON, LAYOUTS["mainline"], {"proc/cpuinfo": "\n".join(lines)}))
    assert facts.cpu_bugs is None
    assert "errata" in facts.unknown["cpu_bugs"]


@pytest.mark.parametrize("line", ["stepping\t: 99", "model\t\t: 300", "cpu family\t: 999"])
def test_numbers_that_no_cpu_has(tmp_path: Path, line: str) -> None:
    key = line.partition("\t")[0]
    text = "\n".join(line if old.startswith(f"{key}\t") else old for old in COMMON["proc/cpuinfo"].splitlines())
    facts = read_facts(tree(tmp_path, COMMON, LAYOUTS["mainline"], {"proc/cpuinfo": text}))
    assert "is no CPU" in facts.unknown["cpu_signatures"]


def test_a_fifo_does_not_hold_us_up(tmp_path: Path, run: Run) -> None:
    tree(tmp_path, COMMON, LAYOUTS["mainline"])
    (tmp_path / "proc/cpuinfo").unlink()
    os.mkfifo(tmp_path / "proc/cpuinfo")
    assert run("facts", "--sysroot", tmp_path, "--json").json["cpu_signatures"] is None


# -- the command line


@pytest.mark.parametrize("option", ["--policy", "--target", "--facts", "--mapping", "--images", "--catalog", "-o"])
def test_an_empty_value_is_a_mistake(run: Run, option: str) -> None:
    ran = run("plan", "--without-images", option, "")
    assert (ran.code, "the value is empty" in ran.err) == (2, True)


def test_options_are_written_out(run: Run) -> None:
    assert run("facts", "--js").code == 2
    assert run("facts", "--sysroot", "/nowhere").code == 2


def test_an_update_under_way_is_busy_and_not_impossible(run: Run, tmp_path: Path) -> None:
    node = {"sys/class/firmware/tdx_module/status": "programming\n"}
    tree(tmp_path, COMMON, LAYOUTS["mainline"], {"sys/devices/faux/tdx_host/version": "1.5.24\n"}, node)
    assert run("plan", "--mapping", LATEST, "--without-images", "--sysroot", tmp_path).code == 4


def shell(command: str, **settings: Any) -> subprocess.CompletedProcess[str]:
    line = command.replace("SEAMSTEP", f"{sys.executable} -m seamstep")
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, **settings)


@pytest.mark.parametrize("where", [">&-", "> /dev/full", "2>&-", "| true; exit ${PIPESTATUS[0]}", "<&-"])
def test_the_exit_code_stands_wherever_the_output_goes(plan_file: Path, where: str) -> None:
    done = shell(f"SEAMSTEP apply {plan_file} {' '.join(TRUST)} --simulate --yes {where}")
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    no_path = f"SEAMSTEP plan --mapping {LATEST} --without-images --facts {FACTS} --target 1.5.25 {where}"
    assert shell(no_path).returncode == 1


def test_errors_into_a_closed_pipe() -> None:
    done = shell("SEAMSTEP plan --mapping nowhere --json | true; exit ${PIPESTATUS[0]}")
    assert (done.returncode, done.stderr) == (2, "")


def test_a_result_is_told_though_it_can_not_be_saved(run: Run, plan_file: Path, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    ran = run("apply", plan_file, *TRUST, "--simulate", "--yes", "-o", taken)
    assert (ran.code, ran.out, taken.read_text()) == (1, "", "mine"), "refused before anything was done"


def test_json_is_the_same_in_every_locale(plan_file: Path, tmp_path: Path) -> None:
    command = f"SEAMSTEP plan --mapping {LATEST} --without-images --facts {FACTS} --json"
    outputs = {shell(command, env=os.environ | {"PYTHONIOENCODING": code}).stdout for code in ("ascii", "utf-8")}
    (output,) = outputs
    assert output.isascii()
    assert "→" in json.loads(output)["reason"]


def test_a_thousand_mistakes_are_told_soon(run: Run, tmp_path: Path) -> None:
    entry = {"version": "1.5", "min_module_version_for_td_preserving": 1, "min_seamldr_versions": 2, "tdx_feature0": 3}
    path = tmp_path / "m.json"
    path.write_text(json.dumps({"tdx_module_releases": [entry] * 1000}))
    ran = run("plan", "--mapping", path, "--without-images", "--facts", FACTS)
    assert ran.code == 2
    assert ran.err.count("\n") <= 102
    assert "problems more" in ran.err


def test_published_parts_are_used() -> None:
    assert published_parts(PUBLISHED["releases"][0]).seamsvn == 0x104
