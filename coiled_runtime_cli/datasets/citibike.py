"""Rides like those of New York's bicycles: a file of text a month, stations by name, some that nobody ever returned.

Columns: https://citibikenyc.com/system-data
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.datasets.columns import lognormal, skewed, texts, weighted
from coiled_runtime_cli.datasets.recipe import Parameters, PlannedFile, Recipe, cut, uneven

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.core.scale import Scale

_BYTES_A_LINE = 150
#: Riders are few in winter.
_MONTHS = (0.4, 0.5, 0.8, 1.1, 1.5, 1.8, 1.9, 2.0, 1.9, 1.6, 1.1, 0.6)
_STATIONS = 800
_STREETS = ("Broadway", "E 17 St", "8 Ave", "Clinton St", "Lafayette St", "W 31 St", "Pershing Sq", "Cooper Sq")
STATIONS = tuple(
    f"{_STREETS[number % len(_STREETS)]} & {number // len(_STREETS) + 1} Ave" for number in range(_STATIONS)
)
_START = 1_640_995_200_000_000  # 2022-01-01 UTC, microseconds since 1970
_MONTH = 30 * 86_400_000_000


def _parameters(scale: Scale) -> Parameters:
    return {
        "rows": scale.count(smoke=12_000, laptop=400_000, full=100_000_000),
        "files": scale.count(smoke=4, laptop=12, full=120),
    }


def _plan(parameters: Parameters) -> tuple[PlannedFile, ...]:
    files = int(parameters["files"])
    rows = uneven(int(parameters["rows"]), tuple(_MONTHS[index % 12] for index in range(files)))
    return tuple(
        PlannedFile(
            index, f"{2022 + index // 12}{index % 12 + 1:02d}-citibike-tripdata.csv", each, each * _BYTES_A_LINE
        )
        for index, each in enumerate(rows)
    )


def _tables(_parameters: Parameters, file: PlannedFile, seed: int) -> Iterator[Any]:
    import numpy as np

    random = np.random.default_rng([seed, file.index])
    start = _START + file.index * _MONTH + np.sort(random.integers(0, _MONTH // 1_000_000, file.rows)) * 1_000_000
    for first, rows in cut(file.rows, 100_000):
        yield _rides(random, start[first : first + rows], file.index * 1_000_000_000 + first)


def _rides(random: Any, start: Any, first: int) -> Any:
    import numpy as np
    import pyarrow as pa

    rows = len(start)
    member = weighted(random, rows, (0.78, 0.22))
    seconds = (lognormal(random, rows, median=560.0, spread=0.7) * np.where(member == 1, 1.8, 1.0)).astype("int64")
    seconds = np.where(random.random(rows) < 0.003, -seconds, seconds)  # clocks that were set back
    lost = random.random(rows) < 0.004
    begin, end = (skewed(random, rows, _STATIONS, exponent) for exponent in (0.7, 0.6))
    moment = pa.timestamp("s")
    end_station = pa.array(end, mask=lost)
    return pa.table(
        {
            "ride_id": pa.array(np.arange(first, first + rows)),
            "rideable_type": texts(
                ("classic_bike", "electric_bike", "docked_bike"), weighted(random, rows, (0.6, 0.37, 0.03))
            ),
            "started_at": pa.array(start // 1_000_000).cast(moment),
            "ended_at": pa.array(start // 1_000_000 + seconds).cast(moment),
            "start_station_name": texts(STATIONS, begin),
            "start_station_id": pa.array(begin + 5_000),
            "end_station_name": texts(STATIONS, end_station),
            "end_station_id": pa.array(end + 5_000, mask=lost),
            "start_lat": pa.array((40.65 + begin % 29 * 0.008).round(6)),
            "start_lng": pa.array((-74.02 + begin % 31 * 0.004).round(6)),
            "end_lat": pa.array((40.65 + end % 29 * 0.008).round(6), mask=lost),
            "end_lng": pa.array((-74.02 + end % 31 * 0.004).round(6), mask=lost),
            "member_casual": texts(("member", "casual"), member),
        }
    )


CITIBIKE = Recipe(
    name="citibike",
    summary="bicycle rides as text: a file a month, some rides without an end",
    version=1,
    seed=20130701,
    parameters=_parameters,
    plan=_plan,
    row_groups=_tables,
    format="csv",
)
