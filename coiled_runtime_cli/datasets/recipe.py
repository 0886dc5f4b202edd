"""What a generated data set is made of: its parameters, its files, and the tables that go into each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from coiled_runtime_cli.core.scale import Scale

#: Counts and sizes that a data set follows from; JSON values, since its key is a hash of them.
Parameters: TypeAlias = Mapping[str, "int | str"]


class MissingLibrary(ToolError):  # noqa: N818 - says what is missing, as FileNotFoundError's elders do
    """A library or program that this data set needs is not installed; the message names it."""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One file to be generated; ``rows`` 0 is an empty marker file such as ``_SUCCESS``."""

    index: int  # position among the files; with the recipe's seed it seeds the content
    path: str  # below the data set's folder, with "/"
    rows: int
    bytes: int  # approximate


@dataclass(frozen=True, slots=True)
class Remote:
    """Where the real data are. ``files`` are URLs, or one glob pattern."""

    location: str
    files: tuple[str, ...]
    storage_options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to make one data set. A change of content needs a new ``version``, which is part of the cache's key."""

    name: str
    summary: str
    version: int
    seed: int
    parameters: Callable[[Scale], Parameters]
    plan: Callable[[Parameters], tuple[PlannedFile, ...]]
    #: The tables of a file, each written as one row group; all of them have one schema. For "bytes": (bytes, rows).
    row_groups: Callable[[Parameters, PlannedFile, int], Iterator[Any]]
    remote: Remote | None = None  # None: there is none, and it is generated at full scale too
    format: str = "parquet"  # or "csv", or "bytes" as they are
    #: Modules that making and reading it take, and the packages that bring them.
    requires: Mapping[str, str] = field(default_factory=lambda: {"numpy": "numpy", "pyarrow": "pyarrow"})

    def remote_at(self, scale: Scale) -> Remote | None:
        """Where the real data are, at the one scale that reads them; None: they are generated."""
        return self.remote if scale.name == "full" else None

    def key(self, parameters: Parameters) -> str:
        """Name the content: 12 hex digits of the hash of all that it follows from."""
        return key_of(self.name, self.version, self.seed, parameters)


def key_of(name: str, version: int, seed: int, parameters: Parameters) -> str:
    content = [name, version, seed, dict(parameters)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def numbers(parameters: Parameters, *names: str) -> tuple[int, ...]:
    """The parameters of these names, which are counts or lengths."""
    return tuple(int(parameters[each]) for each in names)


def bucket(url: str, **options: Any) -> Remote:
    """What is read as a whole: a store of arrays."""
    return Remote(url, (url,), options)


def uneven(total: int, weights: tuple[float, ...]) -> tuple[int, ...]:
    """Split ``total`` rows by ``weights``. Each part is at least 1; where that leaves room they add up to ``total``."""
    whole = sum(weights)
    parts = [max(1, int(total * each / whole)) for each in weights]
    largest = parts.index(max(parts))
    parts[largest] = max(1, parts[largest] + total - sum(parts))
    return tuple(parts)


def cut(rows: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and length of each row group of ``size`` rows; the last may be shorter."""
    for start in range(0, rows, size):
        yield start, min(size, rows - start)
