"""What models say of the air: its temperature and wind hour by hour, the warmth of the sea, heights, rain; in Zarr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.datasets.recipe import Parameters, bucket, numbers
from coiled_runtime_cli.datasets.zarr import Variable, coordinate, steady, zarr_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from coiled_runtime_cli.core.scale import Scale

_WEATHERBENCH = "gs://weatherbench2/datasets/era5/"


def _latitude(length: int) -> Variable:
    return coordinate("latitude", length, "<f8", start=90, step=-180 / (length - 1), units="degrees_north")


def _longitude(length: int) -> Variable:
    return coordinate("longitude", length, "<f8", step=360 / length, units="degrees_east")


# The atmosphere: temperature and wind, by hour, level, latitude and longitude, a file for a few moments


def _era5_parameters(scale: Scale) -> Parameters:
    return {
        "times": scale.count(smoke=48, laptop=744, full=744),  # hours: January of 2020
        "levels": steady(scale, smoke=3, laptop=5, full=37),
        "latitudes": steady(scale, smoke=19, laptop=37, full=721),
        "longitudes": steady(scale, smoke=36, laptop=72, full=1440),
        "times_a_chunk": steady(scale, smoke=10, laptop=6, full=1),
    }


def _era5(parameters: Parameters) -> tuple[Variable, ...]:
    dimensions = ("time", "level", "latitude", "longitude")
    shape = (times, levels, latitudes, longitudes) = numbers(parameters, "times", "levels", "latitudes", "longitudes")
    chunks = (int(parameters["times_a_chunk"]), *shape[1:])
    north_to_south = -180 / (latitudes - 1)

    def field(base: float, spread: float) -> Callable[..., Any]:
        def values(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:
            import numpy as np

            hours = np.arange(lengths[0]) + start[0]
            daily = np.cos(2 * np.pi * hours / 24)[:, None, None, None]
            places = 90 + north_to_south * (np.arange(lengths[2]) + start[2])
            sun = np.cos(np.deg2rad(places))[None, None, :, None]
            noise = random.standard_normal(lengths, dtype="float32").round(1)
            return base + spread * (sun + 0.1 * daily) + noise

        return values

    names = {
        "temperature": (250.0, 30.0, "K"),
        "u_component_of_wind": (2.0, 8.0, "m s-1"),
        "v_component_of_wind": (0.0, 4.0, "m s-1"),
        "vertical_velocity": (0.0, 0.5, "Pa s-1"),
    }
    return (
        coordinate("time", times, "<i8", units="hours since 2020-01-01", calendar="proleptic_gregorian"),
        coordinate("level", levels, "<f8", start=1000, step=-900 / max(1, levels - 1), units="hPa"),
        _latitude(latitudes),
        _longitude(longitudes),
        *(
            Variable(name, dimensions, shape, chunks, "<f4", field(base, spread), {"units": units})
            for name, (base, spread, units) in names.items()
        ),
    )


# The surface of the sea, every six hours over whole years


def _surface_parameters(scale: Scale) -> Parameters:
    years = max(2, round(scale.pick(smoke=2, laptop=3, full=3)))
    return {
        "days": 365 * years + (years + 3) // 4,  # 2020 was a leap year
        "latitudes": steady(scale, smoke=10, laptop=91, full=721),
        "longitudes": steady(scale, smoke=18, laptop=180, full=1440),
        "times_a_chunk": steady(scale, smoke=86, laptop=16, full=8),
    }


def _surface(parameters: Parameters) -> tuple[Variable, ...]:
    shape = (times, latitudes, longitudes) = (
        4 * int(parameters["days"]),
        int(parameters["latitudes"]),
        int(parameters["longitudes"]),
    )

    def warmth(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:
        """The year, the day and the latitude, and a little noise; nothing where land is."""
        import numpy as np

        days = (np.arange(lengths[0]) + start[0]) / 4
        north = 90 - 180 / (latitudes - 1) * (np.arange(lengths[1]) + start[1])
        east = 360 / longitudes * (np.arange(lengths[2]) + start[2])
        when = -np.cos(2 * np.pi * days / 365.25)[:, None, None]
        where = np.deg2rad(north)[None, :, None]
        noise = random.standard_normal(lengths, dtype="float32").round(1)
        kelvin = 272 + 26 * np.cos(where) + 5 * np.sin(where) * when + noise
        land = (np.sin(np.deg2rad(2 * east))[None, None, :] > 0.6) & (np.abs(where) < 1.2)
        return np.where(land, np.nan, kelvin)

    return (
        coordinate("time", times, "<i8", step=6, units="hours since 2020-01-01", calendar="proleptic_gregorian"),
        _latitude(latitudes),
        _longitude(longitudes),
        Variable(
            "sea_surface_temperature",
            ("time", "latitude", "longitude"),
            shape,
            (int(parameters["times_a_chunk"]), *shape[1:]),
            "<f4",
            warmth,
            {"units": "K"},
        ),
    )


# Heights of pressure levels, month by month, in years of 365 days


def _height_parameters(scale: Scale) -> Parameters:
    return {
        "months": scale.count(smoke=120, laptop=1_800, full=1_800),
        "levels": steady(scale, smoke=6, laptop=10, full=19),
        "latitudes": steady(scale, smoke=24, laptop=32, full=192),
        "longitudes": steady(scale, smoke=48, laptop=48, full=288),
        "months_a_chunk": steady(scale, smoke=12, laptop=30, full=30),
    }


def _height(parameters: Parameters) -> tuple[Variable, ...]:
    shape = (months, levels, latitudes, longitudes) = numbers(parameters, "months", "levels", "latitudes", "longitudes")

    def height(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:  # noqa: ARG001
        import numpy as np

        above = 1500.0 * (1 + np.arange(lengths[1]))[None, :, None, None]
        return above + 10 * random.standard_normal(lengths, dtype="float32").round(1)

    return (
        coordinate("time", months, "<f8", start=15, step=365 / 12, units="days since 0001-01-01", calendar="noleap"),
        coordinate("plev", levels, "<f8", start=100_000, step=-99_000 / max(1, levels - 1), units="Pa"),
        coordinate("lat", latitudes, "<f8", start=-90, step=180 / (latitudes - 1), units="degrees_north"),
        coordinate("lon", longitudes, "<f8", step=360 / longitudes, units="degrees_east"),
        Variable(
            "zg",
            ("time", "plev", "lat", "lon"),
            shape,
            (int(parameters["months_a_chunk"]), *shape[1:]),
            "<f4",
            height,
            {"units": "m"},
        ),
    )


# Rain as satellites saw it, a file for a few days


def _rain_parameters(scale: Scale) -> Parameters:
    return {
        "days": scale.count(smoke=60, laptop=1_200, full=7_852),
        "longitudes": steady(scale, smoke=36, laptop=240, full=3_600),
        "latitudes": steady(scale, smoke=18, laptop=120, full=1_800),
        "days_a_chunk": steady(scale, smoke=6, laptop=12, full=5),
    }


def _rain(parameters: Parameters) -> tuple[Variable, ...]:
    shape = numbers(parameters, "days", "longitudes", "latitudes")

    def rain(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:  # noqa: ARG001
        """In whole tenths of a millimetre, so that a sum is exact; most places are dry."""
        import numpy as np

        return np.floor(np.maximum(0, random.gamma(0.8, 60, lengths) - 12))

    return (
        Variable(
            "HQprecipitation",
            ("time", "lon", "lat"),
            shape,
            (int(parameters["days_a_chunk"]), *shape[1:]),
            "<f4",
            rain,
            {"units": "0.1 mm"},
        ),
    )


ERA5 = zarr_recipe(
    name="era5",
    summary="temperature and wind by hour, level and place, a chunk for a few hours, in Zarr",
    seed=1940,
    parameters=_era5_parameters,
    variables=_era5,
    # Also the sea's temperature by the hour, which is not generated.
    remote=bucket(f"{_WEATHERBENCH}1959-2023_01_10-full_37-1h-0p25deg-chunk-1.zarr", token="anon"),  # noqa: S106 - no secret
)
ERA5_SURFACE = zarr_recipe(
    name="era5_surface",
    summary="temperature of the sea every six hours for whole years, a chunk for a few days, in Zarr",
    seed=1959,
    parameters=_surface_parameters,
    variables=_surface,
    remote=bucket(f"{_WEATHERBENCH}1959-2023_01_10-wb13-6h-1440x721.zarr", token="anon"),  # noqa: S106 - no secret
)
CMIP6_HEIGHT = zarr_recipe(
    name="cmip6_height",
    summary="height of pressure levels by month and place, in years of 365 days, in Zarr",
    seed=2020,
    parameters=_height_parameters,
    variables=_height,
    remote=bucket("gs://cmip6/CMIP6/CMIP/AS-RCEC/TaiESM1/1pctCO2/r1i1p1f1/Amon/zg/gn/v20200225/", token="anon"),  # noqa: S106
)
PRECIPITATION = zarr_recipe(
    name="precipitation",
    summary="rain by day and place, a chunk for a few days, in Zarr",
    seed=2014,
    parameters=_rain_parameters,
    variables=_rain,
    remote=bucket("s3://yuvipanda-test1/cmr/gpm3imergdl.zarr", anon=True),
)
