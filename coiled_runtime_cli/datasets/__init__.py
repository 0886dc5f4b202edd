"""The data that suites read: seeded generators of their shapes and a cache; at full scale, where the real data are."""

from __future__ import annotations

import glob
import importlib.util
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.datasets.arxiv import ARXIV
from coiled_runtime_cli.datasets.cache import obtain
from coiled_runtime_cli.datasets.citibike import CITIBIKE
from coiled_runtime_cli.datasets.events import Failed
from coiled_runtime_cli.datasets.gdelt import GDELT
from coiled_runtime_cli.datasets.genomes import SPARK_GENOMES
from coiled_runtime_cli.datasets.h2o import H2O_GROUPBY, H2O_GROUPBY_CSV, H2O_JOIN, H2O_JOIN_CSV
from coiled_runtime_cli.datasets.netcdf import NEX_GDDP
from coiled_runtime_cli.datasets.ookla import OOKLA_HIVE, OOKLA_SINGLE
from coiled_runtime_cli.datasets.pictures import LANDSAT, NUCLEI, SENTINEL2
from coiled_runtime_cli.datasets.production import produce
from coiled_runtime_cli.datasets.recipe import MissingLibrary as MissingLibrary
from coiled_runtime_cli.datasets.ride_hailing import UBER_LYFT
from coiled_runtime_cli.datasets.taxi import NYC_TAXI, NYC_TAXI_CSV
from coiled_runtime_cli.datasets.tpch import TPCH
from coiled_runtime_cli.datasets.water import NATIONAL_WATER_MODEL, SEA_ICE
from coiled_runtime_cli.datasets.weather import CMIP6_HEIGHT, ERA5, ERA5_SURFACE, PRECIPITATION
from coiled_runtime_cli.datasets.zarr import CUBE
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from pathlib import Path

    from coiled_runtime_cli.core.scale import Scale
    from coiled_runtime_cli.datasets.events import Event
    from coiled_runtime_cli.datasets.recipe import Recipe

_RECIPES = {
    each.name: each
    for each in (
        ARXIV, CITIBIKE,
        CMIP6_HEIGHT, CUBE, ERA5, ERA5_SURFACE, GDELT, H2O_GROUPBY, H2O_GROUPBY_CSV, H2O_JOIN, H2O_JOIN_CSV, LANDSAT,
        NATIONAL_WATER_MODEL, NEX_GDDP, NUCLEI, NYC_TAXI, NYC_TAXI_CSV, OOKLA_HIVE, OOKLA_SINGLE, PRECIPITATION,
        SEA_ICE, SENTINEL2, SPARK_GENOMES, TPCH, UBER_LYFT,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set that is ready to be read."""

    name: str
    location: str  # folder or URL
    files: tuple[str, ...]  # full paths of the files that hold rows; at full scale URLs or one glob pattern
    bytes: int | None  # of ``files``; None where the data are remote: nobody has looked
    rows: int | None
    storage_options: dict[str, Any] = field(default_factory=dict)
    generated: bool = False  # by this call, all of it or some files
    repaired: bool = False  # by this call: some of it was there, and damaged

    @property
    def remote(self) -> bool:
        """Whether it is in a bucket."""
        return "://" in self.location

    @property
    def patterns(self) -> list[str]:
        """``files`` for whoever takes every path for a pattern, as dask.dataframe does: a folder called [x] is none."""
        return list(self.files) if self.remote else [glob.escape(each) for each in self.files]


@dataclass(frozen=True, slots=True)
class Description:
    """What :func:`prepare` would make, or where it would point."""

    name: str
    summary: str
    location: str | None  # URL of the real data at full scale; None: it is generated
    parameters: Mapping[str, int | str]
    seed: int | None
    rows: int | None
    bytes: int | None  # approximate
    files: tuple[str, ...]


def names() -> tuple[str, ...]:
    return tuple(sorted(_RECIPES))


def describe(name: str, scale: Scale) -> Description:
    """Say what ``prepare`` would do, without touching disk or network. Raises UsageError for an unknown name."""
    recipe = _recipe(name)
    remote = recipe.remote_at(scale)
    if remote is not None:
        return Description(name, recipe.summary, remote.location, {}, None, None, None, remote.files)
    parameters = recipe.parameters(scale)
    plan = recipe.plan(parameters)
    return Description(
        name,
        recipe.summary,
        None,
        parameters,
        recipe.seed,
        rows=sum(each.rows for each in plan),
        bytes=sum(each.bytes for each in plan),
        files=tuple(each.path for each in plan),
    )


def prepare(name: str, *, scale: Scale, cache: Path, progress: Callable[[float, float], None] | None = None) -> Dataset:
    """Have the data set at hand: below ``cache``, generated unless it is there and intact; at full scale where it is.

    ``progress(done, total)`` is called in approximate bytes while data are generated. Safe to call from several
    processes at once. Raises UsageError for an unknown name, MissingLibrary, and ToolError where ``cache`` cannot be
    written.
    """
    recipe = _recipe(name)
    remote = recipe.remote_at(scale)
    if remote is not None:
        reader = {"s3": "s3fs", "gs": "gcsfs"}[remote.location.partition(":")[0]]
        _require(name, {**recipe.requires, reader: reader})
        return Dataset(name, remote.location, remote.files, None, None, dict(remote.storage_options))
    _require(name, recipe.requires)
    stored = obtain(recipe, recipe.parameters(scale), cache, progress or (lambda done, total: None))  # noqa: ARG005
    data = [each for each in stored.files if each.rows]
    return Dataset(
        name,
        str(stored.folder),
        tuple(str(stored.folder / each.path) for each in data),
        sum(each.bytes for each in data),
        stored.rows,
        generated=stored.generated,
        repaired=stored.repaired,
    )


def recipes(chosen: Iterable[str] = ()) -> dict[str, Recipe]:
    """The recipes of these names, or all, by name. Raises UsageError for an unknown name."""
    return {name: _recipe(name) for name in dict.fromkeys(chosen)} or {name: _RECIPES[name] for name in names()}


def make(
    chosen: Iterable[str], *, scale: Scale, cache: Path, workers: int | None = None
) -> Generator[Event, None, None]:
    """Have data sets below ``cache``, one event at a time, by ``workers`` processes (None: as many as it takes).

    One that is remote at this scale is passed over. Raises as :func:`prepare` does, but for what can be told of one data set
    alone: that is an event.
    """
    wanted = []
    for recipe in recipes(chosen).values():
        if recipe.remote_at(scale) is not None:
            continue
        try:
            _require(recipe.name, recipe.requires)
        except MissingLibrary as error:
            yield Failed(recipe.name, error)
        else:
            wanted.append((recipe, recipe.parameters(scale)))
    yield from produce(wanted, cache, workers=workers)


def _recipe(name: str) -> Recipe:
    try:
        return _RECIPES[name]
    except KeyError:
        raise UsageError(unknown("data set", name, names())) from None


def _require(name: str, libraries: Mapping[str, str]) -> None:
    missing = [package for module, package in libraries.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingLibrary(f"data set {name} needs {' and '.join(missing)}", hint=f"pip install {' '.join(missing)}")
