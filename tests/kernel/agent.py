"""The guest's first program: runs commands that come as lines of JSON on a virtio port, and answers in kind.

It is started by the kernel, so what a shell or a service manager would set up is set up here. A request is
``{argv, input, env, timeout, meanwhile}``, an answer ``{code, out, err, seconds}``; ``code`` is None if time ran out.
A command named ``seamstep`` is not started but forked off this process, which holds its modules already: importing them
takes an emulated CPU some seconds. What runs is the same entry point of the same installation.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from seamstep import cli

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root"}
#: What ``apply`` imports when it gets there.
_LAZY = (
    *(
        "seamstep.cli.apply",
        "seamstep.cli.facts",
        "seamstep.cli.status",
        "seamstep.run.transaction",
        "seamstep.base.resources",
    ),
    *("seamstep.show.progress", "seamstep.image.verify", "seamstep.host.sysfs"),
    *("cryptography.exceptions", "cryptography.hazmat.primitives.asymmetric.padding", "importlib.readers"),
)


def run(request: dict[str, Any]) -> dict[str, Any]:
    """Start a command and wait for it."""
    environment = _ENVIRONMENT | request["env"]
    try:
        done = subprocess.run(
            request["argv"],
            input=request["input"],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=request["timeout"],
            check=False,
            cwd="/",
        )
        code, out, err = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as error:
        code, out, err = None, str(error.stdout), f"no end after {error.timeout} s: {error.stderr!r}"
    except OSError as error:
        code, out, err = 127, "", str(error)
    return {"code": code, "out": out, "err": err}


def fork(request: dict[str, Any]) -> dict[str, Any]:
    """Run seamstep in a copy of this process, and the shell script ``meanwhile`` beside it; wait for both."""
    out, err = os.memfd_create("out"), os.memfd_create("err")
    child = os.fork()
    if child == 0:
        _become(request, out, err)
    if request["meanwhile"]:
        script = ["bash", "-c", request["meanwhile"]]
        subprocess.run(script, env=_ENVIRONMENT | {"run": str(child)}, timeout=request["timeout"], check=False)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = None if status == -signal.SIGALRM else status
    return {"code": code, "out": _content(out), "err": _content(err)}


def _become(request: dict[str, Any], out: int, err: int) -> NoReturn:
    """Be seamstep, and nothing afterwards."""
    code = 70
    try:
        for number, descriptor in enumerate((os.open(os.devnull, os.O_RDONLY), out, err)):
            os.dup2(descriptor, number)
        os.closerange(3, 256)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        os.environ.clear()
        os.environ.update(_ENVIRONMENT | request["env"])
        sys.argv = request["argv"]
        os.chdir("/")
        signal.alarm(int(request["timeout"]))
        _entry(request["env"].get("PYTHONPATH"))()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else bool(end.code)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _entry(folder: str | None) -> Callable[[], NoReturn]:
    """The command's entry point; that of the package in ``folder`` if there is one."""
    if not folder:
        return cli.entry
    sys.path.insert(0, folder)
    for name in [name for name in sys.modules if name.partition(".")[0] == "seamstep"]:
        del sys.modules[name]
    other: Callable[[], NoReturn] = importlib.import_module("seamstep.cli").entry
    return other


def _content(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    with open(descriptor, encoding="utf-8", errors="replace") as file:
        return file.read()


def answer(request: dict[str, Any]) -> bytes:
    """What a request comes to, as a line."""
    begin = time.monotonic()
    done = fork(request) if request["argv"][0] == "seamstep" else run(request)
    return json.dumps(done | {"seconds": round(time.monotonic() - begin, 2)}).encode() + b"\n"


def main() -> None:
    """Serve until the machine is turned off."""
    os.umask(0o022)
    for name in _LAZY:
        importlib.import_module(name)
    port = next(Path("/dev").glob("vport*"))
    with port.open("r+b", buffering=0) as channel:
        requests = os.fdopen(os.dup(channel.fileno()), "rb")
        channel.write(b'{"ready": true}\n')
        for line in requests:
            left = memoryview(answer(json.loads(line)))
            while left:
                left = left[channel.write(left) or 0 :]


if __name__ == "__main__":
    main()
