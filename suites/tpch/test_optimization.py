"""TPC-H: what Dask takes to plan and optimise each query, without computing it."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.tpch_dask


@pytest.fixture(scope="module")
def optimiser(dd):
    """Skip where Dask has no optimiser of queries."""
    if not hasattr(dd.from_dict({"a": [1]}, npartitions=1), "expr"):
        pytest.skip('needs the optimiser of queries: pip install -U "dask[dataframe]"')


@pytest.mark.parametrize("number", range(1, 23))
def test_optimization(optimiser, query, ask, frames, read_dask, measured, number):
    """Plan and optimise a query; no column is read that it does not use."""
    with measured():
        plan = ask(frames, query, read_dask)
        plan.optimize()
    used = set()

    def note(name, columns):
        used.update(columns)
        return read_dask(name, columns)

    plan = ask(frames, query, note).simplify()  # later steps hide what they fuse
    reading = [each for each in plan.expr.walk() if "ReadParquet" in type(each).__name__]
    assert reading
    assert set().union(*(each.columns for each in reading)) <= used
