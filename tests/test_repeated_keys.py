"""What CI asks of every suite: that no benchmark asks twice for a key, with other dependencies the second time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

GUARD = Path(__file__).parents[1] / ".ci" / "repeated_keys.py"

SESSION = """
import os, time
from dask.task_spec import Alias, DataNode, Task
from distributed import Client, LocalCluster

def ask(client, by):
    assert client.get({by: DataNode(by, 1), "sum": Task("sum", abs, Alias(by))}, "sum") == 1

with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
    with Client(cluster) as client:
        for test, by in CALLS:
            os.environ["PYTEST_CURRENT_TEST"] = f"test_x.py::{test} (call)"
            ask(client, by)
            while cluster.scheduler.tasks:
                time.sleep(0.01)
"""


DROPPED = """
import os, time
from distributed import Client, LocalCluster, wait

with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
    with Client(cluster) as client:
        os.environ["PYTEST_CURRENT_TEST"] = "test_x.py::test_a (call)"
        [data] = client.scatter([-1])
        first = client.submit(abs, data)
        wait(first)
        del data
        while len(cluster.scheduler.tasks) > 1:
            time.sleep(0.01)
        assert client.submit(str, first).result() == "1"
"""


def run_guarded(folder, session):
    """What was found in a session of Dask."""
    file = folder / "found.txt"
    subprocess.run(
        [sys.executable, "-c", session],
        env={**os.environ, "REPEATED_KEYS": str(file), "DASK_DISTRIBUTED__SCHEDULER__PRELOAD": str(GUARD)},
        cwd=folder,
        check=True,
        timeout=120,
    )
    return file.read_text() if file.exists() else ""


def test_a_task_whose_scattered_input_was_dropped_is_the_same_task(tmp_path):
    assert run_guarded(tmp_path, DROPPED) == ""


@pytest.mark.parametrize(
    ("calls", "found"),
    [
        ([("test_a", "one"), ("test_a", "one")], ""),
        ([("test_a", "one"), ("test_b", "other")], ""),
        (
            [("test_a", "one"), ("test_b", "one"), ("test_b", "other"), ("test_b", "one")],
            "test_x.py::test_b: 'sum' had other dependencies before\n",
        ),
    ],
)
def test_a_key_with_other_dependencies_is_found_though_the_scheduler_forgot_it(tmp_path, calls, found):
    assert run_guarded(tmp_path, SESSION.replace("CALLS", repr(calls))) == found
