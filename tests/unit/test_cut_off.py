"""A read that was cut off, or a part that is missing, is not the whole: the fact is unknown."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from test_host_facts import COMMON, CPUINFO, LAYOUTS, tree

from conftest import LATEST, Run, plan_for
from seamstep.domain.facts import HostFacts
from seamstep.host import read_facts as reading
from seamstep.host.base import MAINLINE, PAGE
from seamstep.host.read_facts import read_facts
from seamstep.host.simulated import SimulatedHost
from seamstep.host.upload import UploadPort
from seamstep.run.executor import Executor
from seamstep.run.executor.kernel import version_now
from seamstep.run.executor.states import State

ONLINE, PRESENT = "sys/devices/system/cpu/online", "sys/devices/system/cpu/present"
VERSION, STATUS = "sys/devices/faux/tdx_host/version", "sys/class/firmware/tdx_module/status"
#: The file of each fact.
FILES = {
    "hostname": "proc/sys/kernel/hostname",
    "boot_id": "proc/sys/kernel/random/boot_id",
    "kernel": "proc/sys/kernel/osrelease",
    "module_version": VERSION,
    "seamldr_version": "sys/devices/faux/tdx_host/seamldr_version",
    "remaining_updates": "sys/devices/faux/tdx_host/num_remaining_updates",
    "cpus_online": ONLINE,
    "cpus_present": PRESENT,
    "cpu_limits": "proc/cmdline",
    "running_tds": "sys/fs/cgroup/misc.current",
    "upload.status": STATUS,
    "cpu_signatures": "proc/cpuinfo",
}


def facts_with(tmp_path: Path, **files: str) -> HostFacts:
    return read_facts(tree(tmp_path, COMMON, LAYOUTS["mainline"], files))


@pytest.mark.parametrize("fact", FILES)
def test_what_goes_on_behind_a_bound_is_unknown(fact: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its beginning alone would be believed."""
    monkeypatch.setattr(reading, "_CPUINFO_LIMIT", 1 << 16)
    file = FILES[fact]
    content = (COMMON | LAYOUTS["mainline"])[file]
    facts = facts_with(tmp_path, **{file: content.rstrip("\n") + "\n" * (1 << 16) + "more"})
    assert facts.unknown[fact].startswith(f"EFBIG: /{file}: it is longer than ")
    assert fact == "upload.status" or getattr(facts, fact) is None
    assert set(facts.unknown) <= {fact, "cpu_bugs"}


def numbers(length: int) -> str:
    """A list of every other CPU that is ``length`` characters long."""
    text = ",".join(map(str, range(0, 9000, 2)))[:length]
    return text if text[-1] != "," else f"{text[:-1]}0"


def test_lists_that_differ_behind_a_page_are_not_equal(tmp_path: Path, run: Run) -> None:
    present = numbers(PAGE) + "0,20001\n"
    facts = facts_with(tmp_path, **{ONLINE: numbers(PAGE) + "0\n", PRESENT: present, VERSION: "1.5.24\n"})
    assert (facts.cpus_online, facts.cpus_present) == (None, None)
    ran = run("plan", "--mapping", LATEST, "--without-images", "--sysroot", tmp_path)
    assert ran.code in {1, 3}
    assert "cpus_present is not known (EFBIG: " in ran.out


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (numbers(PAGE - 1), False),
        (numbers(PAGE), False),
        (numbers(PAGE - 1) + "\n", True),
        (numbers(PAGE - 2) + "\n", True),
        (numbers(PAGE - 2), True),
    ],
)
def test_the_kernel_ends_an_attribute_with_its_page(content: str, whole: bool, tmp_path: Path) -> None:
    """bitmap_print_to_pagebuf() in lib/bitmap-str.c writes what fits, and the line break last."""
    facts = facts_with(tmp_path, **{PRESENT: content})
    assert facts.cpus_present == (content.strip() if whole else None)
    assert whole or "so the kernel cut it off" in facts.unknown["cpus_present"]


def test_a_command_line_and_a_cgroup_may_be_longer_than_a_page(tmp_path: Path) -> None:
    words = "word=value " * 1000
    charges = "".join(f"other{number} 1\n" for number in range(1000))
    facts = facts_with(
        tmp_path, **{"proc/cmdline": f"{words}nr_cpus=8\n", "sys/fs/cgroup/misc.current": f"{charges}tdx 3\n"}
    )
    assert (facts.cpu_limits, facts.running_tds, dict(facts.unknown)) == (("nr_cpus=8",), 3, {})


# -- what is read again around an update


def test_single_facts_are_whole_too(tmp_path: Path) -> None:
    tail = "\n" * PAGE + "x"
    files = {
        ONLINE: f"0-1{tail}",
        VERSION: f"1.5.24{tail}",
        "sys/fs/cgroup/misc.current": "tdx 0" + "\n" * (1 << 16) + "x",
        "sys/devices/faux/tdx_host/num_remaining_updates": f"5{tail}",
        STATUS: f"idle{tail}",
    }
    host = tree(tmp_path, COMMON, LAYOUTS["mainline"], files)
    assert reading.cpus_online(host) is None
    assert reading.running_tds(host) is None
    assert reading.remaining_updates(host, MAINLINE) is None
    assert version_now(host) == (None, False, f"it is longer than {PAGE} bytes, and the rest was not read")
    with pytest.raises(OSError, match="longer than") as refused:
        UploadPort(host, MAINLINE.upload_path).status()
    assert refused.value.errno == errno.EFBIG


class Growing(SimulatedHost):
    """A host whose list of online CPUs outgrows a page once the image is staged."""

    staged = False

    def write(self, path: str, data: bytes, offset: int = 0) -> int:
        self.staged = self.staged or path.endswith("/data")
        return super().write(path, data, offset)

    def read(self, path: str, limit: int) -> bytes:
        content = super().read(path, PAGE * 2 if path.endswith("/cpu/online") else limit)
        return (content + b"\n" * PAGE + b"x" if self.staged and path.endswith("/cpu/online") else content)[:limit]


def test_no_update_starts_on_a_list_that_was_cut_off(spr: HostFacts, images: Path) -> None:
    plan = plan_for(spr, images)
    host = Growing(plan.host, {hop.image.upload_sha256: hop.target for hop in plan.hops if hop.image})
    result = Executor(host).run(plan)
    assert (result.state is State.APPLIED, result.applied) == (False, ())
    assert "now unknown" in result.message


# -- the CPUs


@pytest.mark.parametrize("line", ["cpu family", "model", "stepping", "bugs"])
@pytest.mark.parametrize("number", [0, 1])
def test_a_cpu_without_a_part_is_not_passed_over(line: str, number: int, tmp_path: Path) -> None:
    blocks = [CPUINFO.format(n=n) for n in (0, 1)]
    kept = [one for one in blocks[number].splitlines() if one.partition("\t")[0] != line]
    blocks[number] = "\n".join([*kept, "", ""])
    facts = facts_with(tmp_path, **{"proc/cpuinfo": "".join(blocks)})
    assert (facts.cpu_signatures, facts.cpu_bugs) == (None, None)
    reason = f"invalid: /proc/cpuinfo: CPU {number} has no line '{line}'"
    assert facts.unknown["cpu_signatures"].startswith(reason)
    assert facts.unknown["cpu_bugs"].startswith(reason)


def listing(*listed: int) -> str:
    return "".join(CPUINFO.format(n=n) for n in listed)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (listing(0), "it lists CPUs 0, and 0-1 are online"),
        (listing(0, 1, 2), "it lists CPUs 0-2, and 0-1 are online"),
        (listing(0, 2), "it lists CPUs 0,2, and 0-1 are online"),
        (listing(0, 1, 1), "it lists a CPU twice"),
        (listing(0) + listing(1).partition("\n")[2], "the line 'cpu family: 6' is that of no CPU"),
        (listing(0, 1).partition("\n")[2], "the line 'cpu family: 6' is that of no CPU"),
        (listing(0, 1)[:-120], "CPU 1 has no line "),
        ("flags\t: fpu\n", "it lists no CPU"),
    ],
)
def test_every_online_cpu_is_listed_once(content: str, reason: str, tmp_path: Path) -> None:
    facts = facts_with(tmp_path, **{"proc/cpuinfo": content})
    assert (facts.cpu_signatures, facts.cpu_bugs) == (None, None)
    assert facts.unknown["cpu_signatures"].startswith(f"invalid: /proc/cpuinfo: {reason}")


def test_cpus_of_several_kinds(tmp_path: Path) -> None:
    other = CPUINFO.format(n=1).replace("stepping\t: 8", "stepping\t: 6").replace("spectre_v2", "other")
    facts = facts_with(tmp_path, **{"proc/cpuinfo": listing(0) + other})
    assert facts.cpu_signatures == (0x806F6, 0x806F8)
    assert facts.cpu_bugs == ("other", "spectre_v1", "spectre_v2")


def test_the_simulated_host_lists_every_online_cpu(spr: HostFacts) -> None:
    facts = spr._replace(cpu_signatures=(0x806F6, 0x806F8), cpus_online="0-3,8", cpus_present="0-3,8")
    content = SimulatedHost(facts, {}).read("/proc/cpuinfo", 1 << 20).decode()
    assert [line[-1] for line in content.splitlines() if line.startswith("processor")] == ["0", "1", "2", "3", "8"]
    assert read_facts(SimulatedHost(facts, {})).cpu_signatures == (0x806F6, 0x806F8)
