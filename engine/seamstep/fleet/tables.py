"""Plans the groups of hosts that the first statement of ``sql`` finds, and makes the table of outcomes that the second
one joins. Whatever runs the statements: an adapter, or a client of a warehouse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, Any, NamedTuple

from seamstep.base.errors import InputError
from seamstep.fleet import sql
from seamstep.fleet.classes import Classes
from seamstep.fleet.findings import Findings
from seamstep.fleet.members import Group
from seamstep.fleet.planning import FleetPlan, Ground

#: The outcome of rows that are no facts.
INVALID = "invalid"


class Outcomes(NamedTuple):
    """The plans of a fleet in a table.

    Attributes:
        plan: the classes and their plans.
        findings: the mistakes in rows.
        rows: the table of outcomes: the columns of ``sql.SHARED``, ``sql.SOME`` and ``sql.OUTCOME``.
    """

    plan: FleetPlan
    findings: Findings
    rows: list[dict[str, Any]]


def outcomes(groups: Iterable[Mapping[str, Any]], ground: Ground, file: IO[bytes]) -> Outcomes:
    """Plan for ``groups``, the rows of the first statement by column; ``file`` keeps the plans on disk.

    Raises:
        TooManyGroupsError: there are more groups than can be planned.
        InputError, RefusedError: as :class:`FleetPlan`.
    """
    classes, findings = Classes(), Findings()
    counts: list[Group] = []
    placed: list[tuple[Mapping[str, Any], int | None, str]] = []
    for row in groups:
        try:
            number, _ = classes.of_data(sql.document_of(row), "the inventory")
        except InputError as error:
            findings.add(error.problems)
            placed.append((row, None, str(error)))
            continue
        if number == len(counts):
            counts.append(Group(0, 0, 0))
        unknown = row["hosts"] if row[sql.SOME] is None else 0
        had = counts[number]
        counts[number] = Group(had.hosts + row["hosts"], had.tds + (row["tds"] or 0), had.tds_unknown + unknown)
        placed.append((row, number, ""))
    plan = FleetPlan(ground, classes.facts, counts, file)
    return Outcomes(plan, findings, [_outcome(plan, *one) for one in placed])


def _outcome(plan: FleetPlan, row: Mapping[str, Any], group: int | None, problem: str) -> dict[str, Any]:
    own = {name: row[name] for name in (*sql.SHARED, sql.SOME)}
    one = None if group is None else plan.of_group[group]
    if one is None:
        return own | {"class": None, "class_id": None, "outcome": INVALID, "reason": problem}
    return own | {name: one.document[name] for name in sql.OUTCOME}
