"""Arrays in Zarr, as models and satellites leave them; written without the zarr library, in format 2.

A store is a folder of JSON and of one compressed file a chunk, so that each chunk can be made, verified and repaired by itself
(https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html).
"""

from __future__ import annotations

import itertools
import json
import math
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.datasets.recipe import Parameters, PlannedFile, Recipe, Remote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from coiled_runtime_cli.core.scale import Scale

_COMPRESSION = 1


@dataclass(frozen=True, slots=True)
class Variable:
    """One array. ``values(random, start, lengths)`` makes the block that begins at the indices ``start``."""

    name: str
    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str  # as in "<f4"
    values: Callable[[Any, tuple[int, ...], tuple[int, ...]], Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def grid(self) -> Iterator[tuple[int, ...]]:
        """The position of each chunk."""
        counts = (math.ceil(length / chunk) for length, chunk in zip(self.shape, self.chunks, strict=True))
        return itertools.product(*(range(each) for each in counts))

    def metadata(self) -> dict[str, Any]:
        return {
            "zarr_format": 2,
            "shape": self.shape,
            "chunks": self.chunks,
            "dtype": self.dtype,
            "compressor": {"id": "zlib", "level": _COMPRESSION},
            "fill_value": None,
            "order": "C",
            "filters": None,
        }

    def described(self) -> dict[str, Any]:
        return {"_ARRAY_DIMENSIONS": self.dimensions, **self.attributes}


def coordinate(name: str, length: int, dtype: str, *, start: float = 0, step: float = 1, **attributes: Any) -> Variable:
    """A variable in one chunk that names the places along its own dimension: ``start``, and each ``step`` on."""

    def evenly(random: Any, begin: tuple[int, ...], lengths: tuple[int, ...]) -> Any:  # noqa: ARG001
        import numpy as np

        return start + step * np.arange(lengths[0])

    return Variable(name, (name,), (length,), (length,), dtype, evenly, attributes)


def _plan(variables: Callable[[Parameters], tuple[Variable, ...]]) -> Callable[[Parameters], tuple[PlannedFile, ...]]:
    def plan(parameters: Parameters) -> tuple[PlannedFile, ...]:
        found = variables(parameters)
        paths = [(".zgroup", 1, 20), (".zattrs", 1, 2), (".zmetadata", 1, 500 * len(found))]
        for each in found:
            paths += [(f"{each.name}/.zarray", 1, 200), (f"{each.name}/.zattrs", 1, 100)]
            itemsize = int(each.dtype[2:])
            elements = math.prod(each.chunks)
            paths += [
                # compressed to about a half
                (f"{each.name}/{'.'.join(map(str, place))}", elements, elements * itemsize // 2)
                for place in each.grid()
            ]
        return tuple(PlannedFile(index, path, rows, size) for index, (path, rows, size) in enumerate(paths))

    return plan


def _content(
    variables: Callable[[Parameters], tuple[Variable, ...]],
) -> Callable[[Parameters, PlannedFile, int], Iterator[tuple[bytes, int]]]:
    def content(parameters: Parameters, file: PlannedFile, seed: int) -> Iterator[tuple[bytes, int]]:
        found = {each.name: each for each in variables(parameters)}
        name, _, inner = file.path.rpartition("/")
        if not name:
            yield _json(_group(inner, found)), file.rows
        elif inner == ".zarray":
            yield _json(found[name].metadata()), file.rows
        elif inner == ".zattrs":
            yield _json(found[name].described()), file.rows
        else:
            yield _chunk(found[name], tuple(int(each) for each in inner.split(".")), seed, file.index), file.rows

    return content


def _group(file: str, variables: dict[str, Variable]) -> dict[str, Any]:
    if file == ".zgroup":
        return {"zarr_format": 2}
    if file == ".zattrs":
        return {}
    metadata: dict[str, Any] = {".zgroup": {"zarr_format": 2}, ".zattrs": {}}
    for name, each in variables.items():
        metadata[f"{name}/.zarray"] = each.metadata()
        metadata[f"{name}/.zattrs"] = each.described()
    return {"metadata": metadata, "zarr_consolidated_format": 1}


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


def _chunk(variable: Variable, place: tuple[int, ...], seed: int, index: int) -> bytes:
    """The compressed bytes of one chunk; those at the edge are as large as the others, filled with zeros."""
    import numpy as np

    start = tuple(position * chunk for position, chunk in zip(place, variable.chunks, strict=True))
    lengths = tuple(
        min(chunk, whole - first) for chunk, whole, first in zip(variable.chunks, variable.shape, start, strict=True)
    )
    block = np.zeros(variable.chunks, dtype=variable.dtype)
    block[tuple(slice(each) for each in lengths)] = variable.values(
        np.random.default_rng([seed, index]), start, lengths
    )
    return zlib.compress(block.tobytes(), _COMPRESSION)


def _recipe(
    *,
    name: str,
    summary: str,
    seed: int,
    parameters: Callable[[Scale], Parameters],
    variables: Callable[[Parameters], tuple[Variable, ...]],
    remote: Remote | None = None,
) -> Recipe:
    return Recipe(
        name=name,
        summary=summary,
        version=1,
        seed=seed,
        parameters=parameters,
        plan=_plan(variables),
        row_groups=_content(variables),
        remote=remote,
        format="bytes",
    )


# A cube of small integers


def _cube_parameters(scale: Scale) -> Parameters:
    chunk = scale.count(smoke=20, laptop=64, full=200)
    return {"edge": chunk * (5 if scale.name in ("smoke", "laptop") else 10), "chunk": chunk}


def _cube(parameters: Parameters) -> tuple[Variable, ...]:
    edge, chunk = int(parameters["edge"]), int(parameters["chunk"])

    def values(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:  # noqa: ARG001
        return random.integers(0, 256, lengths, dtype="int32")

    return (Variable("cube", ("x", "y", "z"), (edge,) * 3, (chunk,) * 3, "<i4", values),)


# The atmosphere: temperature and wind, by time, level, latitude and longitude, a file for each moment


def _era5_parameters(scale: Scale) -> Parameters:
    return {
        "times": scale.count(smoke=80, laptop=1_460, full=58_440),  # 6-hourly: a year at laptop, 40 years at full
        "step_hours": 6,
        "levels": scale.count(smoke=3, laptop=5, full=13),
        "latitudes": scale.count(smoke=19, laptop=37, full=721),
        "longitudes": scale.count(smoke=36, laptop=72, full=1440),
        "times_a_chunk": scale.count(smoke=4, laptop=20, full=8),
    }


def _era5(parameters: Parameters) -> tuple[Variable, ...]:
    dimensions = ("time", "level", "latitude", "longitude")
    shape = (times, levels, latitudes, longitudes) = tuple(
        int(parameters[each]) for each in ("times", "levels", "latitudes", "longitudes")
    )
    hours, north_to_south = int(parameters["step_hours"]), -180 / (latitudes - 1)
    chunks = (int(parameters["times_a_chunk"]), *shape[1:])

    def field(base: float, spread: float) -> Callable[..., Any]:
        def values(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:
            import numpy as np

            moments = (np.arange(lengths[0]) + start[0]) * hours
            season = np.cos(2 * np.pi * moments / 8766)[:, None, None, None]
            places = 90 + north_to_south * (np.arange(lengths[2]) + start[2])
            sun = np.cos(np.deg2rad(places))[None, None, :, None]
            noise = random.standard_normal(lengths, dtype="float32").round(1)
            return base + spread * (sun + 0.3 * season) + noise

        return values

    names = {
        "temperature": (250.0, 30.0, "K"),
        "u_component_of_wind": (2.0, 8.0, "m s-1"),
        "v_component_of_wind": (0.0, 4.0, "m s-1"),
        "vertical_velocity": (0.0, 0.5, "Pa s-1"),
    }
    return (
        coordinate("time", times, "<i8", step=hours, units="hours since 1980-01-01", calendar="proleptic_gregorian"),
        coordinate("level", levels, "<f8", start=1000, step=-900 / max(1, levels - 1), units="hPa"),
        coordinate("latitude", latitudes, "<f8", start=90, step=north_to_south, units="degrees_north"),
        coordinate("longitude", longitudes, "<f8", step=360 / longitudes, units="degrees_east"),
        *(
            Variable(name, dimensions, shape, chunks, "<f4", field(base, spread), {"units": units})
            for name, (base, spread, units) in names.items()
        ),
    )


# The water below a continent, day by day, and the county that each place lies in


def _water_parameters(scale: Scale) -> Parameters:
    return {
        "days": scale.count(smoke=366, laptop=731, full=7_305),
        "y": scale.count(smoke=24, laptop=160, full=3_840),
        "x": scale.count(smoke=28, laptop=200, full=4_608),
        "days_a_chunk": scale.count(smoke=24, laptop=24, full=224),
        "edge": scale.count(smoke=14, laptop=80, full=350),
        "counties": scale.count(smoke=12, laptop=300, full=3_221),
    }


def _water(parameters: Parameters) -> tuple[Variable, ...]:
    days, height, width = (int(parameters[each]) for each in ("days", "y", "x"))
    edge, counties = int(parameters["edge"]), int(parameters["counties"])

    def depth(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:
        import numpy as np

        season = np.sin(2 * np.pi * (np.arange(lengths[0]) + start[0]) / 365.25)[:, None, None]
        return 1.0 + 0.4 * season + random.random(lengths, dtype="float32").round(2)

    def county(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:  # noqa: ARG001
        """Stripes of uneven width along x, cut by rows: neighbours mostly share a county."""
        import numpy as np

        x = (np.arange(lengths[1]) + start[1]) / width
        y = (np.arange(lengths[0]) + start[0]) / height
        across = max(1, math.isqrt(counties))
        stripes = (x**1.5 * across).astype("int64")
        rows = (y * (counties // across)).astype("int64")
        return np.minimum(rows[:, None] * across + stripes[None, :], counties - 1)

    return (
        coordinate("time", days, "<i8", units="days since 2001-01-01", calendar="proleptic_gregorian"),
        coordinate("y", height, "<f8"),
        coordinate("x", width, "<f8"),
        Variable(
            "zwattablrt_rt",
            ("time", "y", "x"),
            (days, height, width),
            (int(parameters["days_a_chunk"]), edge, edge),
            "<f4",
            depth,
            {"units": "m"},
        ),
        Variable("county", ("y", "x"), (height, width), (edge, edge), "<i4", county),
    )


CUBE = _recipe(
    name="zarr_cube",
    summary="a cube of integers from 0 to 255, in Zarr",
    seed=2000,
    parameters=_cube_parameters,
    variables=_cube,
)
ERA5 = _recipe(
    name="era5",
    summary="temperature and wind by time, level and place, a chunk for a few moments, in Zarr",
    seed=1940,
    parameters=_era5_parameters,
    variables=_era5,
    remote=Remote(
        "gs://weatherbench2/datasets/era5/1959-2023_01_10-wb13-6h-1440x721.zarr",
        ("gs://weatherbench2/datasets/era5/1959-2023_01_10-wb13-6h-1440x721.zarr",),
        {"token": "anon"},
    ),
)
NATIONAL_WATER_MODEL = _recipe(
    name="national_water_model",
    summary="depth of the water table by day and place, and counties, in Zarr",
    seed=2001,
    parameters=_water_parameters,
    variables=_water,
)
