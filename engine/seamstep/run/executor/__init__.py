"""Perform a plan, hop by hop, and say truthfully what came of it.

Success is one thing only: the running version reads back as the hop's target and the remaining updates went down by
one. The executor knows no rules, no policy and no graph; it acts on a plan and a Host, and stops at the first surprise.
What it did goes to a record that somebody else keeps: before the commit point a record that can't be written stops the
run, after it nothing does. docs/executor.md has the diagram.
"""

from seamstep.run.executor.outcome import LOST, ReadBack, classify
from seamstep.run.executor.performing import Executor
from seamstep.run.executor.reporter import Reporter
from seamstep.run.executor.states import MOVES, RunResult, State, Stop

__all__ = ["LOST", "MOVES", "Executor", "ReadBack", "Reporter", "RunResult", "State", "Stop", "classify"]
