"""The policy's commands around a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from seamstep.plan.settings import ApplySettings, Command
from seamstep.run.executor.attempt import Record

if TYPE_CHECKING:
    from seamstep.run.hooks import HookResult

    Runner = Callable[[Command, Mapping[str, str], Callable[[], bool]], HookResult]


def _run(argv: Command, variables: Mapping[str, str], stop: Callable[[], bool]) -> HookResult:
    from seamstep.run.hooks import run_hook

    return run_hook(argv, variables, stop=stop)


class Commands:
    """Runs the commands of ``settings``, with ``variables`` in their environment, and keeps what came of each."""

    def __init__(
        self, settings: ApplySettings, variables: Mapping[str, str], record: Record, run: Runner = _run
    ) -> None:
        if settings.before or settings.after:
            import seamstep.run.hooks  # noqa: F401 - now, not after the commit: nothing may fail there that can fail here
        self._settings = settings
        self._variables = variables
        self._record = record
        self._run = run

    def before(self, stop: Callable[[], bool]) -> str:
        """Run those before the first hop, until one does not go well; why the run must not go on, or nothing."""
        try:
            if self._settings.before or self._settings.after:
                self._record("before-hooks", after_sha256=self._settings.after_sha256)
            for argv in self._settings.before:
                result = self._run(argv, self._variables, stop)
                self._keep("before", result)
                if result.problem:
                    return _told(result)
        except OSError as error:
            return f"the journal can't be written: {error.strerror or error}"
        return ""

    def after(self, outcome: str) -> Iterator[str]:
        """Run all of those after the last hop, whatever came of it; their problems."""
        for argv in self._settings.after:
            result = self._run(argv, {**self._variables, "SEAMSTEP_OUTCOME": outcome}, lambda: False)
            if result.problem:
                yield f"{_told(result)}; the outcome of the update stands"
            try:
                self._keep("after", result)
            except OSError as error:
                yield f"what came of {argv[0]} could not be written to the journal: {error.strerror or error}"
        if self._settings.before or self._settings.after:
            try:
                self._record("after-hooks")
            except OSError as error:
                yield f"the journal can't be written: {error.strerror or error}"

    def _keep(self, phase: str, result: HookResult) -> None:
        self._record(
            "hook",
            phase=phase,
            argv=list(result.argv),
            code=result.code,
            message=result.problem,
            output=result.output,
        )


def _told(result: HookResult) -> str:
    last = result.output.strip().rpartition("\n")[2]
    return f"the command {' '.join(result.argv)} {result.problem}" + (f": {last}" if last else "")
