"""A database and its remotes: marks and rows come together, on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from recorded import TODAY, everything, lines, uuid
from sqlalchemy import text

from coiled_runtime_cli.core.record import Benchmark, Cluster, Environment, Metric
from coiled_runtime_cli.core.segment import SegmentError
from coiled_runtime_cli.db.absorb import absorb
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest
from coiled_runtime_cli.db.segments import read_segment
from coiled_runtime_cli.db.shared import SharedHistory
from coiled_runtime_cli.db.snapshot import begin_with
from coiled_runtime_cli.sync.folder import FolderStore
from coiled_runtime_cli.sync.pull import pull
from coiled_runtime_cli.sync.push import push

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture(params=["sqlite", "postgresql"])
def new(request: pytest.FixtureRequest, empty_database: Path, tmp_path: Path) -> Callable[[], Engine]:
    """Makes an empty database at each call, of each kind that is supported."""
    if request.param == "postgresql":
        make = request.getfixturevalue("new_postgresql")
        return lambda: open_database(make())
    numbers = iter(range(99))

    def copy() -> Engine:
        path = tmp_path / f"{next(numbers)}.db"
        shutil.copyfile(empty_database, path)
        return open_database(str(path))

    return copy


def synced(engine: Engine, root: Path) -> tuple[Any, Any]:
    """Push, then pull; what both did."""
    store = FolderStore(root)
    with SharedHistory(engine, store.identity) as history:
        pushed = push(store, history, history.pending(), TODAY)
        return pushed, pull(store, history, TODAY)


def test_two_databases_come_to_say_the_same(new: Any, tmp_path: Path) -> None:
    one, other, remote = new(), new(), tmp_path / "remote"
    ingest(one, [*lines(1), *lines(2)])
    ingest(other, [*lines(2), *lines(3)])
    assert [synced(one, remote)[0].segments, synced(other, remote)[0].segments] == [2, 1]
    assert synced(one, remote)[1].segments == 1
    assert everything(one) == everything(other)
    for engine in (one, other):
        pushed, pulled = synced(engine, remote)
        assert (pushed.segments, pushed.known, pulled.segments) == (0, 0, 0)
        engine.dispose()


def test_a_session_that_grows_is_pushed_again_and_completes_the_others(new: Any, tmp_path: Path) -> None:
    one, other, remote = new(), new(), tmp_path / "remote"
    ingest(one, lines(1, runs=2, ended=False))
    synced(one, remote)
    synced(other, remote)
    ingest(one, lines(1, runs=4))
    pushed, _ = synced(one, remote)
    assert pushed.segments == 1
    assert synced(other, remote)[1].runs == 2
    assert everything(one) == everything(other)
    assert synced(other, remote)[0].segments == 0


def test_what_came_from_one_remote_is_pushed_to_another(new: Any, tmp_path: Path) -> None:
    one, other = new(), new()
    ingest(one, lines(1))
    synced(one, tmp_path / "a")
    synced(other, tmp_path / "a")
    assert synced(other, tmp_path / "b")[0].segments == 1
    # new runs of a session that came from a are missing in b
    ingest(one, lines(1, runs=6))
    synced(one, tmp_path / "a")
    synced(other, tmp_path / "a")
    assert synced(other, tmp_path / "b")[0].segments == 1
    third = new()
    synced(third, tmp_path / "b")
    assert everything(third) == everything(one)


def test_runs_that_only_this_machine_has_are_pushed_although_the_session_came_by_pulling(
    new: Any, tmp_path: Path
) -> None:
    one, other, remote = new(), new(), tmp_path / "remote"
    ingest(one, lines(1, runs=3))
    synced(one, remote)
    ingest(other, lines(1, runs=5))
    store = FolderStore(remote)
    with SharedHistory(other, store.identity) as history:
        pull(store, history, TODAY)
        assert list(history.pending()) == ["s1"]
    assert synced(other, remote)[0].segments == 1
    synced(one, remote)
    assert everything(one) == everything(other)


def test_of_a_portion_the_sound_segments_come_all_the_same(new: Any, tmp_path: Path) -> None:
    source, engine = new(), new()
    ingest(source, [*lines(1), *lines(2), *lines(3)])
    sound = [(f"key-{number}", read_segment(source, f"s{number}")) for number in (1, 2, 3)]
    broken = sound[1][1]
    bad = type(broken)(
        revision=broken.revision, session=broken.session, tables={**broken.tables, "run": [{"uuid": "x", "no": 1}]}
    )
    with SharedHistory(engine, "somewhere") as history:
        first, second, third = history.apply([sound[0], ("key-2", bad), sound[2]])
        assert isinstance(second, SegmentError)
        assert (first.new, third.new) == (4, 4)  # type: ignore[union-attr]
        assert history.applied() == {"key-1", "key-3"}
        assert set(history.pushed()) == {"s1", "s3"}
        assert history.runs() == 8


def test_a_segment_that_no_database_can_hold_stops_no_other(new: Any) -> None:
    source, engine = new(), new()
    ingest(source, [*lines(1), *lines(2), *lines(3)])
    sound, model, last = (read_segment(source, f"s{number}") for number in (1, 2, 3))
    metric = ["rows", "", "lower", 1.0]
    runs: list[dict[str, Any]] = [
        {"metrics": None},
        {"metrics": 5},
        {"metrics": [metric, metric]},
        {"duration": 10**400},
    ]
    sourceless = [{**row, "source_hash": "gone"} for row in model.tables["benchmark"]]
    bad = [replace(model, tables={**model.tables, "benchmark": sourceless})]
    for changes in runs:
        changed = [{**row, **changes} for row in model.tables["run"]]
        bad.append(replace(model, tables={**model.tables, "run": changed}))
    with SharedHistory(engine, "somewhere") as history:
        told = history.apply([("a", sound), *((f"bad-{number}", each) for number, each in enumerate(bad)), ("b", last)])
        assert [isinstance(each, SegmentError) for each in told] == [False, *[True] * len(bad), False]
        assert history.applied() == {"a", "b"}
        assert history.runs() == 8


def test_former_names_travel_with_the_sessions_that_declare_them(new: Any, tmp_path: Path) -> None:
    one, other = new(), new()
    ingest(one, lines(1, formerly=("benchmarks/test_old.py::test_x",)))
    ingest(one, lines(2, formerly=("benchmarks/test_old.py::test_x",)))
    synced(one, tmp_path / "remote")
    synced(other, tmp_path / "remote")
    for engine in (one, other):
        with engine.connect() as connection:
            found = connection.execute(text("select former, current, declared from alias order by current")).all()
        assert [each[:2] for each in found] == [
            ("benchmarks/test_old.py::test_x", f"benchmarks/test_x.py::test_x[{n}]") for n in range(2)
        ]
    assert everything(one) == everything(other)


def test_an_empty_database_begins_with_a_snapshot(new: Any, empty_database: Path, tmp_path: Path) -> None:
    path = tmp_path / "source.db"
    shutil.copyfile(empty_database, path)
    source = open_database(str(path))
    ingest(source, [*lines(1), *lines(2)])
    synced(source, tmp_path / "remote")
    with SharedHistory(source, "x") as history:
        assert history.snapshot(tmp_path / "snapshot.db", None) == 8
    engine = new()
    assert begin_with(engine, tmp_path / "snapshot.db") == 8
    for session in ("s1", "s2"):
        assert read_segment(engine, session) == read_segment(source, session)
    store = FolderStore(tmp_path / "remote")
    with SharedHistory(engine, store.identity) as history:
        assert not history.is_empty()
        history.mark_all_pushed()
        assert history.pending() == {}
        assert pull(store, history, TODAY).segments == 0


def test_absorbing_is_a_union_in_any_order(new: Any) -> None:
    parts = [new(), new()]
    ingest(parts[0], [*lines(1), *lines(2, runs=2)])
    ingest(parts[1], [*lines(2), *lines(3)])
    ends = []
    for order in (parts, parts[::-1]):
        whole = new()
        done = [absorb(whole, each) for each in order]
        assert sum(each.new for each in done) == 12
        again = [absorb(whole, each) for each in order]
        assert [each.new for each in again] == [0, 0]
        ends.append(everything(whole))
    assert ends[0] == ends[1]


def test_absorbing_completes_what_was_known_by_its_id_alone(new: Any) -> None:
    whole, part = new(), new()
    ingest(whole, lines(1))
    ingest(part, [each for each in lines(1) if not isinstance(each, (Benchmark, Cluster, Environment))])
    told = everything(whole)
    assert absorb(whole, part).new == 0
    assert everything(whole) == told
    assert absorb(part, whole).new == 0
    assert everything(part) == told


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": ()},
        {"metrics": (Metric(name="rows", value=7.0), Metric(name="rate", value=0.1, unit="1/s", better="higher"))},
        {"metrics": (Metric(name="rows", value=7.0, unit="1"),)},
        {"environment": None},
        {"cluster_name": "another"},
        {"source_hash": None},
    ],
    ids=["no metrics", "another value", "another unit", "no environment", "another cluster", "no source"],
)
def test_absorbing_sees_in_what_two_runs_differ_beside_their_columns(new: Any, changes: dict[str, Any]) -> None:
    one, other = new(), new()
    ingest(one, lines(1))
    changed = uuid(1, 2)
    ingest(other, [replace(each, **changes) if getattr(each, "uuid", None) == changed else each for each in lines(1)])
    assert absorb(one, other).conflicts == [changed]
    absorb(other, one)
    runs = [
        next(row for row in read_segment(each, "s1").tables["run"] if row["uuid"] == changed) for each in (one, other)
    ]
    assert runs[0] == runs[1]
    assert absorb(one, other).conflicts == absorb(other, one).conflicts == []


def test_of_more_sessions_than_one_question_takes_the_days_are_told(new: Any) -> None:
    engine = new()
    ingest(engine, [*lines(1), *lines(2)])
    others = [f"lost-{number}" for number in range(260_000)]  # Debian's SQLite takes 250,000
    with SharedHistory(engine, "x") as history:
        assert set(history.days(["s1", *others, "s2"])) == {"s1", "s2"}


def test_days_and_pending_are_of_the_sessions_start(new: Any) -> None:
    engine = new()
    ingest(engine, lines(1))
    with SharedHistory(engine, "x") as history:
        assert history.pending() == {"s1": date(2023, 11, 15)}
        assert history.days(["s1", "s2"]) == {"s1": date(2023, 11, 15)}
        assert history.runs_of(["s1"]) == 4
        history.saw_catalog("etag", TODAY - timedelta(days=14))
        assert history.catalog() == ("etag", TODAY - timedelta(days=14))
        history.saw_catalog("other", TODAY)
        assert history.catalog() == ("other", TODAY)
    with SharedHistory(engine, "y") as history:
        assert history.catalog() is None
    assert uuid(1, 0) == "00000000-0000-4000-8000-000001000000"
