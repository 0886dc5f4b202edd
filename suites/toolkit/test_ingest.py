"""How long rows take to get into the database: a predecessor's history, and the session of one night on top of a history."""

from __future__ import annotations

import shutil


def test_import(shape, predecessor, crt, record_cost, record_metric):
    """`crt db import` of a predecessor's database into an empty one."""
    cost = crt("db", "import", str(predecessor(shape)))
    record_cost(cost)
    record_metric("runs_per_second", shape.runs / cost.elapsed, unit="1/s", better="higher")
    count = crt("db", "query", "select count(*) as runs from test_run")
    assert count.told["rows"][0]["runs"] == shape.runs


def test_store_a_session(shape, history, session_of_250, crt, record_cost):
    """The next command after a session of 250 runs was killed: they are stored first."""
    folder = history(shape)
    session_of_250(folder)
    question = ("db", "query", "select count(*) as runs from test_run")
    cost = crt(*question, folder=folder)
    record_cost(cost)
    assert cost.told["rows"][0]["runs"] == shape.runs + 250
    assert not list((folder / "crt-runs").glob("*")) if (folder / "crt-runs").exists() else True


def test_merge(shape, imported, history, crt, record_cost):
    """`crt db merge` of another's database that has nothing new."""
    folder = history(shape)
    shutil.copyfile(imported(shape), folder / "other.db")
    cost = crt("db", "merge", "other.db", folder=folder)
    record_cost(cost)
    assert cost.told["new"] == 0
