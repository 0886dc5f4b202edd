"""Pictures with a known content: fields and clouds seen by satellites, cells seen by a microscope; in Zarr."""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.datasets.recipe import Parameters, bucket, numbers
from coiled_runtime_cli.datasets.zarr import Variable, coordinate, steady, zarr_recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from coiled_runtime_cli.core.scale import Scale

#: Since when the values of Sentinel-2 are larger, and by how much.
CHANGED, OFFSET = date(2022, 1, 25), 1000
_FIRST = date(2021, 9, 1)


# Two bands of Sentinel-2, every third day over nine months; at smoke every ninth


def _sentinel_parameters(scale: Scale) -> Parameters:
    return {
        "scenes": steady(scale, smoke=31, laptop=91, full=91),
        "days_apart": steady(scale, smoke=9, laptop=3, full=3),
        "y": scale.count(smoke=32, laptop=768, full=10_240),
        "x": steady(scale, smoke=48, laptop=768, full=20_480),
        "edge": steady(scale, smoke=48, laptop=384, full=2_048),
    }


def moisture(month: Any) -> Any:
    """The index (near - short) / (near + short) that the pictures of a month have, but for rounding."""
    return 0.1 + 0.05 * month


def _sentinel(parameters: Parameters) -> tuple[Variable, ...]:
    shape = (scenes, _, _) = numbers(parameters, "scenes", "y", "x")
    edge, apart = numbers(parameters, "edge", "days_apart")

    def band(sign: int) -> Callable[..., Any]:
        def values(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:
            import numpy as np

            days = np.datetime64(_FIRST) + apart * (start[0] + np.arange(lengths[0]))
            month = days.astype("datetime64[M]").astype("int64") % 12 + 1
            index = moisture(month)[:, None, None]
            y, x = (start[axis] + np.arange(lengths[axis]) for axis in (1, 2))
            bright = 4000 + 1000 * np.sin(y / 50)[:, None] * np.sin(x / 70)
            noise = random.integers(-8, 9, lengths, dtype="int16")
            later = (days >= np.datetime64(CHANGED))[:, None, None]
            return bright * (1 + sign * index) / 2 + noise + OFFSET * later

        return values

    return (
        coordinate("time", scenes, "<i8", step=apart, units=f"days since {_FIRST}", calendar="proleptic_gregorian"),
        *(
            Variable(name, ("time", "y", "x"), shape, (1, edge, edge), "<u2", band(sign))
            for name, sign in (("B08", 1), ("B11", -1))
        ),
    )


# Tiles of Landsat that overlap by an eighth, with clouds that their quality band tells of


def _landsat_parameters(scale: Scale) -> Parameters:
    return {
        "tiles": 4,
        "scenes": scale.count(smoke=3, laptop=12, full=80),
        "edge": steady(scale, smoke=48, laptop=384, full=7_680),
        "chunk": steady(scale, smoke=48, laptop=192, full=1_920),
    }


def ground(band: int, y: Any, x: Any) -> Any:
    """What a band (0 red, 1 green, 2 blue) shows at each place without clouds: whole numbers."""
    return 1_000 * (band + 1) + (3 * y + 5 * x) % 512


def _landsat(parameters: Parameters) -> tuple[Variable, ...]:
    tiles, scenes, edge, chunk = numbers(parameters, "tiles", "scenes", "edge", "chunk")
    dimensions, shape, chunks = ("tile", "time", "y", "x"), (tiles, scenes, edge, edge), (1, 1, chunk, chunk)
    step = edge * 7 // 8

    def cloudy(start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:
        """Bands of cloud that move from scene to scene: two fifths of all places, and never all scenes of one."""
        import numpy as np

        tile, scene, y, x = np.ix_(*(first + np.arange(length) for first, length in zip(start, lengths, strict=True)))
        return ((y + 2 * x) // 16 + scene + tile) % 5 < 2

    def quality(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:
        """Bits 2 to 4 tell of clouds and their shadows, bit 0 of what does not matter."""
        return cloudy(start, lengths) * (4 << random.integers(0, 3, lengths)) + random.integers(0, 2, lengths)

    def band(number: int) -> Callable[..., Any]:
        def values(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:
            import numpy as np

            tile, _, y, x = np.ix_(*(first + np.arange(length) for first, length in zip(start, lengths, strict=True)))
            clear = ground(number, y + step * (tile // 2), x + step * (tile % 2))
            return np.where(cloudy(start, lengths), random.integers(20_000, 40_000, lengths), clear)

        return values

    def corner(axis: int) -> Callable[..., Any]:
        def values(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:  # noqa: ARG001
            import numpy as np

            tile = np.arange(lengths[0])
            return step * (tile // 2 if axis == 0 else tile % 2)

        return values

    return (
        coordinate("time", scenes, "<i8", step=16, units="days since 2012-01-01", calendar="proleptic_gregorian"),
        Variable("top", ("tile",), (tiles,), (tiles,), "<i8", corner(0)),
        Variable("left", ("tile",), (tiles,), (tiles,), "<i8", corner(1)),
        Variable("cloud_qa", dimensions, shape, chunks, "<u2", quality),
        *(
            Variable(name, dimensions, shape, chunks, "<u2", band(number))
            for number, name in enumerate(("red", "green", "blue"))
        ),
    )


# Nuclei of cells under a microscope, as bright discs that do not touch


def _nuclei_parameters(scale: Scale) -> Parameters:
    return {
        "images": scale.count(smoke=2, laptop=4, full=200),
        "y": steady(scale, smoke=88, laptop=132, full=520),
        "x": steady(scale, smoke=132, laptop=176, full=696),
        "images_a_chunk": 1,
    }


_CELL = 44  # pixels of the square that a nucleus has for itself


def _nuclei(parameters: Parameters) -> tuple[Variable, ...]:
    images, height, width, thick = numbers(parameters, "images", "y", "x", "images_a_chunk")
    down, across = height // _CELL, width // _CELL

    def planted(image: int) -> int:
        return down * across - (7 * image) % max(2, down * across // 4)

    def picture(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:
        import numpy as np

        block = random.integers(90, 111, lengths)
        for number in range(lengths[0]):
            places = random.permutation(down * across)[: planted(start[0] + number)]
            for place in places:
                radius = random.uniform(9, 14)
                slack = (_CELL - 6) / 2 - radius
                y, x = (_CELL * (each + 0.5) for each in divmod(int(place), across))
                y, x = y + random.uniform(-slack, slack), x + random.uniform(-slack, slack)
                top, left = max(0, math.floor(y - radius)), max(0, math.floor(x - radius))
                rows, columns = np.ogrid[top : math.ceil(y + radius) + 1, left : math.ceil(x + radius) + 1]
                disc = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
                part = block[number, top : top + disc.shape[0], left : left + disc.shape[1]]
                part += (disc * random.integers(700, 1500))[: part.shape[0], : part.shape[1]]
        return block

    def number(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:  # noqa: ARG001
        return [planted(start[0] + each) for each in range(lengths[0])]

    return (
        Variable(
            "images",
            ("image", "y", "x"),
            (images, height, width),
            (thick, height, width),
            "<u2",
            picture,
        ),
        Variable("planted", ("image",), (images,), (images,), "<i4", number),
    )


SENTINEL2 = zarr_recipe(
    name="sentinel2",
    summary="two bands of a satellite, every third day for nine months, a chunk for a part of a scene, in Zarr",
    seed=2015,
    parameters=_sentinel_parameters,
    variables=_sentinel,
)
LANDSAT = zarr_recipe(
    name="landsat",
    summary="overlapping tiles of three bands with clouds and a quality band, in Zarr",
    seed=1972,
    parameters=_landsat_parameters,
    variables=_landsat,
)
NUCLEI = zarr_recipe(
    name="nuclei",
    summary="pictures of cells, and how many nuclei each shows, in Zarr",
    seed=39,
    parameters=_nuclei_parameters,
    variables=_nuclei,
    remote=bucket("s3://coiled-datasets/BBBC039", anon=True),
)
