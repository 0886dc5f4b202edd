"""Delta Lake: a table that is read by its transaction log, and by listing the Parquet files below it."""

from __future__ import annotations

import glob
import os
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.cluster("small_cluster")

NUMBERS = ["id4", "id5", "id6", "v1", "v2", "v3"]


@pytest.fixture(scope="module")
def delta(dd, dataset, tmp_path_factory):
    """A folder with a Delta table of the data set's files, as a conversion leaves it."""
    deltalake = pytest.importorskip(
        "deltalake", reason='Delta tables need deltalake: pip install "coiled-runtime-cli[suites]"'
    )
    data = dataset("h2o_groupby")
    if data.remote:
        pytest.skip("a Delta table is made here of files on this disk: choose a smaller scale, --scale 40")
    folder = tmp_path_factory.mktemp("delta")  # a space in the path is more than dask-deltatable reads
    for file in data.files:
        try:
            os.link(file, folder / Path(file).name)
        except OSError:  # another disk
            shutil.copy(file, folder)
    deltalake.convert_to_deltalake(folder)
    return folder, data


@pytest.fixture(params=["deltalake", "parquet"])
def table(request, dd, delta):
    """``table(column, ...)``: these columns, lazily: of the files that the log names, or of those that are there."""
    folder, _ = delta
    if request.param == "deltalake":
        pytest.importorskip(
            "dask_deltatable", reason='reading needs dask-deltatable: pip install "coiled-runtime-cli[suites]"'
        )

    def read(*columns):
        if request.param == "deltalake":
            import dask_deltatable

            return dask_deltatable.read_deltalake(str(folder), columns=list(columns))
        return dd.read_parquet(f"{glob.escape(str(folder))}/*.parquet", columns=list(columns))

    return read


@pytest.fixture
def known(delta):
    """``known(column, ...)``: all of these columns, in pandas."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    _, data = delta

    def read(*columns):
        return pa.concat_tables([pq.read_table(each, columns=list(columns)) for each in data.files]).to_pandas()

    return read


def same(found, expected):
    """Assert that two tables hold the same numbers under the same keys, whatever the order of their rows."""
    found = found.set_axis(found.index.astype(str)).sort_index()
    expected = expected.set_axis(expected.index.astype(str)).sort_index()
    assert list(found.index) == list(expected.index)
    assert found.to_numpy(dtype="float64") == pytest.approx(expected.to_numpy(dtype="float64"))


@pytest.fixture
def expected(request, known):
    """What pandas answers, before the clock runs."""
    name = request.node.originalname
    if name == "test_column_agg":
        return known(*NUMBERS).agg(["sum", "mean", "max"])
    if name == "test_group_agg":
        return known("id3", "v1", "v3").groupby("id3").agg({"v1": "sum", "v3": "mean"})
    return known("id1", "v3").groupby("id1")[["v3"]].median()


def test_column_agg(table, expected, small_client):
    """Sum, mean and largest value of six columns."""
    import dask
    import pandas as pd

    frame = table(*NUMBERS)
    total, mean, largest = dask.compute(frame.sum(), frame.mean(), frame.max())
    same(pd.DataFrame({"sum": total, "mean": mean, "max": largest}).T, expected)


def test_group_agg(table, expected, small_client):
    """Sum and mean by a text of many values."""
    same(table("id3", "v1", "v3").groupby("id3").agg({"v1": "sum", "v3": "mean"}).compute(), expected)


def test_group_median(table, expected, small_client):
    """Median by a text of few values: the rows of a group come together."""
    same(table("id1", "v3").groupby("id1")[["v3"]].median().compute(), expected)
