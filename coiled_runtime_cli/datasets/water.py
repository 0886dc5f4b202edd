"""Water below a continent, by day and county, and ice upon the sea; in Zarr."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.datasets.recipe import Parameters, bucket, numbers
from coiled_runtime_cli.datasets.zarr import Variable, coordinate, steady, zarr_recipe

if TYPE_CHECKING:
    from coiled_runtime_cli.core.scale import Scale

# The water below a continent, day by day, and the county that each place lies in


def _water_parameters(scale: Scale) -> Parameters:
    return {
        "days": scale.count(smoke=366, laptop=731, full=731),  # the years 2020 and 2021
        "y": steady(scale, smoke=24, laptop=240, full=15_360),
        "x": steady(scale, smoke=28, laptop=300, full=18_432),
        "days_a_chunk": steady(scale, smoke=24, laptop=24, full=224),
        "edge": steady(scale, smoke=14, laptop=60, full=350),
        "counties": steady(scale, smoke=12, laptop=300, full=3_221),
    }


def _water(parameters: Parameters) -> tuple[Variable, ...]:
    days, height, width, edge, counties = numbers(parameters, "days", "y", "x", "edge", "counties")

    def depth(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:
        import numpy as np

        season = np.sin(2 * np.pi * (np.arange(lengths[0]) + start[0]) / 365.25)[:, None, None]
        return 1.0 + 0.4 * season + random.random(lengths, dtype="float32").round(2)

    def county(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:  # noqa: ARG001
        """Stripes of uneven width along x, cut by rows: neighbours mostly share a county. 0 is no county."""
        import numpy as np

        x = (np.arange(lengths[1]) + start[1]) / width
        y = (np.arange(lengths[0]) + start[0]) / height
        across = max(1, math.isqrt(counties))
        stripes = (x**1.5 * across).astype("int64")
        rows = (y * (counties // across)).astype("int64")
        return np.minimum(rows[:, None] * across + stripes[None, :], counties - 1)

    return (
        coordinate("time", days, "<i8", units="days since 2020-01-01", calendar="proleptic_gregorian"),
        coordinate("y", height, "<f8"),
        coordinate("x", width, "<f8"),
        Variable(
            "zwattablrt",
            ("time", "y", "x"),
            (days, height, width),
            (int(parameters["days_a_chunk"]), edge, edge),
            "<f4",
            depth,
            {"units": "m"},
        ),
        Variable("county", ("y", "x"), (height, width), (edge, edge), "<i4", county),
    )


# Ice upon the sea, in percent of each place, a file for all days of a few places


def _ice_parameters(scale: Scale) -> Parameters:
    return {
        "days": steady(scale, smoke=200, laptop=1_000, full=6_443),
        "latitudes": scale.count(smoke=60, laptop=400, full=17_999),
        "longitudes": steady(scale, smoke=80, laptop=800, full=36_000),
        "edge": steady(scale, smoke=10, laptop=40, full=100),
    }


def _ice(parameters: Parameters) -> tuple[Variable, ...]:
    days, latitudes, longitudes, edge = numbers(parameters, "days", "latitudes", "longitudes", "edge")

    def ice(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:
        """None in the tropics, closed at the poles; where it ends, it comes and goes."""
        import numpy as np

        north = np.abs(np.linspace(-90, 90, latitudes)[start[1] : start[1] + lengths[1]])
        share = np.clip(4 * (north - 55), 0, 100)[None, :, None]
        return np.clip(share + random.integers(-20, 21, lengths, dtype="int8") * (share > 0), 0, 100)

    return (
        Variable(
            "sea_ice_fraction",
            ("time", "lat", "lon"),
            (days, latitudes, longitudes),
            (days, edge, edge),
            "|i1",
            ice,
            {"units": "percent"},
        ),
    )


NATIONAL_WATER_MODEL = zarr_recipe(
    name="national_water_model",
    summary="depth of the water table by day and place, and counties, in Zarr",
    seed=2001,
    parameters=_water_parameters,
    variables=_water,
    # Every three hours, and without the counties: they are a picture of their own.
    remote=bucket("s3://noaa-nwm-retrospective-2-1-zarr-pds/rtout.zarr", anon=True),
)
SEA_ICE = zarr_recipe(
    name="sea_ice",
    summary="ice upon the sea in percent by day and place, a chunk for all days of a few places, in Zarr",
    seed=2002,
    parameters=_ice_parameters,
    variables=_ice,
    remote=bucket("s3://mur-sst/zarr", anon=True, client_kwargs={"region_name": "us-west-2"}),
)
