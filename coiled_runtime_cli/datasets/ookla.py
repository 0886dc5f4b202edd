"""Network speed by map tile, like Ookla's open data: long text, heavy tails, sorted along a space-filling curve.

Columns and layout: https://registry.opendata.aws/speedtest-global-performance/ (quadkeys of zoom 16, outlines as WKT).
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.datasets.columns import lognormal
from coiled_runtime_cli.datasets.recipe import Parameters, PlannedFile, Recipe, Remote, cut, uneven

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.core.scale import Scale

_BYTES_A_ROW = 80
_EDGE = 1 << 16  # tiles along each axis
_QUARTERS = (1.0, 1.3, 0.6, 1.6, 0.8, 2.0, 1.1, 0.5, 1.4, 0.9, 1.8, 0.7)
_BUCKET = "s3://coiled-runtime-ci/ookla-open-data"
_SINGLE = f"{_BUCKET}/type=fixed/year=2022/quarter=1/2022-01-01_performance_fixed_tiles.parquet"


def _hive_parameters(scale: Scale) -> Parameters:
    return {
        "rows": scale.count(smoke=48_000, laptop=1_500_000, full=120_000_000),
        "quarters": 4 if scale.name == "smoke" else 12,
        "files_a_quarter": 2,
        "row_group_rows": scale.count(smoke=8_000, laptop=40_000, full=1_000_000),
    }


def _hive_plan(parameters: Parameters) -> tuple[PlannedFile, ...]:
    rows = uneven(int(parameters["rows"]), _QUARTERS[: int(parameters["quarters"])])
    files = int(parameters["files_a_quarter"])
    planned = []
    for quarter, quarter_rows in enumerate(rows):
        for part, part_rows in enumerate(uneven(quarter_rows, (2.0, *[1.0] * (files - 1)))):
            folder = f"type=fixed/year={2019 + quarter // 4}/quarter={quarter % 4 + 1}"
            index = quarter * files + part
            planned.append(PlannedFile(index, f"{folder}/part-{part}.parquet", part_rows, part_rows * _BYTES_A_ROW))
    return tuple(planned)


def _single_parameters(scale: Scale) -> Parameters:
    return {
        "rows": scale.count(smoke=60_000, laptop=1_600_000, full=6_500_000),
        "row_group_rows": scale.count(smoke=15_000, laptop=200_000, full=1_000_000),
    }


def _single_plan(parameters: Parameters) -> tuple[PlannedFile, ...]:
    rows = int(parameters["rows"])
    return (PlannedFile(0, "2022-01-01_performance_fixed_tiles.parquet", rows, rows * _BYTES_A_ROW),)


def _row_groups(parameters: Parameters, file: PlannedFile, seed: int) -> Iterator[Any]:
    import numpy as np

    random = np.random.default_rng([seed, file.index])
    curve = _positions(random, file.rows)
    for start, rows in cut(file.rows, int(parameters["row_group_rows"])):
        yield _tiles(random, curve[start : start + rows])


def _positions(random: Any, rows: int) -> Any:
    """Distinct, ascending positions on the curve through all tiles; gaps of a heavy tail make towns and oceans."""
    import numpy as np

    gaps = lognormal(random, rows, median=1.0, spread=2.5)
    share = np.cumsum(gaps)
    share *= (_EDGE * _EDGE - rows - 1) / (share[-1] + gaps.max())
    return share.astype("int64") + np.arange(rows)


def _tiles(random: Any, curve: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    rows = len(curve)
    quality = lognormal(random, rows, median=1.0, spread=0.8)
    download = (quality * lognormal(random, rows, median=52_000.0, spread=0.6)).astype("int64") + 1
    upload = (quality * lognormal(random, rows, median=14_000.0, spread=0.9)).astype("int64") + 1
    latency = (lognormal(random, rows, median=22.0, spread=0.8) / quality**0.25).astype("int64") + 1
    devices = lognormal(random, rows, median=2.0, spread=1.1).astype("int64") + 1
    tests = (devices * (1 + random.exponential(1.2, rows))).astype("int64")
    return pa.table(
        {
            "quadkey": _quadkeys(curve),
            "tile": _outlines(_every_second_bit(curve), _every_second_bit(curve >> 1)),
            "avg_d_kbps": pa.array(np.minimum(download, 3_000_000)),
            "avg_u_kbps": pa.array(np.minimum(upload, 3_000_000)),
            "avg_lat_ms": pa.array(np.minimum(latency, 5_000)),
            "tests": pa.array(tests),
            "devices": pa.array(devices),
        }
    )


def _every_second_bit(curve: Any) -> Any:
    """Gather bits 0, 2, 4 .. 30 of each position: the column (or, shifted by one, the row) of its tile."""
    bits = curve & 0x55555555
    for shift, mask in ((1, 0x33333333), (2, 0x0F0F0F0F), (4, 0x00FF00FF), (8, 0x0000FFFF)):
        bits = (bits | (bits >> shift)) & mask
    return bits


def _quadkeys(curve: Any) -> Any:
    """A position in base 4, as 16 digits: two halves of 8, each one of 65,536 texts."""
    import pyarrow as pa
    import pyarrow.compute as pc

    halves = _halves()
    return pc.binary_join_element_wise(halves.take(pa.array(curve >> 16)), halves.take(pa.array(curve & 0xFFFF)), "")


def _outlines(column: Any, row: Any) -> Any:
    """The tile's outline as a WKT polygon, clockwise from its north-west corner."""
    import pyarrow as pa
    import pyarrow.compute as pc

    longitudes, latitudes = _edges()
    west, east = (longitudes.take(pa.array(each)) for each in (column, column + 1))
    north, south = (latitudes.take(pa.array(each)) for each in (row, row + 1))
    pieces: list[Any] = ["POLYGON(("]
    for place, (x, y) in enumerate(((west, north), (east, north), (east, south), (west, south), (west, north))):
        pieces += [", "] * bool(place) + [x, " ", y]
    return pc.binary_join_element_wise(*pieces, "))", "")


@functools.cache
def _halves() -> Any:
    import pyarrow as pa

    four = [f"{high}{low}" for high in "0123" for low in "0123"]
    digits = [f"{high}{low}" for high in four for low in four]
    return pa.array([f"{high}{low}" for high in digits for low in digits])


@functools.cache
def _edges() -> tuple[Any, Any]:
    """Longitude of each tile's western edge and latitude of its northern one (degrees, Web Mercator), as text."""
    import pyarrow as pa

    longitudes = [f"{place * 360 / _EDGE - 180:.14g}" for place in range(_EDGE + 1)]
    latitudes = [
        f"{math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * place / _EDGE)))):.15g}" for place in range(_EDGE + 1)
    ]
    return pa.array(longitudes), pa.array(latitudes)


OOKLA_HIVE = Recipe(
    name="ookla_hive",
    summary="Ookla fixed network tiles, in hive folders by year and quarter",
    version=1,
    seed=20190331,
    parameters=_hive_parameters,
    plan=_hive_plan,
    row_groups=_row_groups,
    remote=Remote(_BUCKET, (f"{_BUCKET}/type=fixed/*/*/*.parquet",)),
)

OOKLA_SINGLE = Recipe(
    name="ookla_single",
    summary="one quarter of Ookla's fixed network tiles in one large file",
    version=1,
    seed=20220101,
    parameters=_single_parameters,
    plan=_single_plan,
    row_groups=_row_groups,
    remote=Remote(_SINGLE.rpartition("/")[0], (_SINGLE,)),
)
