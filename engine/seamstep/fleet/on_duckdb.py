"""Inventories in Parquet and behind SQL, and results as Parquet, by DuckDB: the extra ``seamstep[fleet]``.

DuckDB fetches no extensions by itself and takes no more memory than MEMORY_LIMIT; what is larger goes to a temporary
folder. A file of SQL is a program of the user: it may load extensions, attach databases and read object storage.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any

from seamstep.base.documents import decode, parse_json, read_bytes
from seamstep.base.errors import InputError, Problem
from seamstep.fleet import sql
from seamstep.fleet.classes import GROUPS_MAX, NO_LABELS, Classes, Host, TooManyGroupsError, labels_text
from seamstep.fleet.findings import Findings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MEMORY_LIMIT = "1GB"
#: The suffix of a file of SQL.
SQL = ".sql"
_SQL_LIMIT = 1 << 20
_ROWS = 10_000
_INVALID = -1
_NEEDED = ("hostname", "module_version")
_REMEMBERED_MAX = 100_000
_COLUMNS = (
    "{host: 'VARCHAR', boot_id: 'VARCHAR', class: 'VARCHAR', outcome: 'VARCHAR', wave: 'INTEGER', labels: 'JSON'}"
)


def connect() -> DuckDBPyConnection:
    """A database in memory. Raises InputError if DuckDB is not installed."""
    try:
        import duckdb
    except ImportError:
        message = "Parquet and SQL take DuckDB, which comes with the extra 'fleet' of seamstep"
        raise InputError(Problem("DuckDB", message)) from None
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY_LIMIT,
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    return duckdb.connect(":memory:", config=settings)


def hosts(path: str, classes: Classes, findings: Findings) -> Iterator[Host]:
    """The hosts in a Parquet file, or in the rows that the last query in a file of SQL gives, in their order.

    The columns are those of ``sql``. Columns of lists and objects may have such types, or hold JSON text; a column may
    be missing where all hosts lack the fact.

    Raises:
        InputError: the file can't be read, or has another column.
        TooManyGroupsError: there are more groups than can be planned.
    """
    database = connect()
    import duckdb

    what = "file of SQL" if path.endswith(SQL) else "Parquet file"
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError(Problem(path, f"can't read the {what}: not a regular file"))
        _make_view(database, path)
        group = sql.statements("duckdb").group.replace(' AS "hosts"', ' AS "hosts", MIN("row") AS "row"')
        database.execute(f'CREATE TABLE found AS SELECT *, ROW_NUMBER() OVER (ORDER BY "row") - 1 AS id FROM ({group})')
        numbers = _groups(database, path, classes, findings)
        join = sql.statements("duckdb", outcomes="found").join
        condition = join[join.index("\n  ON ") :]
        database.execute(
            'SELECT i."hostname", i."boot_id", i."labels", i."running_tds", o.id, i."row" FROM inventory AS i'
            f' JOIN found AS o {condition} ORDER BY i."row"'
        )
        yield from _rows(database, path, numbers, findings)
    except (duckdb.Error, OSError, ValueError) as error:
        raise InputError(Problem(path, f"can't read the {what}: {str(error).partition(chr(10))[0]}")) from None
    finally:
        database.close()


def write_parquet(hosts_jsonl: str) -> None:
    """Write the Parquet file beside a file with the lines of hosts. Raises InputError if it can't be written."""
    import duckdb

    path = hosts_jsonl.removesuffix(".jsonl") + ".parquet"
    temporary = f"{os.path.dirname(path)}/.seamstep.{os.getpid()}.parquet"
    database = connect()
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
        lines = f"read_json({_text(hosts_jsonl)}, format = 'newline_delimited', columns = {_COLUMNS})"
        into = f"{_text(temporary)} (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)"
        database.execute(
            f"COPY (SELECT * REPLACE (CAST(labels AS MAP(VARCHAR, VARCHAR)) AS labels) FROM {lines}) TO {into}"
        )
        os.replace(temporary, path)
    except (duckdb.Error, OSError) as error:
        raise InputError(Problem(path, f"can't write: {str(error).partition(chr(10))[0]}")) from None
    finally:
        database.close()
        if os.path.exists(temporary):
            os.unlink(temporary)


def _make_view(database: DuckDBPyConnection, path: str) -> None:
    """Make the view ``inventory``, with the columns of ``sql`` and ``row``, the number of the row from 1."""
    source, row = f"read_parquet({_text(glob.escape(path))}, file_row_number = true)", "file_row_number"
    if path.endswith(SQL):
        _run(database, path)
        source, row = "given", "rowid"
    types = {name: kind for name, kind, *_ in database.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()}
    known = {*sql.SHARED, *sql.OWN, "schema", "file_row_number"}
    wrong = [Problem(path, "unknown column", (name,)) for name in types if name not in known]
    wrong += [Problem(path, "the column is missing", (name,)) for name in _NEEDED if name not in types]
    if wrong:
        raise InputError(wrong)
    columns = [f'{_column(name, types.get(name))} AS "{name}"' for name in (*sql.SHARED, *sql.OWN)]
    database.execute(f'CREATE VIEW inventory AS SELECT {", ".join(columns)}, {row} + 1 AS "row" FROM {source}')


def _run(database: DuckDBPyConnection, path: str) -> None:
    """Run the statements in a file of SQL; the rows of the last, a query, become the table ``given``."""
    import duckdb

    text = decode(read_bytes(path, _SQL_LIMIT, "file of SQL"), path)
    statements = database.extract_statements(text)
    if not statements or statements[-1].type != duckdb.StatementType.SELECT:
        raise InputError(Problem(path, "the last statement is no query; expected a SELECT with a row for each host"))
    for statement in statements[:-1]:
        database.execute(statement)
    database.execute(f"CREATE TABLE given AS {statements[-1].query}")


def _column(name: str, kind: str | None) -> str:
    """A column in the type that the statements expect: NULL if there is none."""
    wanted = {"remaining_updates": "BIGINT", "running_tds": "BIGINT", "simulated": "BOOLEAN"}.get(name, "VARCHAR")
    if kind is None:
        return f"CAST(NULL AS {wanted})"
    if wanted == "VARCHAR" and kind != "VARCHAR" and name in {*sql.NESTED, "labels"}:
        return f'CAST(to_json("{name}") AS VARCHAR)'
    return f'CAST("{name}" AS {wanted})'


def _groups(database: DuckDBPyConnection, path: str, classes: Classes, findings: Findings) -> list[int]:
    """The number of each group in ``classes``, by its ``id``; _INVALID for those that are no facts, which become
    findings."""
    found = database.execute(f"SELECT * FROM found ORDER BY id LIMIT {GROUPS_MAX + 1}")
    names = [column[0] for column in found.description or ()]
    numbers: list[int] = []
    for values in found.fetchall():
        if len(numbers) == GROUPS_MAX:
            raise TooManyGroupsError(f"{path} has more than {GROUPS_MAX:,} kinds of hosts")
        row = dict(zip(names, values, strict=True))
        try:
            numbers.append(classes.of_data(sql.document_of(row), path)[0])
        except InputError as error:
            numbers.append(_INVALID)
            more = f" (and {row['hosts'] - 1:,} rows like it)" if row["hosts"] > 1 else ""
            findings.add(
                one._replace(source=path, line=row["row"], column=1, message=one.message + more)
                for one in error.problems
            )
    return numbers


def _rows(database: DuckDBPyConnection, path: str, numbers: list[int], findings: Findings) -> Iterator[Host]:
    labels: dict[str | None, bytes] = {None: NO_LABELS}
    while rows := database.fetchmany(_ROWS):
        for name, boot, text, tds, group, number in rows:
            if numbers[group] == _INVALID:
                continue
            if tds is not None and tds < 0:
                findings.add([Problem(path, f"{tds} is no number of TDs", ("running_tds",), number, 1)])
                continue
            known = labels.get(text)
            if known is None:
                try:
                    known = labels_text(_labels(text, path), path)
                except InputError as error:
                    findings.add(one._replace(line=number, column=1) for one in error.problems)
                    continue
                if len(labels) < _REMEMBERED_MAX:
                    labels[text] = known
            yield Host(_json(name), _json(boot), known, tds, numbers[group], path, number)


def _labels(text: str, path: str) -> Any:
    labels = parse_json(text, path)
    return {name: one for name, one in labels.items() if one is not None} if isinstance(labels, dict) else labels


def _json(text: str | None) -> bytes:
    return b"null" if text is None else encode_basestring_ascii(text).encode("ascii")


def _text(text: str) -> str:
    """A text of SQL."""
    return "'" + text.replace("'", "''") + "'"
