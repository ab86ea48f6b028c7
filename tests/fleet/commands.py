"""The command line of the lab."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fleet import namespaces, prepare, supervisor
from fleet.hosts import CONTROL, HOSTS_MAX, LabHost, hosts

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_RELEASE = re.compile(r"any|[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}")
_HIDDEN = ("/etc", "/opt", "/usr", "/var", "/run", "/sys", "/proc")


class LabError(Exception):
    """Something about the lab is not as it has to be."""


class Kind(NamedTuple):
    """A kind of fault: the value that it has if none is given, and what it is for people."""

    default: str
    text: str


FAULTS = {
    "lost": Kind("any", "the upload of a release (lost=1.5.34), or each, ends with TDX lost"),
    "failed": Kind("any", "the upload of a release, or each, fails and leaves the old module running"),
    "busy": Kind("5", "another program uses the upload node for so many seconds"),
    "slow": Kind("1", "each of the four phases of an upload takes so many seconds"),
    "unreachable": Kind("", "sshd is stopped, with its connections; what runs goes on"),
    "reboot": Kind("2", "reboot now: first module, new boot id, no sshd for so many seconds"),
    "tds": Kind("1", "so many TDs run"),
    "building": Kind("1", "so many TDs are in the making"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (LabError, OSError, subprocess.SubprocessError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab.py", description="A lab of hosts with TDX, for rollouts.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.add_argument("dir", metavar="DIR", type=Path, help="the folder of the lab")
        made.set_defaults(run=run)
        return made

    up = command("up", _up, "start a lab, and wait until all hosts answer")
    up.add_argument("--hosts", type=int, default=50, help="how many (default: 50)")
    up.add_argument("--until", metavar="PID", type=int, help="end the lab when this process ends")
    fault = command("fault", _fault, "let something go wrong on hosts until it is cleared")
    fault.add_argument("host", metavar="HOST", help="a host, a group of the inventory, or all")
    kinds = "; ".join(
        f"{name}{f'[={kind.default}]' if kind.default else ''}: {kind.text}" for name, kind in FAULTS.items()
    )
    fault.add_argument("faults", metavar="FAULT", nargs="+", help=kinds)
    clear = command(
        "clear", _clear, "take the faults of hosts back, and wait until they answer; lost TDX stays lost until a reboot"
    )
    clear.add_argument("host", metavar="HOST", help="a host, a group of the inventory, or all")
    run = command("run", _run, "run a command on a host, without ssh")
    run.add_argument("host", metavar="HOST")
    run.add_argument("words", metavar="COMMAND", nargs=argparse.REMAINDER)
    show = command("show", _show, "show what hosts are like, as the lab knows it")
    show.add_argument("--json", action="store_true", help="print JSON Lines")
    command("down", _down, "end a lab: all its processes and mounts")
    return parser


# -- up and down


def _up(options: argparse.Namespace) -> int:
    folder, number = options.dir.resolve(), options.hosts
    if not 1 <= number <= HOSTS_MAX:
        raise LabError(f"--hosts: {number} is not between 1 and {HOSTS_MAX}")
    if str(folder).startswith(tuple(f"{hidden}/" for hidden in _HIDDEN)):
        raise LabError(f"{folder}: hosts have folders of their own there; use one elsewhere, such as below /tmp")
    if lacks := prepare.missing():
        raise LabError(lacks)
    if _process(folder) is not None:
        raise LabError(f"{folder}: the lab is up")
    begun = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    all_hosts = hosts(number)
    with prepare.prepare(folder, all_hosts):  # the supervisor keeps it open
        (folder / "events.jsonl").unlink(missing_ok=True)
        _start(folder, all_hosts, options.until)
    try:
        _wait_for_all(folder, all_hosts)
    except BaseException:
        _end(folder)
        raise
    print(f"{number} hosts answer after {time.monotonic() - begun:.1f} s; {folder}/inventory.yaml names them")
    return 0


def _start(folder: Path, all_hosts: tuple[LabHost, ...], until: int | None) -> None:
    """Start the supervisor apart from this process, and wait until it says that all was started."""
    watched = None if until is None else os.pidfd_open(until)
    reading, writing = os.pipe()
    process = os.fork()
    if not process:
        code = 1
        with contextlib.suppress(BaseException):
            os.setsid()
            log = os.open(folder / "lab.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            null = os.open(os.devnull, os.O_RDONLY)
            for source, target in ((null, 0), (log, 1), (log, 2)):
                os.dup2(source, target)
            os.close(reading)
            code = _serve(folder, all_hosts, writing, watched)
        os._exit(code)
    os.close(writing)
    if watched is not None:
        os.close(watched)
    with os.fdopen(reading) as said:
        first = said.readline().strip()
        if first.isdigit():
            prepare.write_state(folder, all_hosts, int(first))
        os.waitpid(process, 0)
        last = said.readline().strip() if select.select([said], [], [], _START_SECONDS)[0] else "it takes too long"
    if last != "ready":
        with contextlib.suppress(LabError):
            _end(folder)
        raise LabError(f"the lab did not start: {last or first or 'see'}: {folder}/lab.log")


def _serve(folder: Path, all_hosts: tuple[LabHost, ...], writing: int, watched: int | None) -> int:
    try:
        supervisor.serve(folder, all_hosts, writing, watched)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _wait_for_all(folder: Path, all_hosts: Sequence[LabHost]) -> None:
    port = _port(folder)
    deadline = time.monotonic() + _START_SECONDS
    for host in all_hosts:
        while not _answers(host.address, port):
            if time.monotonic() > deadline:
                raise LabError(f"{host.name} does not answer: {folder}/lab.log")
            time.sleep(0.02)


def _port(folder: Path) -> int:
    return int((folder / "sshd_config").read_text().split()[1])


def _answers(address: str, port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=5) as connection:
        return connection.recv(4) == b"SSH-"
    return False


def _down(options: argparse.Namespace) -> int:
    folder = options.dir.resolve()
    if _process(folder) is None:
        raise LabError(f"{folder}: no lab is up")
    _end(folder)
    return 0


def _end(folder: Path) -> None:
    """End the lab's first process, with which the kernel ends all others."""
    process = _process(folder)
    if process is not None:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(process)
            try:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                if not select.select([descriptor], [], [], _STOP_SECONDS)[0]:
                    raise LabError(f"process {process} does not end")
            finally:
                os.close(descriptor)
    for name in ("lab.json", CONTROL):
        (folder / name).unlink(missing_ok=True)
    for name in ("hosts", "tree"):
        with contextlib.suppress(OSError):
            (folder / name).rmdir()


def _process(folder: Path) -> int | None:
    """The first process of the lab; None if it is not up. Another process may have its number meanwhile: the lab's
    is the one that has the folder's tree mounted."""
    try:
        process = int(json.loads((folder / "lab.json").read_text())["process"])
        mounts = Path(f"/proc/{process}/mountinfo").read_text()
    except (OSError, ValueError, KeyError):
        return None
    return process if f" {folder}/hosts " in mounts else None


# -- what a lab that is up is asked


def _hosts(folder: Path) -> tuple[LabHost, ...]:
    try:
        return hosts(int(json.loads((folder / "lab.json").read_text())["hosts"]))
    except (OSError, ValueError, KeyError):
        raise LabError(f"{folder}: no lab is up") from None


def _named(options: argparse.Namespace) -> list[str]:
    found = prepare.members(_hosts(options.dir.resolve()), options.host)
    if not found:
        raise LabError(f"{options.host}: no such host or group")
    return found


def _ask(folder: Path, request: dict[str, Any], descriptors: int = 0) -> list[int]:
    """Send a request to the supervisor; returns the descriptors that it answers with."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            with supervisor.in_folder(folder):
                client.connect(CONTROL)
        except OSError:
            raise LabError(f"{folder}: no lab is up") from None
        client.sendall(json.dumps(request).encode() + b"\n")
        answer, found, _, _ = socket.recv_fds(client, 1 << 16, descriptors)
        if not answer:
            raise LabError(f"the lab did not answer: {folder}/lab.log")
        return found


def _fault(options: argparse.Namespace) -> int:
    _ask(options.dir.resolve(), {"do": "fault", "hosts": _named(options), "faults": dict(map(_parse, options.faults))})
    return 0


def _parse(text: str) -> tuple[str, Any]:
    """The name and the value of a fault. Raises LabError if there is no such fault."""
    name, given, value = text.partition("=")
    if name not in FAULTS:
        raise LabError(f"{text}: no such fault; there are {', '.join(FAULTS)}")
    value = value if given else FAULTS[name].default
    if name == "unreachable" and not given:
        return name, True
    if name in {"lost", "failed"} and _RELEASE.fullmatch(value):
        return name, value
    if name in {"tds", "building"} and re.fullmatch("[0-9]{1,4}", value):
        return name, int(value)
    if name in {"busy", "slow", "reboot"} and re.fullmatch(r"[0-9]{1,5}(\.[0-9]{1,3})?", value):
        return name, float(value)
    raise LabError(f"{text}: {value!r} is no value for {name}: {FAULTS[name].text}")


def _clear(options: argparse.Namespace) -> int:
    folder, names = options.dir.resolve(), _named(options)
    _ask(folder, {"do": "clear", "hosts": names})
    _wait_for_all(folder, [host for host in _hosts(folder) if host.name in names])
    return 0


def _run(options: argparse.Namespace) -> int:
    found = _named(options)
    words = options.words[1:] if options.words[:1] == ["--"] else options.words
    if len(found) != 1 or not words:
        raise LabError("run takes one host and a command")
    spaces = _ask(options.dir.resolve(), {"do": "namespaces", "hosts": found}, 3)
    for descriptor in spaces:
        namespaces.enter(descriptor)
        os.close(descriptor)
    return subprocess.run(words, check=False, cwd="/").returncode


def _show(options: argparse.Namespace) -> int:
    folder = options.dir.resolve()
    for host in _hosts(folder):
        found = {**read(folder, host.name), "answers": _answers(host.address, _port(folder))}
        if options.json:
            print(json.dumps(found))
            continue
        words = [host.name, f"rack {host.rack}", host.platform.name, found["version"] or "lost"]
        words += [f"{found['uploads']} uploads", *(f"{name}={value}" for name, value in found["faults"].items())]
        print("  ".join(words if found["answers"] else [*words, "does not answer"]))
    return 0


def read(folder: Path, name: str) -> dict[str, Any]:
    """What the host's own files say. They are seen through the root of the lab's first process."""
    process = _process(folder)
    if process is None:
        raise LabError(f"{folder}: no lab is up")
    found: dict[str, Any] = json.loads(Path(f"/proc/{process}/root{folder}/tree/{name}/{CONTROL}").read_text())
    return found
