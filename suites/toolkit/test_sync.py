"""What sharing a history costs, as it grows: pushes, pulls and publishing; beside a copy of the whole file."""

from __future__ import annotations

import os
import shutil
import time

import pytest


@pytest.fixture(scope="session")
def pushed(after, tmp_path_factory):
    """``pushed(shape)``: that history in a remote (a folder), and the command that pushed it there, made once."""
    made = {}

    def make(shape):
        if shape not in made:
            made[shape] = ("sync", "push", "--remote", str(tmp_path_factory.mktemp("remote")))
            after(shape, *made[shape])
        return made[shape]

    return make


@pytest.fixture
def record_traffic(record_cost, record_metric):
    def record(cost):
        record_cost(cost)
        record_metric("requests", cost.told["requests"], unit="requests")
        record_metric("transferred", cost.told["bytes"], unit="B")

    return record


def test_push_of_everything(shape, history, crt, tmp_path, record_traffic):
    """`crt sync push` of a history that the remote has nothing of."""
    cost = crt("sync", "push", "--remote", str(tmp_path / "remote"), folder=history(shape))
    record_traffic(cost)
    assert cost.told["pushed"] == shape.days * shape.sessions_a_day * shape.runtimes


def test_push_of_a_session(shape, history, pushed, one_session_more, crt, tmp_path, record_traffic, record_metric):
    """`crt sync push` of one session more, and a copy of the whole file: budget 1 % of its bytes for 1,000,000 runs."""
    push = pushed(shape)
    folder = history(shape, *push)
    one_session_more(folder)
    cost = crt(*push, folder=folder)
    record_traffic(cost)
    assert cost.told["pushed"] == 1
    whole = folder / "benchmark.db"
    began = time.perf_counter()
    with (tmp_path / "copy").open("wb") as copy, whole.open("rb") as original:
        shutil.copyfileobj(original, copy)
        copy.flush()
        os.fsync(copy.fileno())
    record_metric("elapsed_of_a_copy", time.perf_counter() - began, unit="s")
    record_metric("share_of_the_file", cost.told["bytes"] / whole.stat().st_size, unit="ratio")


def test_push_of_nothing_new(shape, history, pushed, crt, record_traffic):
    """`crt sync push` once more."""
    push = pushed(shape)
    cost = crt(*push, folder=history(shape, *push))
    record_traffic(cost)
    assert cost.told["pushed"] == 0


def test_pull(shape, after, pushed, crt, record_traffic, record_metric):
    """`crt sync pull` of everything into an empty database, then of nothing new: budget 3 requests."""
    push = pushed(shape)
    after(shape, *push)
    pull = ("sync", "pull", *push[2:])
    cost = crt(*pull)
    record_traffic(cost)
    # and one session more, where the remote was pushed one by another of these tests
    assert cost.told["pulled"] >= shape.days * shape.sessions_a_day * shape.runtimes
    again = crt(*pull)
    record_metric("elapsed_of_nothing_new", again.elapsed, unit="s")
    record_metric("requests_of_nothing_new", again.told["requests"], unit="requests")
    assert again.told["pulled"] == 0


def test_publish(shape, history, pushed, crt, record_traffic):
    """`crt sync publish`: the whole history as one file."""
    push = pushed(shape)
    cost = crt("sync", "publish", *push[2:], folder=history(shape, *push))
    record_traffic(cost)
    # and those of one session more, where the remote was pushed one by another of these tests
    assert cost.told["runs"] >= shape.runs
