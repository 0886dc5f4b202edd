"""What sharing a history costs, as it grows: pushes, pulls and publishing; beside a copy of the whole file."""

from __future__ import annotations

import os
import shutil
import time

import pytest


@pytest.fixture
def share(crt, tmp_path):
    """``share("push", folder)``: a command of `crt sync` with one remote, a folder."""
    remote = tmp_path / "remote"
    return lambda *arguments, folder: crt("sync", *arguments, "--remote", str(remote), folder=folder)


@pytest.fixture
def record_traffic(record_cost, record_metric):
    def record(cost):
        record_cost(cost)
        record_metric("requests", cost.told["requests"], unit="requests")
        record_metric("transferred", cost.told["bytes"], unit="B")

    return record


def test_push_of_everything(shape, history, share, record_traffic):
    """`crt sync push` of a history that the remote has nothing of."""
    folder = history(shape)
    cost = share("push", folder=folder)
    record_traffic(cost)
    assert cost.told["pushed"] == shape.days * shape.sessions_a_day * shape.runtimes


def test_push_of_a_session(shape, history, session_of_250, share, crt, tmp_path, record_traffic, record_metric):
    """`crt sync push` of one session more, and a copy of the whole file: budget 1 % of its bytes for 1,000,000 runs."""
    folder = history(shape)
    share("push", folder=folder)
    session_of_250(folder)
    crt("db", "query", "select count(*) as runs from test_run", folder=folder)
    cost = share("push", folder=folder)
    record_traffic(cost)
    assert cost.told["pushed"] == 1
    whole = folder / "benchmark.db"
    began = time.perf_counter()
    with (tmp_path / "copy").open("wb") as copy, whole.open("rb") as original:
        shutil.copyfileobj(original, copy, 2**20)
        copy.flush()
        os.fsync(copy.fileno())
    record_metric("elapsed_of_a_copy", time.perf_counter() - began, unit="s")
    record_metric("share_of_the_file", cost.told["bytes"] / whole.stat().st_size, unit="ratio")


def test_push_of_nothing_new(shape, history, share, record_traffic):
    """`crt sync push` once more."""
    folder = history(shape)
    share("push", folder=folder)
    cost = share("push", folder=folder)
    record_traffic(cost)
    assert cost.told["pushed"] == 0


def test_pull(shape, history, share, tmp_path, record_traffic, record_metric):
    """`crt sync pull` of everything into an empty database, then of nothing new: budget 3 requests."""
    folder, elsewhere = history(shape), tmp_path / "elsewhere"
    elsewhere.mkdir()
    pushed = share("push", folder=folder).told["pushed"]
    cost = share("pull", folder=elsewhere)
    record_traffic(cost)
    assert cost.told["pulled"] == pushed
    again = share("pull", folder=elsewhere)
    record_metric("elapsed_of_nothing_new", again.elapsed, unit="s")
    record_metric("requests_of_nothing_new", again.told["requests"], unit="requests")
    assert again.told["pulled"] == 0


def test_publish(shape, history, share, record_traffic):
    """`crt sync publish`: the whole history as one file."""
    folder = history(shape)
    share("push", folder=folder)
    record_traffic(share("publish", folder=folder))
