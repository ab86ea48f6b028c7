"""Facts from a sysfs tree, every layout; what can't be read is unknown with its reason."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import LATEST, Run
from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.domain.facts import HostFacts, UploadNode, load
from seamstep.host.read_facts import read_facts, running_tds
from seamstep.host.simulated import Fault, SimulatedHost
from seamstep.host.sysfs import SysfsHost

CPUINFO = """processor\t: {n}
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Platinum 8480+
stepping\t: 8
microcode\t: 0x2b000603
bugs\t\t: spectre_v1 spectre_v2
bogomips\t: 4000.00

"""
COMMON = {
    "proc/sys/kernel/hostname": "host-a\n",
    "proc/sys/kernel/random/boot_id": "0b6f3c1e-6f0b-4c55-9d5e-3f1f0a4f7c11\n",
    "proc/sys/kernel/osrelease": "7.2.0\n",
    "proc/cpuinfo": CPUINFO.format(n=0) + CPUINFO.format(n=1),
    "proc/cmdline": "BOOT_IMAGE=/vmlinuz root=/dev/sda1 quiet\n",
    "sys/fs/cgroup/misc.current": "sgx_epc 4096\ntdx 0\n",
    "sys/devices/system/cpu/online": "0-1\n",
    "sys/devices/system/cpu/present": "0-1\n",
    "sys/devices/faux/tdx_host/version": "1.5.06\n",
}
LAYOUTS = {
    "mainline": {
        "sys/devices/faux/tdx_host/seamldr_version": "1.5.02\n",
        "sys/devices/faux/tdx_host/num_remaining_updates": "5\n",
        "sys/class/firmware/tdx_module/status": "idle\n",
    },
    "legacy": {
        "sys/devices/faux/tdx_host/seamldr/version": "1.5.02\n",
        "sys/devices/faux/tdx_host/seamldr/num_remaining_updates": "5\n",
        "sys/class/firmware/seamldr_upload/status": "idle\n",
    },
    "interim": {
        "sys/devices/faux/tdx_host/seamldr/version": "1.5.02\n",
        "sys/devices/faux/tdx_host/seamldr/num_remaining_updates": "5\n",
        "sys/class/firmware/tdx_module/status": "idle\n",
    },
}
#: What makes a tree one of a host that says itself that it is made up.
DOUBLE = {"sys/module/tdx_host_double/initstate": "live\n"}
OLDER = "missing: these facts were taken by an older version; take them again"


def tree(root: Path, *parts: dict[str, str]) -> SysfsHost:
    for files in parts:
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    return SysfsHost(str(root))


@pytest.mark.parametrize(
    ("profile", "node"), [("mainline", "tdx_module"), ("legacy", "seamldr_upload"), ("interim", "tdx_module")]
)
def test_all_facts_of_each_profile(tmp_path: Path, profile: str, node: str, run: Run) -> None:
    facts = read_facts(tree(tmp_path, COMMON, LAYOUTS[profile]))
    assert facts.to_document() == {
        "schema": "seamstep/facts/v1",
        "hostname": "host-a",
        "boot_id": "0b6f3c1e-6f0b-4c55-9d5e-3f1f0a4f7c11",
        "kernel": "7.2.0",
        "profile": profile,
        "module_version": "1.5.06",
        "seamldr_version": "1.5.02",
        "remaining_updates": 5,
        "cpu_signatures": ["0x806F8"],
        "cpus_online": "0-1",
        "cpus_present": "0-1",
        "cpu_limits": [],
        "running_tds": 0,
        "upload": {"name": node, "status": "idle"},
        "cpu_bugs": ["spectre_v1", "spectre_v2"],
        "simulated": False,
        "unknown": {},
    }
    ran = run("facts", "--sysroot", tmp_path, "--json")
    assert (ran.code, ran.json) == (0, facts.to_document())
    text = run("facts", "--sysroot", tmp_path).out
    assert "1.5.06" in text
    assert "0x806F8 (Sapphire Rapids)" in text


def test_a_machine_without_tdx_has_reasons_and_no_guesses(tmp_path: Path, run: Run) -> None:
    ran = run("facts", "--sysroot", tmp_path, "--json")
    facts = ran.json
    assert ran.code == 0
    for fact in ("module_version", "seamldr_version", "remaining_updates", "profile", "upload", "cpu_signatures"):
        assert facts[fact] is None
        assert facts["unknown"][fact].startswith("missing: ")
    assert (facts["cpu_limits"], facts["unknown"]["cpu_limits"]) == (None, "missing: /proc/cmdline does not exist")
    nothing = "missing: /sys/fs/cgroup/misc.current does not exist"
    assert (facts["running_tds"], facts["unknown"]["running_tds"]) == (None, nothing)
    assert facts["simulated"] is False


def test_the_cpu_erratum_hides_everything_but_the_version(tmp_path: Path) -> None:
    files = COMMON | {"proc/cpuinfo": COMMON["proc/cpuinfo"].replace("spectre_v2", "seamret_invd_vmcs")}
    facts = read_facts(tree(tmp_path, files))
    assert facts.module_version == ModuleVersion("1.5.06")
    assert facts.cpu_bugs == ("seamret_invd_vmcs", "spectre_v1")
    assert facts.upload is None
    assert facts.unknown["upload"].startswith("missing: ")


@pytest.mark.parametrize(
    ("path", "content", "fact"),
    [
        ("sys/devices/faux/tdx_host/version", "banana\n", "module_version"),
        ("sys/devices/faux/tdx_host/version", "1.5\n", "module_version"),
        ("sys/devices/faux/tdx_host/version", "", "module_version"),
        ("sys/devices/faux/tdx_host/seamldr_version", "\x00\x01", "seamldr_version"),
        ("sys/devices/faux/tdx_host/num_remaining_updates", "-1\n", "remaining_updates"),
        ("sys/devices/faux/tdx_host/num_remaining_updates", "five\n", "remaining_updates"),
        ("sys/devices/system/cpu/online", "0-", "cpus_online"),
        ("proc/cpuinfo", "processor: 0\n", "cpu_signatures"),
        ("proc/cpuinfo", "cpu family: six\n", "cpu_signatures"),
        ("proc/cmdline", "", "cpu_limits"),
        ("sys/fs/cgroup/misc.current", "", "running_tds"),
        ("sys/fs/cgroup/misc.current", "tdx\n", "running_tds"),
        ("sys/fs/cgroup/misc.current", "tdx many\n", "running_tds"),
        ("sys/fs/cgroup/misc.current", "tdx -1\n", "running_tds"),
        ("sys/fs/cgroup/misc.current", "tdx 3 4\n", "running_tds"),
        ("sys/fs/cgroup/misc.current", "tdx_host 3\nsev 1\n", "running_tds"),
        ("sys/class/firmware/tdx_module/status", "\n", "upload.status"),
    ],
)
def test_content_that_makes_no_sense_is_unknown(tmp_path: Path, path: str, content: str, fact: str) -> None:
    facts = read_facts(tree(tmp_path, COMMON, LAYOUTS["mainline"], {path: content}))
    assert facts.unknown[fact].startswith(f"invalid: /{path}")
    assert set(facts.unknown) <= {fact, "cpu_bugs"}


@pytest.mark.parametrize(
    ("command_line", "limits"),
    [
        ("quiet nr_cpus=8\n", ("nr_cpus=8",)),
        ("maxcpus=0 possible_cpus=16 ro nr_cpus=8", ("maxcpus=0", "possible_cpus=16", "nr_cpus=8")),
        ('nr-cpus=8 "possible_cpus=4"', ("nr-cpus=8", '"possible_cpus=4"')),
        ("root=/dev/nr_cpus=8 xnr_cpus=8 nr_cpus", ()),
        ("quiet\n", ()),
    ],
)
def test_what_hides_cpus_from_the_kernel(tmp_path: Path, command_line: str, limits: tuple[str, ...]) -> None:
    facts = read_facts(tree(tmp_path, COMMON, LAYOUTS["mainline"], {"proc/cmdline": command_line}))
    assert (facts.cpu_limits, dict(facts.unknown)) == (limits, {})


@pytest.mark.parametrize(
    ("current", "tds"),
    [
        ("tdx 0\n", 0),
        ("tdx 17\n", 17),
        ("sev 2\nsev_es 5\ntdx 4\nsgx_epc 9\n", 4),
        ("tdx 18446744073709551615\n", None),
        ("sev 2\n", None),
        ("\n", None),
    ],
)
def test_how_many_tds_there_are(tmp_path: Path, current: str, tds: int | None) -> None:
    """What misc.current of the cgroup's root says of TDX key ids; without a number there nobody can tell."""
    host = tree(tmp_path, COMMON, LAYOUTS["mainline"], {"sys/fs/cgroup/misc.current": current})
    facts = read_facts(host)
    assert facts.running_tds == running_tds(host) == tds
    assert facts.unknown.get("running_tds", "").startswith("" if tds is not None else "invalid: /sys/fs/cgroup/")


def test_a_kernel_without_the_misc_cgroup_does_not_tell_of_tds(tmp_path: Path, run: Run) -> None:
    tree(tmp_path, COMMON, LAYOUTS["mainline"])
    (tmp_path / "sys/fs/cgroup/misc.current").unlink()
    host = SysfsHost(str(tmp_path))
    assert running_tds(host) is read_facts(host).running_tds is None
    why = "missing: /sys/fs/cgroup/misc.current does not exist"
    assert dict(read_facts(host).unknown) == {"running_tds": why}
    out = run("plan", "--mapping", LATEST, "--without-images", "--sysroot", tmp_path).out
    assert "1.5.06 → 1.5.13" in out
    (line,) = (line for line in out.splitlines() if f"td-build: running_tds is not known ({why})" in line)
    assert re.match(r"  1\.5\.06 → [^;]*1\.5\.34; ", line)


def test_only_the_double_says_that_a_host_is_made_up(tmp_path: Path, spr: HostFacts) -> None:
    assert not read_facts(tree(tmp_path / "real", COMMON, LAYOUTS["mainline"])).simulated
    assert read_facts(tree(tmp_path / "made-up", COMMON, LAYOUTS["mainline"], DOUBLE)).simulated
    host = Failing(spr, {})
    host.path, host.number = "/sys/module/tdx_host_double", errno.EACCES
    assert not read_facts(host).simulated, "what can't be told is no"


def test_the_interim_layout_is_known_and_refused(tmp_path: Path, run: Run) -> None:
    """The node of mainline with the attributes of the legacy layout: versions 4 to 7 of the unmerged series."""
    tree(tmp_path, COMMON, LAYOUTS["interim"])
    ran = run("plan", "--mapping", LATEST, "--without-images", "--sysroot", tmp_path)
    assert ran.code == 3
    assert "upload-interface: the kernel has the interim sysfs layout" in ran.out


@pytest.mark.parametrize("facts", [("cpu_limits",), ("running_tds",), ("cpu_limits", "running_tds", "simulated")])
def test_facts_of_older_versions_are_read_and_permit_nothing_until_they_are_renewed(
    tmp_path: Path, run: Run, spr: HostFacts, facts: tuple[str, ...]
) -> None:
    document = {fact: value for fact, value in spr.to_document().items() if fact not in facts}
    document["module_version"] = "1.5.06"
    path = tmp_path / "facts.json"
    path.write_text(json.dumps(document))
    old = load(str(path))
    lost = set(facts) - {"simulated"}
    assert dict(old.unknown) == dict.fromkeys(lost, OLDER)
    assert all(getattr(old, fact) is None for fact in lost)
    assert old.simulated is ("simulated" not in facts)
    ran = run("plan", "--mapping", LATEST, "--without-images", "--facts", path, "--target", "1.5.34")
    assert ran.code == 1
    for fact in lost:
        assert f"{fact} is not known ({OLDER})" in ran.out


class Failing(SimulatedHost):
    """A simulated host on which one path fails."""

    path = ""
    number = 0

    def read(self, path: str, limit: int) -> bytes:
        if path == self.path:
            raise OSError(self.number, os.strerror(self.number), path)
        return super().read(path, limit)

    def exists(self, path: str) -> bool:
        if path == self.path:
            raise OSError(self.number, os.strerror(self.number), path)
        return super().exists(path)


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.EACCES, "permission: "), (errno.EPERM, "permission: "), (errno.ENXIO, "ENXIO: "), (errno.EIO, "EIO: ")],
)
@pytest.mark.parametrize(
    ("path", "fact"),
    [
        ("/sys/devices/faux/tdx_host/version", "module_version"),
        ("/sys/devices/faux/tdx_host/seamldr_version", "seamldr_version"),
        ("/sys/class/firmware/tdx_module", "profile"),
        ("/proc/cpuinfo", "cpu_bugs"),
        ("/proc/cmdline", "cpu_limits"),
        ("/sys/fs/cgroup/misc.current", "running_tds"),
    ],
)
def test_errors_are_told_apart(spr: HostFacts, path: str, fact: str, number: int, reason: str) -> None:
    host = Failing(spr, {})
    host.path, host.number = path, number
    assert read_facts(host).unknown[fact].startswith(reason)


def test_lost_tdx_reads_as_enxio(spr: HostFacts) -> None:
    host = SimulatedHost(spr, {}, faults=[Fault(error="firmware-invalid", lost=True)])
    node = "/sys/class/firmware/tdx_module"
    host.write(f"{node}/loading", b"1")
    host.write(f"{node}/data", b"x")
    host.write(f"{node}/loading", b"0")
    host.sleep(1)
    facts = read_facts(host)
    assert facts.module_version is None
    assert facts.unknown["module_version"].startswith("ENXIO: ")


text = st.none() | st.text(max_size=20)
cpu_lists = st.none() | st.sampled_from(["0", "0-3", "0,2-5"])


@given(
    st.builds(
        HostFacts,
        hostname=text,
        boot_id=text,
        kernel=text,
        profile=st.sampled_from([None, "mainline", "legacy", "interim"]),
        module_version=st.none() | st.just(ModuleVersion("1.5.24")),
        seamldr_version=st.none() | st.just(SeamldrVersion("1.5.02")),
        remaining_updates=st.none() | st.integers(0, 99),
        cpu_signatures=st.none() | st.lists(st.integers(0, 2**32 - 1), unique=True).map(sorted).map(tuple),
        cpus_online=cpu_lists,
        cpus_present=cpu_lists,
        cpu_limits=st.none() | st.lists(st.sampled_from(["nr_cpus=8", "maxcpus=0", "possible_cpus=x"])).map(tuple),
        running_tds=st.none() | st.integers(0, 2**64),
        upload=st.none() | st.builds(UploadNode, st.text(max_size=9), st.none() | st.text(max_size=9)),
        cpu_bugs=st.none() | st.lists(st.text(max_size=9)).map(tuple),
        simulated=st.booleans(),
        unknown=st.dictionaries(st.text(max_size=9), st.text(max_size=9)),
    )
)
def test_facts_documents_read_back(tmp_path_factory: pytest.TempPathFactory, facts: HostFacts) -> None:
    path = tmp_path_factory.mktemp("facts") / "facts.json"
    path.write_text(json.dumps(facts.to_document()))
    assert load(str(path)) == facts


def test_the_simulated_host_gives_back_the_facts_it_was_made_from(spr: HostFacts) -> None:
    assert read_facts(SimulatedHost(spr, {})) == spr
