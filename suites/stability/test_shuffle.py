"""Shuffles of a year of rows, in memory and from files to files."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.cluster("small_cluster"), pytest.mark.stability]


def both_methods(test):
    """Each way of shuffling; by tasks is what the test did before there were two."""
    methods = [pytest.param("tasks", marks=pytest.mark.formerly(test)), "p2p"]
    return pytest.mark.parametrize("shuffle_method", methods, indirect=True)


@pytest.fixture
def year(dd, scale):
    """``year(milliseconds)``: a row every so many milliseconds, a day a partition; at full scale a year of 365 days."""
    import dask.datasets
    import pandas as pd

    days = scale.count(smoke=4, laptop=20, full=365)

    def make(milliseconds):
        end = pd.Timestamp("2000-01-01") + pd.Timedelta(days=days)
        return dask.datasets.timeseries("2000-01-01", str(end), freq=f"{milliseconds}ms", partition_freq="1D", seed=42)

    return make


def summarise(frame):
    """Rows, and the sum of their ids, of each partition; all columns arrive where they are counted."""
    import pandas as pd

    def one(part):
        return pd.DataFrame({"rows": [len(part)], "ids": [int(part["id"].sum())]})

    return frame.map_partitions(one, meta={"rows": "int64", "ids": "int64"}).compute()


@pytest.fixture
def simple(year, rows_of, scale):
    """Rows a second apart (at smoke ten), and how many there are."""
    frame = year(scale.count(smoke=10_000, laptop=1_000, full=1_000))
    return frame, rows_of(frame)


@both_methods("test_shuffle_simple")
def test_shuffle_simple(simple, small_client, shuffle_method):
    """Send every row of a year of seconds to the partition of its key."""
    frame, rows = simple
    found = summarise(frame.shuffle(on="x"))
    assert found["rows"].sum() == rows
    # ids are 1000 on average, with a standard deviation of the root of that
    assert abs(found["ids"].sum() - 1000 * rows) < 6 * (1000 * rows) ** 0.5
    assert found["rows"].min() > 0


@pytest.fixture
def dense(year, rows_of, scale):
    """Rows 50 ms apart (at laptop a second, at smoke 20), and how many there are."""
    frame = year(scale.count(smoke=20_000, laptop=1_000, full=50))
    return frame, rows_of(frame)


@both_methods("test_shuffle_parquet")
def test_shuffle_parquet(dd, dense, scratch_url, small_client, stop_measuring, shuffle_method):
    """Write a year of rows as Parquet, read it, shuffle it, and write what comes out."""
    frame, rows = dense
    frame.to_parquet(f"{scratch_url}/dataset.parquet")
    dd.read_parquet(f"{scratch_url}/dataset.parquet").shuffle(on="x").to_parquet(f"{scratch_url}/shuffled.parquet")
    stop_measuring()

    before, after = (summarise(dd.read_parquet(f"{scratch_url}/{name}.parquet")) for name in ("dataset", "shuffled"))
    assert before["rows"].sum() == after["rows"].sum() == rows
    assert before["ids"].sum() == after["ids"].sum()
