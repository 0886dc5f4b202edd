"""Sessions out of a database: with all that only they have used, and with nothing else."""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from recorded import TODAY, everything, lines

from coiled_runtime_cli.db import prune as pruning
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.history import read_history
from coiled_runtime_cli.db.ingest import ingest
from coiled_runtime_cli.db.shared import SharedHistory
from coiled_runtime_cli.sync.folder import FolderStore
from coiled_runtime_cli.sync.pull import pull
from coiled_runtime_cli.sync.push import push

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine


@pytest.fixture(params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, empty_database: Path, tmp_path: Path) -> Engine:
    """Sessions of 2023-11-15, -16 and -18."""
    if request.param == "postgresql":
        engine = open_database(request.getfixturevalue("new_postgresql")())
    else:
        shutil.copyfile(empty_database, tmp_path / "filled.db")
        engine = open_database(str(tmp_path / "filled.db"))
    for number in (1, 10, 30):
        ingest(engine, lines(number))
    return engine


def test_old_sessions_go_with_all_that_they_alone_have_used(filled: Engine) -> None:
    chosen = pruning.chosen(before=datetime(2023, 11, 16, tzinfo=timezone.utc))
    assert pruning.count(filled, chosen) == pruning.Prunable(sessions=1, runs=4, unshared=1)
    pruning.prune(filled, chosen)
    pruning.shrink(filled)
    assert len(everything(filled)["test_run"]) == 8
    pruning.prune(filled, pruning.chosen(ids=["s10", "s30"]))
    left = everything(filled)
    assert all(not rows for name, rows in left.items() if name != "alias"), left
    with filled.connect() as connection:
        tables = ("environment", "cluster", "cluster_spec", "source", "benchmark", "metric")
        counts = [connection.exec_driver_sql(f"select count(*) from {each}").scalar() for each in tables]
        kinds = connection.exec_driver_sql("select count(*) from metric_info").scalar()
        built_in = connection.exec_driver_sql("select count(*) from metric_info where built_in").scalar()
        if filled.dialect.name == "sqlite":
            assert connection.exec_driver_sql("pragma foreign_key_check").all() == []
    assert counts == [0] * 6
    assert kinds == built_in
    filled.dispose()


def test_where_no_session_is_meant_none_goes(filled: Engine) -> None:
    before = everything(filled)
    assert pruning.count(filled, pruning.chosen()) == pruning.Prunable(sessions=0, runs=0, unshared=0)
    pruning.prune(filled, pruning.chosen())
    assert everything(filled) == before
    filled.dispose()


def test_who_keeps_all_loses_nothing_and_is_told(inside: Any, empty_database: Path) -> None:
    file = inside.folder / "benchmark.db"
    shutil.copyfile(empty_database, file)
    engine = open_database(str(file))
    ingest(engine, lines(1))
    before = everything(engine)
    done = inside.run("db", "prune", "--keep", "all", "--yes")
    assert (done.returncode, done.stdout) == (0, "there is no session to remove: --keep all keeps everything\n"), (
        done.stderr
    )
    told = inside.json("db", "prune", "--keep", "all", "--yes", "--format", "json")
    assert (told["sessions"], told["removed"]) == (0, False)
    assert everything(engine) == before
    engine.dispose()


def test_what_was_pruned_is_neither_pulled_again_nor_lost_elsewhere(filled: Engine, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "remote")
    with SharedHistory(filled, store.identity) as history:
        push(store, history, history.pending(), TODAY)
        chosen = pruning.chosen(ids=["s1"])
        assert pruning.count(filled, chosen).unshared == 0
        pruning.prune(filled, chosen)
        assert pull(store, history, TODAY).segments == 0
        assert history.pending() == {}
    assert len(list(store.list("segments/"))) == 3
    filled.dispose()


def test_numbers_that_are_used_again_do_not_mislead_who_has_read_the_old_ones(filled: Engine, tmp_path: Path) -> None:
    def uuids() -> Any:
        history = read_history([filled], cache=tmp_path / "cache")
        return {bytes(each) for each in history.runs.uuid}

    before = uuids()
    pruning.prune(filled, pruning.chosen(ids=["s30"]))  # the last ones: SQLite gives their numbers to the next
    ingest(filled, lines(31))
    after = uuids()
    assert len(before & after) == 8
    assert len(after) == 12
    filled.dispose()
