"""The two statements that plan a fleet where its inventory lives: group the hosts by their facts, and give every host
the outcome of its group. Pure.

The table of the inventory has a column for each fact, with facts that are lists or objects as JSON text, and
``labels``, JSON text too. Joins compare texts in a form that engines can hash, and NULL only with NULL.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from seamstep.base.documents import parse_json
from seamstep.domain.facts import SCHEMA

#: The facts that hosts of a group share, each with a value of its type that stands for NULL in comparisons.
SHARED = {
    "kernel": "''",
    "profile": "''",
    "module_version": "''",
    "seamldr_version": "''",
    "remaining_updates": "0",
    "cpu_signatures": "''",
    "cpus_online": "''",
    "cpus_present": "''",
    "cpu_limits": "''",
    "upload": "''",
    "cpu_bugs": "''",
    "simulated": "FALSE",
    "unknown": "''",
}
#: The facts that are lists or objects.
NESTED = ("cpu_signatures", "cpu_limits", "upload", "cpu_bugs", "unknown")
#: The columns of each host's own.
OWN = ("hostname", "boot_id", "running_tds", "labels")
#: 1 for any number of TDs, 0 for none, NULL where it is not known.
SOME = "some_tds"
#: The columns of the outcomes beside the shared facts and SOME.
OUTCOME = ("class", "class_id", "outcome", "reason")
_QUOTES = {"duckdb": '"', "trino": '"', "spark": "`", "bigquery": "`"}
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*){0,3}", re.ASCII)


class Statements(NamedTuple):
    """``group`` groups the hosts by their facts, ``join`` gives every host the outcome of its group."""

    group: str
    join: str


def statements(dialect: str, inventory: str = "inventory", outcomes: str = "outcomes") -> Statements:
    """The statements in the ``dialect`` duckdb, spark, bigquery or trino, for two tables. Raises ValueError for a
    table's name that is more than names with dots between them."""
    mark = _QUOTES[dialect]

    def quoted(name: str, of: str = "") -> str:
        return f"{of}{'.' if of else ''}{mark}{name}{mark}"

    def table(name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a table's name, such as fleet.inventory")
        return ".".join(map(quoted, name.split(".")))

    some = "CASE WHEN {0} > 0 THEN 1 WHEN {0} = 0 THEN 0 END"
    shared = ",\n  ".join(map(quoted, SHARED))
    tds = quoted("running_tds")
    group = (
        f"SELECT\n  {shared},\n  {some.format(tds)} AS {quoted(SOME)},\n"
        f"  COUNT(*) AS {quoted('hosts')},\n  SUM({tds}) AS {quoted('tds')}\n"
        f"FROM {table(inventory)}\nGROUP BY\n  {shared},\n  {some.format(tds)}"
    )
    own = [f"{quoted('hostname', 'i')} AS {quoted('host')}", quoted("boot_id", "i")]
    own += [quoted(name, "o") for name in OUTCOME[:3]] + [quoted("labels", "i")]
    conditions = [_alike(quoted(name, "i"), quoted(name, "o"), null) for name, null in SHARED.items()]
    conditions.append(_alike(some.format(quoted("running_tds", "i")), quoted(SOME, "o"), "2"))
    join = (
        f"SELECT\n  {(',' + chr(10) + '  ').join(own)}\nFROM {table(inventory)} AS i\nJOIN {table(outcomes)} AS o\n"
        f"  ON {(chr(10) + '  AND ').join(conditions)}"
    )
    return Statements(group, join)


def document_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The facts document of a group, from a row of the first statement. Raises InputError for a text that is no
    JSON."""
    document = {"schema": SCHEMA, **{name: row[name] for name in SHARED}, "running_tds": row[SOME]}
    for name in NESTED:
        if document[name] is not None:
            document[name] = parse_json(document[name], f"the column {name}")
    unknown = document["unknown"]
    if isinstance(unknown, dict):  # a column of structures has NULL where a row lacks a key
        document["unknown"] = {fact: reason for fact, reason in unknown.items() if reason is not None}
    return {
        name: value for name, value in document.items() if value is not None or name not in {"simulated", "unknown"}
    }


def _alike(one: str, other: str, null: str) -> str:
    return f"COALESCE({one}, {null}) = COALESCE({other}, {null}) AND (({one}) IS NULL) = (({other}) IS NULL)"
