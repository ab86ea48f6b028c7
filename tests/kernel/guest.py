"""The test's side of a running guest: commands go in, what they did comes out."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine

#: A boot takes about ten seconds on two idle cores; a shared machine may take much longer.
_BOOT_SECONDS = 240.0
BUSYBOX = machine.ROOT / "bin" / "busybox"
PARAMETERS = "/sys/module/tdx_host_double/parameters"


class GuestError(Exception):
    """The guest does not answer; says what its console showed last."""


@dataclass(frozen=True, slots=True)
class Done:
    """What one command did in the guest; ``code`` is None if it did not end in time."""

    code: int | None
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Guest:
    """A guest that runs until :meth:`close`."""

    def __init__(self, release: str) -> None:
        agent = [sys.executable, "-I", machine.HERE / "agent.py"]
        self._console = Path(tempfile.mkstemp(prefix="console-", dir=machine.CACHE)[1])
        devices = (
            *("-serial", f"file:{self._console}", "-device", "virtio-serial-pci"),
            *("-chardev", "stdio,id=agent,signal=off", "-device", "virtserialport,chardev=agent"),
        )
        self._process = subprocess.Popen(
            machine.command(release, agent, *devices), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self._received = b""
        begin = time.monotonic()
        self._line(_BOOT_SECONDS)
        self.boot_seconds = time.monotonic() - begin

    def run(
        self, *argv: object, meanwhile: str = "", timeout: float = 120, env: Mapping[str, str] | None = None
    ) -> Done:
        """Run a command as root, with ``env`` on top of a plain environment. Beside ``seamstep`` the shell script
        ``meanwhile`` is run, with its process as ``$run``."""
        words = [str(word) for word in argv]
        request = {"argv": words, "input": "", "env": dict(env or {}), "timeout": timeout, "meanwhile": meanwhile}
        left = memoryview(json.dumps(request).encode() + b"\n")
        assert self._process.stdin
        while left:
            left = left[self._process.stdin.write(left) :]
        return Done(**json.loads(self._line(timeout + 60)))

    def sh(self, script: str) -> Done:
        """Run a shell script."""
        return self.run("sh", "-c", script)

    def load(self, **knobs: object) -> None:
        """A fresh TDX host: the module, loaded anew."""
        self.unload()
        words = [f"{name}={int(value) if isinstance(value, bool) else value}" for name, value in knobs.items()]
        self.must(BUSYBOX, "insmod", machine.DOUBLE, *words)

    def unload(self) -> None:
        """No TDX host."""
        self.sh(f"! test -e /sys/module/tdx_host_double || {BUSYBOX} rmmod tdx_host_double")

    def must(self, *argv: object, seconds: float = 120) -> Done:
        """Run a command that is part of the set-up."""
        done = self.run(*argv, timeout=seconds)
        if done.code:
            raise GuestError(f"{argv}: {done}")
        return done

    def close(self) -> None:
        """Turn the machine off."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        self._console.unlink()

    def _line(self, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        assert self._process.stdout
        while b"\n" not in self._received:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._process.stdout], [], [], max(left, 0))
            chunk = os.read(self._process.stdout.fileno(), 1 << 20) if ready else b""
            if not chunk:
                why = "it is gone" if ready else f"no answer in {seconds:.0f} s"
                raise GuestError(
                    f"{why}; the end of its console:\n{self._console.read_text('utf-8', 'replace')[-3000:]}"
                )
            self._received += chunk
        line, _, self._received = self._received.partition(b"\n")
        return line
