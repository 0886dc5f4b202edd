"""Tables: align two indices, filter, a chain of column operations, shuffle."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.cluster("small_cluster", by_memory=True)


def test_dataframe_align(timeseries, small_client, sizing):
    """Subtract two frames whose indices do not meet: every value is missing."""
    first = timeseries(sizing.data(0.5), sizing.chunk(0.43), 100)
    second = timeseries(sizing.data(0.25), sizing.chunk(0.43), 100, start="2090-01-01")
    answer = (first - second).mean().compute()
    assert len(answer) == 100
    assert answer.isna().all()


def test_filter(timeseries, small_client, sizing):
    """Keep the rows of one name out of a frame as large as the memory."""
    frame = timeseries(sizing.data(0.8), sizing.chunk(0.8), 8, kinds=(str, float, int, float))
    name = frame["str-0"].head(1).iloc[0]
    kept = frame[frame["str-0"] == name]
    names = kept["str-0"].compute()
    assert len(names) > 0
    assert (names == name).all()


def test_dataframe_cow_chain(timeseries, small_client, sizing):
    """Rename, replace, fill, cast and select, one after the other: copies of the frame that need not be made."""
    import pandas as pd

    frame = timeseries(sizing.data(0.5), sizing.chunk(0.43), 40, kinds=(float, int))
    rows = frame.npartitions * len(frame.get_partition(0))
    result = (
        frame.rename(columns={"float-0": "first"})
        .replace({"int-1": {1000: 1001}})
        .fillna({"float-2": 100.0})
        .astype({"int-2": "float64"})
        .loc[:, ["first", "int-1", "float-2", "int-2", "float-3"]]
    )

    def summarise(part):
        return pd.DataFrame({"rows": [len(part)], "thousands": [int((part["int-1"] == 1000).sum())]})

    found = result.map_partitions(summarise, meta={"rows": "int64", "thousands": "int64"}).compute().sum()
    assert found["rows"] == rows
    assert found["thousands"] == 0


def test_shuffle(timeseries, small_client, sizing, shuffle_method):
    """Send every row to the partition of its key."""
    frame = timeseries(sizing.data(0.25), sizing.chunk(0.43), 20, kinds=(int, float))
    rows = frame.npartitions * len(frame.get_partition(0))

    def summarise(part):
        return part["int-0"].value_counts().rename("rows").rename_axis("key").reset_index()

    found = frame.shuffle("int-0").map_partitions(summarise, meta={"key": "int64", "rows": "int64"}).compute()
    assert found["rows"].sum() == rows
    assert found["key"].is_unique, "a key is in one partition alone"
