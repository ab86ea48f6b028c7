"""Progress of a run: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from seamstep.executor import Reporter, State
from seamstep.plan import Hop
from seamstep.report.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def reporter(stream: TextIO | None = None, *, bar: bool | None = None) -> LineReporter | BarReporter:
    """The reporter that fits ``stream`` (default: standard error); ``bar`` overrides the choice."""
    stream = stream or sys.stderr
    return BarReporter(stream) if (stream.isatty() if bar is None else bar) else LineReporter(stream)


class LineReporter(Reporter):
    """A line for each state."""

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
            print(f"{self._prefix}: {state.value}", file=self._stream, flush=True)

    def waiting(self, why: str, seconds: float) -> None:
        self.note(f"waiting {seconds:.0f} s: {why}")

    def note(self, text: str) -> None:
        print(f"seamstep: note: {printable(text)}", file=self._stream, flush=True)


class BarReporter(Reporter):
    """A bar for each hop: half of it for staging, half for the kernel's phases."""

    _PHASES = ("receiving", "preparing", "transferring", "programming", "idle")

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[at]:<12}"))
        self._progress: Progress = Progress(*columns, console=Console(file=stream))
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def hop(self, hop: Hop, number: int, total: int) -> None:
        description = f"hop {number} of {total}  {hop}"
        self._task = self._progress.add_task(description, total=2 * len(self._PHASES), at="preflight")

    def moved(self, state: State) -> None:
        self._show(state.value, None)

    def staged(self, done: int, total: int) -> None:
        self._show("staging", len(self._PHASES) * done / total)

    def waiting(self, why: str, seconds: float) -> None:
        self.note(f"waiting {seconds:.0f} s: {why}")

    def note(self, text: str) -> None:
        self._progress.console.print(f"seamstep: note: {printable(text)}", markup=False, highlight=False)

    def phase(self, status: str) -> None:
        step = self._PHASES.index(status) + 1 if status in self._PHASES else 0
        self._show(status, len(self._PHASES) + step)

    def _show(self, at: str, completed: float | None) -> None:
        if self._task is not None:
            self._progress.update(self._task, at=at, completed=completed)
