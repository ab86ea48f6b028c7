"""``seamstep apply`` against a real kernel's upload interface: what it says is what the kernel says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from guest import PARAMETERS
from interactions import ERRORS
from lab import CPU1, SEAMSTEP, STATE, Lab, Seen, set_running_tds

from conftest import TRUST, Run, write_facts
from seamstep.base.errors import ExitCode
from seamstep.base.versions import ModuleVersion
from seamstep.demo.synthetic import Parts
from seamstep.domain.facts import UploadNode
from seamstep.host.base import LEGACY, MAINLINE, MISC_CURRENT
from seamstep.image.layout import PAGE

pytestmark = pytest.mark.kernel

#: The pages that a release of the catalog needs on two logical processors.
ROOM = 1 + 2 * (1 + 2 + 2 + 2 + 1) + 22 + 14
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


#: The rule, the parts of an image that it refuses, and what the platform has for P-SEAMLDR to refuse it as well.
FATAL: list[tuple[str, Parts, dict[str, Any]]] = [
    ("cpu-supported", Parts(cpuid=(0xC06F0,), seamsvn=0x11C), {}),
    ("svn", Parts(seamsvn=0x31C), {}),
    ("svn", Parts(seamsvn=0x10C), {}),
    ("debug-module", Parts(module_type=1 << 31, seamsvn=0x11C), {}),
    ("handoff", Parts(module_hv=3, min_update_hv=2, seamsvn=0x11C), {}),
    ("handoff", Parts(module_hv=0, seamsvn=0x11C), {}),
    ("seam-memory", Parts(handoff_pages=14, seamsvn=0x11C), {"seam_pages": ROOM}),
    ("image-authentic", Parts(seamsvn=0x11C, fields={"attributes": 1}), {}),
    ("image-authentic", Parts(seamsvn=0x11C, fields={"gdt_idt_offset": 4 * PAGE}), {}),
]


@pytest.mark.parametrize(("rule", "parts", "knobs"), FATAL)
def test_what_p_seamldr_refuses_is_refused_before(
    lab: Lab, run: Run, tmp_path: Path, rule: str, parts: Parts, knobs: Any
) -> None:
    """P-SEAMLDR looks when the old module is gone already. The rule that protects from it names itself."""
    image = lab.add_image("1.5.28", tmp_path.name, parts)
    assert blocking(lab, run, image, tmp_path / "facts.json") == [rule]
    lab.load(**knobs)
    seen = lab.upload(image)
    assert (seen.version, seen.error) == ("", "transferring:firmware-invalid")


def test_a_module_with_another_hash_is_refused_before(lab: Lab, run: Run, tmp_path: Path) -> None:
    image = lab.add_image("1.5.28", "another hash")
    content = bytearray(image.read_bytes())
    content[-1] ^= 1
    content[-3] ^= 1
    image.write_bytes(content)
    assert blocking(lab, run, image, tmp_path / "facts.json") == ["image-authentic"]
    lab.load()
    assert lab.upload(image).version == ""


def blocking(lab: Lab, run: Run, image: Path, facts: Path) -> list[str]:
    """The rules that block the step from 1.5.24 to 1.5.28 by ``image``."""
    write_facts(facts, lab.facts())
    ran = run("plan", "--catalog", image.parent, *TRUST, "--facts", facts, "--target", "1.5.28", "--json")
    step = next(step for step in ran.json["rejected"] if (step["from"], step["to"]) == ("1.5.24", "1.5.28"))
    return [verdict["rule"] for verdict in step["verdicts"] if verdict["outcome"] == "block"]


def test_what_p_seamldr_takes_at_the_limit(lab: Lab) -> None:
    """The refusals above come from the image: without its fault it installs on the same platform."""
    lab.load(seam_pages=ROOM)
    assert lab.upload(lab.images / "tdx_module_1.5.28.blob") == Seen("1.5.28", "4", "1", "idle", "", "0")


def test_the_running_module_refuses_the_shutdown_and_nothing_is_lost(lab: Lab) -> None:
    lab.load(refuses_shutdown=True)
    done = lab.apply(lab.plan())
    assert (done.code, done.json["state"]) == (ExitCode.FAILED, "failed"), done
    assert SAFE in done.json["message"]
    assert lab.seen() == UNTOUCHED._replace(uploads="1", error="transferring:firmware-invalid")


def test_a_cpu_that_the_command_line_hides(lab: Lab) -> None:
    """Linux knows two CPUs and P-SEAMLDR counts four."""
    lab.load(lps=4)
    with lab.command_line("quiet nr_cpus=2"):
        done = lab.guest.run("seamstep", "apply", "--catalog", lab.images, *TRUST, "--yes")
    assert (done.code, "hides CPUs that P-SEAMLDR counts (nr_cpus=2)" in done.out) == (ExitCode.NOT_UPDATABLE, True), (
        done
    )
    assert lab.seen() == UNTOUCHED
    assert lab.upload(lab.images / "tdx_module_1.5.28.blob").version == ""


CHANGES = [
    ("1.5.24", f"echo 0 > {CPU1}", "CPUs 0-1 were online, now 0"),
    ("1.5.24", f"echo 4 > {PARAMETERS}/remaining_updates", "5 updates remained, now 4"),
    ("1.5.13", set_running_tds(2), "2 TDs run, and the hop is permitted only while none does"),
    ("1.5.13", f"rm {MISC_CURRENT}", "the number of TDs can't be read"),
]


@pytest.mark.parametrize(("version", "command", "says"), CHANGES)
def test_a_change_while_staging_stops_the_hop_before_the_commit(
    lab: Lab, version: str, command: str, says: str
) -> None:
    """After the commit the kernel does not look, and P-SEAMLDR would find out when the old module is gone."""
    plan = lab.plan("fewest-hops", lab.large.parent, lab.facts(module_version=ModuleVersion(version)))
    lab.load(version=version)
    done = lab.race(plan, "loading", "1", f"kill -STOP $run; {command}; kill -CONT $run")
    assert (done.code, done.json["module_version"], done.json["applied"]) == (ExitCode.STALE, version, []), done
    assert f"the host changed before the commit: {says}" in done.json["message"]
    seen = lab.seen()
    assert seen == UNTOUCHED._replace(version=version, remaining=seen.remaining)
    status = lab.guest.run("seamstep", "status", "--json").json
    assert (status["module_version"], status["last_run"]["outcome"]) == (version, "stale"), status


def test_tds_that_appear_do_not_stop_a_hop_that_is_safe_for_them(lab: Lab) -> None:
    plan = lab.plan("fewest-hops", lab.large.parent)
    lab.load()
    done = lab.race(plan, "loading", "1", f"kill -STOP $run; {set_running_tds(2)}; kill -CONT $run")
    assert (done.code, lab.seen()) == (0, Seen("1.5.34", "4", "1", "idle", "", "0")), done


def test_running_tds(lab: Lab) -> None:
    lab.load(version="1.5.13", running_tds=3)
    assert lab.guest.run("seamstep", "facts", "--json").json["running_tds"] == 3
    done = lab.guest.run("seamstep", "apply", "--catalog", lab.images, *TRUST, "--yes")
    assert (done.code, "3 TDs run, so one may be in the making" in done.out) == (ExitCode.NO, True), done
    assert lab.seen() == UNTOUCHED._replace(version="1.5.13")


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
    lab.load(layout=profile.name)
    assert lab.upload(image).error == "transferring:firmware-invalid"
    lab.load(layout=profile.name)
    done = lab.apply(lab.plan("fewest-hops", image.parent, facts))
    assert (done.code, done.json["module_version"]) == (0, "1.5.34"), done
    assert lab.seen() == Seen("1.5.34", "4", "1", "idle", "", "0")


def test_legacy_layout(lab: Lab) -> None:
    lab.load(layout="legacy")
    facts = lab.guest.run("seamstep", "facts", "--json").json
    assert (facts["profile"], facts["seamldr_version"], facts["remaining_updates"]) == ("legacy", "1.5.02", 5)
    assert facts["upload"] == {"name": "seamldr_upload", "status": "idle"}
    assert ModuleVersion(facts["module_version"]) == lab.facts().module_version


def test_interim_layout_is_refused_by_its_name(lab: Lab) -> None:
    """The node of mainline and the attributes of the legacy layout."""
    lab.load(layout="interim")
    facts = lab.guest.run("seamstep", "facts", "--json").json
    assert (facts["profile"], facts["seamldr_version"], facts["remaining_updates"]) == ("interim", "1.5.02", 5)
    done = lab.guest.run("seamstep", "apply", "--catalog", lab.images, *TRUST, "--yes")
    assert (done.code, "the interim sysfs layout" in done.out) == (ExitCode.NOT_UPDATABLE, True), done
    assert lab.seen() == UNTOUCHED
