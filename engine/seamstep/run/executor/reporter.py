"""Who hears what the executor does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from seamstep.plan.document import Hop
from seamstep.run.executor.states import State


class Reporter:
    """Hears what the executor does. Does nothing by itself."""

    def hop(self, hop: Hop, number: int, total: int) -> None:
        """A hop begins, the ``number``-th of ``total``."""

    def moved(self, state: State) -> None:
        """The hop is in another state."""

    def staged(self, done: int, total: int) -> None:
        """The kernel has ``done`` of ``total`` bytes."""

    def phase(self, status: str) -> None:
        """The kernel's upload is in another phase."""

    def waiting(self, why: str, seconds: float) -> None:
        """The run waits for ``seconds``; ``why`` is a sentence."""

    def note(self, text: str) -> None:
        """Something worth telling that changes nothing."""


class Quietly:
    """Passes everything on to a reporter and lets none of its troubles near the update."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def __getattr__(self, name: str) -> Callable[..., None]:
        def tell(*args: object) -> None:
            with contextlib.suppress(Exception):
                getattr(self._reporter, name)(*args)

        return tell
