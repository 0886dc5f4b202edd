"""TPC-H: every answer of Dask, on one cluster whose workers stay.

At a scale without stored answers DuckDB answers from the same files.
"""

from __future__ import annotations

import pytest

from coiled_runtime_cli.plugin import ready_cluster

pytestmark = [pytest.mark.tpch_correctness, pytest.mark.cluster("tpch_cluster")]


@pytest.fixture(scope="module")
def client(small_cluster):
    with small_cluster.client() as client:
        yield client


@pytest.fixture(autouse=True)
def noted(small_cluster, test_run_benchmark):
    """The cluster in the run: rows of another one are another series."""
    ready_cluster.measure_call(test_run_benchmark, small_cluster)


@pytest.mark.parametrize("number", range(1, 23))
def test_dask_results(query, ask, frames, read_dask, check, client, benchmark_all, number):
    """Dask's answer is the reference answer."""
    with benchmark_all(client):
        found = client.compute(ask(frames, query, read_dask)).result()
    check(found)
