"""What climate models say, as they publish it: a netCDF file a year; written without a netCDF library, in the classic format.

Fixed dimensions alone, and each variable in one piece behind the header
(https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html).
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.datasets.recipe import Parameters, PlannedFile, Recipe, Remote
from coiled_runtime_cli.datasets.zarr import Variable, coordinate, steady

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coiled_runtime_cli.core.scale import Scale

_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12
_TYPES = {">f4": 5, ">f8": 6}
_CHARACTERS = 2
_FIRST_YEAR = 1950


def netcdf(variables: tuple[Variable, ...], random: Any) -> Iterator[bytes]:
    """The header, then the bytes of each variable. A variable's chunks are not used; its type is ``>f4`` or ``>f8``."""
    dimensions: dict[str, int] = {}
    for each in variables:
        dimensions.update(zip(each.dimensions, each.shape, strict=True))
    sizes = [_padded(math.prod(each.shape) * int(each.dtype[2:])) for each in variables]
    # The offsets are as long whatever they say, so a first header tells where the data begin.
    begin = len(_header(variables, dimensions, sizes, 0))
    yield _header(variables, dimensions, sizes, begin)
    for each, size in zip(variables, sizes, strict=True):
        import numpy as np

        values = each.values(random, (0,) * len(each.shape), each.shape)
        yield np.ascontiguousarray(values, dtype=each.dtype).tobytes().ljust(size, b"\0")


def _header(variables: tuple[Variable, ...], dimensions: Mapping[str, int], sizes: list[int], begin: int) -> bytes:
    numbers = {name: number for number, name in enumerate(dimensions)}
    parts = [b"CDF\x02", _integers(0, _DIMENSIONS, len(dimensions))]
    parts += [_name(name) + _integers(length) for name, length in dimensions.items()]
    parts += [_integers(0, 0, _VARIABLES, len(variables))]
    for each, size in zip(variables, sizes, strict=True):
        parts += [_name(each.name), _integers(len(each.shape), *(numbers[name] for name in each.dimensions))]
        parts += [_integers(_ATTRIBUTES if each.attributes else 0, len(each.attributes))]
        for name, text in each.attributes.items():
            encoded = str(text).encode()
            parts += [_name(name), _integers(_CHARACTERS, len(encoded)), encoded.ljust(_padded(len(encoded)), b"\0")]
        parts += [_integers(_TYPES[each.dtype], size), struct.pack(">q", begin)]
        begin += size
    return b"".join(parts)


def _integers(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}i", *numbers)


def _name(text: str) -> bytes:
    encoded = text.encode()
    return _integers(len(encoded)) + encoded.ljust(_padded(len(encoded)), b"\0")


def _padded(length: int) -> int:
    return -(-length // 4) * 4


# Humidity of the air, a year a file


def _parameters(scale: Scale) -> Parameters:
    return {
        "years": scale.count(smoke=4, laptop=16, full=65),
        "lat": steady(scale, smoke=6, laptop=48, full=600),
        "lon": steady(scale, smoke=12, laptop=96, full=1_440),
    }


def _plan(parameters: Parameters) -> tuple[PlannedFile, ...]:
    days = 365
    size = days * int(parameters["lat"]) * int(parameters["lon"]) * 4
    return tuple(
        PlannedFile(index, f"hurs_day_{_FIRST_YEAR + index}.nc", days, size + 5_000)
        for index in range(int(parameters["years"]))
    )


def _content(parameters: Parameters, file: PlannedFile, seed: int) -> Iterator[tuple[bytes, int]]:
    import numpy as np

    lat, lon = int(parameters["lat"]), int(parameters["lon"])

    def humidity(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:  # noqa: ARG001
        return 60 + 10 * random.standard_normal(lengths, dtype="float32")

    variables = (
        coordinate(
            "time", file.rows, ">f8", start=365 * file.index, units=f"days since {_FIRST_YEAR}-01-01", calendar="noleap"
        ),
        coordinate("lat", lat, ">f8", start=-60, step=150 / lat, units="degrees_north"),
        coordinate("lon", lon, ">f8", step=360 / lon, units="degrees_east"),
        Variable(
            "hurs",
            ("time", "lat", "lon"),
            (file.rows, lat, lon),
            (file.rows, lat, lon),
            ">f4",
            humidity,
            {"units": "%"},
        ),
    )
    parts = list(netcdf(variables, np.random.default_rng([seed, file.index])))
    yield b"".join(parts), file.rows


NEX_GDDP = Recipe(
    name="nex_gddp",
    summary="humidity of the air by day and place, a netCDF file a year",
    version=1,
    seed=2014,
    parameters=_parameters,
    plan=_plan,
    row_groups=_content,
    remote=Remote(
        "s3://nex-gddp-cmip6/NEX-GDDP-CMIP6/ACCESS-CM2/historical/r1i1p1f1/hurs",
        ("s3://nex-gddp-cmip6/NEX-GDDP-CMIP6/ACCESS-CM2/historical/r1i1p1f1/hurs/*.nc",),
        {"anon": True},
    ),
    format="bytes",
    requires={"numpy": "numpy"},
)
