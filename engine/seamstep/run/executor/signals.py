"""Deferring signals: a run must not end between a commit and the read-back of its outcome."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


class Interrupted:
    """Whether a signal that asks the run to stop arrived; true in a boolean context if so."""

    def __init__(self) -> None:
        self._asked = False

    def __bool__(self) -> bool:
        return self._asked

    def ask(self, *_: object) -> None:
        """The signal handler: note the signal, and let the run go on."""
        self._asked = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal arrived. Must be called only where no update is committed."""
        if self._asked:
            raise KeyboardInterrupt


@contextlib.contextmanager
def deferred_signals() -> Iterator[Interrupted]:
    """Context manager that defers SIGINT, SIGTERM and SIGHUP; yields the flag that they set.

    An ignored signal stays ignored, as nohup(1) and shells with a background command expect.
    """
    interrupted = Interrupted()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before: dict[int, Any] = {}
    with contextlib.suppress(ValueError):  # only the main thread may set handlers, and only it gets signals
        before.update((number, signal.signal(number, interrupted.ask)) for number in heeded)
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
