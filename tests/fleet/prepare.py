"""Writes what a lab needs: images, keys, the configuration of sshd, and an inventory with all settings of an engine."""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from fleet.hosts import RACKS, LabHost
from seamstep import demo

#: The installed command; hosts see it where it is here.
SEAMSTEP = Path(sys.executable).parent / "seamstep"
SSHD = "/usr/sbin/sshd"
_PORTS = range(2201, 2400)

ROLLOUT = """\
schema: seamstep/rollout/v1
name: lab
description: Two canaries of each class soak for seconds instead of a day; a fifth of the lab may be unavailable.
domain: rack
unavailable:
  in_domain: 2
  in_all: 20%
canaries:
  hosts: 2
  soak: 3s
waves:
  sizes: [10%, 50%]
  soak: 1s
reserve: 1
lease: 10m
retry: 2s
operators: [alice, bob]
"""

POLICY = """\
schema: seamstep/policy/v1
name: lab
description: The newest reachable module in the smallest steps the remaining updates allow.
target: newest
path: shortest-path
"""

_SSHD = """\
Port {port}
HostKeyAlgorithms ssh-ed25519
AuthorizedKeysFile {folder}/keys/authorized
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
StrictModes no
PidFile none
LogLevel ERROR
MaxStartups 200
Subsystem sftp internal-sftp
"""


def missing() -> str:
    """What this machine lacks for a lab, in a sentence; empty if there is nothing."""
    if os.geteuid() != 0:
        return "namespaces and mounts need root"
    for path, package in ((SSHD, "openssh-server"), ("/dev/fuse", "fuse3, and a kernel with FUSE")):
        if not Path(path).exists():
            return f"{path} is missing; Debian has it in {package}"
    try:
        importlib.import_module("mfusepy")
    except (ImportError, OSError) as error:
        return f"{error}; pip install -e '.[lab]' and Debian's libfuse3-3 have what is missing"
    return ""


def prepare(folder: Path, hosts: Sequence[LabHost]) -> socket.socket:
    """Write everything into ``folder``, which exists. Images and keys that are there are kept.

    Returns a socket: no other lab takes the port of this one as long as it is open.
    """
    if not (folder / "catalog").exists():
        demo.write_into(folder / "made")
        for name in ("catalog", "signer"):
            (folder / "made" / name).rename(folder / name)
        (folder / "made" / "facts.json").unlink()
        (folder / "made").rmdir()
    for name in ("hosts", "tree", "keys"):
        (folder / name).mkdir(exist_ok=True)
    port, reserved = _free_port(hosts)
    public = _key(folder / "keys" / "user")
    (folder / "keys" / "authorized").write_text(f"{public}\n")
    known = [f"[{host.address}]:{port} {_key(folder / 'keys' / host.name)}" for host in hosts]
    (folder / "known_hosts").write_text("".join(f"{line}\n" for line in known))
    (folder / "sshd_config").write_text(_SSHD.format(port=port, folder=folder))
    (folder / "inventory.yaml").write_text(yaml.safe_dump(inventory(folder, hosts, port), sort_keys=False))
    (folder / "labels.csv").write_text("".join(["host,rack\n", *(f"{host.name},{host.rack}\n" for host in hosts)]))
    for name, text in (("rollout.yaml", ROLLOUT), ("policy.yaml", POLICY)):
        if not (folder / name).exists():
            (folder / name).write_text(text)
    return reserved


def inventory(folder: Path, hosts: Sequence[LabHost], port: int) -> dict[str, Any]:
    """An inventory for Ansible."""
    variables = {
        "ansible_port": port,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": f"{folder}/keys/user",
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={folder}/known_hosts -o IdentitiesOnly=yes",
        "ansible_host_key_checking": True,
        "ansible_python_interpreter": sys.executable,
        "ansible_remote_tmp": "/run/ansible",
        "seamstep_command": str(SEAMSTEP),
        "seamstep_executable": str(SEAMSTEP),
        "seamstep_catalog": f"{folder}/catalog",
        "seamstep_policy": f"{folder}/policy.yaml",
        "seamstep_signers": [(folder / "signer").read_text().strip()],
    }
    groups = {f"rack_{rack}": [host for host in hosts if host.rack == rack] for rack in RACKS}
    groups |= {name: [host for host in hosts if host.platform.name == name] for name in ("spr", "emr", "gnr")}
    return {
        "all": {
            "vars": variables,
            "hosts": {host.name: {"ansible_host": host.address, "rack": host.rack} for host in hosts},
            "children": {
                name: {"hosts": dict.fromkeys((host.name for host in members), None)}
                for name, members in groups.items()
                if members
            },
        }
    }


def members(hosts: Sequence[LabHost], name: str) -> list[str]:
    """The hosts of a group of the inventory, of ``all``, or the one of that name; none if there is no such."""
    return [host.name for host in hosts if name in {"all", host.name, f"rack_{host.rack}", host.platform.name}]


def _key(path: Path) -> str:
    """The public key of the key at ``path``, which is made if it is not there."""
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        path.with_suffix(".pub").write_bytes(public + b"\n")
    return path.with_suffix(".pub").read_text().strip()


def _free_port(hosts: Sequence[LabHost]) -> tuple[int, socket.socket]:
    """A port that is free on the addresses of all hosts, so that several labs can be up at once, and what reserves it:
    a name in this network that one socket only can have."""
    for port in _PORTS:
        reserved = socket.socket(socket.AF_UNIX)
        try:
            reserved.bind(f"\0seamstep-lab-{port}")
            for host in hosts:
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((host.address, port))
        except OSError:
            reserved.close()
            continue
        return port, reserved
    raise OSError(f"no port of {_PORTS.start} to {_PORTS.stop - 1} is free")


def write_state(folder: Path, hosts: Sequence[LabHost], process: int) -> None:
    """Note which process a running lab hangs on."""
    (folder / "lab.json").write_text(json.dumps({"process": process, "hosts": len(hosts)}))
