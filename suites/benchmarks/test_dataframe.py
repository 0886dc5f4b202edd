"""Tables: align two indices, filter, a chain of column operations, shuffle."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.cluster("small_cluster", by_memory=True)


def first_of(frame):
    """The first partition in pandas, made here: every other one has as many rows."""
    return frame.get_partition(0).compute(scheduler="synchronous")


def test_dataframe_align(timeseries, small_client, sizing):
    """Subtract two frames whose indices do not meet: every value is missing."""
    first = timeseries(sizing.data(0.5), sizing.chunk(0.43), 100)
    second = timeseries(sizing.data(0.25), sizing.chunk(0.43), 100, start="2090-01-01")
    answer = (first - second).mean().compute()
    assert len(answer) == 100
    assert answer.isna().all()


@pytest.fixture
def named(timeseries, sizing, scale):
    """A frame as large as the memory (at laptop half), its first name, and how often that is in the first partition."""
    frame = timeseries(
        sizing.data(scale.pick(smoke=1, laptop=0.5, full=1)), sizing.chunk(0.8), 8, kinds=(str, float, int, float)
    )
    names = first_of(frame)["str-0"]
    return frame, names.iloc[0], int((names == names.iloc[0]).sum())


def test_filter(named, small_client):
    """Keep the rows of one name out of a frame as large as the memory."""
    import pandas as pd

    frame, name, expected = named

    def summarise(part):
        return pd.DataFrame({"rows": [len(part)], "right": [int((part["str-0"] == name).sum())]})

    kept = frame[frame["str-0"] == name]
    # all columns arrive here: what is not used later would not even be made
    found = kept.map_partitions(summarise, meta={"rows": "int64", "right": "int64"}).compute()
    assert len(found) == frame.npartitions
    assert found["rows"].iloc[0] == expected > 0
    assert (found["rows"] == found["right"]).all()


@pytest.fixture
def columns(timeseries, sizing):
    """120 columns of floats, integers and texts, and what the chain of a test makes of the first partition."""
    frame = timeseries(sizing.data(0.5), sizing.chunk(0.43), 120, kinds=(float, int, str))
    return frame, first_of(frame)


def test_dataframe_cow_chain(columns, small_client):
    """Rename, replace, fill, cast and select, one after the other: copies of the frame that need not be made."""
    import pandas as pd

    frame, first = columns
    kept = ["first", *(f"float-{number}" for number in range(1, 39)), *(f"int-{number}" for number in range(39))]

    def chain(table):
        return (
            table.rename(columns={"float-0": "first"})
            .replace({"int-1": {1000: -1}})
            .fillna({f"float-{number}": 100.0 for number in range(5, 25)})
            .astype({"int-2": "float64"})
            .loc[:, kept]
        )

    def summarise(part):
        total = float(part[["first", "float-5", "int-1", "int-2"]].to_numpy().sum())
        return pd.DataFrame({"rows": [len(part)], "columns": [part.shape[1]], "total": [total]})

    meta = {"rows": "int64", "columns": "int64", "total": "float64"}
    found = chain(frame).map_partitions(summarise, meta=meta).compute()
    expected = summarise(chain(first)).iloc[0]
    assert found["total"].iloc[0] == pytest.approx(expected["total"])
    assert (found["rows"] == len(first)).all()
    assert (found["columns"] == len(kept)).all()
    assert len(found) == frame.npartitions


@pytest.fixture
def floats(timeseries, sizing, memory_multiplier, scale):
    """A frame of floats (at laptop a fifth of what the multiplier says), and its first partition."""
    frame = timeseries(
        sizing.data(memory_multiplier * scale.pick(smoke=0.5, laptop=0.2, full=1)), sizing.chunk(0.43), 100
    )
    return frame, first_of(frame)


def test_shuffle(floats, memory_multiplier, small_client, shuffle_method):
    """Send every row of a hundred floats to the partition of its key."""
    import pandas as pd

    frame, first = floats
    known = set(first["float-0"].iloc[:100])

    def summarise(part):
        total = float(part["float-1"].sum())
        return pd.DataFrame({"rows": [len(part)], "known": [int(part["float-0"].isin(known).sum())], "total": [total]})

    meta = {"rows": "int64", "known": "int64", "total": "float64"}
    found = frame.shuffle("float-0").map_partitions(summarise, meta=meta).compute()
    rows = len(first) * frame.npartitions
    assert found["rows"].sum() == rows
    assert found["known"].sum() == len(known)
    # numbers between -1 and 1: their sum is 0 but for chance
    assert abs(found["total"].sum()) < 6 * (rows / 3) ** 0.5
    # rows are spread by their keys, not left where they were
    assert found["rows"].min() > 0
