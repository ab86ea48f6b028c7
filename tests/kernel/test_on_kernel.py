"""``seamstep apply`` against a real kernel's upload interface: what it says is what the kernel says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from interactions import ERRORS
from lab import CPU1, SEAMSTEP, STATE, Lab, Seen

from conftest import TRUST, Run, write_facts
from seamstep.base.errors import ExitCode
from seamstep.base.versions import ModuleVersion
from seamstep.demo.synthetic import Parts
from seamstep.domain.facts import UploadNode
from seamstep.host.base import LEGACY, MAINLINE

pytestmark = pytest.mark.kernel

UNTOUCHED = Seen("1.5.24", "5", "0", "idle", "", "0")
SAFE = "1.5.24 and its TDs run on"


def test_plan_and_apply_in_one_go(lab: Lab) -> None:
    lab.load()
    done = lab.guest.run(SEAMSTEP, "apply", "--catalog", lab.images, *TRUST, "--policy", "shortest-path", "--yes")
    assert (done.code, done.out) == (0, "1.5.24 → 1.5.28 applied\n1.5.28 → 1.5.34 applied\n1.5.34 runs\n"), done
    assert lab.seen() == Seen("1.5.34", "3", "2", "idle", "", "0")


def test_one_hop_and_nothing_to_do_afterwards(lab: Lab) -> None:
    plan = lab.plan("fewest-hops")
    lab.load()
    done = lab.apply(plan)
    assert (done.code, done.json["state"], done.json["applied"]) == (0, "applied", [{"from": "1.5.24", "to": "1.5.34"}])
    assert lab.seen() == Seen("1.5.34", "4", "1", "idle", "", "0")
    again = lab.apply(plan)
    assert (again.code, again.json["applied"], lab.seen().uploads) == (0, [], "1")
    assert "nothing to do" in again.json["message"]
    lab.guest.must("rm", "-r", STATE)
    stale = lab.apply(plan)
    assert (stale.code, lab.seen().uploads) == (ExitCode.STALE, "1")
    assert "module_version was 1.5.24, is 1.5.34" in stale.json["message"]


FAULTS = [(phase, "hw-error") for phase in ("preparing", "programming")]
FAULTS += [("transferring", error) for error in ERRORS if error != "device-busy"]


@pytest.mark.parametrize(("phase", "error"), FAULTS)
def test_every_error_ends_the_run_and_is_named(lab: Lab, phase: str, error: str) -> None:
    lab.load(fault_phase=phase, fault_error=ERRORS[error])
    done = lab.apply(lab.plan())
    assert (done.code, done.json["state"], done.json["module_version"]) == (ExitCode.FAILED, "failed", "1.5.24"), done
    assert f"{phase}:{error}; {SAFE}" in done.json["message"]
    assert lab.seen() == UNTOUCHED._replace(uploads="1", error=f"{phase}:{error}")


def test_trouble_on_the_second_hop_keeps_the_first(lab: Lab) -> None:
    lab.load(fault_error=ERRORS["firmware-invalid"], fault_upload=2)
    done = lab.apply(lab.plan())
    assert (done.code, done.json["applied"]) == (ExitCode.FAILED, [{"from": "1.5.24", "to": "1.5.28"}]), done
    assert lab.seen() == Seen("1.5.28", "4", "2", "idle", "transferring:firmware-invalid", "0")


@pytest.mark.parametrize("upload", [1, 2])
def test_loss_is_told_and_nothing_is_uploaded_any_more(lab: Lab, upload: int) -> None:
    lab.load(fault_error=ERRORS["firmware-invalid"], fault_loses=True, fault_upload=upload)
    plan = lab.plan()
    done = lab.apply(plan)
    assert (done.code, done.json["state"], done.json["module_version"]) == (ExitCode.LOST, "lost", None), done
    assert "only a reboot" in done.json["message"]
    assert len(done.json["applied"]) == upload - 1
    again = lab.apply(plan)
    assert (again.code, "only a reboot" in again.json["error"]) == (ExitCode.LOST, True), again
    assert (lab.seen().version, lab.seen().uploads) == ("", str(upload))


UNTRUE = [
    ({"becomes": "1.5.24"}, ExitCode.FAILED, "the kernel reports success, but it is none"),
    ({"becomes": "1.5.25"}, ExitCode.UNKNOWN, "1.5.25 runs, which is neither"),
    ({"becomes": "garbage"}, ExitCode.UNKNOWN, "the running version can't be read: 'garbage'"),
    ({"count_step": 0}, ExitCode.UNKNOWN, "1.5.28 runs, but remaining updates went from 5 to 5"),
    ({"count_step": 2}, ExitCode.UNKNOWN, "1.5.28 runs, but remaining updates went from 5 to 3"),
    ({"count_step": 5}, ExitCode.UNKNOWN, "1.5.28 runs, but remaining updates went from 5 to 0"),
    ({"modules": ""}, ExitCode.LOST, "only a reboot"),
]


@pytest.mark.parametrize(("knobs", "code", "says"), UNTRUE)
def test_a_success_that_is_none_is_not_told_as_one(lab: Lab, knobs: Any, code: ExitCode, says: str) -> None:
    """The kernel reports success; the version and the count say otherwise. The second hop is not tried."""
    lab.load(**knobs)
    done = lab.apply(lab.plan())
    assert (done.code, done.json["applied"], lab.seen().uploads) == (code, [], "1"), done
    assert says in done.json["message"]


def test_busy(lab: Lab) -> None:
    lab.load(busy=99)
    done = lab.apply(lab.plan())
    assert (done.code, done.json["state"]) == (ExitCode.BUSY, "busy"), done
    assert SAFE in done.json["message"]
    assert lab.seen() == UNTOUCHED._replace(uploads="1", error="transferring:device-busy")


def test_a_cpu_that_goes_offline(lab: Lab) -> None:
    """Really offlined. The kernel does not look before it shuts the old module down, so seamstep has to."""
    plan = lab.plan()
    lab.load()
    lab.guest.must("sh", "-c", f"echo 0 > {CPU1}")
    refused = lab.guest.run("seamstep", "apply", "--catalog", lab.images, *TRUST, "--yes")
    assert (refused.code, "CPUs 1 are offline" in refused.out) == (ExitCode.NO, True), refused
    stale = lab.apply(plan)
    assert stale.code == ExitCode.STALE
    assert "cpus_online was 0-1, is 0" in stale.json["message"]
    assert lab.seen() == UNTOUCHED
    assert lab.upload(lab.images / "tdx_module_1.5.28.blob").version == ""


def test_no_update_left(lab: Lab) -> None:
    plan = lab.plan()
    lab.load(remaining_updates=0)
    stale = lab.apply(plan)
    assert stale.code == ExitCode.STALE
    assert "remaining_updates was 5, is 0" in stale.json["message"]
    assert lab.seen() == UNTOUCHED._replace(remaining="0")
    assert lab.upload(lab.images / "tdx_module_1.5.28.blob").version == ""


FATAL = {
    "cpu-supported": Parts(cpuid=(0xC06F0,), seamsvn=0x11C),
    "svn-major": Parts(seamsvn=0x31C),
    "handoff": Parts(module_hv=3, min_update_hv=2, seamsvn=0x11C),
    "image-authentic": None,
}


@pytest.mark.parametrize("rule", FATAL)
def test_what_p_seamldr_refuses_is_refused_before(lab: Lab, run: Run, tmp_path: Path, rule: str) -> None:
    """P-SEAMLDR looks when the old module is gone already. The rule that protects from it names itself."""
    image = lab.add_image("1.5.28", f"bad {rule}", FATAL[rule])
    if rule == "image-authentic":
        content = bytearray(image.read_bytes())
        content[-1] ^= 1
        content[-3] ^= 1
        image.write_bytes(content)
    facts = write_facts(tmp_path / "facts.json", lab.facts())
    ran = run("plan", "--catalog", image.parent, *TRUST, "--facts", facts, "--target", "1.5.28", "--json")
    step = next(step for step in ran.json["rejected"] if (step["from"], step["to"]) == ("1.5.24", "1.5.28"))
    assert [verdict["rule"] for verdict in step["verdicts"] if verdict["outcome"] == "block"] == [rule]
    lab.load()
    seen = lab.upload(image)
    assert (seen.version, seen.error) == ("", "transferring:firmware-invalid")


def test_without_update_compatibility_the_module_refuses_and_nothing_is_lost(lab: Lab) -> None:
    lab.load(compat=False)
    seen = lab.upload(lab.images / "tdx_module_1.5.28.blob")
    assert seen == UNTOUCHED._replace(uploads="1", error="transferring:firmware-invalid")


@pytest.mark.parametrize("there", ["attributes only", "nothing"])
def test_a_kernel_without_the_interface(lab: Lab, there: str) -> None:
    if there == "nothing":
        lab.guest.unload()
    else:
        lab.load(node=False)
    done = lab.guest.run("seamstep", "apply", "--catalog", lab.images, *TRUST, "--yes", "--json")
    assert done.code == ExitCode.NOT_UPDATABLE, done
    if there == "nothing":
        assert "/sys/devices/faux/tdx_host/version does not exist" in done.json["error"]
    else:
        assert done.json["outcome"] == "no-path"


def test_an_unprivileged_user(lab: Lab) -> None:
    lab.load()
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    done = lab.apply(lab.plan(), *nobody)
    assert (done.code, "needs root" in done.out) == (ExitCode.NO, True), done
    facts = lab.guest.run(*nobody, SEAMSTEP, "facts", "--json").json
    assert (facts["module_version"], facts["remaining_updates"], facts["seamldr_version"]) == ("1.5.24", None, None)
    assert facts["unknown"]["remaining_updates"].startswith("permission")
    assert lab.seen() == UNTOUCHED


def test_without_cap_sys_rawio(lab: Lab) -> None:
    lab.load()
    done = lab.apply(lab.plan(), "setpriv", "--bounding-set=-sys_rawio")
    assert (done.code, "CAP_SYS_RAWIO" in done.json["error"]) == (ExitCode.NO, True), done
    assert lab.seen() == UNTOUCHED


def test_root_of_a_container(lab: Lab) -> None:
    """In a user namespace of its own it has all capabilities, files open, and the kernel takes no byte."""
    lab.load()
    done = lab.apply(lab.plan(), "unshare", "--user", "--map-root-user")
    assert (done.code, done.json["state"]) == (ExitCode.FAILED, "failed"), done
    assert "CAP_SYS_RAWIO" in done.json["message"]
    assert f"nothing was changed, {SAFE}" in done.json["message"]
    assert lab.seen() == UNTOUCHED


@pytest.mark.parametrize("signal", ["TERM", "INT"])
def test_an_interrupt_while_staging_leaves_nothing(lab: Lab, signal: str) -> None:
    plan = lab.plan("fewest-hops", lab.large.parent)
    lab.load()
    done = lab.race(plan, "loading", "1", f"kill -{signal} $run")
    assert (done.code, done.json["state"], done.json["module_version"]) == (ExitCode.INTERRUPTED, "failed", "1.5.24")
    assert f"interrupted; nothing was changed, {SAFE}" in done.json["message"]
    assert lab.seen() == UNTOUCHED


def test_somebody_else_writes_into_the_staged_image(lab: Lab) -> None:
    plan = lab.plan("fewest-hops", lab.large.parent)
    lab.load()
    node = MAINLINE.upload_path
    # A byte that comes before the first chunk is overwritten, and harms nothing.
    again = f'while read value < {node}/loading && [ "$value" = 1 ]; do printf X > {node}/data; done'
    done = lab.race(plan, "loading", "1", again)
    assert (done.code, done.json["module_version"]) == (ExitCode.FAILED, "1.5.24"), done
    assert "does not hold the bytes that were written" in done.json["message"]
    assert lab.seen() == UNTOUCHED


def test_an_interrupt_after_the_commit_waits_for_the_outcome(lab: Lab) -> None:
    plan = lab.plan()
    lab.load(delay_ms=500)
    done = lab.race(plan, "status", "transferring", "kill -TERM $run")
    assert (done.code, done.json["applied"]) == (ExitCode.INTERRUPTED, [{"from": "1.5.24", "to": "1.5.28"}]), done
    assert lab.seen() == Seen("1.5.28", "4", "1", "idle", "", "0")


@pytest.mark.parametrize(("profile", "format_"), [(MAINLINE, "1.0"), (LEGACY, "2.0")])
def test_an_image_of_the_other_format_is_repacked(lab: Lab, profile: Any, format_: str) -> None:
    """Each kernel refuses the other's format; what seamstep uploads is repacked, and the kernel takes it."""
    image = lab.add_image("1.5.34", f"{format_} for {profile.name}", format_=format_)
    facts = lab.facts(profile=profile.name, upload=UploadNode(profile.upload_node, "idle"))
    lab.load(legacy=profile is LEGACY)
    assert lab.upload(image).error == "transferring:firmware-invalid"
    lab.load(legacy=profile is LEGACY)
    done = lab.apply(lab.plan("fewest-hops", image.parent, facts))
    assert (done.code, done.json["module_version"]) == (0, "1.5.34"), done
    assert lab.seen() == Seen("1.5.34", "4", "1", "idle", "", "0")


def test_legacy_layout(lab: Lab) -> None:
    lab.load(legacy=True)
    facts = lab.guest.run("seamstep", "facts", "--json").json
    assert (facts["profile"], facts["seamldr_version"], facts["remaining_updates"]) == ("legacy", "1.5.02", 5)
    assert facts["upload"] == {"name": "seamldr_upload", "status": "idle"}
    assert ModuleVersion(facts["module_version"]) == lab.facts().module_version
