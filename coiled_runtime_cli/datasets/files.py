"""One file of a data set: made from the recipe's seed and the file's index alone, so in any order and in any process."""

from __future__ import annotations

import hashlib
import os
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.datasets.recipe import MissingLibrary
from coiled_runtime_cli.errors import CrtError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from coiled_runtime_cli.datasets.recipe import Parameters, PlannedFile, Recipe


@dataclass(frozen=True, slots=True)
class StoredFile:
    path: str  # below the data set's folder, with "/"
    bytes: int
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a file could not be made; a value, so that it comes home from another process whole."""

    path: str
    reason: str
    errno: int | None = None
    traceback: str = ""
    hint: str | None = None
    missing: bool = False  # a library or a program is not installed


def made(
    recipe: Recipe, parameters: Parameters, file: PlannedFile, folder: Path
) -> Iterator[float | StoredFile | Failure]:
    """Make one file below ``folder``, whose folders exist: yields bytes (approximate) as they are written, then the result."""
    try:
        yield from _written(recipe, parameters, file, folder)
    except OSError as error:
        yield Failure(file.path, error.strerror or str(error), error.errno, traceback.format_exc())
    except CrtError as error:
        missing = isinstance(error, MissingLibrary)
        yield Failure(file.path, error.message, None, traceback.format_exc(), error.hint, missing)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in a recipe, the file's name helps to mend it
        yield Failure(file.path, f"{type(error).__name__}: {error}", None, traceback.format_exc())


def _written(
    recipe: Recipe, parameters: Parameters, file: PlannedFile, folder: Path
) -> Iterator[float | StoredFile | Failure]:
    target = folder / file.path
    temporary = target.with_name(target.name + ".tmp")
    with temporary.open("wb") as stream:
        for rows in _WRITERS[recipe.format](stream, recipe.row_groups(parameters, file, recipe.seed), file):
            yield file.bytes * rows / file.rows
        stream.flush()
        os.fsync(stream.fileno())
    temporary.rename(target)
    yield StoredFile(file.path, target.stat().st_size, sha256(target), file.rows)


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _write_row_groups(stream: Any, tables: Iterator[Any], file: PlannedFile) -> Iterator[int]:
    """Write each table as a row group of one Parquet file; yields the rows of each once it is written."""
    if file.rows == 0:
        return
    import pyarrow.parquet as pq

    first = next(tables)
    # Format 2.4 and pages of version 1 are what the oldest supported readers know.
    writer = pq.ParquetWriter(stream, first.schema, version="2.4", compression="snappy")
    for table in _chain(first, tables):
        writer.write_table(table, row_group_size=table.num_rows)
        yield table.num_rows
    writer.close()


def _write_csv(stream: Any, tables: Iterator[Any], _file: PlannedFile) -> Iterator[int]:
    """Write the tables as lines of text below one header; yields the rows of each once it is written."""
    import pyarrow.csv as pc

    for index, table in enumerate(tables):
        options = pc.WriteOptions(include_header=index == 0, quoting_style="needed", quoting_header="none")
        pc.write_csv(table, stream, options)
        yield table.num_rows


def _write_bytes(stream: Any, parts: Iterator[tuple[bytes, int]], _file: PlannedFile) -> Iterator[int]:
    for content, rows in parts:
        stream.write(content)
        yield rows


_WRITERS = {"parquet": _write_row_groups, "csv": _write_csv, "bytes": _write_bytes}


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
