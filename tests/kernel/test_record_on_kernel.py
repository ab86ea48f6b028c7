"""Runs that wait, that are killed, that meet another, and that are a service's: on a real kernel."""

from __future__ import annotations

import configparser
from importlib import resources
from typing import Any

import pytest
from guest import PARAMETERS
from lab import SEAMSTEP, STATE, Lab, Seen

from conftest import TRUST
from seamstep.base.errors import ExitCode
from seamstep.host.base import MAINLINE

pytestmark = pytest.mark.kernel

DONE = Seen("1.5.34", "3", "2", "idle", "", "0")


def test_busy_then_success(lab: Lab) -> None:
    lab.load(busy=2)
    done = lab.apply(lab.patient_plan())
    assert (done.code, done.json["state"], len(done.json["applied"])) == (0, "applied", 2), done
    assert lab.seen() == DONE._replace(uploads="4")


def test_busy_to_the_end(lab: Lab) -> None:
    lab.load(busy=99)
    done = lab.apply(lab.patient_plan())
    assert (done.code, done.json["state"], done.json["applied"]) == (ExitCode.BUSY, "busy", []), done
    assert lab.seen() == Seen("1.5.24", "5", "3", "idle", "transferring:device-busy", "0")


def test_only_busy_is_tried_again(lab: Lab) -> None:
    lab.load(fault_error=8, fault_upload=1)
    done = lab.apply(lab.patient_plan())
    assert (done.code, done.json["state"], lab.seen().uploads) == (ExitCode.FAILED, "failed", "1"), done


def test_a_kill_while_staging_leaves_a_partial_upload_that_the_next_run_drops(lab: Lab) -> None:
    plan = lab.plan("fewest-hops", lab.large.parent)
    lab.load()
    assert lab.race(plan, "loading", "1", "kill -KILL $run").code == -9
    assert lab.seen() == Seen("1.5.24", "5", "0", "idle", "", "1")
    done = lab.apply(plan)
    assert (done.code, done.json["recovered"]["state"]) == (0, "not-started"), done
    assert lab.seen() == Seen("1.5.34", "4", "1", "idle", "", "0")


KILLED: dict[str, tuple[dict[str, Any], str, ExitCode, Seen]] = {
    "it went well": ({}, "applied", ExitCode.DONE, DONE),
    "it was lost": (
        {"fault_error": 8, "fault_loses": True},
        "lost",
        ExitCode.LOST,
        Seen("", "5", "1", "idle", "transferring:firmware-invalid", "0"),
    ),
    "it failed": (
        {"fault_error": 1, "fault_upload": 1},
        "failed",
        ExitCode.NO,
        Seen("1.5.24", "5", "1", "idle", "transferring:hw-error", "0"),
    ),
    "it was no success": ({"becomes": "1.5.24"}, "failed", ExitCode.NO, Seen("1.5.24", "4", "1", "idle", "", "0")),
}


@pytest.mark.parametrize("came", KILLED)
def test_a_kill_after_the_commit_and_what_the_next_run_finds(lab: Lab, came: str) -> None:
    """The kernel goes on alone. The next run waits for it, says what came of it, and tries nothing blindly."""
    knobs, state, code, seen = KILLED[came]
    plan = lab.plan()
    lab.load(delay_ms=2000, **knobs)
    assert lab.race(plan, "status", "preparing", "kill -KILL $run").code == -9
    assert lab.seen().status != "idle"
    next_run = lab.apply(plan)
    assert next_run.code == code, next_run
    assert lab.seen() == seen
    status = lab.guest.run("seamstep", "status", "--json").json
    assert status["module_version"] == (seen.version or None)
    if code == ExitCode.DONE:
        assert next_run.json["recovered"]["state"] == state
    else:
        assert status["last_run"]["outcome"] == state, status


def test_two_runs_at_once(lab: Lab) -> None:
    plan = lab.plan()
    lab.load(delay_ms=100_000)
    other = " ".join(lab.apply_command(plan))
    go_on = f"echo 1 > {PARAMETERS}/delay_ms"
    done = lab.race(plan, "status", "preparing", f"{other} > /run/other; echo $? > /run/other-code; {go_on}")
    assert (done.code, len(done.json["applied"])) == (0, 2), done
    assert lab.guest.must("cat", "/run/other-code").out.strip() == str(int(ExitCode.BUSY))
    assert "another run of seamstep" in lab.guest.must("cat", "/run/other").out
    assert lab.seen() == DONE


def test_another_program_s_update_begins_while_staging(lab: Lab) -> None:
    """The run waits for its end, and tells which module runs then."""
    plan = lab.plan("fewest-hops", lab.large.parent)
    lab.load(delay_ms=500)
    node = MAINLINE.upload_path
    theirs = f"echo 1 > {node}/loading; cat {lab.images}/tdx_module_1.5.28.blob > {node}/data; echo 0 > {node}/loading"
    done = lab.race(plan, "loading", "1", f"kill -STOP $run; {theirs}; kill -CONT $run")
    assert (done.code, done.json["stopped"], done.json["module_version"]) == (ExitCode.BUSY, "not-now", "1.5.28"), done
    assert "another program's update was under way" in done.json["message"]
    assert lab.seen() == Seen("1.5.28", "4", "1", "idle", "", "0")
    assert lab.guest.run("seamstep", "status", "--json").json["last_run"]["outcome"] == "not-now"


#: What a run is started below: nothing, and the namespaces of a service, with a sysfs that has inodes of its own.
ELSEWHERE = {"": "", "in namespaces": "unshare --mount --net sh -c 'mount -t sysfs sysfs /sys; exec \"$@\"' sh"}


@pytest.mark.parametrize("below", ELSEWHERE)
def test_two_runs_with_two_state_folders(lab: Lab, below: str) -> None:
    """The lock is the host's: on one upload node there is one run, whatever it was told about its record."""
    plan = lab.plan()
    lab.load(delay_ms=100_000)
    other = " ".join((ELSEWHERE[below], *lab.apply_command(plan), "--state-dir /var/lib/other"))
    go_on = f"echo 1 > {PARAMETERS}/delay_ms"
    done = lab.race(plan, "status", "preparing", f"{other} > /run/other; echo $? > /run/other-code; {go_on}")
    assert (done.code, len(done.json["applied"])) == (0, 2), done
    assert lab.guest.must("cat", "/run/other-code").out.strip() == str(int(ExitCode.BUSY))
    assert "another run of seamstep" in lab.guest.must("cat", "/run/other").out
    assert lab.seen() == DONE


def sandbox(unit: str) -> str:
    """A shell script that runs its arguments as the unit would have them run, as far as a shell can: capabilities,
    no-new-privileges, what is read-only, network, umask, and the ban on memory that is writable and executable. What
    takes a seccomp filter is left out, and so is hiding /home and /tmp, where this checkout may be."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment]
    parser.read_string(unit)
    service = parser["Service"]
    assert service["ProtectSystem"] == "strict"
    assert service["ProtectKernelTunables"] == service["NoNewPrivileges"] == service["PrivateNetwork"] == "yes"
    assert service["MemoryDenyWriteExecute"] == "yes"
    kept = ",".join("+" + name.removeprefix("CAP_").lower() for name in service["CapabilityBoundingSet"].split())
    writable = [path.removeprefix("-") for path in service["ReadWritePaths"].split()]
    return f"""
        set -e
        umask {service["UMask"]}
        mkdir -p -m {service["StateDirectoryMode"]} /var/lib/{service["StateDirectory"]}
        mkdir -p -m {service["RuntimeDirectoryMode"]} /run/{service["RuntimeDirectory"]}
        own="/var/lib/{service["StateDirectory"]} /run/{service["RuntimeDirectory"]}"
        for place in $(readlink -fq {" ".join(writable)} $own); do
          ! test -e $place || mount --bind $place $place
        done
        for place in / /sys /proc; do mount -o remount,bind,ro $place; done
        export STATE_DIRECTORY=/var/lib/{service["StateDirectory"]}
        exec setpriv --no-new-privs --bounding-set=-all,{kept} python3 -c '
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN
    sys.exit("no PR_SET_MDWE")
os.execv(sys.argv[1], sys.argv[1:])' "$@" """


def test_in_the_sandbox_of_the_service(lab: Lab) -> None:
    unit = resources.files("seamstep") / "service" / "seamstep.service"
    if not unit.is_file():
        pytest.skip("this version of seamstep ships no unit")
    lab.load()
    inside = ("unshare", "--mount", "--net", "sh", "-c", sandbox(unit.read_text("utf-8")), "sh")
    for path in ("/x", "/sys/kernel/x", f"{MAINLINE.upload_path}/../../../x"):
        assert lab.guest.run(*inside, "/bin/touch", path).code == 1
    for path in (f"{STATE}/x", f"{MAINLINE.upload_path}/loading"):
        assert lab.guest.run(*inside, "/bin/touch", path).code == 0
    done = lab.guest.run(*inside, SEAMSTEP, "apply", "--yes", "--json", "--catalog", lab.images, *TRUST)
    assert (done.code, done.json["module_version"]) == (0, "1.5.34"), done
    assert lab.seen() == Seen("1.5.34", "4", "1", "idle", "", "0")
