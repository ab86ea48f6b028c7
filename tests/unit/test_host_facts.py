"""Facts from a sysfs tree, both profiles; what can't be read is unknown with its reason."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Run
from seamstep.base.versions import ModuleVersion, SeamldrVersion
from seamstep.domain.facts import HostFacts, UploadNode, load
from seamstep.host.read_facts import read_facts
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
}


def tree(root: Path, *parts: dict[str, str]) -> SysfsHost:
    for files in parts:
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
    return SysfsHost(str(root))


@pytest.mark.parametrize(("profile", "node"), [("mainline", "tdx_module"), ("legacy", "seamldr_upload")])
def test_all_facts_of_both_profiles(tmp_path: Path, profile: str, node: str, run: Run) -> None:
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
        "upload": {"name": node, "status": "idle"},
        "cpu_bugs": ["spectre_v1", "spectre_v2"],
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
        ("sys/class/firmware/tdx_module/status", "\n", "upload.status"),
    ],
)
def test_content_that_makes_no_sense_is_unknown(tmp_path: Path, path: str, content: str, fact: str) -> None:
    facts = read_facts(tree(tmp_path, COMMON, LAYOUTS["mainline"], {path: content}))
    assert facts.unknown[fact].startswith(f"invalid: /{path}")
    assert set(facts.unknown) <= {fact, "cpu_bugs"}


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
        profile=st.sampled_from([None, "mainline", "legacy"]),
        module_version=st.none() | st.just(ModuleVersion("1.5.24")),
        seamldr_version=st.none() | st.just(SeamldrVersion("1.5.02")),
        remaining_updates=st.none() | st.integers(0, 99),
        cpu_signatures=st.none() | st.lists(st.integers(0, 2**32 - 1), unique=True).map(sorted).map(tuple),
        cpus_online=cpu_lists,
        cpus_present=cpu_lists,
        upload=st.none() | st.builds(UploadNode, st.text(max_size=9), st.none() | st.text(max_size=9)),
        cpu_bugs=st.none() | st.lists(st.text(max_size=9)).map(tuple),
        unknown=st.dictionaries(st.text(max_size=9), st.text(max_size=9)),
    )
)
def test_facts_documents_read_back(tmp_path_factory: pytest.TempPathFactory, facts: HostFacts) -> None:
    import json

    path = tmp_path_factory.mktemp("facts") / "facts.json"
    path.write_text(json.dumps(facts.to_document()))
    assert load(str(path)) == facts


def test_the_simulated_host_gives_back_the_facts_it_was_made_from(spr: HostFacts) -> None:
    assert read_facts(SimulatedHost(spr, {})) == spr
