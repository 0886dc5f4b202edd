"""Text in Arrow's memory layout: what is asked of columns of strings."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.cluster("small_cluster")

COMPANY, BASE, MATCHED = "hvfhs_license_num", "originating_base_num", "shared_match_flag"
BASES = [BASE, "dispatching_base_num"]
#: What is looked for, by the name of the test.
PATTERNS = {"test_contains": "4[01][0-4]$", "test_startswith": "B0240"}


@pytest.fixture(scope="module")
def trips(dd, dataset):
    """Paths, storage options, and a function that gives one column, all of it, in Arrow (at full scale None)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = dataset("uber_lyft")
    if data.remote:
        return data.patterns, data.storage_options, None

    def known(name):
        return pa.chunked_array([pq.read_table(each, columns=[name])[name].combine_chunks() for each in data.files])

    return data.patterns, data.storage_options, known


@pytest.fixture
def frame(dd, trips, small_client):
    """``frame(column, ...)``: these columns of the trips, text as Arrow strings."""
    import dask

    paths, options, _ = trips
    with dask.config.set({"dataframe.convert-string": True}):

        def read(*columns):
            found = dd.read_parquet(paths, columns=list(columns), storage_options=options)
            assert str(found.dtypes[columns[0]]) == "string"
            return found

        yield read


@pytest.fixture
def expected(request, trips):
    """The answer as Arrow's own functions find it, before the clock runs; None at full scale."""
    import pyarrow.compute as pc

    *_, known = trips
    if known is None:
        return None
    name = request.node.originalname
    if name == "test_unique":
        return {column: set(known(column).unique().to_pylist()) for column in (COMPANY, BASE)}
    if name == "test_value_counts":
        counts = {column: known(column).value_counts().to_pylist() for column in BASES}
        return {
            column: {each["values"]: each["counts"] for each in found if each["values"] is not None}
            for column, found in counts.items()
        }
    if name == "test_filter":
        kept = pc.and_(pc.equal(known(COMPANY), "HV0005"), pc.equal(known(MATCHED), "Y"))
        return {"rows": pc.sum(kept).as_py(), "miles": pc.sum(known("trip_miles").filter(kept)).as_py()}
    match = {"test_contains": pc.match_substring_regex, "test_startswith": pc.starts_with}[name]
    return [pc.sum(match(known(column), PATTERNS[name])).as_py() for column in BASES]


def test_unique(frame, expected):
    """The different values of two columns of text, one with missing values."""
    import dask
    import pandas as pd

    table = frame(COMPANY, BASE)
    found = dask.compute({name: table[name].unique() for name in (COMPANY, BASE)})[0]
    values = {name: {None if pd.isna(each) else each for each in column} for name, column in found.items()}
    if expected is None:
        assert len(values[COMPANY]) < 10 < len(values[BASE])
    else:
        assert values == expected


def test_contains(frame, expected):
    """How many texts of two columns have a regular expression in them."""
    import dask

    table, pattern = frame(*BASES), PATTERNS["test_contains"]
    found = dask.compute([table[name].str.contains(pattern, regex=True).sum() for name in BASES])[0]
    assert min(found) > 0
    assert expected is None or found == expected


def test_startswith(frame, expected):
    """How many texts of two columns begin with another."""
    import dask

    table = frame(*BASES)
    found = dask.compute([table[name].str.startswith(PATTERNS["test_startswith"]).sum() for name in BASES])[0]
    assert min(found) > 0
    assert expected is None or found == expected


def test_filter(frame, expected):
    """Keep the rows where two columns of text have given values; all text columns come along."""
    table = frame(COMPANY, BASE, "dispatching_base_num", MATCHED, "shared_request_flag", "wav_match_flag", "trip_miles")
    kept = table[(table[COMPANY] == "HV0005") & (table[MATCHED] == "Y")].compute()
    assert set(kept[COMPANY]) == {"HV0005"}
    if expected is not None:
        assert len(kept) == expected["rows"] > 0
        assert kept["trip_miles"].sum() == pytest.approx(expected["miles"])


def test_value_counts(frame, expected):
    """How often each text of two columns occurs, the most frequent first."""
    import dask

    table = frame(*BASES)
    found = dask.compute({name: table[name].value_counts(sort=True) for name in BASES})[0]
    assert all(len(each) > 1 and each.is_monotonic_decreasing for each in found.values())
    assert expected is None or {name: each.to_dict() for name, each in found.items()} == expected
