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

from coiled_runtime_cli.core.scale import NAMES
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


def steady(scale: Scale, *, smoke: int, laptop: int, full: int) -> int:
    """A length that a scale given as a number leaves as at ``laptop``: of an array one dimension grows, and not all of them."""
    return {"smoke": smoke, "full": full}.get(scale.name, laptop)


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


def zarr_recipe(
    *,
    name: str,
    summary: str,
    seed: int,
    parameters: Callable[[Scale], Parameters],
    variables: Callable[[Parameters], tuple[Variable, ...]],
    remote: Remote | None = None,
) -> Recipe:
    """A data set that is one Zarr store with these variables."""
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
        requires={"numpy": "numpy"},
    )


# A cube of small integers


def _cube_parameters(scale: Scale) -> Parameters:
    chunk = steady(scale, smoke=34, laptop=64, full=200)
    if scale.name not in NAMES:
        chunk = max(4, round(chunk * scale.factor ** (1 / 3)))
    return {"edge": chunk * steady(scale, smoke=3, laptop=5, full=10), "chunk": chunk}


def _cube(parameters: Parameters) -> tuple[Variable, ...]:
    edge, chunk = int(parameters["edge"]), int(parameters["chunk"])

    def values(random: Any, start: tuple[int, ...], lengths: tuple[int, ...]) -> Any:  # noqa: ARG001
        return random.integers(0, 256, lengths, dtype="int32")

    return (Variable("cube", ("x", "y", "z"), (edge,) * 3, (chunk,) * 3, "<i4", values),)


CUBE = zarr_recipe(
    name="zarr_cube",
    summary="a cube of integers from 0 to 255, in Zarr",
    seed=2000,
    parameters=_cube_parameters,
    variables=_cube,
)
