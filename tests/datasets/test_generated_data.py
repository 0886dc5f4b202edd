import importlib.util
import json
import re
import subprocess
import sys
import zlib
from pathlib import Path, PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli import datasets
from coiled_runtime_cli.core.scale import Scale
from coiled_runtime_cli.datasets import gdelt
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
def test_a_description_says_what_is_made(cache, name):
    description = datasets.describe(name, SMOKE)
    data = datasets.prepare(name, scale=SMOKE, cache=cache)
    assert description.rows == data.rows
    assert 0.4 < data.bytes / description.bytes < 1.7
    below = {Path(each).relative_to(data.location).as_posix() for each in data.files}
    assert below == {each for each in description.files if not each.endswith("_SUCCESS")}
    if data.files[0].endswith(".parquet"):
        assert sum(pq.read_metadata(each).num_rows for each in data.files) == data.rows


@given(factor=st.floats(0.002, 20), name=st.sampled_from(datasets.names()))
def test_the_plan_of_any_multiple_has_files_of_its_own_below_the_folder(factor, name):
    described = datasets.describe(name, Scale.parse(f"{factor:g}"))
    assert len(set(described.files)) == len(described.files) > 0
    assert all(
        not PurePosixPath(each).is_absolute() and ".." not in PurePosixPath(each).parts for each in described.files
    )
    assert described.rows > 0
    recipe = datasets.recipes([name])[name]
    plan = recipe.plan(described.parameters)
    assert [each.index for each in plan] == list(range(len(plan)))
    assert min(each.bytes for each in plan) >= 0


@pytest.mark.parametrize("name", ["h2o_groupby_csv", "h2o_join_csv", "nyc_taxi_csv"])
def test_a_file_of_text_has_one_header_and_a_line_for_each_row(cache, name):
    data = datasets.prepare(name, scale=SMOKE, cache=cache)
    assert sum(len(Path(each).read_bytes().splitlines()) - 1 for each in data.files) == data.rows


def column(files, *names):
    return pa.concat_tables([each.read(columns=list(names)) for each in files])


def test_the_table_to_group_has_the_published_columns_and_cardinalities(read):
    data, files = read("h2o_groupby")
    table = column(files, *files[0].schema_arrow.names)
    assert table.column_names == ["id1", "id2", "id3", "id4", "id5", "id6", "v1", "v2", "v3"]
    distinct = {name: len(table[name].unique()) for name in table.column_names[:-1]}
    few, many = 100, data.rows // 100
    assert distinct == {"id1": few, "id2": few, "id3": many, "id4": few, "id5": few, "id6": many, "v1": 5, "v2": 15}
    assert re.fullmatch(r"id\d{3}", table["id1"][0].as_py())
    assert re.fullmatch(r"id\d{10}", table["id3"][0].as_py())
    assert 0 <= pc.min(table["v3"]).as_py() < 1
    assert 99 < pc.max(table["v3"]).as_py() <= 100


def test_nine_tenths_of_the_rows_to_join_find_a_partner(cache):
    data = datasets.prepare("h2o_join", scale=SMOKE, cache=cache)
    tables = {
        name: column([pq.ParquetFile(each) for each in data.files if Path(each).parent.name == name], key)
        for name, key in {"small": "id1", "medium": "id2", "big": "id3"}.items()
    }
    x = column([pq.ParquetFile(each) for each in data.files if Path(each).parent.name == "x"], "id1", "id2", "id3")
    for key, right in zip(("id1", "id2", "id3"), tables.values(), strict=True):
        keys = right[key].to_numpy()
        assert len(set(keys)) == len(keys)
        assert np.isin(x[key].to_numpy(), keys).mean() == pytest.approx(0.9, abs=0.02)
        assert np.isin(keys, np.arange(1, len(keys) + 1)).mean() == pytest.approx(0.9, abs=0.01)


def test_ride_hailing_trips_are_skewed_and_their_parts_uneven(read):
    _, files = read("uber_lyft")
    sizes = [each.metadata.num_rows for each in files]
    assert max(sizes) > 5 * min(sizes)
    table = column(files, "hvfhs_license_num", "PULocationID", "request_datetime", "pickup_datetime", "airport_fee")
    _, companies = np.unique(table["hvfhs_license_num"].to_numpy(zero_copy_only=False), return_counts=True)
    assert len(companies) == 4
    assert companies.max() > 0.6 * companies.sum()
    _, places = np.unique(table["PULocationID"].to_numpy(), return_counts=True)
    assert places.max() > 10 * np.median(places)
    assert (table["pickup_datetime"].to_numpy() > table["request_datetime"].to_numpy()).all()
    assert 0.2 < table["airport_fee"].null_count / table.num_rows < 0.4


def test_events_are_as_dirty_as_they_say(cache):
    data = datasets.prepare("gdelt", scale=SMOKE, cache=cache)
    lines = Path(data.files[0]).read_text().splitlines()
    fields = [each.split("\t") for each in lines]
    rows = data.rows // len(data.files)
    good = [each for each in fields if len(each) == len(gdelt.COLUMNS) == 58]
    assert len({each[0] for each in good}) == gdelt.expected(rows) < rows < len(lines)
    latitude = gdelt.COLUMNS.index("Actor1Geo_Lat")
    assert 0.01 < sum(each[latitude].startswith("#") for each in good) / len(good) < 0.03


def test_an_array_in_zarr_is_what_its_description_says(cache):
    data = datasets.prepare("zarr_cube", scale=SMOKE, cache=cache)
    folder = Path(data.location) / "cube"
    described = json.loads((folder / ".zarray").read_text())
    chunk = np.frombuffer(zlib.decompress((folder / "2.0.1").read_bytes()), dtype=described["dtype"])
    assert chunk.size == np.prod(described["chunks"])
    assert 0 <= chunk.min() < chunk.max() == 255
    counts = [-(-length // size) for length, size in zip(described["shape"], described["chunks"], strict=True)]
    assert len(list(folder.glob("[0-9]*"))) == np.prod(counts)
    consolidated = json.loads((Path(data.location) / ".zmetadata").read_text())["metadata"]
    assert consolidated["cube/.zarray"] == described


def test_an_array_is_read_by_xarray(cache):
    xarray = pytest.importorskip("xarray", reason="reads Zarr: pip install xarray zarr")
    pytest.importorskip("zarr", reason="reads Zarr: pip install xarray zarr")
    data = datasets.prepare("era5", scale=SMOKE, cache=cache)
    with xarray.open_zarr(data.location) as opened:
        assert opened.temperature.dims == ("time", "level", "latitude", "longitude")
        assert opened.latitude.values[[0, -1]].tolist() == [90, -90]
        equator = opened.temperature.sel(latitude=0).mean()
        assert float(equator) > float(opened.temperature.sel(latitude=90).mean()) + 20


def test_smoke_data_are_small_and_laptop_data_a_few_hundred_megabytes():
    def total(scale):
        return sum(datasets.describe(name, Scale.parse(scale)).bytes for name in datasets.names())

    assert 30e6 < total("smoke") < 90e6
    assert 1e9 < total("laptop") < 4e9
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
    full = Scale.parse("full")
    real = [name for name in datasets.names() if datasets.describe(name, full).location is not None]
    assert {"nyc_taxi", "spark_genomes", "era5", "uber_lyft"} <= set(real)
    assert {"h2o_join", "zarr_cube"}.isdisjoint(real)
    for name in real:
        data = datasets.prepare(name, scale=full, cache=tmp_path / "cache")
        assert data.location.startswith(("s3://", "gs://"))
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


def test_real_arrays_need_what_reads_their_bucket_and_no_tables(tmp_path, monkeypatch):
    for each in ("gcsfs", "s3fs", "pyarrow"):
        monkeypatch.setitem(sys.modules, each, None)
    for name, library in (("era5", "gcsfs"), ("sea_ice", "s3fs")):
        with pytest.raises(datasets.MissingLibrary, match=f"needs {library}") as raised:
            datasets.prepare(name, scale=Scale.parse("full"), cache=tmp_path)
        assert raised.value.hint == f"pip install {library}"


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # Dask with a pandas that is newer
@pytest.mark.parametrize("name", ["nyc_taxi", "nyc_taxi_csv"])
def test_dask_finds_the_files_in_a_folder_whose_name_is_a_pattern(tmp_path, name):
    dd = pytest.importorskip("dask.dataframe")
    data = datasets.prepare(name, scale=SMOKE, cache=tmp_path / "[a]")
    assert not data.remote
    if name.endswith("csv"):
        frame = dd.read_csv(data.patterns, usecols=["tip_amount"], dtype="float64")
    else:
        frame = dd.read_parquet(data.patterns, columns=["tip_amount"])
    assert frame.map_partitions(len).compute(scheduler="synchronous").sum() == data.rows


def test_what_is_in_a_bucket_is_a_pattern_already(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    data = datasets.prepare("nyc_taxi", scale=Scale.parse("full"), cache=tmp_path)
    assert data.remote
    assert data.patterns == list(data.files) != []


def test_importing_and_describing_loads_nothing_heavy():
    # the rows of TPC-H's files are counted exactly, as arrays
    code = (
        "import sys; from coiled_runtime_cli import datasets; from coiled_runtime_cli.core.scale import Scale; "
        "[datasets.describe(each, Scale.parse('laptop')) for each in datasets.names() if each != 'tpch']; "
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
