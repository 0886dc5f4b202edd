"""Shuffles between files: what comes from Parquet, what goes to Parquet, by either method."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.cluster("small_cluster", by_memory=True)


@pytest.fixture
def table(timeseries, rows_of, sizing, memory_multiplier):
    """A frame of floats, integers and texts, of up to three tenths of the memory, and the number of its rows."""
    frame = timeseries(sizing.data(0.3 * memory_multiplier), sizing.chunk(0.43), 30, kinds=(float, int, str))
    return frame, rows_of(frame)


@pytest.fixture
def files(table, small_cluster, scratch_url):
    """The same in files, written before the clock runs, and the number of rows."""
    frame, rows = table
    with small_cluster.client():
        frame.to_parquet(f"{scratch_url}/table.parquet")
    return f"{scratch_url}/table.parquet", rows


def keys_of(frame):
    """How often a key is in each partition, with all columns at hand where that is counted."""

    def count(part):
        return part["int-0"].value_counts().rename("rows").rename_axis("key").reset_index()

    return frame.map_partitions(count, meta={"key": "int64", "rows": "int64"}).compute()


def test_shuffle_from_parquet(dd, files, memory_multiplier, small_client, shuffle_method):
    """Read a table from files and send every row to the partition of its key."""
    path, rows = files
    found = keys_of(dd.read_parquet(path).shuffle("int-0"))
    assert found["rows"].sum() == rows
    assert found["key"].is_unique, "a key is in one partition alone"


def test_shuffle_to_parquet(table, scratch_url, memory_multiplier, small_client, stop_measuring, shuffle_method):
    """Send every row of a table to the partition of its key, and write a file of each partition."""
    import fsspec
    import pyarrow.parquet as pq

    frame, rows = table
    frame.shuffle("int-0").to_parquet(f"{scratch_url}/shuffled.parquet")
    stop_measuring()

    system, path = fsspec.core.url_to_fs(f"{scratch_url}/shuffled.parquet")
    known: set[int] = set()
    found = 0
    for file in system.glob(f"{path}/*.parquet"):
        with system.open(file) as stream:
            keys = pq.ParquetFile(stream).read(columns=["int-0"])["int-0"]
        found += len(keys)
        here = set(keys.unique().to_pylist())
        assert known.isdisjoint(here), "a key is in one file alone"
        known |= here
    assert found == rows
