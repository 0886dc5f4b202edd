"""Exploring ride-hailing trips: a table that is kept in memory and asked one thing after the other."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.cluster("uber_lyft"), pytest.mark.workflows]

NAMES = {"HV0002": "juno", "HV0003": "uber", "HV0004": "via", "HV0005": "lyft"}
COMPANY = "hvfhs_license_num"


def answers(frame):
    """What is asked, of a table of Dask or pandas: by name."""
    return {
        "fare": frame["base_passenger_fare"].mean(),
        "trips": frame[COMPANY].value_counts(),
        "tipped": frame.groupby(COMPANY)["tipped"].mean(),
        "pay": frame.groupby("PULocationID")["driver_pay"].mean(),
    }


@pytest.fixture(scope="module")
def trips(dd, dataset):
    """Paths, storage options, and the answers of pandas (None at full scale)."""
    data = dataset("uber_lyft")
    if data.remote:
        return data.patterns, data.storage_options, None
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = [COMPANY, "PULocationID", "base_passenger_fare", "driver_pay", "tips"]
    known = pa.concat_tables([pq.read_table(each, columns=columns) for each in data.files]).to_pandas()
    known[COMPANY] = known[COMPANY].map(NAMES)
    known["tipped"] = known["tips"] > 0
    return data.patterns, data.storage_options, answers(known)


def test_exploratory_analysis(dd, trips, small_client):
    """Name the companies, keep all columns in memory, then a mean, value counts and two means by group."""
    import pandas as pd

    paths, options, expected = trips
    frame = dd.read_parquet(paths, storage_options=options)
    frame = frame.assign(**{COMPANY: frame[COMPANY].replace(NAMES), "tipped": frame["tips"] > 0}).persist()
    found = {name: each.compute() for name, each in answers(frame).items()}  # one by one, as somebody asks

    assert set(found["trips"].index) <= set(NAMES.values())
    if expected is None:
        assert len(found["tipped"]) > 0
        assert found["tipped"].between(0, 1).all()
        return
    assert found["fare"] == pytest.approx(expected["fare"])
    for name in ("trips", "tipped", "pay"):
        result = pd.Series(found[name].astype("float64"))
        assert result.to_dict() == pytest.approx(expected[name].astype("float64").to_dict())
