"""Progress of planning a fleet: bars on a terminal, nothing elsewhere."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress


class FleetProgress:
    """Shows nothing."""

    #: Whether there are bars.
    visible = False

    def stage(self, title: str, total: int | None) -> Callable[[int], None]:  # noqa: ARG002 - shows nothing
        """Begin a stage of work of ``total`` steps, None if that is not known. Returns the function to call with a
        number of steps done."""
        return lambda _steps: None


class _Bars(FleetProgress):
    """Shows a bar for each stage."""

    visible = True

    def __init__(self, bars: Progress) -> None:
        self._bars = bars

    def stage(self, title: str, total: int | None) -> Callable[[int], None]:
        task = self._bars.add_task(f"{title:<9}", total=total)
        return lambda steps: self._bars.advance(task, steps)


@contextlib.contextmanager
def progress(stream: TextIO) -> Iterator[FleetProgress]:
    """The progress for ``stream``: bars need a terminal that can move its cursor."""
    if not (stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"):
        yield FleetProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    title = TextColumn("{task.description}", markup=False)
    columns = (title, BarColumn(bar_width=30), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=stream)) as bars:
        yield _Bars(bars)
