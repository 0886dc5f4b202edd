"""The tables of the database-like operations benchmark (db-benchmark), to group and to join, at any size.

Schema and cardinalities: https://github.com/h2oai/db-benchmark, _data/groupby-datagen.R and _data/join-datagen.R. N rows,
K = 100 groups. To group: id1 and id2 are one of K texts, id3 one of N/K; id4 and id5 one of K numbers, id6 one of N/K; v1 is
1 to 5, v2 1 to 15, v3 a float up to 100 of six decimals. To join: a table x of N rows and right-hand tables of N/1e6, N/1e3
and N rows; a tenth of the keys is on one side alone.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.datasets.recipe import Parameters, PlannedFile, Recipe, Remote, cut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.core.scale import Scale

GROUPS = 100
_ROW_GROUP = 500_000
_PUBLISHED = "s3://coiled-datasets/h2o-benchmark"
#: Bytes of a row, as Parquet and as text.
_GROUPBY_BYTES = {"parquet": 32, "csv": 50}
_JOIN_BYTES = {"parquet": 30, "csv": 55}


def _groupby_parameters(scale: Scale, *, suffix: str) -> Parameters:
    return {
        "rows": scale.count(smoke=100_000, laptop=2_500_000, full=100_000_000),
        "groups": GROUPS,
        # text is in one file, as db-benchmark has it: to cut it is the reader's work
        "files": 1 if suffix == "csv" else scale.count(smoke=4, laptop=10, full=100),
    }


def _groupby_plan(parameters: Parameters, *, suffix: str) -> tuple[PlannedFile, ...]:
    rows, files = int(parameters["rows"]), int(parameters["files"])
    ends = [rows * (index + 1) // files for index in range(files)]
    return tuple(
        PlannedFile(index, f"groupby-{index:05d}.{suffix}", end - start, (end - start) * _GROUPBY_BYTES[suffix])
        for index, (start, end) in enumerate(zip([0, *ends], ends, strict=False))
    )


def _groupby_tables(parameters: Parameters, file: PlannedFile, seed: int) -> Iterator[Any]:
    import numpy as np
    import pyarrow as pa

    random = np.random.default_rng([seed, file.index])
    few = int(parameters["groups"])
    many = max(1, int(parameters["rows"]) // few)
    for _, rows in cut(file.rows, _ROW_GROUP):
        yield pa.table(
            {
                "id1": _labels(random.integers(1, few + 1, rows), 3),
                "id2": _labels(random.integers(1, few + 1, rows), 3),
                "id3": _labels(random.integers(1, many + 1, rows), 10),
                "id4": random.integers(1, few + 1, rows, dtype="int32"),
                "id5": random.integers(1, few + 1, rows, dtype="int32"),
                "id6": random.integers(1, many + 1, rows, dtype="int32"),
                "v1": random.integers(1, 6, rows, dtype="int32"),
                "v2": random.integers(1, 16, rows, dtype="int32"),
                "v3": (random.random(rows) * 100).round(6),
            }
        )


def _labels(numbers: Any, digits: int) -> Any:
    """``id007`` for 7, as an Arrow array."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_lpad(pa.array(numbers).cast(pa.string()), width=digits, padding="0")
    return pc.binary_join_element_wise(pa.scalar("id"), text, "")


# To join: tables x, small, medium and big. Keys are drawn by permutation, so a right-hand key is unique in its table.

#: Rows of the right-hand tables as parts of N, and never fewer than the second number.
_RIGHT = {"small": (1e-6, 10), "medium": (1e-3, 100), "big": (1.0, 100)}
_SIDES = ("x", *_RIGHT)


def right_rows(rows: int) -> dict[str, int]:
    """Rows of the right-hand tables for a left-hand one of ``rows``."""
    return {name: max(least, int(rows * part)) for name, (part, least) in _RIGHT.items()}


def _join_parameters(scale: Scale) -> Parameters:
    return {
        "rows": scale.count(smoke=100_000, laptop=2_000_000, full=100_000_000),
        "files": scale.count(smoke=2, laptop=8, full=100),
    }


def _join_plan(parameters: Parameters, *, suffix: str) -> tuple[PlannedFile, ...]:
    rows, files = int(parameters["rows"]), int(parameters["files"])
    lengths = {"x": rows, **right_rows(rows)}
    plan: list[PlannedFile] = []
    for name in _SIDES:
        parts = files if lengths[name] == rows else 1
        ends = [lengths[name] * (index + 1) // parts for index in range(parts)]
        for index, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            path = f"{name}/{name}-{index:05d}.{suffix}"
            plan.append(PlannedFile(len(plan), path, end - start, (end - start) * _JOIN_BYTES[suffix]))
    return tuple(plan)


def _join_tables(parameters: Parameters, file: PlannedFile, seed: int) -> Iterator[Any]:
    """A part of one table. A tenth of each side's keys is unknown to the other: an inner join keeps about 90 % of x."""
    import numpy as np
    import pyarrow as pa

    rows = int(parameters["rows"])
    lengths = right_rows(rows)
    name, _, part = file.path.partition("/")
    random = np.random.default_rng([seed, file.index])
    if name == "x":
        keys = {
            number: _left_keys(random, lengths[each], file.rows)
            for number, each in zip(("1", "2", "3"), _RIGHT, strict=True)
        }
        columns = {**_key_columns(keys), "v1": (random.random(file.rows) * 100).round(6)}
    else:
        level = list(_RIGHT).index(name) + 1
        start = int(part.rpartition("-")[2].partition(".")[0]) * lengths[name] // _parts(parameters, name)
        own = _right_keys(seed, lengths[name])[start : start + file.rows]
        keys = {str(level): own}
        for lower in range(1, level):
            keys[str(lower)] = _left_keys(random, lengths[list(_RIGHT)[lower - 1]], file.rows)
        columns = {**_key_columns(keys), "v2": (random.random(file.rows) * 100).round(6)}
    table = pa.table(columns)
    for start, length in cut(file.rows, _ROW_GROUP):
        yield table.slice(start, length)


def _parts(parameters: Parameters, name: str) -> int:
    return int(parameters["files"]) if right_rows(int(parameters["rows"]))[name] == int(parameters["rows"]) else 1


def _left_keys(random: Any, kinds: int, rows: int) -> Any:
    """Keys 1 to ``kinds``; those of the last tenth are not in the right-hand table."""
    return random.integers(1, kinds + 1, rows, dtype="int64").astype("int32")


@functools.lru_cache(maxsize=2)
def _right_keys(seed: int, kinds: int) -> Any:
    """``kinds`` unique keys in random order: 1 to 90 % of ``kinds``, and as many more above that no left-hand row has."""
    import numpy as np

    shared = int(kinds * 0.9)
    known = np.concatenate([np.arange(1, shared + 1), np.arange(kinds + 1, kinds + 1 + kinds - shared)])
    return np.random.default_rng([seed, kinds]).permutation(known).astype("int32")


def _key_columns(keys: dict[str, Any]) -> dict[str, Any]:
    """id1, id2 and id3 as numbers, and the same as text in id4, id5 and id6."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = {f"id{number}": pa.array(values) for number, values in sorted(keys.items())}
    labels = {
        f"id{int(number) + 3}": pc.binary_join_element_wise(pa.scalar("id"), pa.array(values).cast(pa.string()), "")
        for number, values in sorted(keys.items())
    }
    return {**numbers, **labels}


def _groupby(format: str) -> Recipe:  # noqa: A002 - the recipe's own name for it
    folder = "/*.csv" if format == "csv" else "_parquet/*.parquet"
    return Recipe(
        name="h2o_groupby" + ("_csv" if format == "csv" else ""),
        summary=f"db-benchmark's table to group, as {'text' if format == 'csv' else 'Parquet'}",
        version=1,
        seed=108,
        parameters=functools.partial(_groupby_parameters, suffix=format),
        plan=functools.partial(_groupby_plan, suffix=format),
        row_groups=_groupby_tables,
        remote=Remote(_PUBLISHED, (f"{_PUBLISHED}/N_1e8_K_1e2{folder}",), {"anon": True}),
        format=format,
    )


def _join(format: str) -> Recipe:  # noqa: A002 - the recipe's own name for it
    return Recipe(
        name="h2o_join" + ("_csv" if format == "csv" else ""),
        summary=f"db-benchmark's tables to join, as {'text' if format == 'csv' else 'Parquet'}",
        version=1,
        seed=109,
        parameters=_join_parameters,
        plan=functools.partial(_join_plan, suffix=format),
        row_groups=_join_tables,
        format=format,
    )


H2O_GROUPBY, H2O_GROUPBY_CSV = _groupby("parquet"), _groupby("csv")
H2O_JOIN, H2O_JOIN_CSV = _join("parquet"), _join("csv")
