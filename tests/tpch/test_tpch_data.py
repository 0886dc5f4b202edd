"""The tables of TPC-H: what the generator makes is what the plan says, with relaxed types, however it is cut."""

import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from coiled_runtime_cli import datasets
from coiled_runtime_cli.core.scale import Scale
from coiled_runtime_cli.datasets import tpch
from coiled_runtime_cli.datasets.recipe import PlannedFile
from coiled_runtime_cli.errors import ToolError

pytestmark = pytest.mark.skipif(
    shutil.which(tpch.PROGRAM) is None and not Path(sys.executable).with_name(tpch.PROGRAM).exists(),
    reason=f"needs {tpch.PROGRAM}",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return datasets.prepare("tpch", scale=Scale.parse("smoke"), cache=tmp_path_factory.mktemp("tpch data"))


def table(data, name):
    files = [each for each in data.files if Path(each).parent.name == name]
    return pa.concat_tables([pq.ParquetFile(each).read() for each in files])


def test_tables_have_the_rows_that_the_specification_says(data):
    rows = {name: table(data, name).num_rows for name in tpch.TABLES}
    assert rows == {
        "region": 5,
        "nation": 25,
        "supplier": 100,
        "customer": 1_500,
        "part": 2_000,
        "partsupp": 8_000,
        "orders": 15_000,
        "lineitem": 60_175,
    }


def test_lines_of_orders_are_counted_without_generating_them():
    for factor, lines in (("0.01", 60_175), ("0.1", 600_572), ("1", 6_001_215)):
        plan = tpch.TPCH.plan(tpch.TPCH.parameters(Scale.parse(factor)))
        assert sum(each.rows for each in plan if each.path.startswith("lineitem/")) == lines


def test_decimals_are_floats_and_dates_are_timestamps(data):
    kinds = {each.type for name in tpch.TABLES for each in table(data, name).schema}
    assert kinds == {pa.int64(), pa.int32(), pa.float64(), pa.timestamp("us"), pa.string()}
    lines = table(data, "lineitem")
    assert pc.min(lines["l_shipdate"]).as_py().year == 1992
    assert pc.max(lines["l_shipdate"]).as_py().year == 1998


@pytest.mark.parametrize("name", ["customer", "partsupp", "orders", "lineitem"])
def test_a_table_that_is_cut_is_the_same_table(monkeypatch, name):
    def made(units):
        monkeypatch.setattr(tpch, "_UNITS_A_FILE", units)
        parameters = {"scale_factor": "0.0037", "units_a_file": units}
        files = [each for each in tpch.TPCH.plan(parameters) if each.path.startswith(f"{name}/")]
        return [pa.concat_tables(tpch.TPCH.row_groups(parameters, each, 0)) for each in files]

    whole, cut = made(10**9), made(max(1, int(tpch._units(name, 0.0037) / 2.5)))
    assert len(cut) == 3 > len(whole)
    assert pa.concat_tables(cut) == pa.concat_tables(whole)


def test_a_file_that_is_asked_for_twice_is_the_same(data):
    (file,) = [each for each in tpch.TPCH.plan({"scale_factor": "0.01"}) if each.path.startswith("part/")]
    first, second = (pa.concat_tables(tpch.TPCH.row_groups({"scale_factor": "0.01"}, file, 0)) for _ in range(2))
    assert first == second == table(data, "part")


def test_another_number_of_rows_than_planned_is_an_error():
    file = PlannedFile(0, "region/region-00000.parquet", 6, 100)
    with pytest.raises(ToolError, match=r"made 5 rows of region/.* and 6 were expected"):
        list(tpch.TPCH.row_groups({"scale_factor": "0.01"}, file, 0))


def test_without_the_generator_it_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(datasets.MissingLibrary, match="tpchgen-cli") as raised:
        tpch._program()
    assert "[tpch]" in raised.value.hint


def test_at_full_scale_the_tables_of_the_predecessor_are_read():
    described = datasets.describe("tpch", Scale.parse("full"))
    assert described.location == "s3://coiled-runtime-ci/tpc-h/snappy/scale-1000"
    assert f"{described.location}/lineitem/*.parquet" in described.files
