"""Fleets in tables: Parquet and the two statements, with DuckDB and with a real Spark."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_fleet_plan import FLEET, PLAN, as_lines, host, planned, result

from conftest import DAY, FACTS, LATEST, Run
from seamstep.fleet import sql, tables
from seamstep.fleet.members import spool
from seamstep.fleet.planning import FleetPlan, Ground
from seamstep.fleet.sql import SHARED, statements
from seamstep.image import catalog
from seamstep.policy import policy_file

pytestmark = pytest.mark.thorough  # .ci/run has the oldest DuckDB with the quick tests, the newest with these
#: Tests that need an extra are skipped only where it is not asked for; .ci/run asks for all.
REQUIRED = bool(os.environ.get("SEAMSTEP_REQUIRE_FLEET"))
DIALECTS = ("duckdb", "spark", "bigquery", "trino")


def needed(name: str) -> Any:
    """A package of an extra."""
    if REQUIRED:
        import importlib

        return importlib.import_module(name)
    return pytest.importorskip(name)


@pytest.fixture
def ground() -> Ground:
    loaded = catalog.load(str(LATEST))
    return Ground(
        loaded.mapping, loaded.releases, policy_file.load("fewest-hops", DAY), DAY, False, without_images=True
    )


def flat(document: dict[str, Any]) -> dict[str, Any]:
    """A facts document as a row of the table: lists and objects as JSON text."""
    nested = {*sql.NESTED, "labels"}
    row = {name: document.get(name) for name in (*SHARED, *sql.OWN)}
    return {name: json.dumps(value) if name in nested and value is not None else value for name, value in row.items()}


# -- the statements


def test_statements_are_printed(run: Run) -> None:
    for dialect in DIALECTS:
        out = run("fleet", "sql", "--dialect", dialect, "--inventory", "lake.fleet-1.facts").out
        assert out.count(";\n") == 2
        mark = '"' if dialect in {"duckdb", "trino"} else "`"
        assert f"FROM {mark}lake{mark}.{mark}fleet-1{mark}.{mark}facts{mark}" in out
    document = run("fleet", "sql", "--json").json
    assert (document["group"], document["join"]) == statements("duckdb")


@pytest.mark.parametrize("name", ["a b", "a;b", 'a"', "a`", "", "a..b", ".", "a.b.c.d.e", "-a", "é"])
def test_a_table_s_name_is_no_statement(run: Run, name: str) -> None:
    assert run("fleet", "sql", "--inventory", name).code == 2
    assert run("fleet", "sql", "--outcomes", name).code == 2


@pytest.mark.slow
@pytest.mark.parametrize("dialect", DIALECTS)
def test_statements_are_those_that_a_translator_writes(dialect: str) -> None:
    """sqlglot reads each dialect, and translates ours for DuckDB into what we print for the others."""
    sqlglot = needed("sqlglot")
    for ours, printed in zip(statements("duckdb"), statements(dialect), strict=True):
        (written,) = sqlglot.transpile(ours, read="duckdb", write=dialect, identify=True)
        (again,) = sqlglot.transpile(printed, read=dialect, write=dialect, identify=True)
        assert again == written


def test_groups_and_outcomes_of_rows(ground: Ground) -> None:
    group = {**flat(host("a")), "some_tds": 1, "hosts": 5, "tds": 12}
    rows = [
        group,
        group | {"some_tds": None, "hosts": 2, "tds": None},
        group | {"cpu_bugs": " [ ] ", "hosts": 1, "tds": 3},
        group | {"module_version": "x"},
        group | {"upload": "{"},
        group | {"unknown": '{"kernel": null}'},
    ]
    with spool(None) as file:
        found = tables.outcomes(rows, ground, file)
    assert [(row["class"], row["outcome"]) for row in found.rows] == [
        ("c0001", "update"),
        ("c0001", "update"),
        ("c0001", "update"),
        (None, "invalid"),
        (None, "invalid"),
        ("c0001", "update"),
    ]
    assert "'x' is not a version of three numbers" in found.rows[3]["reason"]
    assert (found.findings.count, found.plan.totals["hosts"], found.plan.totals["tds"]) == (2, 13, 27)
    assert found.plan.totals["tds_unknown"] == 2


# -- DuckDB


def parquet(path: Path, documents: list[dict[str, Any]], *, nested: bool = True) -> Path:
    """A Parquet file with a row for each document, with types for lists and objects or with JSON text."""
    duckdb = needed("duckdb")
    lines = as_lines(path.with_suffix(".jsonl"), [document if nested else flat(document) for document in documents])
    columns = dict.fromkeys((*SHARED, *sql.OWN), "VARCHAR") | {"remaining_updates": "BIGINT", "running_tds": "INT"}
    columns |= {"simulated": "BOOLEAN"}
    if nested:
        columns |= dict.fromkeys(("cpu_signatures", "cpu_limits", "cpu_bugs"), "VARCHAR[]")
        columns |= {"upload": "STRUCT(name VARCHAR, status VARCHAR)"}
        columns |= dict.fromkeys(("unknown", "labels"), "MAP(VARCHAR, VARCHAR)")
    with duckdb.connect() as database:
        database.execute(f"COPY (FROM read_json('{lines}', columns = {columns})) TO '{path}' (FORMAT parquet)")
    return path


@pytest.mark.parametrize("nested", [True, False])
def test_parquet_is_as_good_as_lines(run: Run, tmp_path: Path, nested: bool) -> None:
    expected, hosts = planned(run, tmp_path / "out", as_lines(tmp_path / "fleet.jsonl", FLEET))
    path = parquet(tmp_path / "fleet.parquet", FLEET, nested=nested).rename(tmp_path / "it's.parquet")
    found, others = planned(run, tmp_path / "other", path)
    assert (found, others) == (expected, hosts)
    folder = tmp_path / "folder"
    folder.mkdir()
    path.rename(folder / "fleet.parquet")
    assert planned(run, tmp_path / "other", folder)[1] == hosts


def test_rows_of_a_query_are_as_good_as_lines(run: Run, tmp_path: Path) -> None:
    """The query reads a database that the file of SQL attaches, as it would one far away."""
    expected, hosts = planned(run, tmp_path / "out", as_lines(tmp_path / "fleet.jsonl", FLEET))
    table = parquet(tmp_path / "fleet.parquet", FLEET)
    with needed("duckdb").connect(str(tmp_path / "inventory.db")) as database:
        database.execute(f"CREATE TABLE hosts AS SELECT * FROM read_parquet('{table}')")
    query = tmp_path / "i.sql"
    query.write_text(f"ATTACH '{tmp_path}/inventory.db' AS far (READ_ONLY);\nSELECT * FROM far.hosts;\n")
    assert planned(run, tmp_path / "other", query) == (expected, hosts)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the last statement is no query"),
        ("CREATE TABLE x (y INTEGER)", "the last statement is no query"),
        ("SELECT 1 AS one", "one: unknown column"),
        ("SELECT nonsense FROM nowhere", "can't read the file of SQL"),
        ("SELEKT", "can't read the file of SQL"),
    ],
)
def test_files_of_sql_that_give_no_hosts(run: Run, tmp_path: Path, text: str, says: str) -> None:
    needed("duckdb")
    path = tmp_path / "i.sql"
    path.write_text(text or " ")
    ran = run("fleet", "plan", path, "--mapping", LATEST, "--without-images", "-o", tmp_path / "out")
    assert (ran.code, says in ran.err) == (2, True), ran.err


def test_a_file_of_sql_in_a_folder_is_not_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet" / "a.json").write_text(FACTS.read_text())
    (tmp_path / "fleet" / "b.sql").write_text(f"COPY (SELECT 1) TO '{tmp_path}/ran.csv'; SELECT 1")
    ran = run("fleet", "plan", tmp_path / "fleet", "--mapping", LATEST, "--without-images", "-o", tmp_path / "out")
    assert (ran.code, (tmp_path / "ran.csv").exists()) == (0, False)


def test_findings_in_parquet(run: Run, tmp_path: Path) -> None:
    documents = [
        host("a"),
        host("b", module_version="x"),
        host("c", module_version="x"),
        host("a"),
        host("d", running_tds=-1),
        host("e", labels={"domain": "é"}),
        host("f", labels=[1]),
    ]
    path = parquet(tmp_path / "fleet.parquet", documents, nested=False)
    document, hosts = planned(run, tmp_path / "out", path, code=1)
    assert [one["host"] for one in hosts] == ["a", "e"]
    assert hosts[1]["labels"] == {"domain": "é"}
    found = sorted((problem["line"], problem["message"]) for problem in document["findings"]["problems"])
    assert [line for line, _ in found] == [2, 4, 5, 7]
    assert found[0][1].endswith("(and 1 rows like it)")


def test_columns_of_parquet(run: Run, tmp_path: Path) -> None:
    duckdb = needed("duckdb")
    path = tmp_path / "fleet.parquet"
    for columns, code, told in (
        ("'a' AS hostname, '1.5.24' AS module_version", 0, "1 host in 1 class"),
        ("'a' AS hostname, '1.5.24' AS module_version, 1 AS more", 2, "more: unknown column"),
        ("'a' AS hostname", 2, "module_version: the column is missing"),
        ("'a' AS hostname, '1.5.24' AS module_version, 'many' AS running_tds", 2, "can't read the Parquet file"),
    ):
        duckdb.sql(f"COPY (SELECT {columns}) TO '{path}' (FORMAT parquet)")
        ran = run(*PLAN, path)
        assert (ran.code, told in ran.out + ran.err) == (code, True), ran
    path.write_bytes(b"no Parquet")
    assert run(*PLAN, path).code == 2
    path.unlink()
    os.mkfifo(path)
    assert "not a regular file" in run(*PLAN, path).err
    assert run(*PLAN, tmp_path / "nowhere.parquet").code == 2


def test_a_name_is_no_pattern(run: Run, tmp_path: Path) -> None:
    for number, name in enumerate(("*", "[ab]", "?")):
        parquet(tmp_path / "x.parquet", [host(str(number))]).rename(tmp_path / f"{name}.parquet")
    parquet(tmp_path / "a.parquet", [host("a")])
    for number, name in enumerate(("*", "[ab]", "?")):
        _, hosts = planned(run, tmp_path / "out", tmp_path / f"{name}.parquet")
        assert [one["host"] for one in hosts] == [str(number)]


def test_hosts_as_parquet(run: Run, tmp_path: Path) -> None:
    duckdb = needed("duckdb")
    out = tmp_path / "it's"
    assert run(*PLAN, as_lines(tmp_path / "fleet.jsonl", FLEET), "-o", out, "--parquet").code == 0
    _, hosts = result(out)
    path = out / "hosts.parquet"
    assert path.stat().st_mode & 0o777 == 0o600
    columns = ("host", "boot_id", "class", "outcome", "wave", "labels")
    rows = duckdb.read_parquet(str(path)).fetchall()
    assert [dict(zip(columns, row, strict=True)) for row in rows] == hosts
    assert {one.name for one in out.iterdir()} == {"fleet.json", "hosts.jsonl", "hosts.parquet"}
    assert run(*PLAN, tmp_path / "fleet.jsonl", "-o", out, "--force").code == 0


def test_without_duckdb(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "duckdb", None)
    (tmp_path / "fleet.parquet").write_bytes(b"")
    for arguments in ((tmp_path / "fleet.parquet",), (LATEST, "-o", tmp_path / "out", "--parquet")):
        ran = run(*PLAN, *arguments)
        assert (ran.code, "the extra 'fleet' of seamstep" in ran.err) == (2, True)


def expected_of(run: Run, tmp_path: Path) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    document, hosts = planned(run, tmp_path / "expected", as_lines(tmp_path / "expected.jsonl", FLEET))
    return document, sorted((one["host"], one["boot_id"], one["class"], one["outcome"]) for one in hosts)


def test_the_statements_plan_a_fleet_in_duckdb(run: Run, tmp_path: Path, ground: Ground) -> None:
    duckdb = needed("duckdb")
    document, hosts = expected_of(run, tmp_path)
    pair = statements("duckdb")
    parquet(tmp_path / "rows.parquet", FLEET, nested=False)
    with duckdb.connect() as database, spool(None) as file:
        database.execute(f"CREATE TABLE inventory AS FROM '{tmp_path}/rows.parquet'")
        rows = database.execute(pair.group)
        names = [column[0] for column in rows.description]
        found = tables.outcomes([dict(zip(names, row, strict=True)) for row in rows.fetchall()], ground, file)
        lines = as_lines(tmp_path / "outcomes.jsonl", found.rows)
        columns = dict.fromkeys(found.rows[0], "VARCHAR") | {"remaining_updates": "BIGINT", "some_tds": "INT"}
        columns |= {"simulated": "BOOLEAN"}
        database.execute(f"CREATE TABLE outcomes AS FROM read_json('{lines}', columns = {columns})")
        joined = database.execute(pair.join).fetchall()
        assert sorted((host, boot, one, outcome) for host, boot, one, _, outcome, _ in joined) == hosts
        assert_same(found.plan, document)


def assert_same(plan: FleetPlan, document: dict[str, Any]) -> None:
    assert plan.totals == document["totals"]
    assert [one.document["class_id"] for one in plan.classes] == [one["class_id"] for one in document["classes"]]


# -- Spark


@pytest.fixture(scope="module")
def session() -> Iterator[Any]:
    """A real Spark in local mode. Takes Java."""
    sql_module = needed("pyspark.sql")
    if not REQUIRED and not shutil.which("java"):
        pytest.skip("there is no Java")
    builder = sql_module.SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    for name, value in (("spark.sql.shuffle.partitions", "2"), ("spark.driver.bindAddress", "127.0.0.1")):
        builder = builder.config(name, value)
    session = builder.config("spark.driver.host", "127.0.0.1").getOrCreate()
    yield session
    session.stop()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("nested", [True, False])
def test_the_statements_plan_a_fleet_on_spark(
    run: Run, tmp_path: Path, ground: Ground, session: Any, nested: bool
) -> None:
    from seamstep.fleet import on_spark

    document, hosts = expected_of(run, tmp_path)
    inventory = session.read.parquet(str(parquet(tmp_path / "rows.parquet", FLEET, nested=nested)))
    with spool(None) as file:
        found = on_spark.plan(session, inventory, ground, file)
        rows = sorted((row.host, row.boot_id, row["class"], row.outcome) for row in found.hosts.collect())
        assert rows == hosts
        assert_same(found.outcomes.plan, document)
        labels = {row.host: json.loads(row.labels or "{}") for row in found.hosts.collect()}
        assert labels["a"] == {"domain": "r1"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_columns_on_spark(ground: Ground, session: Any) -> None:
    from seamstep.base.errors import InputError
    from seamstep.fleet import on_spark

    with spool(None) as file:
        inventory = session.createDataFrame([("a", "1.5.24")], "hostname STRING, module_version STRING")
        found = on_spark.plan(session, inventory, ground, file)
        assert [row.outcome for row in found.hosts.collect()] == ["no-path"]
        with pytest.raises(InputError, match=r"more: unknown column\n.*module_version: the column is missing"):
            on_spark.plan(session, session.createDataFrame([("a", 1)], "hostname STRING, more INT"), ground, file)
