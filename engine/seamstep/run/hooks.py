"""Running a policy's commands before the first hop and after the last, such as to suspend and resume TD builds.

A command runs without a shell, with a time limit, in a session of its own, and with an environment of ``PATH``,
``LANG`` and the run's variables only.
"""

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
OUTPUT_MAX = 4096  # bytes kept of each command's output
_LEAVING = 5.0  # seconds that a killed command may take to exit
_GRACE = 0.2  # seconds that output is still read after the command exited
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}


class HookResult(NamedTuple):
    """The result of one command.

    Attributes:
        argv: the command and its arguments.
        code: the exit code, negative for a signal; None if the command was not started or has not exited.
        problem: the failure as a clause that follows the command's name; empty on success.
        output: the first :data:`OUTPUT_MAX` bytes of standard output and error.
    """

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
    """Run one command until it exits; kill its process group after ``timeout`` seconds, or once ``stop()`` is true.

    Args:
        argv: the command and its arguments.
        variables: variables for its environment.
        timeout: seconds.
        stop: whether the run was interrupted; called repeatedly.
    """
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
        problem = f"{problem}, to no avail: it is process {process.pid}, and may still be running"
    elif not problem:
        problem = _ending(code)
    return HookResult(command, code, problem, output[:OUTPUT_MAX].decode("utf-8", "replace"))


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    """Kill the process group of a command that still runs, and return the exit code. None if the command does not exit:
    it may be blocked in the kernel, or belong to another user. The wait is bounded so that the run reaches the commands
    'after'."""
    if process.poll() is None:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LEAVING)
    return process.poll()


def _watch(
    process: subprocess.Popen[bytes], descriptor: int, deadline: float, stop: Callable[[], bool]
) -> tuple[bytes, str | None]:
    """Read until the command exits. Returns its output and the problem: empty for none, None for a time-out."""
    output = b""
    ended: float | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while (now := time.monotonic()) < deadline:
            if stop():
                return output, "was killed: the run was interrupted"
            if process.poll() is not None:
                ended = ended or now
                if now - ended > _GRACE:  # a background process of the command keeps the pipe open
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
