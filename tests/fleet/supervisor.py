"""The first process of a lab. It and all that it starts have a namespace of processes and one of mounts of their own:
when it ends, however it ends, the kernel kills the processes and removes the mounts.

Under it: one process that serves the files of all hosts (``fleet.tree``), and for each host an sshd in a namespace of
mounts in which those files lie over ``/sys`` and parts of ``/proc``, and in which ``/etc``, ``/opt``, ``/usr/local``,
``/var`` and ``/run`` can be written to without changing this machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import time
import traceback
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fleet import namespaces
from fleet.events import Events
from fleet.hosts import CONTROL, LabHost
from fleet.prepare import SSHD

#: Folders of each host that lie over those of the machine.
OVERLAID = ("etc", "opt", "usr/local", "var")
_SHADOW = "root:*:19000:0:99999:7:::\nsshd:!:19000::::::\n"  # sshd refuses a user whose password begins with !
_HOME = Path("/var/lib/lab-root")
_REQUEST_MAX = 1 << 20
_LOOK = 2.0


def serve(folder: Path, hosts: tuple[LabHost, ...], ready: int, until: int | None) -> None:
    """Run a lab in a new process, and return the identity of its first process.

    Args:
        folder: the lab's folder; its configuration is there.
        hosts: the hosts.
        ready: a pipe that gets a line once all hosts were started.
        until: the pidfd of a process with which the lab ends.
    """
    namespaces.unshare(namespaces.NEW_MOUNTS | namespaces.NEW_PROCESSES)
    if child := os.fork():
        os.write(ready, b"%d\n" % child)
        return
    try:
        Supervisor(folder, hosts).run(ready, until)
    except OSError as error:
        os.write(ready, f"failed: {error}\n".encode())
        raise


class Supervisor:
    """The lab's state: the namespaces of the hosts, and when a host that reboots comes back."""

    def __init__(self, folder: Path, hosts: tuple[LabHost, ...]) -> None:
        self.folder = folder
        self.hosts = {host.name: host for host in hosts}
        self.events = Events(folder)
        self._spaces: dict[str, tuple[int, int]] = {}
        self._cut_off: set[str] = set()
        self._returns: dict[str, float] = {}

    def run(self, ready: int, until: int | None) -> None:
        """Start everything, then serve until the lab is to end."""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        signal.signal(signal.SIGCHLD, lambda *_: None)
        namespaces.mount("none", "/", flags=namespaces.PRIVATE)
        namespaces.mount("proc", "/proc", "proc")
        namespaces.mount("tmpfs", str(self.folder / "hosts"), "tmpfs")
        self._start_tree()
        self._spaces = dict(zip(self.hosts, self._make_spaces(), strict=True))
        for name in self.hosts:
            self._start_sshd(name)
        with self._listening() as server, selectors.DefaultSelector() as selector:
            selector.register(server, selectors.EVENT_READ)
            if until is not None:
                selector.register(until, selectors.EVENT_READ)
            os.write(ready, b"ready\n")
            os.close(ready)
            while True:
                _reap()
                found = [key.fileobj for key, _ in selector.select(self._wait())]
                self._come_back()
                if until in found or not (self.folder / CONTROL).exists():
                    return
                if server in found and not self._answer(server):
                    return

    # -- starting

    def _start_tree(self) -> None:
        from fleet import tree  # it loads libfuse, which only this process needs

        at = self.folder / "tree"
        process = os.fork()
        if not process:
            with _child():
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                tree.serve(self.hosts.values(), self.folder / "catalog", at, self.events)
        deadline = time.monotonic() + 30
        while not os.path.ismount(at):
            if time.monotonic() > deadline or os.waitpid(process, os.WNOHANG)[0]:
                raise OSError(f"the files of the hosts can't be mounted; {self.folder}/lab.log has the reason")
            time.sleep(0.01)

    def _make_spaces(self) -> list[tuple[int, int]]:
        """The namespaces of mounts and names of all hosts, as open descriptors. They need no process."""
        made = []
        for host in self.hosts.values():
            reading, writing = os.pipe()
            process = os.fork()
            if not process:
                with _child():
                    self._become(host)
                    os.write(writing, b".")
                    signal.pause()
            os.close(writing)
            made.append((host, process, reading))
        found: list[tuple[int, int]] = []
        for host, process, reading in made:
            if os.read(reading, 1) != b".":
                raise OSError(f"the namespace of {host.name} can't be made; {self.folder}/lab.log has the reason")
            os.close(reading)
            mounts, names = (
                os.open(f"/proc/{process}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in ("mnt", "uts")
            )
            found.append((mounts, names))
            os.kill(process, signal.SIGKILL)
        return found

    def _become(self, host: LabHost) -> None:
        """Let this process be on ``host``: a namespace with its files."""
        namespaces.unshare(namespaces.NEW_MOUNTS | namespaces.NEW_NAMES)
        namespaces.set_host_name(host.name)
        own, files = self.folder / "hosts" / host.name, self.folder / "tree" / host.name
        for top in OVERLAID:
            upper, work = own / top / "upper", own / top / "work"
            upper.mkdir(parents=True)
            work.mkdir()
            namespaces.mount("overlay", f"/{top}", "overlay", data=f"lowerdir=/{top},upperdir={upper},workdir={work}")
        (own / "run" / "sshd").mkdir(parents=True)
        namespaces.bind(str(own / "run"), "/run")
        for left in ("/var/lib/seamstep", "/etc/seamstep"):  # this machine's own
            shutil.rmtree(left, ignore_errors=True)
        Path("/etc/hostname").write_text(f"{host.name}\n")
        Path("/etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        self._give_home()
        namespaces.bind(str(files / "sys"), "/sys")
        for path in (files / "proc").rglob("*"):
            if path.is_file() and path.name != "hostname":
                namespaces.bind(str(path), f"/{path.relative_to(files)}")

    def _give_home(self) -> None:
        """Let root log in to an empty home and a plain shell. What is in that of this machine's root is no host's; it
        takes time at each login, and its locks stay when a host is rebooted."""
        _HOME.mkdir(mode=0o700)
        users = Path("/etc/passwd").read_text().splitlines(keepends=True)
        root = f"root:x:0:0:root:{_HOME}:/bin/sh\n"
        Path("/etc/passwd").write_text("".join([root, *(line for line in users if not line.startswith("root:"))]))
        Path("/etc/shadow").write_text(_SHADOW)

    def _start_sshd(self, name: str) -> None:
        host = self.hosts[name]
        if os.fork():
            return
        with _child():
            os.setsid()
            self._enter(name)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            address, key = f"ListenAddress={host.address}", str(self.folder / "keys" / name)
            config = str(self.folder / "sshd_config")
            os.execv(SSHD, [SSHD, "-D", "-e", "-f", config, "-h", key, "-o", address])

    def _enter(self, name: str) -> None:
        for descriptor in self._spaces[name]:
            namespaces.enter(descriptor)

    # -- serving

    def _listening(self) -> socket.socket:
        server = socket.socket(socket.AF_UNIX)
        with contextlib.suppress(FileNotFoundError):
            (self.folder / CONTROL).unlink()
        with in_folder(self.folder):
            server.bind(CONTROL)
        server.listen(64)
        return server

    def _wait(self) -> float:
        """Seconds until a host comes back, and at most so many as the folder may be gone unseen."""
        return max(0.0, min([_LOOK, *(when - time.monotonic() for when in self._returns.values())]))

    def _answer(self, server: socket.socket) -> bool:
        """Answer one request; False if the lab is to end."""
        client, _ = server.accept()
        with client, contextlib.suppress(OSError):
            client.settimeout(5)
            request = json.loads(_line(client))
            if request["do"] == "down":
                return False
            if request["do"] == "namespaces":
                own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
                socket.send_fds(client, [b"{}\n"], [own, *reversed(self._spaces[request["hosts"][0]])])
                os.close(own)
                return True
            for name in request["hosts"]:
                getattr(self, f"do_{request['do']}")(name, request)
            client.sendall(b"{}\n")
        return True

    def do_fault(self, name: str, request: dict[str, Any]) -> None:
        """Set the faults of a host: those of its files, and whether it can be reached."""
        faults = dict(request["faults"])
        if faults.pop("unreachable", False):
            self._cut_off.add(name)
            self._kill(name, "sshd")
            self.events.add(name, "unreachable")
        seconds = faults.pop("reboot", None)
        if faults:
            self._control(name, faults)
        if seconds is not None:
            self._reboot(name, float(seconds))

    def do_clear(self, name: str, request: dict[str, Any]) -> None:
        """Take all faults back. A host whose TDX is lost stays so until it is rebooted."""
        self._control(name, {"clear": True})
        if name in self._cut_off:
            self._cut_off.discard(name)
            self.events.add(name, "reachable")
            if name not in self._returns:
                self._start_sshd(name)

    def _control(self, name: str, request: dict[str, Any]) -> None:
        file = os.open(self.folder / "tree" / name / CONTROL, os.O_WRONLY)
        try:
            os.write(file, json.dumps(request).encode())
        finally:
            os.close(file)

    def _reboot(self, name: str, seconds: float) -> None:
        self._kill(name)
        self._control(name, {"reboot": True})
        run = self.folder / "hosts" / name / "run"
        for entry in run.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        (run / "sshd").mkdir()
        self._returns[name] = time.monotonic() + seconds

    def _come_back(self) -> None:
        """Start sshd on the hosts whose reboot is over."""
        for name in [name for name, when in self._returns.items() if when <= time.monotonic()]:
            del self._returns[name]
            if name not in self._cut_off:
                self._start_sshd(name)

    def _kill(self, name: str, program: str = "") -> None:
        """Kill the processes on a host: all, or those of one program."""
        space = os.fstat(self._spaces[name][0]).st_ino
        while found := [process for process in _processes(program) if _space(process) == space]:
            for process in found:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            _reap()
            time.sleep(0.002)


def _processes(program: str) -> Iterable[int]:
    """All living processes, or those of one program."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != "1":
            with contextlib.suppress(OSError):
                name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
                if rest.split()[0] not in "ZX" and program in {"", name}:
                    yield int(entry.name)


def _space(process: int) -> int:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/ns/mnt").stat().st_ino
    return 0


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _line(client: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"\n") and len(found) < _REQUEST_MAX:
        if not (piece := client.recv(1 << 16)):
            break
        found += piece
    return found


@contextlib.contextmanager
def in_folder(folder: Path) -> Any:
    """Context manager with another working folder: a socket's path has room for 107 bytes."""
    before = os.open(".", os.O_PATH)
    os.chdir(folder)
    try:
        yield
    finally:
        os.fchdir(before)
        os.close(before)


@contextlib.contextmanager
def _child() -> Any:
    """Context manager for what a forked process does; it never returns."""
    try:
        yield
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
