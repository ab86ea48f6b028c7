"""Runs in a process of their own that are killed at one of their interactions with the world.

The host lives in the parent, so that its kernel survives the kill and its worker goes on. Before every interaction the
child asks the parent, which answers, or kills it; an interaction is a call of the host, a system call that the journal
or the lock makes, or a move from state to state. A write may also be torn: half of it is done when the child dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from conftest import judge_for
from seamstep.host.simulated import SimulatedHost
from seamstep.plan.document import Plan
from seamstep.run import transaction
from seamstep.run.executor import Reporter, RunResult, State

_SYSTEM_CALLS = ("open", "write", "pwrite", "fsync", "rename", "ftruncate", "makedirs")


@dataclass(frozen=True)
class Killed:
    """How far a child came: the ``interactions`` that were done, and the one before which it was ``killed`` (None if it
    came to its end)."""

    interactions: list[str]
    killed: str | None


class _Asking:
    """The child's end of the pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def ask(self, *question: Any) -> Any:
        self._pipe.send(question)
        answer = self._pipe.recv()
        if isinstance(answer, OSError):
            raise answer
        return answer


class _FarHost:
    """The host in the parent."""

    def __init__(self, asking: _Asking, sysroot: str | None) -> None:
        self._asking = asking
        self.sysroot = sysroot

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments: self._asking.ask("host", name, *arguments)


class _Moves(Reporter):
    def __init__(self, asking: _Asking) -> None:
        self._asking = asking

    def moved(self, state: State) -> None:
        self._asking.ask("state", state.value)


def run_to(plan: Plan, host: SimulatedHost, folder: Path, kill_at: int | None, *, tear: bool = False) -> Killed:
    """Perform ``plan`` in a child and kill it before its interaction number ``kill_at`` (from 0), or, with ``tear``, in
    the middle of that one if it is a write."""
    ours, theirs = Pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            ours.close()
            _child(plan, _Asking(theirs), folder, host.sysroot)
        os._exit(0)
    theirs.close()
    done: list[str] = []
    killed = None
    with contextlib.suppress(EOFError), ours:
        while True:
            kind, name, *arguments = ours.recv()
            if len(done) == kill_at:
                killed = f"{kind} {name}"
                if tear and (kind, name) == ("os", "write"):
                    ours.send("tear")
                os.kill(child, signal.SIGKILL) if not (tear and name == "write") else None
                break
            done.append(f"{kind} {name}")
            ours.send(_answer(host, name, arguments) if kind == "host" else None)
    os.waitpid(child, 0)
    return Killed(done, killed)


def _answer(host: SimulatedHost, name: str, arguments: list[Any]) -> Any:
    try:
        return getattr(host, name)(*arguments)
    except OSError as error:
        return error


def _child(plan: Plan, asking: _Asking, folder: Path, sysroot: str | None) -> None:
    for name in _SYSTEM_CALLS:
        setattr(os, name, _asked(asking, name, getattr(os, name)))
    fcntl.flock = _asked(asking, "flock", fcntl.flock)
    again(plan, _FarHost(asking, sysroot), folder, _Moves(asking))


def _asked(asking: _Asking, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def asked(*arguments: Any, **named: Any) -> Any:
        if asking.ask("os", name) == "tear":
            call(arguments[0], arguments[1][: len(arguments[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **named)

    return asked


def again(plan: Plan, host: Any, folder: Path, reporter: Reporter | None = None, **settings: Any) -> RunResult:
    """Perform ``plan`` as ``apply`` does."""
    with transaction.begun(host, str(folder), reporter=reporter) as begun:
        return begun.perform(plan, judge_for(plan), reporter=reporter, **settings)
