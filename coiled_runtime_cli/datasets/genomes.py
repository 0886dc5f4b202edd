"""Variant calls as Spark writes them: many small row groups, nested columns, dotted names, rows sorted by sample.

The shape follows the 1000 Genomes DRAGEN data lake: https://registry.opendata.aws/1000-genomes-data-lakehouse-ready/
"""

from __future__ import annotations

import json
import random as standard_random
import uuid
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.datasets.columns import lists, lognormal, skewed, texts, weighted, with_missing
from coiled_runtime_cli.datasets.recipe import Parameters, PlannedFile, Recipe, Remote, cut, uneven

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.core.scale import Scale

_SEED = 21_000
_BYTES_A_ROW = 46
_SAMPLES_A_FILE = 5  # on average; a sample never crosses files
_CONTIGS = [f"chr{each}" for each in (*range(1, 23), "X", "Y", "M")]
_CONTIG_LENGTH = 240_000_000
_BASES = ["A", "C", "G", "T", "AT", "CA", "GTT", "TGCA", "ACACAC", "TTTTTTTTTT"]
_FILTERS = ["PASS", "LowDepth", "LowQ", "DRAGENHardQUAL"]
_BUCKET = "s3://coiled-runtime-ci/thousandgenomes_dagen"


def _parameters(scale: Scale) -> Parameters:
    return {
        "rows": scale.count(smoke=40_000, laptop=1_000_000, full=400_000_000),
        "files": 8 if scale.name == "smoke" else 32,
        "row_group_rows": scale.count(smoke=500, laptop=2_500, full=10_000),
    }


def _plan(parameters: Parameters) -> tuple[PlannedFile, ...]:
    files = int(parameters["files"])
    # Spark names every file of one job by the same random UUID.
    job = uuid.UUID(int=standard_random.Random(_SEED).getrandbits(128), version=4)
    sizes = uneven(int(parameters["rows"]), tuple(1.0 + (index * 7 % 5) / 2 for index in range(files)))
    data = [
        PlannedFile(index, f"part-{index:05d}-{job}-c000.snappy.parquet", rows, rows * _BYTES_A_ROW)
        for index, rows in enumerate(sizes)
    ]
    return (*data, PlannedFile(files, "_SUCCESS", 0, 0))


def _row_groups(parameters: Parameters, file: PlannedFile, seed: int) -> Iterator[Any]:
    import numpy as np

    random = np.random.default_rng([seed, file.index])
    samples = _samples(file.index)
    # Ancestry makes some samples call more variants than others.
    counts = np.sort(weighted(random, file.rows, random.gamma(8.0, 1.0, len(samples))))
    contig = skewed(random, file.rows, len(_CONTIGS), 0.6)
    start = random.integers(10_000, _CONTIG_LENGTH, file.rows)
    order = np.lexsort((start, contig, counts))
    sample, contig, start = counts[order], contig[order], start[order]
    for first, rows in cut(file.rows, int(parameters["row_group_rows"])):
        part = slice(first, first + rows)
        yield _variants(random, texts(samples, sample[part]), contig[part], start[part])


def _samples(index: int) -> list[str]:
    first = _SEED + index * _SAMPLES_A_FILE
    return [f"NA{each}" for each in range(first, first + _SAMPLES_A_FILE)]


def _variants(random: Any, sample: Any, contig: Any, start: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    rows = len(start)
    reference = weighted(random, rows, (28, 21, 21, 28, 1, 1, 0.5, 0.3, 0.1, 0.1))
    alternatives = weighted(random, rows, (0.0, 0.97, 0.025, 0.005))  # how many, per row
    names = random.random(rows) < 0.9
    variant = pa.StructArray.from_arrays(
        [
            texts(_CONTIGS, contig),
            pa.array(start),
            pa.array(start + 1 + (reference > 3) * (reference - 3)),
        ],
        names=["contigName", "start", "end"],
    )
    table = pa.table(
        {
            "sample_id": sample,
            "variant": variant,
            "names": lists(names, _identifiers(start[names])),
            "reference": texts(_BASES, reference),
            "alternates": lists(alternatives, texts(_BASES, skewed(random, int(alternatives.sum()), len(_BASES), 1.0))),
            "quality": with_missing(
                lognormal(random, rows, median=48.0, spread=0.5).round(2), random.random(rows) < 0.02
            ),
            "filters": lists(np.ones(rows, dtype="int32"), texts(_FILTERS, skewed(random, rows, len(_FILTERS), 3.5))),
            "info.AF": lists(alternatives, pa.array((random.beta(0.2, 2.0, int(alternatives.sum()))).round(4))),
            "info.DP": pa.array(random.poisson(34, rows).astype("int32")),
            "info.MQ": pa.array(np.minimum(250.0, lognormal(random, rows, median=240.0, spread=0.1)).round(1)),
            "genotype.calls": lists(
                np.full(rows, 2, dtype="int32"), pa.array(weighted(random, 2 * rows, (0.55, 0.44, 0.01)))
            ),
            "genotype.phased": pa.array(random.random(rows) < 0.3),
            "genotype.GQ": with_missing(random.integers(0, 100, rows).astype("int32"), random.random(rows) < 0.01),
        }
    )
    return table.replace_schema_metadata(_spark_metadata(table.schema))


def _identifiers(start: Any) -> Any:
    """Names of the form rs1234; a position has the same one in every sample."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers = pa.array(start * 2_654_435_761 % 900_000_000 + 1000).cast(pa.string())
    return pc.binary_join_element_wise("rs", numbers, "")


def _spark_metadata(schema: Any) -> dict[str, str]:
    """What Spark leaves in a footer: its version and its own idea of the schema."""
    row = {"type": "struct", "fields": [_spark_field(each) for each in schema]}
    return {
        "org.apache.spark.version": "3.2.1",
        "org.apache.spark.sql.parquet.row.metadata": json.dumps(row, separators=(",", ":")),
    }


def _spark_field(field: Any) -> dict[str, Any]:
    return {"name": field.name, "type": _spark_type(field.type), "nullable": True, "metadata": {}}


def _spark_type(kind: Any) -> Any:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        fields = [kind.field(position) for position in range(kind.num_fields)]
        return {"type": "struct", "fields": [_spark_field(each) for each in fields]}
    if pa.types.is_list(kind):
        return {"type": "array", "elementType": _spark_type(kind.value_type), "containsNull": True}
    names = {"int64": "long", "int32": "integer", "bool": "boolean"}
    return names.get(str(kind), str(kind))


SPARK_GENOMES = Recipe(
    name="spark_genomes",
    summary="variant calls as Spark writes them: small row groups, nested columns, sorted by sample",
    version=1,
    seed=_SEED,
    parameters=_parameters,
    plan=_plan,
    row_groups=_row_groups,
    remote=Remote(_BUCKET, (f"{_BUCKET}/NA21*.parquet",)),
)
