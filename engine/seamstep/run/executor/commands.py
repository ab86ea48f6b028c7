"""The policy's commands before the first hop and after the last, with their records."""

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
    """Runs the policy's commands and records the result of each.

    Args:
        settings: the plan's settings, with the commands 'before' and 'after'.
        variables: variables for the environment of each command.
        record: writes a record of the journal.
        run: runs one command.
    """

    def __init__(
        self, settings: ApplySettings, variables: Mapping[str, str], record: Record, run: Runner = _run
    ) -> None:
        if settings.before or settings.after:
            import seamstep.run.hooks  # noqa: F401 - an import error must occur here, not after a commit
        self._settings = settings
        self._variables = variables
        self._record = record
        self._run = run

    def before(self, stop: Callable[[], bool]) -> str:
        """Run the commands 'before', up to the first that fails.

        Args:
            stop: whether the run was interrupted; ends the command that runs.

        Returns:
            The reason why the run must not go on; empty if all succeeded.
        """
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
        """Run all commands 'after', and give their problems, a sentence each.

        ``outcome`` is the run's outcome, for their environment. A failure ends neither the other commands nor the run.
        """
        for argv in self._settings.after:
            result = self._run(argv, {**self._variables, "SEAMSTEP_OUTCOME": outcome}, lambda: False)
            if result.problem:
                yield f"{_told(result)}; the outcome of the update stands"
            try:
                self._keep("after", result)
            except OSError as error:
                yield f"the result of {argv[0]} could not be written to the journal: {error.strerror or error}"
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
