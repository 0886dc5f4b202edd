"""What the engines of TPC-H share: the tables, the queries, the reference answers, and how an answer is checked against them.

The reference answers at scale factors 0.01, 0.1 and 1 are stored (``answers/``; `tests/tpch/make_answers.py` makes them). At
others another engine answers from the same files before the clock starts; at full scale, where that takes as long as the test
itself, the check is one of plausibility.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from coiled_runtime_cli.datasets.tpch import TABLES

if TYPE_CHECKING:
    from coiled_runtime_cli.datasets import Dataset

HERE = Path(__file__).parent
NEEDED = 'pip install "coiled-runtime-cli[tpch]"'

#: By query, the places of the columns that it sorts by: of two rows that are equal there, either may come first.
SORTED_BY = {
    1: (0, 1), 2: (0, 2, 1, 3), 3: (1, 2), 4: (0,), 5: (1,), 6: (), 7: (0, 1, 2), 8: (0,), 9: (0, 1), 10: (2,), 11: (1,),
    12: (0,), 13: (1, 0), 14: (), 15: (0,), 16: (3, 0, 1, 2), 17: (), 18: (4, 3), 19: (), 20: (0,), 21: (1, 0), 22: (0,),
}  # fmt: skip
#: How many columns an answer has, and at any scale from 1 how many rows, as far as that is known.
COLUMNS = {
    1: 10, 2: 8, 3: 4, 4: 2, 5: 2, 6: 1, 7: 4, 8: 2, 9: 3, 10: 8, 11: 2, 12: 3, 13: 2, 14: 1, 15: 5, 16: 4, 17: 1, 18: 6,
    19: 1, 20: 2, 21: 2, 22: 3,
}  # fmt: skip
ROWS = {
    1: 4, 2: 100, 3: 10, 4: 5, 5: 5, 6: 1, 7: 4, 8: 2, 9: 175, 10: 20, 12: 2, 14: 1, 15: 1, 17: 1, 19: 1, 21: 100, 22: 7,
}  # fmt: skip
#: Money differs by cents, other numbers by a millionth: sums of floats depend on their order.
ABSOLUTE, RELATIVE = 1e-2, 1e-6


@dataclass(frozen=True)
class Tables:
    """The eight tables, on disk or at full scale in a bucket."""

    factor: float  # the scale factor
    data: Dataset = field(repr=False)
    names = TABLES

    @property
    def remote(self):
        return self.data.remote

    @property
    def options(self):
        return self.data.storage_options

    def files(self, name):
        """Each file of a table; in a bucket the pattern of them."""
        return sorted(each for each in self.data.files if Path(each).parent.name == name)

    def patterns(self, name):
        """The same for who takes every path for a pattern."""
        return sorted(each for each in self.data.patterns if Path(each).parent.name == name)


@pytest.fixture(scope="session")
def tables(dataset, scale):
    return Tables(scale.tpch_factor(), dataset("tpch"))


def load(name):
    """A module of ``queries/``: test files cannot import each other."""
    spec = importlib.util.spec_from_file_location(f"crt_tpch_{name}", HERE / "queries" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def ask(tables):
    """``ask(module, query, read)``: the answer of this query, with its parameters of the scale."""

    def ask(module, query, read):
        parameters = (tables.factor,) if query == 11 else ()
        return getattr(module, f"query_{query:02d}")(read, *parameters)

    return ask


@pytest.fixture(scope="session")
def sql(tables):
    """``sql(query)``: its text."""

    def sql(query):
        text = (HERE / "queries" / "sql" / f"{query:02d}.sql").read_text(encoding="utf-8")
        return text.replace("{fraction}", f"{0.0001 / tables.factor:.12f}")

    return sql


@pytest.fixture(scope="session")
def frames():
    """The queries in the methods of dask.dataframe and pandas."""
    pytest.importorskip("pandas", reason='needs pandas: pip install "dask[dataframe]"')
    return load("frames")


@pytest.fixture(scope="session")
def lazy(polars):
    """The queries as lazy frames of Polars."""
    return load("lazy")


@pytest.fixture(scope="session")
def polars():
    return pytest.importorskip("polars", reason=f"needs Polars: {NEEDED}")


@pytest.fixture(scope="session")
def read_pandas(tables):
    """``read_pandas(table, columns)``: these columns of it, in pandas."""
    pd = pytest.importorskip("pandas", reason='needs pandas: pip install "dask[dataframe]"')
    pq = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install pyarrow")

    def read(name, columns):
        parts = [pq.ParquetFile(each).read(columns=columns).to_pandas() for each in tables.files(name)]
        return pd.concat(parts, ignore_index=True)[columns]

    return read


@pytest.fixture(scope="session")
def read_dask(dd, tables):
    """``read_dask(table, columns)``: all of it, lazily: to find the columns is the work of the optimiser."""

    def read(name, columns):
        return dd.read_parquet(tables.patterns(name), storage_options=tables.options or None)

    return read


@pytest.fixture(scope="session")
def connect(tables):
    """``connect()``: a new DuckDB, in which the tables are views of the files."""
    duckdb = pytest.importorskip("duckdb", reason=f"needs DuckDB: {NEEDED}")

    def connect():
        connection = duckdb.connect()
        if tables.remote:
            import fsspec

            protocol = tables.data.location.partition(":")[0]
            connection.register_filesystem(fsspec.filesystem(protocol, **tables.options))
        for name in tables.names:
            files = ", ".join("'" + each.replace("'", "''") + "'" for each in tables.patterns(name))
            connection.execute(f"CREATE VIEW {name} AS SELECT * FROM read_parquet([{files}])")
        return connection

    return connect


@pytest.fixture
def query(request):
    """The number of the query that this test is about."""
    named = request.node.originalname.rpartition("_")[2]
    return int(named) if named.isdigit() else int(request.node.callspec.params["number"])


@pytest.fixture
def check(request, tables, query):
    """``check(answer)``: fail unless it is the reference answer. It may be rows, a frame of pandas or Polars, or a number."""
    expected = None
    if not tables.remote:
        engine = request.path.stem.removeprefix("test_")
        expected = stored(tables.factor, query) or request.getfixturevalue("other_engine")(engine, query)

    def check(answer):
        found = rows_of(answer)
        if expected is None:
            plausible(found, query)
        else:
            same(found, expected, SORTED_BY[query])

    return check


def stored(factor, query):
    file = HERE / "answers" / f"{factor:g}.json.gz"
    return json.loads(gzip.decompress(file.read_bytes()))[str(query)] if file.exists() else None


@pytest.fixture(scope="session")
def other_engine(request, ask, tables):
    """``other_engine(name, query)``: what DuckDB, and if it is that itself pandas, answers from the same files."""
    known: dict[tuple[bool, int], Any] = {}

    def answer(engine, query):
        of_pandas = engine == "duckdb" or importlib.util.find_spec("duckdb") is None
        if (of_pandas, query) not in known:
            if of_pandas:
                found = ask(request.getfixturevalue("frames"), query, request.getfixturevalue("read_pandas"))
            else:
                with request.getfixturevalue("connect")() as connection:
                    found = connection.execute(request.getfixturevalue("sql")(query)).fetchall()
            known[of_pandas, query] = rows_of(found)
        return known[of_pandas, query]

    return answer


def rows_of(answer):
    """An answer as lists of text, numbers and None."""
    if hasattr(answer, "itertuples"):
        answer = answer.itertuples(index=False, name=None)
    elif hasattr(answer, "rows"):
        answer = answer.rows()
    elif not hasattr(answer, "__iter__"):
        answer = [(answer,)]
    return [[plain(each) for each in row] for row in answer]


def plain(value):
    if hasattr(value, "isoformat"):
        return value.isoformat()[:10]
    if isinstance(value, str):
        return value.strip()
    return None if value is None else float(value)


def same(found, expected, sorted_by):
    """Assert that two answers hold the same rows, and are sorted alike by the columns ``sorted_by``."""
    assert len(found) == len(expected), f"{len(found)} rows instead of {len(expected)}"
    expected = [[plain(each) for each in row] for row in expected]
    for number, (row, wanted) in enumerate(zip(found, expected, strict=True)):
        for place in sorted_by:
            assert alike(row[place], wanted[place]), f"row {number} is not in its place: {row}, expected {wanted}"
    for row, wanted in zip(sorted(found, key=identity), sorted(expected, key=identity), strict=True):
        assert len(row) == len(wanted)
        assert all(map(alike, row, wanted)), f"{row} instead of {wanted}"


def identity(row):
    """What tells a row from all others: its text and whole numbers. Floats may differ in their last digits."""
    return [
        (str(type(each)), each) for each in row if isinstance(each, str) or (each is not None and each.is_integer())
    ]


def alike(one, other):
    # of no row a sum is null in SQL, zero or not a number elsewhere
    if missing(one) or missing(other):
        return missing(one) and missing(other)
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    return math.isclose(one, other, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def missing(value):
    return value is None or value == 0 or value != value  # noqa: PLR0124 - not a number


def plausible(found, query):
    assert len(found) == ROWS.get(query, len(found)) > 0
    assert all(len(row) == COLUMNS[query] for row in found)
