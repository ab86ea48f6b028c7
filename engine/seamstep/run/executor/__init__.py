"""The executor performs a plan on a host, hop by hop, and reports the outcome that it read back.

- A hop is applied only if the running version reads back as its target, the kernel reports no error, and the remaining
  updates went down by one.
- The executor works on a plan and a :class:`~seamstep.host.base.Host`; rules, policies and graphs are unknown to it. It
  stops at the first deviation from the plan.
- Each action is recorded through a function that the caller provides. A record that can't be written stops the run
  before the commit point; after it the outcome is read back in any case.

docs/executor.md has the diagram of states.
"""

from seamstep.run.executor.outcome import LOST, ReadBack, classify
from seamstep.run.executor.performing import Executor, refuse_hypothetical, refuse_unfit
from seamstep.run.executor.reporter import Reporter
from seamstep.run.executor.states import MOVES, RunResult, State, Stop

__all__ = [
    "LOST",
    "MOVES",
    "Executor",
    "ReadBack",
    "Reporter",
    "RunResult",
    "State",
    "Stop",
    "classify",
    "refuse_hypothetical",
    "refuse_unfit",
]
