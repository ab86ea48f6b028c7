"""The mistakes in an inventory. They don't stop the rest from being planned."""

from __future__ import annotations

from collections.abc import Iterable

from seamstep.base.errors import PROBLEMS_MAX, InputError, Problem


class Findings:
    """Mistakes with their places.

    Attributes:
        problems: the first PROBLEMS_MAX of them.
        count: the number of all.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.count = 0

    def add(self, problems: Iterable[Problem]) -> None:
        """Add mistakes."""
        for problem in problems:
            self.count += 1
            if len(self.problems) < PROBLEMS_MAX:
                self.problems.append(problem)

    def require_none(self) -> None:
        """Raise InputError with all mistakes if there are any."""
        if self.count:
            more = self.count - len(self.problems)
            rest = [Problem(self.problems[-1].source, f"and {more} problems more")] if more else []
            raise InputError([*self.problems, *rest][-PROBLEMS_MAX:])
