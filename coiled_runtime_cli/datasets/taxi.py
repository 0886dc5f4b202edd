"""Trips like those of New York's yellow taxis: skewed keys, missing values, files of very uneven size, sorted by time.

Columns and their meaning: https://www.nyc.gov/site/tlc/about/tlc-trip-record-data.page
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.datasets.columns import lognormal, skewed, texts, weighted, with_missing
from coiled_runtime_cli.datasets.recipe import Parameters, PlannedFile, Recipe, Remote, cut, uneven

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.core.scale import Scale

_BYTES_A_ROW = 28
_BYTES_A_LINE = 115
#: Share of each month's file. Real months differ less; a partition ten times the next is what schedulers stumble over.
_MONTHS = (1.0, 0.5, 1.8, 0.7, 2.6, 0.25, 1.1, 0.4, 3.2, 0.9, 1.4, 0.15)
_ZONES = 263
#: Where most real trips begin: the Upper East Side, Midtown, Penn Station, JFK airport.
_BUSIEST = (237, 161, 236, 162, 186, 132)
_START = 1_546_300_800_000_000  # 2019-01-01 UTC, microseconds since 1970
_MONTH = 30 * 86_400_000_000


def _parameters(scale: Scale) -> Parameters:
    return {
        "rows": scale.count(smoke=80_000, laptop=6_000_000, full=84_000_000),
        "files": 4 if scale.name == "smoke" else 12,
        "row_group_rows": scale.count(smoke=5_000, laptop=60_000, full=1_000_000),
    }


def _plan(parameters: Parameters) -> tuple[PlannedFile, ...]:
    rows = uneven(int(parameters["rows"]), _MONTHS[: int(parameters["files"])])
    return tuple(
        PlannedFile(index, f"yellow_tripdata_2019-{index + 1:02d}.parquet", each, each * _BYTES_A_ROW)
        for index, each in enumerate(rows)
    )


def _row_groups(parameters: Parameters, file: PlannedFile, seed: int) -> Iterator[Any]:
    import numpy as np

    random = np.random.default_rng([seed, file.index])
    pickup = _START + file.index * _MONTH + np.sort(random.integers(0, _MONTH // 1_000_000, file.rows)) * 1_000_000
    quieter = np.setdiff1d(np.arange(1, _ZONES + 1), _BUSIEST)
    zones = np.concatenate([_BUSIEST, np.random.default_rng(seed).permutation(quieter)])  # every month ranks them alike
    for start, rows in cut(file.rows, int(parameters["row_group_rows"])):
        yield _trips(random, pickup[start : start + rows], zones)


def _trips(random: Any, pickup: Any, zones: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    rows = len(pickup)
    # Trips that a vendor did not report in full miss several columns at once.
    incomplete = random.random(rows) < 0.006
    distance = lognormal(random, rows, median=1.7, spread=0.85).round(2)
    seconds = (lognormal(random, rows, median=190.0, spread=0.45) * (1 + distance)).astype("int64")
    payment = weighted(random, rows, (0.005, 0.715, 0.27, 0.006, 0.004))
    fare = (2.5 + 2.5 * distance + seconds / 120).round(1)
    tip = np.where(payment == 1, fare * random.gamma(4.0, 0.05, rows), 0.0).round(2)
    tolls = np.where(random.random(rows) < 0.05, 6.12, 0.0)
    extra = random.choice(np.array([0.0, 0.5, 1.0, 2.5, 3.0]), rows)
    surcharge = np.where(random.random(rows) < 0.92, 2.5, 0.0)
    passengers = weighted(random, rows, (0.018, 0.70, 0.15, 0.042, 0.02, 0.042, 0.026, 0.001, 0.0006, 0.0004))
    time = pa.timestamp("us")
    return pa.table(
        {
            "VendorID": pa.array(weighted(random, rows, (0.0, 0.36, 0.63, 0.0, 0.01)).astype("int64")),
            "tpep_pickup_datetime": pa.array(pickup, type=pa.int64()).cast(time),
            "tpep_dropoff_datetime": pa.array(pickup + seconds * 1_000_000, type=pa.int64()).cast(time),
            "passenger_count": with_missing(passengers.astype("float64"), incomplete),
            "trip_distance": pa.array(distance),
            "RatecodeID": with_missing(
                (weighted(random, rows, (0.97, 0.022, 0.002, 0.001, 0.005)) + 1).astype("float64"), incomplete
            ),
            "store_and_fwd_flag": texts(
                ["N", "Y"], with_missing((random.random(rows) < 0.006).astype("int32"), incomplete)
            ),
            "PULocationID": pa.array(zones[skewed(random, rows, _ZONES, 1.1)].astype("int64")),
            "DOLocationID": pa.array(zones[skewed(random, rows, _ZONES, 0.9)].astype("int64")),
            "payment_type": pa.array(payment.astype("int64")),
            "fare_amount": pa.array(fare),
            "extra": pa.array(extra),
            "mta_tax": pa.array(np.full(rows, 0.5)),
            "tip_amount": pa.array(tip),
            "tolls_amount": pa.array(tolls),
            "improvement_surcharge": pa.array(np.full(rows, 0.3)),
            "total_amount": pa.array((fare + tip + tolls + extra + surcharge + 0.8).round(2)),
            "congestion_surcharge": with_missing(surcharge, incomplete),
            "airport_fee": with_missing(np.zeros(rows), random.random(rows) < 0.995),
        }
    )


NYC_TAXI = Recipe(
    name="nyc_taxi",
    summary="New York yellow taxi trips: a file a month, very uneven, sorted by pickup time",
    version=1,
    seed=20190101,
    parameters=_parameters,
    plan=_plan,
    row_groups=_row_groups,
    remote=Remote(
        "s3://coiled-runtime-ci/nyc-tlc/yellow_tripdata_2019_parquet",
        ("s3://coiled-runtime-ci/nyc-tlc/yellow_tripdata_2019_parquet/yellow_tripdata_2019-*.parquet",),
    ),
)


def _text_parameters(scale: Scale) -> Parameters:
    return {**_parameters(scale), "rows": scale.count(smoke=60_000, laptop=2_000_000, full=84_000_000)}


def _text_plan(parameters: Parameters) -> tuple[PlannedFile, ...]:
    return tuple(
        replace(each, path=each.path.replace(".parquet", ".csv"), bytes=each.rows * _BYTES_A_LINE)
        for each in _plan(parameters)
    )


NYC_TAXI_CSV = Recipe(
    name="nyc_taxi_csv",
    summary="New York yellow taxi trips as text: a file a month, very uneven",
    version=1,
    seed=NYC_TAXI.seed,
    parameters=_text_parameters,
    plan=_text_plan,
    row_groups=_row_groups,
    format="csv",
    remote=Remote(
        "s3://coiled-runtime-ci/nyc-tlc/yellow_tripdata_2019_csv",
        ("s3://coiled-runtime-ci/nyc-tlc/yellow_tripdata_2019_csv/yellow_tripdata_2019-*.csv",),
    ),
)
