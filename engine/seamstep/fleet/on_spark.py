"""Plans a fleet on Spark: the extra ``seamstep[spark]``. The groups of hosts come to the driver, which plans for them;
the outcomes go back as a table and are joined to the hosts there."""

from __future__ import annotations

import secrets
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from seamstep.base.errors import InputError, Problem
from seamstep.fleet import sql, tables
from seamstep.fleet.classes import GROUPS_MAX, TooManyGroupsError
from seamstep.fleet.planning import Ground

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_TYPES = {"remaining_updates": "BIGINT", "running_tds": "BIGINT", sql.SOME: "INT", "simulated": "BOOLEAN"}


class OnSpark(NamedTuple):
    """``outcomes`` holds the classes and their plans; ``hosts`` has a row for each host: host, boot_id, class,
    class_id, outcome and labels."""

    outcomes: tables.Outcomes
    hosts: DataFrame


def plan(session: SparkSession, inventory: DataFrame, ground: Ground, file: IO[bytes]) -> OnSpark:
    """Plan for the hosts of a table with the columns of ``sql``. Columns of lists and objects may have such types, or
    hold JSON text; a column may be missing where all hosts lack the fact. ``file`` keeps the plans on the driver's
    disk.

    Raises:
        InputError: the table has another column, or lacks names or modules; or as :func:`tables.outcomes`.
        TooManyGroupsError, RefusedError: as :func:`tables.outcomes`.
    """
    mark = secrets.token_hex(8)
    views = f"seamstep_inventory_{mark}", f"seamstep_outcomes_{mark}"
    statements = sql.statements("spark", *views)
    _selected(inventory).createOrReplaceTempView(views[0])
    rows = session.sql(statements.group).limit(GROUPS_MAX + 1).collect()
    if len(rows) > GROUPS_MAX:
        raise TooManyGroupsError(f"the inventory has more than {GROUPS_MAX:,} kinds of hosts")
    found = tables.outcomes((row.asDict() for row in rows), ground, file)
    columns = (*sql.SHARED, sql.SOME, *sql.OUTCOME)
    schema = ", ".join(f"`{name}` {_TYPES.get(name, 'STRING')}" for name in columns)
    values: list[tuple[Any, ...]] = [tuple(row[name] for name in columns) for row in found.rows]
    session.createDataFrame(values, schema).createOrReplaceTempView(views[1])
    return OnSpark(found, session.sql(statements.join))


def _selected(inventory: DataFrame) -> DataFrame:
    """The columns in the types that the statements expect: NULL where there is none."""
    from pyspark.sql import functions
    from pyspark.sql.types import ArrayType, MapType, StructType

    wanted = (*sql.SHARED, *sql.OWN)
    types = {field.name: field.dataType for field in inventory.schema.fields}
    wrong = [Problem("the inventory", "unknown column", (name,)) for name in types if name not in {*wanted, "schema"}]
    needed = ("hostname", "module_version")
    wrong += [Problem("the inventory", "the column is missing", (name,)) for name in needed if name not in types]
    if wrong:
        raise InputError(wrong)
    columns = []
    for name in wanted:
        column = functions.col(f"`{name}`") if name in types else functions.lit(None)
        if isinstance(types.get(name), ArrayType | MapType | StructType):
            column = functions.to_json(column)
        columns.append(column.cast(_TYPES.get(name, "STRING")).alias(name))
    return inventory.select(*columns)
