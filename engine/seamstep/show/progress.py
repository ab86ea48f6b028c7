"""Progress of a run: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from seamstep.plan.document import Hop
from seamstep.run.executor import Reporter, State
from seamstep.show.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def reporter(stream: TextIO | None = None, *, bar: bool | None = None) -> LineReporter | BarReporter:
    """The reporter that fits ``stream`` (default: standard error): a bar needs a terminal that can move its cursor.
    ``bar`` overrides the choice."""
    stream = stream or sys.stderr
    if bar is None:
        bar = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return BarReporter(stream) if bar else LineReporter(stream)


class LineReporter(Reporter):
    """Prints a line for each state, wait and note."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._prefix = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def hop(self, hop: Hop, number: int, total: int) -> None:
        self._prefix = f"hop {number} of {total}: {hop}"

    def moved(self, state: State) -> None:
        if state is not State.PREFLIGHT:
            self._say(f"{self._prefix}: {state.value}")

    def waiting(self, why: str, seconds: float) -> None:
        """Announce a wait of ``seconds``; ``why`` is the reason, a sentence."""
        self.note(f"waiting {seconds:.0f} s: {why}")

    def note(self, text: str) -> None:
        """Print a note."""
        self._say(f"seamstep: note: {text}")

    def _say(self, text: str) -> None:
        print(printable(text), file=self._stream, flush=True)


class BarReporter(Reporter):
    """Shows a bar for each hop, the first half for staging and the second for the kernel's phases, and a bar for all
    hops if there are several."""

    _PHASES = ("receiving", "preparing", "transferring", "programming")
    _HOP = 2 * len(_PHASES) + 1  # full only when the hop is applied
    _AT = 24  # columns of the status text, so that a line fits into 80

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        class Raising(Console):
            """A console that leaves a broken pipe to its caller; rich ends the process."""

            def on_broken_pipe(self) -> None:
                raise  # noqa: PLE0704 - the error that rich handles where it calls this

        title = TextColumn("{task.description}", markup=False)
        at = TextColumn("{task.fields[at]}", markup=False, style="none")
        self._progress: Progress = Progress(title, BarColumn(bar_width=20), at, console=Raising(file=stream))
        self._all: TaskID | None = None
        self._task: TaskID | None = None
        self._before = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # a hung-up terminal must not hide the run's result
            self._progress.stop()

    def hop(self, hop: Hop, number: int, total: int) -> None:
        if self._all is None and total > 1:
            self._all = self._progress.add_task("all hops", total=total * self._HOP, at="")
        self._before = (number - 1) * self._HOP
        title = printable(f"hop {number} of {total}  {hop}")
        self._task = self._progress.add_task(title, total=self._HOP, at=State.PREFLIGHT.value)
        self._show(State.PREFLIGHT.value, 0)

    def moved(self, state: State) -> None:
        self._show(state.value, self._HOP if state is State.APPLIED else None)

    def staged(self, done: int, total: int) -> None:
        self._show(f"staging {done >> 10} of {total >> 10} KiB", len(self._PHASES) * done / total)

    def phase(self, status: str) -> None:
        known = status in self._PHASES
        self._show(status, len(self._PHASES) + self._PHASES.index(status) + 1 if known else None)

    def waiting(self, why: str, seconds: float) -> None:
        """Announce a wait of ``seconds``; ``why`` is the reason, a sentence."""
        self.note(f"waiting {seconds:.0f} s: {why}")
        self._show(f"waiting {seconds:.0f} s", None)

    def note(self, text: str) -> None:
        """Print a note above the bars, where it stays."""
        self._progress.console.print(f"seamstep: note: {printable(text)}", markup=False, highlight=False)

    def _show(self, at: str, completed: float | None) -> None:
        if self._task is None:
            return
        self._progress.update(self._task, at=printable(at)[: self._AT], completed=completed)
        if self._all is not None and completed is not None:
            self._progress.update(self._all, completed=self._before + completed)


class Reporters(Reporter):
    """Passes each event to several reporters. An error in one is ignored, and the others still get the event."""

    def __init__(self, *reporters: Reporter) -> None:
        def tell_each(event: str) -> Callable[..., None]:
            def tell(*args: object) -> None:
                for reporter in reporters:
                    with contextlib.suppress(Exception):
                        getattr(reporter, event)(*args)

            return tell

        for event in (name for name in vars(Reporter) if not name.startswith("_")):
            setattr(self, event, tell_each(event))
