"""Sessions out of one database and into another, as segments."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded import everything, lines, uuid
from sqlalchemy import text

from coiled_runtime_cli.core import segment as core
from coiled_runtime_cli.core.record import (
    Benchmark,
    Cluster,
    Environment,
    SessionStarted,
)
from coiled_runtime_cli.core.segment import Segment, SegmentError
from coiled_runtime_cli.db.apply import apply_segment
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest
from coiled_runtime_cli.db.segments import read_segment
from coiled_runtime_cli.errors import ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture
def new_database(empty_database: Path, tmp_path: Path) -> Callable[[], Engine]:
    numbers = itertools.count()

    def make() -> Engine:
        path = tmp_path / f"{next(numbers)}.db"
        shutil.copyfile(empty_database, path)
        return open_database(str(path))

    return make


def test_a_session_goes_elsewhere_as_it_is(new_database: Any) -> None:
    here, there = new_database(), new_database()
    ingest(here, [*lines(1), *lines(2)])
    for session in ("s2", "s1"):
        segment = read_segment(here, session)
        raw = core.to_bytes(segment)
        applied = apply_segment(there, core.from_bytes(raw))
        assert (applied.new, applied.known, applied.conflicts) == (4, 0, ())
        # it is the same there: one session is one segment on every machine
        assert core.to_bytes(read_segment(there, session)) == raw
    mine, theirs = everything(here), everything(there)
    assert len(mine["test_run"]) == 8
    assert len(mine["metric"]) == 16
    # rows have other numbers there; what they say is the same
    assert {name: len(rows) for name, rows in mine.items()} == {name: len(rows) for name, rows in theirs.items()}
    assert mine["metric"] == theirs["metric"]
    assert mine["cluster"] == theirs["cluster"]
    again = apply_segment(there, read_segment(here, "s1"))
    assert (again.new, again.known, again.conflicts) == (0, 4, ())
    assert everything(there) == theirs


def test_it_goes_through_postgresql_and_back(new_database: Any, new_postgresql: Callable[[], str]) -> None:
    here, other = new_database(), open_database(new_postgresql())
    ingest(here, lines(1))
    raw = core.to_bytes(read_segment(here, "s1"))
    assert apply_segment(other, core.from_bytes(raw)).new == 4
    assert core.to_bytes(read_segment(other, "s1")) == raw
    assert apply_segment(other, core.from_bytes(raw)).known == 4
    other.dispose()


def test_what_was_imported_goes_elsewhere_too(new_database: Any, tmp_path: Path) -> None:
    from coiled_runtime_cli.db.legacy import import_history, opened

    old = tmp_path / "old.db"
    with closing(sqlite3.connect(old)) as connection, connection:
        columns = "session_id, name, originalname, path, call_outcome, dask_version, start, duration, cluster_name, cluster_id"
        connection.execute(f"create table test_run (id integer primary key, {columns})")
        connection.executemany(
            f"insert into test_run ({columns}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    "5a",
                    "test_a",
                    "test_a",
                    "benchmarks/test_x.py",
                    "passed",
                    "2024.2.1+17.gabc1234",
                    "2024-03-01 00:30:00.180377",
                    1.5,
                    "c",
                    7,
                ),
                (None, "test_b", "test_b", None, "failed", None, None, None, None, None),
                ("\x01 odd", "test_c", "test_c", "p", "passed", None, "2024-03-02", float("inf"), None, None),
            ],
        )
    here, there = new_database(), new_database()
    with opened(old) as source:
        import_history(here, source)
    with here.connect() as connection:
        sessions = list(connection.scalars(text("select id from session order by id")))
    assert len(sessions) == 3
    for session in sessions:
        raw = core.to_bytes(read_segment(here, session))
        key = core.key_of(core.from_bytes(raw), raw)
        assert core.parse_key(key) is not None
        apply_segment(there, core.from_bytes(core.unpack(key, core.pack(raw))))
        assert core.to_bytes(read_segment(there, session)) == raw
    columns = "uuid, session_id, name, path, outcome, dask_version, start, duration, cluster_id, repeat"
    view = f"select {columns} from test_run order by uuid"
    with here.connect() as one, there.connect() as other:
        assert one.execute(text(view)).all() == other.execute(text(view)).all()


def changed(segment: Segment, uuid: str, **changes: Any) -> Segment:
    runs = [{**row, **changes} if row["uuid"] == uuid else row for row in segment.tables["run"]]
    return dataclasses.replace(segment, tables={**segment.tables, "run": runs})


def with_benchmarks(segment: Segment, **changes: Any) -> Segment:
    benchmarks = [{**row, **changes} for row in segment.tables["benchmark"]]
    return dataclasses.replace(segment, tables={**segment.tables, "benchmark": benchmarks})


def test_of_two_runs_that_should_be_one_the_same_stays_everywhere(new_database: Any) -> None:
    source = new_database()
    ingest(source, lines(1))
    one = read_segment(source, "s1")
    other = changed(one, uuid(1, 2), duration=7.5, metrics=[["rows", "", "lower", 1.0]])
    ends = []
    for order in ((one, other), (other, one), (one, other, one, other)):
        engine = new_database()
        reports = [apply_segment(engine, each) for each in order]
        assert [each.conflicts for each in reports[1:]] == [(uuid(1, 2),)] * (len(order) - 1) or len(order) == 4
        ends.append(core.to_bytes(read_segment(engine, "s1")))
    assert ends[0] == ends[1] == ends[2]


@given(chance=st.randoms(use_true_random=False))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_order_of_segments_matters(empty_database: Path, tmp_path: Path, chance: Any) -> None:
    for file in tmp_path.glob("*.db"):
        file.unlink()
    shutil.copyfile(empty_database, tmp_path / "source.db")
    source = open_database(str(tmp_path / "source.db"))
    ingest(source, [*lines(1), *lines(2, ended=False)])
    segments = [read_segment(source, each) for each in ("s1", "s2")]
    first = segments[0]
    segments += [
        changed(first, uuid(1, 1), duration=chance.choice([1.0, 2.0])),
        dataclasses.replace(
            first, session={**first.session, "interrupted": True, "ended": "2030-01-01T00:00:00.000000Z"}
        ),
        dataclasses.replace(first, session={"id": "s1", "interrupted": chance.random() < 0.5, "label": "zzz"}),
    ]
    ends = []
    for number in range(2):
        path = tmp_path / f"{number}.db"
        shutil.copyfile(empty_database, path)
        engine = open_database(str(path))
        for each in chance.sample(segments, len(segments)):
            apply_segment(engine, each)
        ends.append([core.to_bytes(read_segment(engine, each)) for each in ("s1", "s2")])
        engine.dispose()
    source.dispose()
    assert ends[0] == ends[1]


def test_a_segment_comes_whole_or_not_at_all(new_database: Any) -> None:
    source, engine = new_database(), new_database()
    ingest(source, lines(1))
    good = read_segment(source, "s1")
    bad: list[Segment] = [
        dataclasses.replace(good, revision="0123456789ab"),
        dataclasses.replace(good, tables={**good.tables, "alembic_version": [{"version_num": "x"}]}),
        dataclasses.replace(good, tables={**good.tables, "environment": []}),
        dataclasses.replace(good, tables={**good.tables, "run": [*good.tables["run"], good.tables["run"][0]]}),
        dataclasses.replace(good, session={"id": "s1"}),
        changed(good, uuid(1, 3), duration="1; drop table run"),
        changed(good, uuid(1, 3), key=5),
        changed(good, uuid(1, 3), outcome=None),
        changed(good, uuid(1, 3), outcome=["passed"]),
        changed(good, uuid(1, 3), start="yesterday"),
        changed(good, uuid(1, 3), repeat=2**64),
        changed(good, uuid(1, 3), repeat=True),
        changed(good, uuid(1, 3), failure="\0"),
        changed(good, uuid(1, 3), failure="\ud800"),
        changed(good, uuid(1, 3), benchmark=["no", 1, "such"]),
        changed(good, uuid(1, 3), benchmark={"a": 1}),
        changed(good, uuid(1, 3), metrics=[["rows", "", "lower"]]),
        changed(good, uuid(1, 3), metrics=[["other", "", "lower", 1.0]]),
        changed(good, uuid(1, 3), metrics=[["rows", "", "lower", 1.0, 2.0]]),
        changed(good, uuid(1, 3), metrics=[["rows", "", "lower", 10**400]]),
        changed(good, uuid(1, 3), metrics=[["rows", "", "lower", "NaN"]]),  # SQLite has none
        changed(good, uuid(1, 3), metrics=[["rows", "", "lower", 1.0], ["rows", "", "lower", 2.0]]),
        changed(good, uuid(1, 3), metrics=[[]]),
        changed(good, uuid(1, 3), metrics=None),
        changed(good, uuid(1, 3), metrics=5),
        changed(good, uuid(1, 3), duration=10**400),
        dataclasses.replace(good, tables={**good.tables, "source": []}),
        with_benchmarks(good, formerly=5),
        with_benchmarks(good, formerly=["\ud800"]),
    ]
    before = everything(engine)
    for each in bad:
        with pytest.raises(SegmentError):
            apply_segment(engine, each)
        assert everything(engine) == before
    assert apply_segment(engine, good).new == 4


@pytest.mark.parametrize("environment", [{"z": 1}, ["z", "z"], "z\ud800", "zz"], ids=["object", "list", "text", "id"])
def test_a_known_session_is_pointed_to_no_other_thing(new_database: Any, environment: Any) -> None:
    engine = new_database()
    ingest(engine, lines(1))
    good = read_segment(engine, "s1")
    before = everything(engine)
    with pytest.raises(SegmentError):
        apply_segment(engine, dataclasses.replace(good, session={**good.session, "environment": environment}))
    assert everything(engine) == before


def test_what_a_database_knows_more_of_is_kept_and_completed(new_database: Any) -> None:
    source, engine = new_database(), new_database()
    ingest(source, lines(1))
    told = [each for each in lines(1) if not isinstance(each, (Environment, Benchmark, Cluster, SessionStarted))]
    ingest(engine, told)  # runs of which nothing else is known
    apply_segment(engine, read_segment(source, "s1"))
    one, other = (json.loads(core.to_bytes(read_segment(each, "s1")).splitlines()[0]) for each in (source, engine))
    assert one["session"] == other["session"]
    with engine.connect() as connection:
        assert connection.scalar(text("select dask_version from environment")) == "2026.8.0"
        assert connection.scalar(text("select count(*) from benchmark where params is null")) == 0


def test_a_session_that_is_not_there_and_one_that_is_damaged_are_told(new_database: Any, tmp_path: Path) -> None:
    engine = new_database()
    with pytest.raises(UsageError, match="no session s9"):
        read_segment(engine, "s9")
    ingest(engine, lines(1))
    path = str(engine.url.database)
    engine.dispose()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update run set duration = 'long'")
    with pytest.raises(ToolError, match="session s1 holds what crt did not write"):
        read_segment(open_database(path), "s1")
