"""Questions in SQL, and rows in files: on SQLite and on PostgreSQL."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from recorded import everything, lines

from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.export import FORMS, TABLES, export
from coiled_runtime_cli.db.ingest import ingest
from coiled_runtime_cli.db.query import asked
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, empty_database: Path, tmp_path: Path) -> str:
    """The path or URL of a database with two sessions."""
    if request.param == "postgresql":
        target = str(request.getfixturevalue("new_postgresql")())
    else:
        target = str(tmp_path / "filled.db")
        shutil.copyfile(empty_database, target)
    engine = open_database(target)
    for number in (1, 2):
        ingest(engine, lines(number))
    engine.dispose()
    return target


def answer(target: str, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    with asked(target, sql) as (names, rows):
        return names, list(rows)


def test_the_documented_question_is_answered(filled: str) -> None:
    names, rows = answer(filled, "select dask_version, peak_memory from test_run where name = 'test_x[0]'")
    assert names == ["dask_version", "peak_memory"]
    assert rows == [("2026.8.0", 1e9)] * 4


def test_values_come_as_json_has_them(filled: str) -> None:
    names, rows = answer(
        filled,
        "select start, failure, call_outcome, 1 as a, 2 as a, name like '%[0]' as b from test_run order by start",
    )
    assert names == ["start", "failure", "call_outcome", "a", "a_2", "b"]
    assert json.loads(json.dumps(rows[0])) == [rows[0][0], "AssertionError: ü <b>", None, 1, 2, True]
    assert rows[0][0].startswith("2023-11-15")
    assert answer(filled, "select avg(duration), sum(duration) from test_run;")[1] == [
        (pytest.approx(0.15), pytest.approx(1.2))
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "delete from run",
        "update run set duration = 1",
        "drop table metric",
        "insert into source(hash) values ('x') returning hash",
        "create table x (a integer)",
        "create temporary table x (a integer)",
        "select 1; delete from metric",
        "commit; delete from metric",
        "with gone as (delete from metric returning 1) select * from gone",
        "truncate metric",
        "attach database 'stolen.db' as s",
        "vacuum into 'stolen.db'",
        "pragma journal_mode = wal",
        "copy metric to '/tmp/crt-stolen.csv'",
        "nonsense",
        "",
        " ; ",
        "select * from nothing_of_the_kind",
    ],
)
def test_nothing_but_a_question_is_taken(
    filled: str, tmp_path: Path, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    engine = open_database(filled)
    before = everything(engine)
    if "copy metric" in sql and filled.startswith("postgresql"):
        pytest.skip("a superuser of a server may write files there: that is the server's to refuse")
    with pytest.raises(UsageError):
        answer(filled, sql)
    assert everything(engine) == before
    engine.dispose()
    assert not (tmp_path / "stolen.db").exists()


def test_answers_are_not_gathered_in_memory(filled: str) -> None:
    with asked(
        filled, "with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000) select * from n"
    ) as (
        _,
        rows,
    ):
        assert sum(row[0] for row in rows) == 5_000_050_000


@pytest.mark.parametrize("what", TABLES)
def test_every_form_says_the_same(filled: str, what: str) -> None:
    import pyarrow.parquet as pq

    engine = open_database(filled, read_only=True)
    written: dict[str, bytes] = {}
    for form in FORMS:
        stream = io.BytesIO()
        told: list[tuple[int, int]] = []
        count = export(engine, stream, what=what, form=form, progress=lambda done, total: told.append((done, total)))  # noqa: B023
        assert told[-1] == (count, count)
        written[form] = stream.getvalue()
    engine.dispose()
    table = pq.read_table(io.BytesIO(written["parquet"]))
    document = json.loads(written["json"])
    cells = list(csv.reader(io.StringIO(written["csv"].decode())))
    assert table.num_rows == len(document["rows"]) == len(cells) - 1 > 0
    assert (document["schema"], document["table"]) == (1, what)
    assert table.column_names == list(document["rows"][0]) == cells[0]
    if what == "test_run":
        assert table.num_rows == 8
        assert str(table.schema.field("start").type) == "timestamp[us, tz=UTC]"
        assert str(table.schema.field("duration").type) == "double"
        assert table["duration"].to_pylist() == [row["duration"] for row in document["rows"]]
        assert [float(row[cells[0].index("duration")]) for row in cells[1:]] == table["duration"].to_pylist()
        assert document["rows"][0]["start"] == "2023-11-15T01:00:00+00:00"
    if what == "metric":
        assert table.num_rows == 16
    if what == "environment":
        assert json.loads(table["packages"].to_pylist()[0])[0]["name"] == "dask"
    assert not any(name == "key" or name.endswith("_key") for name in table.column_names)


def test_an_export_has_every_column_of_the_view(filled: str) -> None:
    engine = open_database(filled, read_only=True)
    stream = io.BytesIO()
    export(engine, stream, form="csv")
    names = next(csv.reader(io.StringIO(stream.getvalue().decode())))
    with closing(engine.connect()) as connection:
        assert list(connection.exec_driver_sql("select * from test_run").keys()) == names
    engine.dispose()


def test_what_is_exported_to_stdout_by_its_name_has_no_line_more(filled: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "coiled_runtime_cli", "db", "export", "--format", "csv", "--db", filled]
    by_dash, by_name = (
        subprocess.run([*command, file], cwd=tmp_path, capture_output=True, check=True) for file in ("-", "/dev/stdout")
    )
    assert by_name.stdout == by_dash.stdout
    assert by_dash.stdout.count(b"\n") > 1
    to_a_file = subprocess.run([*command, "runs.csv"], cwd=tmp_path, capture_output=True, check=True)
    assert (tmp_path / "runs.csv").read_bytes() == by_dash.stdout
    assert to_a_file.stdout.startswith(b"runs.csv: ")
