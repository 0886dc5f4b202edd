"""Text: reading lines of comma-separated values."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.cluster("small_cluster")

#: As text says only "1" or nothing, the types of its columns are told; those of the others are found.
TYPES = {
    **dict.fromkeys(("VendorID", "PULocationID", "DOLocationID", "payment_type"), "int64"),
    **dict.fromkeys(("passenger_count", "RatecodeID", "trip_distance", "fare_amount", "extra", "mta_tax"), "float64"),
    **dict.fromkeys(("tip_amount", "tolls_amount", "improvement_surcharge", "total_amount"), "float64"),
    **dict.fromkeys(("congestion_surcharge", "airport_fee"), "float64"),
    "store_and_fwd_flag": "string",
}


@pytest.fixture(scope="module")
def trips(dd, dataset):
    """Paths, storage options, and the mean tip by number of passengers (None at full scale)."""
    data = dataset("nyc_taxi_csv")
    if data.remote:
        return data.patterns, data.storage_options, None
    import pandas as pd

    columns = ["passenger_count", "tip_amount"]
    known = pd.concat([pd.read_csv(each, usecols=columns) for each in data.files], ignore_index=True)
    expected = known.groupby("passenger_count")["tip_amount"].mean().to_dict()
    return data.patterns, data.storage_options, expected


@pytest.mark.formerly("runtime/test_coiled.py::test_quickstart_csv")
@pytest.mark.max_threads(50)
def test_csv_basic(dd, trips, sizing, small_client):
    """Read text in blocks and keep it, then the mean tip by number of passengers."""
    paths, options, expected = trips
    frame = dd.read_csv(paths, dtype=TYPES, blocksize=sizing.chunk(1 / 8), storage_options=options).persist()
    # dropna is the default, which the mean forgets in some releases (dask/dask#12574).
    result = frame.groupby("passenger_count", dropna=True)["tip_amount"].mean().compute()
    found = result[result.index.notna()]
    if expected is None:
        assert len(found) > 0
        assert found.between(0, 100).all()
    else:
        assert found.to_dict() == pytest.approx(expected)
