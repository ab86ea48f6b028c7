"""Signals, held back: between a commit and the reading back of its outcome there must be no way out."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any


class Interrupted:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        self._asked = False

    def __bool__(self) -> bool:
        return self._asked

    def ask(self, *_: object) -> None:
        """A signal handler: remember, and go on."""
        self._asked = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if asked to stop; only where stopping leaves nothing behind."""
        if self._asked:
            raise KeyboardInterrupt


@contextlib.contextmanager
def deferred_signals() -> Iterator[Interrupted]:
    """Hold SIGINT, SIGTERM and SIGHUP back, and remember that they came.

    One that is ignored stays ignored: nohup(1) asks for that, and so does a shell with a command in the background.
    """
    interrupted = Interrupted()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before: dict[int, Any] = {}
    with contextlib.suppress(ValueError):  # only the main thread gets signals, and may ask for them
        before.update((number, signal.signal(number, interrupted.ask)) for number in heeded)
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
