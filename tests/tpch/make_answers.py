"""Make the reference answers of suites/tpch: DuckDB's own text of each query, on exact decimals as the generator writes them.

    python tests/tpch/make_answers.py

They are independent of the suites: of the queries there, of relaxed types, of Dask, pandas and Polars. DuckDB publishes answers
as well, and `published` has them. Its generator makes other addresses and comments than the specification's, so that columns of
free text differ, and query 13, which searches comments; all else must be equal, and a test sees to it.
"""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import gzip
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

FACTORS = (0.01, 0.1, 1)
TABLES = ("region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem")
ANSWERS = Path(__file__).resolve().parents[2] / "suites" / "tpch" / "answers"
#: Columns of an answer that depend on addresses and comments.
FREE_TEXT = {2: (5, 7), 10: (5, 7), 15: (2,), 20: (1,)}
DEPENDS_ON_TEXT = 13
#: DuckDB's text of query 11 has the fraction of scale factor 1.
FRACTION = 0.0001


def connect():
    """A connection of DuckDB that knows TPC-H. Raises ImportError without its extension."""
    import duckdb
    import duckdb_extension_tpch

    folder = Path(duckdb_extension_tpch.__file__).parent / "extensions" / f"v{duckdb.__version__}"
    connection = duckdb.connect()
    connection.execute(f"LOAD '{folder / 'tpch.duckdb_extension'}'")
    return connection


def computed(factor):
    """The answer of each query, by its number, as rows of JSON values."""
    connection = connect()
    with tempfile.TemporaryDirectory() as folder:
        program = Path(sys.executable).with_name("tpchgen-cli")
        subprocess.run([program, "parquet", f"-s={factor:g}", f"-o={folder}", "--quiet"], check=True)
        for name in TABLES:
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet('{folder}/{name}.parquet')")
        queries = dict(connection.execute("SELECT query_nr, query FROM tpch_queries()").fetchall())
        fraction = f"{FRACTION:.10f}"
        assert fraction in queries[11]
        queries[11] = queries[11].replace(fraction, f"{FRACTION / factor:.10f}")
        return {
            number: [[plain(each) for each in row] for row in connection.execute(text).fetchall()]
            for number, text in queries.items()
        }


def plain(value):
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    return value.strip() if isinstance(value, str) else value


def published(factor):
    """The answers that DuckDB publishes, by query, as rows of text."""
    rows = connect().execute("SELECT query_nr, answer FROM tpch_answers() WHERE scale_factor = ?", [factor]).fetchall()
    lines = {number: text.strip("\n").split("\n")[1:] or [""] for number, text in rows}
    return {
        number: list(csv.reader(io.StringIO("\n".join(each)), delimiter="|", quoting=csv.QUOTE_NONE)) or [[""]]
        for number, each in lines.items()
    }


def stored(factor):
    """The answers that suites/tpch checks against."""
    return {int(number): rows for number, rows in json.loads(gzip.decompress(_file(factor).read_bytes())).items()}


def _file(factor):
    return ANSWERS / f"{factor:g}.json.gz"


def main():
    for factor in FACTORS:
        content = json.dumps(computed(factor), separators=(",", ":"), ensure_ascii=False).encode()
        _file(factor).write_bytes(gzip.compress(content, mtime=0))
        print(_file(factor), _file(factor).stat().st_size)  # noqa: T201


if __name__ == "__main__":
    main()
