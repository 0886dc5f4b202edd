"""A suite that the configuration of an arm slows or breaks, and what was stored of each arm."""

#: A test that takes 50 ms times what the arm's configuration says, and one that always takes the same.
SUITE = """
import time

import dask
import dask.config


def test_slowed(benchmark_time):
    with benchmark_time():
        time.sleep(0.05 * dask.config.get("ab.factor", 1.0))


def test_steady(benchmark_time):
    with benchmark_time():
        time.sleep(0.05)


def test_breaks():
    assert dask.config.get("ab.broken", False) is False
"""


def labels(crt):
    return dict(crt.rows("select coiled_runtime_version, count(*) from test_run group by 1"))
