import json
import zlib
from pathlib import Path

import numpy as np
import pytest

from coiled_runtime_cli import datasets
from coiled_runtime_cli.core.scale import Scale
from coiled_runtime_cli.datasets import pictures

SMOKE = Scale.parse("smoke")
ARRAYS = (
    "cmip6_height",
    "era5",
    "era5_surface",
    "landsat",
    "national_water_model",
    "nuclei",
    "precipitation",
    "sea_ice",
    "sentinel2",
    "zarr_cube",
)


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("generated arrays")


@pytest.fixture
def read(cache):
    """``read(name, variable)``: the whole array, put together from its files without any library of arrays."""

    def read_all(name, variable):
        folder = Path(datasets.prepare(name, scale=SMOKE, cache=cache).location) / variable
        described = json.loads((folder / ".zarray").read_text())
        whole = np.empty(described["shape"], dtype=described["dtype"])
        for file in folder.glob("[0-9]*"):
            chunk = np.frombuffer(zlib.decompress(file.read_bytes()), dtype=described["dtype"])
            places = [int(each) * size for each, size in zip(file.name.split("."), described["chunks"], strict=True)]
            part = whole[tuple(slice(at, at + size) for at, size in zip(places, described["chunks"], strict=True))]
            part[...] = chunk.reshape(described["chunks"])[tuple(slice(each) for each in part.shape)]
        return whole

    return read_all


@pytest.mark.parametrize("name", [*ARRAYS, "nex_gddp"])
def test_an_array_is_made_of_the_same_bytes_again(cache, tmp_path, name):
    first = datasets.prepare(name, scale=SMOKE, cache=cache)
    again = datasets.prepare(name, scale=SMOKE, cache=tmp_path)
    assert again.generated
    for one, other in zip(first.files, again.files, strict=True):
        assert Path(one).read_bytes() == Path(other).read_bytes()


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_in_zarr_is_read_by_xarray_as_it_is(cache, read, name):
    xarray = pytest.importorskip("xarray", reason="reads Zarr: pip install xarray zarr")
    pytest.importorskip("zarr", reason="reads Zarr: pip install xarray zarr")
    with xarray.open_zarr(datasets.prepare(name, scale=SMOKE, cache=cache).location, decode_times=False) as opened:
        for variable in opened.variables:
            np.testing.assert_array_equal(opened[variable].values, read(name, variable))


@pytest.mark.parametrize("name", [*ARRAYS, "nex_gddp"])
def test_a_scale_that_is_a_number_is_in_proportion(name):
    sizes = [datasets.describe(name, Scale.parse(each)).bytes for each in ("1", "2", "4")]
    assert 1.6 < sizes[1] / sizes[0] < 2.5
    assert 3 < sizes[2] / sizes[0] < 5


def test_a_year_of_a_model_is_a_file_of_the_classic_netcdf_format(cache):
    netcdf = pytest.importorskip("scipy.io", reason="reads netCDF: pip install scipy").netcdf_file
    data = datasets.prepare("nex_gddp", scale=SMOKE, cache=cache)
    days = []
    for file in data.files:
        with netcdf(file, mmap=False) as opened:
            assert opened.variables["time"].units == b"days since 1950-01-01"
            assert opened.variables["time"].calendar == b"noleap"
            assert opened.variables["hurs"].dimensions == ("time", "lat", "lon")
            assert opened.variables["hurs"][:].mean() == pytest.approx(60, abs=1)
            days += opened.variables["time"][:].tolist()
    assert days == list(range(data.rows))


def test_the_netcdf_library_reads_the_same_as_scipy(cache):
    netcdf4 = pytest.importorskip("netCDF4", reason="reads netCDF: pip install netCDF4")
    netcdf = pytest.importorskip("scipy.io", reason="reads netCDF: pip install scipy").netcdf_file
    file = datasets.prepare("nex_gddp", scale=SMOKE, cache=cache).files[1]
    with netcdf4.Dataset(file) as one, netcdf(file, mmap=False) as other:
        assert one.data_model == "NETCDF3_64BIT_OFFSET"
        assert set(one.variables) == set(other.variables)
        for name in one.variables:
            np.testing.assert_array_equal(one.variables[name][:], other.variables[name][:])


def test_the_sea_has_whole_years_of_six_hours_and_no_values_on_land(read):
    warmth = read("era5_surface", "sea_surface_temperature")
    assert len(warmth) == 4 * (366 + 365)
    land = np.isnan(warmth)
    assert (land == land[0]).all()
    assert 0.05 < land[0].mean() < 0.6
    assert 240 < np.nanmin(warmth) < np.nanmax(warmth) < 310
    equator, pole = np.nanmean(warmth[:, 5]), np.nanmean(warmth[:, 0])
    assert equator > pole + 15


def test_rain_is_in_whole_numbers_and_ice_in_percent(read):
    rain, ice = read("precipitation", "HQprecipitation"), read("sea_ice", "sea_ice_fraction")
    assert (rain == np.floor(rain)).all()
    assert 0.1 < (rain == 0).mean() < 0.5
    assert (ice.min(), ice.max()) == (0, 100)
    assert (ice[:, 30] == 0).all()
    assert ice[:, 0].mean() > 85


def test_counties_are_all_there_and_each_is_in_one_piece(read):
    county = read("national_water_model", "county")
    numbers = np.unique(county)
    assert numbers[0] == 0
    assert 8 <= len(numbers) <= 12
    for number in numbers:
        rows, columns = np.nonzero(county == number)
        box = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
        assert box == len(rows)


def test_satellites_see_the_moisture_that_was_planted_once_the_new_baseline_is_undone(read):
    near, short, days = (read("sentinel2", each).astype("float64") for each in ("B08", "B11", "time"))
    dates = np.datetime64("2021-09-01") + days.astype("int64")
    new = dates >= np.datetime64(pictures.CHANGED)
    assert 0 < new.sum() < len(days)
    near[new] -= pictures.OFFSET
    short[new] -= pictures.OFFSET
    months = dates.astype("datetime64[M]").astype("int64") % 12 + 1
    found = ((near - short) / (near + short)).mean(axis=(1, 2))
    np.testing.assert_allclose(found, pictures.moisture(months), atol=0.002)
    # left as it is, the new baseline is wrong by much more
    raw = (near[new] - short[new]) / (near[new] + short[new] + 2 * pictures.OFFSET)
    assert abs(raw.mean(axis=(1, 2)) - pictures.moisture(months[new])).min() > 0.05


def test_clouds_are_told_of_and_below_them_is_what_was_planted(read):
    quality = read("landsat", "cloud_qa")
    clear = (quality & 0b11100) == 0
    assert 0.5 < clear.mean() < 0.7
    assert clear.any(axis=1).all()
    top, left = read("landsat", "top"), read("landsat", "left")
    edge = clear.shape[-1]
    assert 0 < top.max() < edge  # tiles overlap
    for number, name in enumerate(("red", "green", "blue")):
        band = read("landsat", name)
        assert band[~clear].min() >= 20_000
        for tile in range(len(band)):
            y, x = np.ix_(np.arange(edge) + top[tile], np.arange(edge) + left[tile])
            planted = np.broadcast_to(pictures.ground(number, y, x), band[tile].shape)
            assert (band[tile] == planted)[clear[tile]].all()


def test_pictures_of_cells_show_as_many_nuclei_as_they_say(read):
    ndimage = pytest.importorskip("scipy.ndimage", reason="counts shapes: pip install scipy")
    images, planted = read("nuclei", "images"), read("nuclei", "planted")
    found = [ndimage.label(each > 400)[1] for each in images]
    assert found == planted.tolist()
    assert len(set(found)) > 1


def test_heights_are_in_years_of_365_days(cache):
    xarray = pytest.importorskip("xarray", reason="reads Zarr: pip install xarray zarr")
    pytest.importorskip("zarr", reason="reads Zarr: pip install xarray zarr")
    pytest.importorskip("cftime", reason="years of 365 days: pip install cftime")
    with xarray.open_zarr(datasets.prepare("cmip6_height", scale=SMOKE, cache=cache).location) as opened:
        assert opened.time.dt.calendar == "noleap"
        assert opened.sizes["time"] == 120
        assert opened.time.dt.month.values.tolist() == 10 * list(range(1, 13))
