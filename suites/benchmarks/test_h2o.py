"""db-benchmark: ten questions to one table, five joins; as Parquet and as text.

The questions: https://github.com/h2oai/db-benchmark. Answers are checked against pandas, which reads the same files.
"""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

pytestmark = pytest.mark.cluster("small_cluster")

KEYS = ["id1", "id2", "id3", "id4", "id5", "id6"]
VALUES = ("v1", "v2", "v3")
#: How the columns of the text are to be read; Parquet says so itself.
TYPES = {
    **dict.fromkeys(("id1", "id2", "id3"), "string"),
    **dict.fromkeys(("id4", "id5", "id6", "v1", "v2"), "int32"),
    "v3": "float64",
}
JOIN_TYPES = {
    **dict.fromkeys(("id1", "id2", "id3"), "int32"),
    **dict.fromkeys(("id4", "id5", "id6"), "string"),
    "v1": "float64",
    "v2": "float64",
}


def read(dd, files, types, options=None):
    """The table of these files, lazily."""
    if str(files[0]).endswith(".csv"):
        return dd.read_csv(list(files), dtype=types, blocksize=None)
    return dd.read_parquet(list(files), storage_options=options or None)


@pytest.fixture(scope="module", params=["parquet", "csv"])
def table(request, dd, dataset):
    """``table(columns)``: the frame of Dask, and all of it in pandas for the answers."""
    data = dataset("h2o_groupby" + ("_csv" if request.param == "csv" else ""))
    frame = read(dd, data.files, TYPES, data.storage_options)
    known: dict[tuple[str, ...], object] = {}

    def columns(*names):
        import pandas as pd
        import pyarrow.parquet as pq

        if names not in known:
            if request.param == "csv":
                parts = [
                    pd.read_csv(each, usecols=list(names), dtype={name: TYPES[name] for name in names})
                    for each in data.files
                ]
            else:
                parts = [pq.read_table(each, columns=list(names)).to_pandas() for each in data.files]
            known[names] = pd.concat(parts, ignore_index=True)[list(names)]
        return frame[list(names)], known[names]

    return columns


def value_range(found):
    return (found["v1"] - found["v2"]).to_frame("range")


def squared_correlation(frame):
    """By id2 and id4, from the moments: what pandas computes group by group, for all of them at once."""
    values = frame.astype({"v1": "float64", "v2": "float64"})
    values = values.assign(xy=values["v1"] * values["v2"], xx=values["v1"] ** 2, yy=values["v2"] ** 2)
    mean = values.groupby(["id2", "id4"])[["v1", "v2", "xy", "xx", "yy"]].mean()
    covariance = mean["xy"] - mean["v1"] * mean["v2"]
    return (covariance**2 / ((mean["xx"] - mean["v1"] ** 2) * (mean["yy"] - mean["v2"] ** 2))).to_frame("r2")


#: What is asked of Dask and pandas alike, by the name of the test, and the columns it needs.
QUESTIONS = {
    "test_q1": (("id1", "v1"), lambda each: each.groupby("id1").agg({"v1": "sum"})),
    "test_q2": (("id1", "id2", "v1"), lambda each: each.groupby(["id1", "id2"]).agg({"v1": "sum"})),
    "test_q3": (("id3", "v1", "v3"), lambda each: each.groupby("id3").agg({"v1": "sum", "v3": "mean"})),
    "test_q4": (("id4", "v1", "v2", "v3"), lambda each: each.groupby("id4").agg(dict.fromkeys(VALUES, "mean"))),
    "test_q5": (("id6", "v1", "v2", "v3"), lambda each: each.groupby("id6").agg(dict.fromkeys(VALUES, "sum"))),
    "test_q6": (("id4", "id5", "v3"), lambda each: each.groupby(["id4", "id5"]).agg({"v3": ["median", "std"]})),
    "test_q7": (("id3", "v1", "v2"), lambda each: value_range(each.groupby("id3").agg({"v1": "max", "v2": "min"}))),
    "test_q8": (("id6", "v3"), lambda each: each.sort_values("v3", ascending=False).groupby("id6").head(2)),
    "test_q9": (("id2", "id4", "v1", "v2"), squared_correlation),
    "test_q10": ((*KEYS, "v1", "v3"), lambda each: each.groupby(KEYS).agg({"v3": "sum", "v1": "count"})),
}


@pytest.fixture
def asked(request, table):
    """The frame, the question and the answer of pandas, which is there before the clock runs."""
    columns, question = QUESTIONS[request.node.originalname]
    frame, known = table(*columns)
    return frame, question, question(known)


def same(found, expected, *, tolerance=1e-9):
    """Assert that two tables hold the same values under the same keys, whatever the order of their rows."""
    import numpy as np

    assert len(found) == len(expected) > 0
    found, expected = found.sort_index(), expected.sort_index()
    for level in range(found.index.nlevels):
        names, others = (each.index.get_level_values(level) for each in (found, expected))
        assert (names.astype(str) == others.astype(str)).all() if names.dtype == object else (names == others).all()
    values, others = (each.to_numpy(dtype="float64") for each in (found, expected))
    np.testing.assert_allclose(values, others, rtol=tolerance, atol=tolerance, equal_nan=True)


def answer(asked, **options):
    frame, question, expected = asked
    same(question(frame).compute(), expected, **options)


def test_q1(asked, small_client):
    """Sum of v1 by id1."""
    answer(asked)


def test_q2(asked, small_client):
    """Sum of v1 by id1 and id2."""
    answer(asked)


def test_q3(asked, small_client):
    """Sum of v1 and mean of v3 by id3, which has many values."""
    answer(asked)


def test_q4(asked, small_client):
    """Means of v1, v2 and v3 by id4."""
    answer(asked)


def test_q5(asked, small_client):
    """Sums of v1, v2 and v3 by id6, which has many values."""
    answer(asked)


def test_q6(dd, asked, small_client, shuffle_method):
    """Median and standard deviation of v3 by id4 and id5."""
    frame, _, expected = asked
    found = frame.groupby(["id4", "id5"]).agg({"v3": ["median", "std"]}, **by_shuffle(dd, shuffle_method)).compute()
    same(found, expected)


def by_shuffle(dd, method):
    """The keyword for a shuffle by this method, as this release calls it."""
    names = inspect.signature(dd.DataFrame.shuffle).parameters
    return {"shuffle_method": method} if "shuffle_method" in names else {"shuffle": method}


def test_q7(asked, small_client):
    """Range of v1 and v2 by id3."""
    answer(asked)


def test_q8(asked, small_client, shuffle_method):
    """The two largest v3 of each id6."""
    import numpy as np

    frame, _, expected = asked

    def largest(part):
        return part[["v3"]].nlargest(2, columns="v3")  # releases differ in whether a part still has its key

    found = frame.groupby("id6").apply(largest, meta={"v3": "float64"}).compute()
    np.testing.assert_array_equal(np.sort(found["v3"].to_numpy()), np.sort(expected["v3"].to_numpy()))


def test_q9(asked, small_client, shuffle_method):
    """Squared correlation of v1 and v2 by id2 and id4."""
    import pandas as pd

    frame, _, expected = asked

    def squared(part):
        return pd.Series({"r2": part["v1"].corr(part["v2"]) ** 2})

    found = frame.groupby(["id2", "id4"]).apply(squared, meta={"r2": "float64"}).compute()
    same(found, expected, tolerance=1e-6)


def test_q10(asked, small_client):
    """Sum of v3 and count by all six keys: nearly as many groups as rows."""
    frame, question, expected = asked
    found = question(frame).compute()
    assert len(found) == len(expected) > 0
    for name in ("v3", "v1"):
        assert found[name].sum() == pytest.approx(expected[name].sum())


# Joins


@pytest.fixture(scope="module", params=["parquet", "csv"])
def sides(request, dd, dataset):
    """``sides(name)``: a table of Dask, and in pandas."""
    data = dataset("h2o_join" + ("_csv" if request.param == "csv" else ""))

    def both(name):
        import pandas as pd

        files = [each for each in data.files if Path(each).parent.name == name]
        if request.param == "csv":
            known = pd.concat([pd.read_csv(each, dtype=only(each)) for each in files], ignore_index=True)
            return dd.read_csv(files, dtype=only(files[0]), blocksize=None), known
        known = pd.concat([pd.read_parquet(each) for each in files], ignore_index=True)
        return dd.read_parquet(files), known

    def only(file):
        with Path(file).open(encoding="utf-8") as stream:
            names = stream.readline().strip().replace('"', "").split(",")
        return {name: JOIN_TYPES[name] for name in names}

    return both


#: Right-hand table, key and kind of each join.
JOINS = {
    "test_j1": ("small", "id1", "inner"),
    "test_j2": ("medium", "id2", "inner"),
    "test_j3": ("medium", "id2", "left"),
    "test_j4": ("medium", "id5", "inner"),
    "test_j5": ("big", "id3", "inner"),
}


@pytest.fixture
def join(request, sides):
    """Both tables of Dask, and rows and sums of the values as pandas finds them before the clock runs."""
    right, key, how = JOINS[request.node.originalname]
    (x, known_x), (y, known_y) = sides("x"), sides(right)
    expected = known_x[[key, "v1"]].merge(known_y[[key, "v2"]], on=key, how=how)
    return x, y, {"rows": len(expected), "v1": expected["v1"].sum(), "v2": expected["v2"].sum()}


def joined(join, key, how="inner"):
    """Join in Dask, and compare."""
    import pandas as pd

    x, y, expected = join
    result = x.merge(y, on=key, how=how, suffixes=("", "_right"))[["v1", "v2"]]

    def summarise(part):
        return pd.DataFrame({"rows": [len(part)], "v1": [float(part["v1"].sum())], "v2": [float(part["v2"].sum())]})

    found = result.map_partitions(summarise, meta={"rows": "int64", "v1": "float64", "v2": "float64"}).compute().sum()
    assert found["rows"] == expected["rows"] > 0
    assert found["v1"] == pytest.approx(expected["v1"])
    assert found["v2"] == pytest.approx(expected["v2"])


def test_j1(join, small_client):
    """Inner join with a small table, on a number."""
    joined(join, "id1")


def test_j2(join, small_client):
    """Inner join with a table a thousandth as large, on a number."""
    joined(join, "id2")


def test_j3(join, small_client):
    """Left join with a table a thousandth as large, on a number."""
    joined(join, "id2", how="left")


def test_j4(join, small_client):
    """Inner join with a table a thousandth as large, on a text."""
    joined(join, "id5")


def test_j5(join, small_client):
    """Inner join with a table of the same size, on a number."""
    joined(join, "id3")
