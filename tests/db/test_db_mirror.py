"""The mirror of a history: the same as the database says, whatever happened to either."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coiled_runtime_cli.core.record import Benchmark, Environment, Metric, Package, Run, SessionStarted
from coiled_runtime_cli.db import history as reader
from coiled_runtime_cli.db import mirror
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.history import read_history
from coiled_runtime_cli.db.ingest import ingest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def store(database: Path, session: int, runs: int = 3, *, failure: str | None = None) -> None:
    """A session with its runs, each with a value, a metric, and the first with a failure."""
    environment = Environment(
        python="3.11.7", platform="linux", packages=(Package(name="dask", version=f"1.{session}"),)
    )
    benchmark = Benchmark(path="benchmarks/test_x.py", name="test_x", originalname="test_x")
    lines: list[Any] = [
        SessionStarted(id=f"s{session}", started=1.7e9 + 1000 * session, label="a"),
        environment,
        benchmark,
    ]
    lines += [
        Run(
            uuid=f"00000000-0000-4000-8000-{session:06d}{number:06d}",
            session=f"s{session}",
            benchmark=benchmark.id,
            environment=environment.id,
            outcome="failed" if failure and not number else "passed",
            failure=failure if not number else None,
            start=1.7e9 + 1000 * session + number,
            duration=float(session + number),
            metrics=(Metric(name="rows", value=float(number)),),
        )
        for number in range(runs)
    ]
    engine = open_database(str(database))
    ingest(engine, lines)
    engine.dispose()


def read(database: Path, cache: Path | None) -> Any:
    engine = open_database(str(database))
    try:
        return read_history([engine], cache=cache)
    finally:
        engine.dispose()


def same(one: Any, other: Any) -> bool:
    arrays = ("uuid", "session", "environment", "benchmark", "cluster", "outcome", "start", "end", "repeat", "profiled")
    return (
        all(np.array_equal(getattr(one.runs, name), getattr(other.runs, name)) for name in arrays)
        and one.runs.values.keys() == other.runs.values.keys()
        and all(np.array_equal(one.runs.values[key], other.runs.values[key], equal_nan=True) for key in one.runs.values)
        and (one.sessions, one.environments, one.benchmarks, one.notes)
        == (other.sessions, other.environments, other.benchmarks, other.notes)
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of runs that each reader has asked the database for."""
    counts: list[int] = []
    batches = reader._batches

    def counted(*args: Any, **rest: Any) -> Iterator[mirror.Rows]:
        counts.append(0)
        for batch in batches(*args, **rest):
            counts[-1] += len(batch.key)
            yield batch

    monkeypatch.setattr(reader, "_batches", counted)
    return counts


def test_the_next_reader_asks_for_new_runs_only(tmp_path: Path, asked: list[int]) -> None:
    database, cache = tmp_path / "a.db", tmp_path / "cache"
    for session in range(4):
        store(database, session, failure="AssertionError: 1" if session % 2 else None)
        assert same(read(database, cache), read(database, None))
    assert asked[::2] == [3, 3, 3, 3]
    assert asked[1::2] == [3, 6, 9, 12]
    assert same(read(database, cache), read(database, None))
    assert asked[-2:] == [0, 12]


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "index", "foreign", "longer"])
def test_a_damaged_mirror_costs_time_and_nothing_else(tmp_path: Path, asked: list[int], damage: str) -> None:
    database, cache = tmp_path / "a.db", tmp_path / "cache"
    store(database, 1)
    read(database, cache)
    (folder,) = cache.iterdir()
    (rows,) = folder.glob("rows-*")
    file = rows / "start"
    if damage == "truncate":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "flip":
        raw = bytearray(file.read_bytes())
        raw[3] ^= 1
        file.write_bytes(raw)
    elif damage == "remove":
        file.unlink()
    elif damage == "index":
        (folder / "index.json").write_text('{"layout": [')
    elif damage == "foreign":
        (folder / "index.json").write_text("[]")
    else:  # what a writer left that was killed before its index: not counted, and written over
        file.write_bytes(file.read_bytes() + b"x" * 100)
    store(database, 2)
    assert same(read(database, cache), read(database, None))
    assert asked[-2] == (3 if damage == "longer" else 6)
    assert same(read(database, cache), read(database, None))
    assert asked[-2] == 0


def test_a_database_in_the_place_of_another_is_read_anew(tmp_path: Path, asked: list[int]) -> None:
    database, other, cache = tmp_path / "a.db", tmp_path / "b.db", tmp_path / "cache"
    store(database, 1)
    store(other, 2)
    read(database, cache)
    shutil.copyfile(other, database)
    assert same(read(database, cache), read(other, None))
    assert asked[-2] == 3


def test_a_cache_that_cannot_be_written_is_not(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    store(database, 1)
    (tmp_path / "a file").write_text("")
    assert same(read(database, tmp_path / "a file" / "cache"), read(database, None))


def test_while_another_writes_the_mirror_it_stays_as_it_is(tmp_path: Path, asked: list[int]) -> None:
    fcntl = pytest.importorskip("fcntl")
    database, cache = tmp_path / "a.db", tmp_path / "cache"
    store(database, 1)
    read(database, cache)
    store(database, 2)
    (folder,) = cache.iterdir()
    with (folder / ".lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert same(read(database, cache), read(database, None))
    assert same(read(database, cache), read(database, None))
    assert asked[-2] == 3


def test_five_mirrors_are_kept_and_nothing_else_is_touched(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "notes.txt").write_text("mine")
    (cache / "a folder").mkdir()
    for number in range(7):
        store(tmp_path / f"{number}.db", number)
        read(tmp_path / f"{number}.db", cache)
    assert (cache / "notes.txt").read_text() == "mine"
    assert (cache / "a folder").is_dir()
    assert len(list(cache.iterdir())) == 7


@given(steps=st.lists(st.sampled_from(["add", "add", "failed", "delete last", "delete some", "rename"]), max_size=7))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_with_a_mirror_or_without_the_history_is_the_same(
    tmp_path: Path, empty_database: Path, steps: list[str]
) -> None:
    database, cache = tmp_path / "a.db", tmp_path / "cache"
    shutil.copyfile(empty_database, database)
    shutil.rmtree(cache, ignore_errors=True)
    for number, step in enumerate(steps):
        if step in ("add", "failed"):
            store(database, number, failure="Error: ü" if step == "failed" else None)
        with closing(sqlite3.connect(database)) as connection, connection:
            if step == "delete last":
                connection.execute("delete from metric where run_key = (select max(key) from run)")
                connection.execute("delete from run where key = (select max(key) from run)")
            elif step == "delete some":
                connection.execute("delete from metric where run_key % 3 = 1")
                connection.execute("delete from run where key % 3 = 1")
            elif step == "rename":
                connection.execute("update session set id = id || 'x'")
        assert same(read(database, cache), read(database, None))
