"""The interface through which the executor reports its progress."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from seamstep.plan.document import Hop
from seamstep.run.executor.states import State


class Reporter:
    """Receives the executor's progress. Each method does nothing; a subclass overrides those that it needs."""

    def hop(self, hop: Hop, number: int, total: int) -> None:
        """A hop begins: number ``number`` of ``total``, from 1."""

    def moved(self, state: State) -> None:
        """The hop entered ``state``."""

    def staged(self, done: int, total: int) -> None:
        """``done`` of ``total`` bytes of the image are staged."""

    def phase(self, status: str) -> None:
        """The upload entered another phase; ``status`` is the kernel's name for it."""

    def waiting(self, why: str, seconds: float) -> None:
        """The run waits for ``seconds``; ``why`` is the reason, as a clause."""

    def note(self, text: str) -> None:
        """A remark or warning, as a sentence; it does not change the outcome."""


class Quietly:
    """Calls a reporter's methods and ignores their errors, which must not stop an update."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def __getattr__(self, name: str) -> Callable[..., None]:
        def tell(*args: object) -> None:
            with contextlib.suppress(Exception):
                getattr(self._reporter, name)(*args)

        return tell
