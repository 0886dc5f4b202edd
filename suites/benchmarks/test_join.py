"""Joins and set_index, of data in proportion to the memory."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.cluster("small_cluster", by_memory=True), pytest.mark.shuffle_p2p]


#: Different keys of a table to join.
KINDS = 1_000_000


def keyed(frame):
    """The frame with a ``key`` of :data:`KINDS` different numbers, each as likely."""
    return frame.assign(key=(frame["float-0"].abs() * KINDS).astype("int64"))


def rows_of(frame):
    """How many rows there are: every partition has as many."""
    return frame.npartitions * len(frame.get_partition(0))


@pytest.mark.max_threads(40)
def test_join_big(timeseries, small_client, sizing, memory_multiplier):
    """Merge two wide tables on a key of many values."""
    size = sizing.data(0.5 * memory_multiplier)
    left, right = (keyed(timeseries(size, sizing.chunk(0.43), 40, kinds=(float, int), seed=seed)) for seed in (1, 2))
    expected = rows_of(left) * rows_of(right) / KINDS
    found = left.merge(right, on="key", how="inner").map_partitions(len).compute().sum()
    # Pairs meet by chance: their number varies as its square root.
    assert found == pytest.approx(expected, abs=6 * expected**0.5 + 6)


def test_join_big_small(timeseries, small_client, sizing, shuffle_method):
    """Merge a table as large as the memory with a small one of pandas, which has every second key."""
    import pandas as pd

    left = keyed(timeseries(sizing.data(0.8), sizing.chunk(0.43), 40, kinds=(float, int), seed=1))
    right = pd.DataFrame({"key": range(0, KINDS, 2), "value": 1.0})
    found = left.merge(right, on="key", how="inner")["value"].sum().compute()
    assert found == pytest.approx(rows_of(left) / 2, rel=0.05)


@pytest.mark.parametrize("persist", [True, False], ids=["persist", "lazy"])
def test_set_index(timeseries, small_client, sizing, memory_multiplier, persist):
    """Sort a table by a random column."""
    import dask

    frame = timeseries(sizing.data(0.5 * memory_multiplier), sizing.chunk(0.43), 20, kinds=(float, int))
    if persist:
        frame = frame.persist()
    rows = rows_of(frame)
    indexed = frame.set_index("float-0")
    parts = indexed.map_partitions(lambda part: part.index.is_monotonic_increasing, meta=("sorted", bool))
    sizes = indexed.map_partitions(len)
    ordered, lengths = dask.compute(parts, sizes)
    assert ordered.all()
    assert lengths.sum() == rows


@pytest.fixture(scope="module")
def rides(dd, dataset):
    """Paths, storage options and the number of rows (None at full scale)."""
    data = dataset("uber_lyft")
    return list(data.files), data.storage_options, data.rows


def test_set_index_on_uber_lyft(dd, rides, small_client, shuffle_method):
    """Sort ride-hailing trips by where they began: a few places have most of them."""
    paths, options, expected = rides
    frame = dd.read_parquet(paths, columns=["PULocationID", "trip_miles", "tips"], storage_options=options)
    indexed = frame.set_index("PULocationID")
    found = indexed.map_partitions(len).compute().sum()
    assert expected is None or found == expected
    assert found > 0
