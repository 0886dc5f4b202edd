import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli import datasets
from coiled_runtime_cli.core.scale import Scale
from coiled_runtime_cli.datasets.recipe import cut, uneven
from coiled_runtime_cli.errors import UsageError

SMOKE = Scale.parse("smoke")


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("generated data")


@pytest.fixture
def read(cache):
    def read_all(name):
        data = datasets.prepare(name, scale=SMOKE, cache=cache)
        return data, [pq.ParquetFile(each) for each in data.files]

    return read_all


@pytest.mark.parametrize("name", datasets.names())
def test_a_description_says_what_is_made(read, name):
    description = datasets.describe(name, SMOKE)
    data, files = read(name)
    assert description.rows == data.rows == sum(each.metadata.num_rows for each in files)
    assert 0.6 < data.bytes / description.bytes < 1.7
    below = {Path(each).relative_to(data.location).as_posix() for each in data.files}
    assert below == {each for each in description.files if each.endswith(".parquet")}


def test_smoke_data_are_small_and_laptop_data_a_few_hundred_megabytes():
    def total(scale):
        return sum(datasets.describe(name, Scale.parse(scale)).bytes for name in datasets.names())

    assert 10e6 < total("smoke") < 30e6
    assert 200e6 < total("laptop") < 600e6
    assert total("2") > 1.8 * total("laptop")


def test_taxi_trips_are_skewed_sorted_and_partly_missing(read):
    _, files = read("nyc_taxi")
    sizes = [each.metadata.num_rows for each in files]
    assert max(sizes) > 3 * min(sizes)
    for each in files:
        table = each.read()
        pickups = table["tpep_pickup_datetime"].cast("int64").to_numpy()
        assert (np.diff(pickups) >= 0).all()
        assert each.metadata.num_row_groups > 1
    table = files[2].read()
    missing = table["passenger_count"].null_count / table.num_rows
    assert 0.001 < missing < 0.02
    zones, counts = np.unique(table["PULocationID"].to_numpy(), return_counts=True)
    assert 1 <= zones.min() <= zones.max() <= 263
    assert counts.max() > 20 * np.median(counts)
    distance = table["trip_distance"].to_numpy()
    assert np.mean(distance) > 1.2 * np.median(distance)
    tips = table["tip_amount"].to_numpy()
    assert (tips[table["payment_type"].to_numpy() != 1] == 0).all()


def test_tiles_lie_in_hive_folders_and_their_names_fit_their_outlines(read):
    data, files = read("ookla_hive")
    assert all(re.search(r"/type=fixed/year=20\d\d/quarter=[1-4]/part-\d\.parquet$", each) for each in data.files)
    table = files[0].read()
    keys = table["quadkey"].to_pylist()
    assert keys == sorted(set(keys))
    for key, outline in list(zip(keys, table["tile"].to_pylist(), strict=True))[::500]:
        column = int("".join(str(int(each) & 1) for each in key), 2)
        row = int("".join(str(int(each) >> 1) for each in key), 2)
        west, north = map(float, re.match(r"POLYGON\(\((\S+) (\S+),", outline).groups())
        assert west == pytest.approx(column * 360 / 65536 - 180)
        assert np.sinh(np.pi * (1 - 2 * row / 65536)) == pytest.approx(np.tan(np.radians(north)))
    speed = table["avg_d_kbps"].to_numpy()
    assert np.mean(speed) > 1.3 * np.median(speed)
    assert (table["devices"].to_numpy() <= table["tests"].to_numpy()).all()


def test_the_single_file_has_the_columns_of_the_others(read):
    data, (single,) = read("ookla_single")
    _, files = read("ookla_hive")
    assert single.schema_arrow.equals(files[0].schema_arrow)
    assert data.rows > max(each.metadata.num_rows for each in files)


def test_variants_look_as_if_spark_had_written_them(read):
    data, files = read("spark_genomes")
    assert (Path(data.location) / "_SUCCESS").read_bytes() == b""
    names = [Path(each).name for each in data.files]
    parts = [re.fullmatch(r"part-(\d{5})-([0-9a-f-]{36})-c000\.snappy\.parquet", each) for each in names]
    assert [int(each[1]) for each in parts] == list(range(len(files)))
    assert len({each[2] for each in parts}) == 1
    samples = []
    for each in files:
        assert each.metadata.num_row_groups >= 5
        metadata = each.schema_arrow.metadata
        fields = json.loads(metadata[b"org.apache.spark.sql.parquet.row.metadata"])["fields"]
        assert [field["name"] for field in fields] == each.schema_arrow.names
        samples += each.read(columns=["sample_id"])["sample_id"].to_pylist()
    assert samples == sorted(samples)
    schema = files[0].schema_arrow
    assert [schema.field("variant").type.field(index).name for index in range(3)] == ["contigName", "start", "end"]
    assert "info.DP" in schema.names
    _, per_sample = np.unique(samples, return_counts=True)
    assert per_sample.max() > 1.5 * per_sample.min()


def test_an_unknown_name_names_the_nearest(cache):
    with pytest.raises(UsageError, match="did you mean 'nyc_taxi'"):
        datasets.prepare("nyc_taxis", scale=SMOKE, cache=cache)
    with pytest.raises(UsageError, match="did you mean 'ookla_hive'"):
        datasets.describe("okla_hive", SMOKE)


def test_full_scale_points_at_the_real_data_and_touches_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    for name in datasets.names():
        data = datasets.prepare(name, scale=Scale.parse("full"), cache=tmp_path / "cache")
        assert data.location.startswith("s3://")
        assert all(each.startswith(data.location) for each in data.files)
        assert (data.rows, data.bytes, data.generated) == (None, None, False)
    assert not (tmp_path / "cache").exists()


def test_a_missing_library_is_named_with_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(datasets.MissingLibrary, match="needs s3fs") as raised:
        datasets.prepare("nyc_taxi", scale=Scale.parse("full"), cache=tmp_path)
    assert raised.value.hint == "pip install s3fs"
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(datasets.MissingLibrary, match="pyarrow"):
        datasets.prepare("nyc_taxi", scale=SMOKE, cache=tmp_path)


def test_importing_and_describing_loads_nothing_heavy():
    code = (
        "import sys; from coiled_runtime_cli import datasets; from coiled_runtime_cli.core.scale import Scale; "
        "[datasets.describe(each, Scale.parse('laptop')) for each in datasets.names()]; "
        "print({'numpy', 'pandas', 'pyarrow', 'dask', 'sqlalchemy', 'pytest', 's3fs'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "set()", done.stderr


@given(total=st.integers(1, 10**7), weights=st.lists(st.floats(0.01, 10), min_size=1, max_size=40).map(tuple))
def test_uneven_parts_are_positive_and_add_up(total, weights):
    parts = uneven(total, weights)
    assert len(parts) == len(weights)
    assert min(parts) >= 1
    if total >= 1100 * len(weights):
        assert sum(parts) == total


@given(rows=st.integers(0, 10_000), size=st.integers(1, 3_000))
def test_row_groups_cover_all_rows_in_order(rows, size):
    position = 0
    for start, length in cut(rows, size):
        assert start == position
        assert 1 <= length <= size
        position += length
    assert position == rows
