"""Trips like those that Uber and Lyft report in New York: few companies, skewed places, parts of very uneven size.

Columns and their meaning: https://www.nyc.gov/assets/tlc/downloads/pdf/data_dictionary_trip_records_hvfhs.pdf
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.datasets.columns import lognormal, skewed, texts, weighted, with_missing
from coiled_runtime_cli.datasets.recipe import Parameters, PlannedFile, Recipe, Remote, cut, uneven

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.core.scale import Scale

#: Juno, Uber, Via and Lyft, as the commission numbers them, and their shares.
COMPANIES = {"HV0002": 0.02, "HV0003": 0.72, "HV0004": 0.03, "HV0005": 0.23}
ZONES = 263
_BYTES_A_ROW = 62
_PARTS = (1.0, 0.3, 2.2, 0.8, 1.6, 0.2, 1.2, 3.0)
_START = 1_546_300_800_000_000  # 2019-01-01 UTC, microseconds since 1970
_MONTH = 30 * 86_400_000_000


def _parameters(scale: Scale) -> Parameters:
    return {
        "rows": scale.count(smoke=60_000, laptop=2_000_000, full=400_000_000),
        "files": scale.count(smoke=4, laptop=16, full=1_000),
        "row_group_rows": scale.count(smoke=5_000, laptop=100_000, full=1_000_000),
    }


def _plan(parameters: Parameters) -> tuple[PlannedFile, ...]:
    files = int(parameters["files"])
    rows = uneven(int(parameters["rows"]), tuple(_PARTS[index % len(_PARTS)] for index in range(files)))
    return tuple(
        PlannedFile(index, f"fhvhv_tripdata-{index:04d}.parquet", each, each * _BYTES_A_ROW)
        for index, each in enumerate(rows)
    )


def _row_groups(parameters: Parameters, file: PlannedFile, seed: int) -> Iterator[Any]:
    import numpy as np

    random = np.random.default_rng([seed, file.index])
    request = _START + file.index * _MONTH + np.sort(random.integers(0, _MONTH // 1_000_000, file.rows)) * 1_000_000
    zones = np.random.default_rng(seed).permutation(np.arange(1, ZONES + 1))  # every part ranks them alike
    for start, rows in cut(file.rows, int(parameters["row_group_rows"])):
        yield _trips(random, request[start : start + rows], zones)


def _trips(random: Any, request: Any, zones: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    rows = len(request)
    company = weighted(random, rows, tuple(COMPANIES.values()))
    miles = lognormal(random, rows, median=2.9, spread=0.85).round(2)
    seconds = (lognormal(random, rows, median=260.0, spread=0.4) * (1 + miles)).astype("int64")
    wait = lognormal(random, rows, median=240.0, spread=0.5).astype("int64")
    fare = (3.0 + 1.75 * miles + seconds / 75).round(2)
    tips = np.where(random.random(rows) < 0.17, fare * random.gamma(4.0, 0.045, rows), 0.0).round(2)
    pickup = request + wait * 1_000_000
    moment = pa.timestamp("us")
    yes = {name: random.random(rows) < part for name, part in _FLAGS.items()}
    return pa.table(
        {
            "hvfhs_license_num": texts(list(COMPANIES), company),
            "dispatching_base_num": texts(_BASES, skewed(random, rows, len(_BASES), 1.2)),
            "originating_base_num": texts(
                _BASES, with_missing(skewed(random, rows, len(_BASES), 1.2), random.random(rows) < 0.27)
            ),
            "request_datetime": pa.array(request, type=pa.int64()).cast(moment),
            # only some companies say when the car was there
            "on_scene_datetime": with_missing(pickup - 60_000_000, company != 1).cast(moment),
            "pickup_datetime": pa.array(pickup, type=pa.int64()).cast(moment),
            "dropoff_datetime": pa.array(pickup + seconds * 1_000_000, type=pa.int64()).cast(moment),
            "PULocationID": pa.array(zones[skewed(random, rows, ZONES, 0.8)].astype("int64")),
            "DOLocationID": pa.array(zones[skewed(random, rows, ZONES, 0.6)].astype("int64")),
            "trip_miles": pa.array(miles),
            "trip_time": pa.array(seconds),
            "base_passenger_fare": pa.array(fare),
            "tolls": pa.array(np.where(random.random(rows) < 0.08, 6.55, 0.0)),
            "bcf": pa.array((fare * 0.025).round(2)),
            "sales_tax": pa.array((fare * 0.08875).round(2)),
            "congestion_surcharge": with_missing(
                np.where(random.random(rows) < 0.35, 2.75, 0.0), random.random(rows) < 0.1
            ),
            "airport_fee": with_missing(np.where(random.random(rows) < 0.08, 2.5, 0.0), random.random(rows) < 0.3),
            "tips": pa.array(tips),
            "driver_pay": pa.array((fare * 0.76).round(2)),
            **{name: texts(["N", "Y"], value.astype("int32")) for name, value in yes.items()},
        }
    )


_BASES = [f"B{number:05d}" for number in range(2395, 2425)]
_FLAGS = {
    "shared_request_flag": 0.2,
    "shared_match_flag": 0.1,
    "access_a_ride_flag": 0.01,
    "wav_request_flag": 0.001,
    "wav_match_flag": 0.05,
}

UBER_LYFT = Recipe(
    name="uber_lyft",
    summary="New York ride-hailing trips: skewed places, parts of very uneven size",
    version=1,
    seed=20190201,
    parameters=_parameters,
    plan=_plan,
    row_groups=_row_groups,
    remote=Remote("s3://coiled-datasets/uber-lyft-tlc", ("s3://coiled-datasets/uber-lyft-tlc/*.parquet",)),
)
