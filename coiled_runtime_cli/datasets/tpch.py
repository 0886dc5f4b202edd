"""The eight tables of TPC-H (https://www.tpc.org/tpch, section 4.2), as the program ``tpchgen-cli`` generates them.

What it writes is what the specification's own generator writes, byte for byte; here only the types are relaxed, once for all who
read: a decimal becomes a float, a date a timestamp. With decimals an engine that has none would be measured at converting.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli import process, temporary
from coiled_runtime_cli.datasets.recipe import MissingLibrary, Parameters, PlannedFile, Recipe, Remote, cut
from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.core.scale import Scale

PROGRAM = "tpchgen-cli"

#: What a table is generated and cut by, so many at scale factor 1; bytes of a row as Parquet. A part has four suppliers, which
#: are four rows of partsupp; an order has one to seven lines: 6,001,215 in all.
_TABLES = {
    "region": (None, 400),
    "nation": (None, 130),
    "supplier": (10_000, 100),
    "customer": (150_000, 96),
    "part": (200_000, 37),
    "partsupp": (200_000, 55),
    "orders": (1_500_000, 40),
    "lineitem": (1_500_000, 36),
}
TABLES = tuple(_TABLES)
_FIXED = {"region": 5, "nation": 25}
_SUPPLIERS_A_PART = 4

#: A file has at most so many of them, about 27 MB of the longest table.
_UNITS_A_FILE = 187_500
_ROW_GROUP = 125_000
_REMOTE = "s3://coiled-runtime-ci/tpc-h/snappy/scale-1000"

#: The generator's stream of random numbers that says how many lines an order has (section 4.2.3), a Lehmer generator.
_LINES_SEED, _MULTIPLIER, _MODULUS = 1_434_868_289, 16_807, 2**31 - 1
#: Longest that the generator takes for one file (s).
_TIMEOUT = 600.0


def _parameters(scale: Scale) -> Parameters:
    return {"scale_factor": f"{scale.tpch_factor():g}", "units_a_file": _UNITS_A_FILE}


def _units(name: str, factor: float) -> int:
    per_factor = _TABLES[name][0]
    return _FIXED[name] if per_factor is None else max(1, int(per_factor * factor))


def _parts(name: str, units: int) -> int:
    """Into how many files a table is cut. The two longest are at least two: who reads them has something to put together."""
    return max(2 if name in ("orders", "lineitem") else 1, -(-units // _UNITS_A_FILE))


def _plan(parameters: Parameters) -> tuple[PlannedFile, ...]:
    plan: list[PlannedFile] = []
    for name, (_, row_bytes) in _TABLES.items():
        units = _units(name, float(parameters["scale_factor"]))
        parts = _parts(name, units)
        # the generator's own way of cutting: what is left over is in the last part
        ends = [units // parts * (part + 1) for part in range(parts - 1)] + [units]
        for part, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            rows = _lines(start, end) if name == "lineitem" else end - start
            rows *= _SUPPLIERS_A_PART if name == "partsupp" else 1
            plan.append(PlannedFile(len(plan), f"{name}/{name}-{part:05d}.parquet", rows, rows * row_bytes))
    return tuple(plan)


def _lines(start: int, end: int) -> int:
    """How many lines the orders ``start`` to ``end`` have: drawn as the generator draws them, one to seven."""
    import numpy as np

    first = np.uint64(_LINES_SEED * pow(_MULTIPLIER, start + 1, _MODULUS) % _MODULUS)
    drawn = first * _powers(end - start) % np.uint64(_MODULUS)
    return (end - start) + int((drawn / _MODULUS * 7).astype("int64").sum())


@functools.lru_cache(maxsize=4)
def _powers(count: int) -> Any:
    """The first ``count`` powers of the multiplier, from the 0th, in the generator's arithmetic."""
    import numpy as np

    powers = np.ones(1, dtype="uint64")
    while len(powers) < count:
        ahead = np.uint64(pow(_MULTIPLIER, len(powers), _MODULUS))
        powers = np.concatenate([powers, powers * ahead % np.uint64(_MODULUS)])
    return powers[:count]


def _row_groups(parameters: Parameters, file: PlannedFile, seed: int) -> Iterator[Any]:  # noqa: ARG001 - dbgen has its own
    factor = str(parameters["scale_factor"])
    name, _, part = file.path.partition("/")
    parts = _parts(name, _units(name, float(factor)))
    if parts == 1:
        table = _uncut(factor).pop(name, None)
        if table is None:  # asked for again: it is kept for one reader
            _uncut.cache_clear()
            table = _uncut(factor).pop(name)
    else:
        number = int(part.rpartition("-")[2].partition(".")[0]) + 1
        (table,) = _generated(factor, f"--tables={name}", f"--parts={parts}", f"--part={number}").values()
    if table.num_rows != file.rows:
        raise ToolError(f"{PROGRAM} made {table.num_rows} rows of {file.path}, and {file.rows} were expected")
    for start, length in cut(file.rows, _ROW_GROUP):
        yield table.slice(start, length)


@functools.lru_cache(maxsize=1)
def _uncut(factor: str) -> dict[str, Any]:
    """Every table that is one file, until it is taken: to start the generator takes longer than to generate them."""
    names = [each for each in TABLES if _parts(each, _units(each, float(factor))) == 1]
    return _generated(factor, f"--tables={','.join(names)}")


def _generated(factor: str, *what: str) -> dict[str, Any]:
    """Run the generator, and read what it has written: tables by name."""
    import pyarrow.parquet as pq

    # one row group: of several each has a whole part of the rows, and what is left over moves between the files
    how = ("--compression=UNCOMPRESSED", "--row-group-bytes=1GB", "--quiet", f"--scale-factor={factor}")
    with temporary.folder("crt-tpch-") as folder:
        done = process.run([_program(), "parquet", *how, *what, f"--output-dir={folder}"], timeout=_TIMEOUT)
        if done.returncode:
            raise ToolError(f"{PROGRAM} {' '.join(what)} failed: {done.stderr.strip()[-500:]}")
        tables = {}
        for each in Path(folder).rglob("*.parquet"):
            with each.open("rb") as stream:
                tables[each.name.partition(".")[0]] = relaxed(pq.read_table(stream))
    return tables


def _program() -> str:
    """Where the generator is."""
    found = process.installed_program(PROGRAM)
    if found is None:
        raise MissingLibrary(
            f"data set tpch needs the program {PROGRAM}", hint='pip install "coiled-runtime-cli[tpch]"'
        )
    return found


def relaxed(table: Any) -> Any:
    """The table with floats for decimals, timestamps for dates, plain strings, and no notes in its schema."""
    import pyarrow as pa

    def kind(field: Any) -> Any:
        if pa.types.is_decimal(field.type):
            return pa.float64()
        if pa.types.is_date(field.type):
            return pa.timestamp("us")
        return field.type if pa.types.is_integer(field.type) else pa.string()

    return table.cast(pa.schema([(each.name, kind(each)) for each in table.schema]))


TPCH = Recipe(
    name="tpch",
    summary="the eight tables of TPC-H, decimals as floats, dates as timestamps",
    version=1,
    seed=0,  # the specification fixes every seed
    parameters=_parameters,
    plan=_plan,
    row_groups=_row_groups,
    remote=Remote(_REMOTE, tuple(f"{_REMOTE}/{name}/*.parquet" for name in TABLES)),
)
