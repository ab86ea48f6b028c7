"""Commands that a policy wants run before the first hop and after the last: to quiesce TD builds, and to allow them
again. No shell, a time limit, a process group of their own, an environment that holds nothing but what they need."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

TIMEOUT = 300.0  # seconds for each command
OUTPUT_MAX = 4096  # bytes that are kept
_LEAVING = 5.0  # seconds that a command may take to end once it was killed
_GRACE = 0.2  # seconds; how long output may trail the end of its command
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class HookResult(NamedTuple):
    """What came of a command: its exit ``code`` (None if it has none), the ``problem`` (empty if all went well), and
    the beginning of its ``output``."""

    argv: tuple[str, ...]
    code: int | None
    problem: str
    output: str


def run_hook(
    argv: Sequence[str],
    variables: Mapping[str, str],
    *,
    timeout: float = TIMEOUT,
    stop: Callable[[], bool] = lambda: False,
) -> HookResult:
    """Run one command to its end, at most ``timeout`` seconds or until ``stop()``; then its process group is killed."""
    command = tuple(argv)
    try:
        process = subprocess.Popen(  # noqa: S603 - an argument list from the policy; no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=_ENVIRONMENT | dict(variables),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return HookResult(command, None, f"can't be started: {reason}", "")
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    with process.stdout as stdout:
        os.set_blocking(stdout.fileno(), False)
        output, problem = _watch(process, stdout.fileno(), time.monotonic() + timeout, stop)
    if problem is None:
        problem = f"did not end within {timeout:.0f} s and was killed"
    code = _ended(process)
    if code is None:
        problem = f"{problem}, to no avail: it is process {process.pid}, and may still be at it"
    elif not problem:
        problem = _ending(code)
    return HookResult(command, code, problem, output[:OUTPUT_MAX].decode("utf-8", "replace"))


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    """See that the command ends with its process group; None if it does not: it may wait in the kernel, or belong to
    somebody whom we may not kill. The run must go on to the commands after all the same."""
    if process.poll() is None:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LEAVING)
    return process.poll()


def _watch(
    process: subprocess.Popen[bytes], descriptor: int, deadline: float, stop: Callable[[], bool]
) -> tuple[bytes, str | None]:
    """Read until the command ends. The output, and the problem: empty for none, None for a time-out."""
    output = b""
    ended: float | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while (now := time.monotonic()) < deadline:
            if stop():
                return output, "was killed: the run was interrupted"
            if process.poll() is not None:
                ended = ended or now
                if now - ended > _GRACE:  # something it left behind keeps the pipe open
                    return output, ""
            if selector.select(0.05):
                chunk = os.read(descriptor, 65536)
                output += chunk[: max(OUTPUT_MAX - len(output), 0)]
                if not chunk:
                    selector.unregister(descriptor)
                    break
        while time.monotonic() < deadline and process.poll() is None:
            if stop():
                return output, "was killed: the run was interrupted"
            time.sleep(0.01)
    return output, None if process.poll() is None else ""


def _ending(code: int) -> str:
    if code < 0:
        return f"was killed by signal {-code}"
    return f"ended with exit code {code}" if code else ""
