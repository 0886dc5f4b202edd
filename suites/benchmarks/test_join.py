"""Joins and set_index, of data in proportion to the memory."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.cluster("small_cluster", by_memory=True), pytest.mark.shuffle_p2p]

#: Different keys for each row of the table that is looked up: few rows meet, as they did at the predecessor's size.
KINDS = 20


@pytest.fixture
def wide(timeseries, sizing, scale):
    """``wide(ratio, seed)``: a hundred floats, so many times the memory at full scale.

    Elsewhere it is less: on two processors a hundred columns take minutes where a machine of the cloud takes seconds.
    """
    part = scale.pick(smoke=0.3, laptop=0.1, full=1)
    return lambda ratio, seed=42: timeseries(sizing.data(ratio * part), sizing.chunk(0.52), 100, seed=seed)


def keyed(frame, kinds):
    """The frame with a ``key`` of ``kinds`` different numbers, each as likely."""
    return frame.assign(key=((frame["float-0"] + 1) / 2 * kinds).astype("int64"))


def count(frame):
    """Rows of each partition; all columns arrive where they are counted, or most would not even be made."""
    return frame.map_partitions(len).compute()


def by_chance(expected):
    """Rows that meet do so by chance: their number varies as its square root."""
    return pytest.approx(expected, abs=6 * expected**0.5 + 6)


@pytest.fixture
def two_big(wide, rows_of, memory_multiplier):
    """Two tables of a hundred floats with a key of many values, and how many rows meet."""
    left, right = (wide(memory_multiplier, seed) for seed in (1, 2))
    rows = rows_of(left)
    return keyed(left, KINDS * rows), keyed(right, KINDS * rows), rows / KINDS


@pytest.mark.max_threads(40)
@pytest.mark.parametrize(
    "memory_multiplier",
    [pytest.param(each, marks=pytest.mark.formerly(f"test_join_big[{each}-p2p]"), id=str(each)) for each in (0.1, 1)],
    indirect=True,
)
def test_join_big(two_big, small_client):
    """Merge two wide tables on a key of many values."""
    left, right, expected = two_big
    assert count(left.merge(right, on="key", how="inner")).sum() == by_chance(expected)


@pytest.fixture
def big_and_small(timeseries, rows_of, sizing, scale):
    """A table as large as the memory (elsewhere than at full scale half), a small one of pandas, and how many rows meet.

    The small one is an 800th as large as the memory, and has every 20th key.
    """
    big = timeseries(sizing.data(scale.pick(smoke=0.5, laptop=0.5, full=1)), sizing.chunk(0.52), 100, seed=1)
    rows = rows_of(big)
    small = timeseries(sizing.data(1 / 800), sizing.data(1 / 1600), 100, seed=2).compute(scheduler="synchronous")
    small["key"] = range(0, KINDS * len(small), KINDS)
    return keyed(big, KINDS * len(small)), small, rows / KINDS


@pytest.mark.parametrize(
    "shuffle_method",
    [
        pytest.param("tasks", marks=pytest.mark.formerly("test_join_big_small[1-tasks]", "test_join_big_small[1]")),
        pytest.param("p2p", marks=pytest.mark.formerly("test_join_big_small[1-p2p]")),
    ],
    indirect=True,
)
def test_join_big_small(big_and_small, small_client, shuffle_method):
    """Merge a table as large as the memory with a small one of pandas."""
    big, small, expected = big_and_small
    assert count(big.merge(small, on="key", how="inner")).sum() == by_chance(expected)


@pytest.fixture
def unsorted(wide, rows_of, memory_multiplier):
    """A table of a hundred random floats, and its number of rows."""
    frame = wide(memory_multiplier)
    return frame, rows_of(frame)


@pytest.mark.parametrize(
    ("memory_multiplier", "persist"),
    [
        pytest.param(
            multiplier,
            persist,
            id=f"{multiplier}-{'persist' if persist else 'lazy'}",
            marks=pytest.mark.formerly(
                f"test_set_index[{multiplier}-{persist}]", f"test_set_index[{multiplier}-p2p-{persist}]"
            ),
        )
        for multiplier in (0.1, 1)
        for persist in (True, False)
    ],
    indirect=["memory_multiplier"],
)
def test_set_index(unsorted, small_client, persist):
    """Sort a table by a random column."""
    import pandas as pd
    from distributed import wait

    def summarise(part):
        ends = {"low": [part.index.min()], "high": [part.index.max()]}
        return pd.DataFrame({"rows": [len(part)], "sorted": [part.index.is_monotonic_increasing], **ends})

    frame, rows = unsorted
    if persist:
        frame = frame.persist()
        wait(frame)  # to go on at once never ends with Dask 2026.8: the scheduler forgets what is persisted
    meta = {"rows": "int64", "sorted": "bool", "low": "float64", "high": "float64"}
    found = frame.set_index("float-0").map_partitions(summarise, meta=meta).compute()
    assert found["rows"].sum() == rows
    assert found["sorted"].all()
    found = found[found["rows"] > 0]
    assert (found["high"].iloc[:-1].to_numpy() <= found["low"].iloc[1:].to_numpy()).all()


@pytest.fixture(scope="module")
def rides(dd, dataset):
    """Paths, storage options and the number of rows (None at full scale)."""
    data = dataset("uber_lyft")
    return data.patterns, data.storage_options, data.rows


@pytest.mark.client("uber_lyft_large")
def test_set_index_on_uber_lyft(dd, rides, client, shuffle_method):
    """Sort ride-hailing trips by where they began: a few places have most of them."""
    paths, options, expected = rides
    found = count(dd.read_parquet(paths, storage_options=options).set_index("PULocationID")).sum()
    assert expected is None or found == expected
    assert found > 0
