"""Labelled arrays: means by month and by day, products, anomalies; with xarray and flox."""

from __future__ import annotations

import pytest

# Of tests whose data follow from the memory; the groups of a year have clusters of their own.
pytestmark = pytest.mark.cluster("small_cluster", by_memory=True)


@pytest.fixture(scope="module")
def xr(da):
    return pytest.importorskip("xarray", reason='needs xarray: pip install "coiled-runtime-cli[suites]"')


@pytest.fixture(scope="module")
def water(xr, dataset, scale):
    """Depth of the water table over two years; at full scale every three hours, of 2800 times 2800 places."""
    pytest.importorskip("zarr", reason='needs zarr: pip install "coiled-runtime-cli[suites]"')
    pytest.importorskip("flox", reason='needs flox: pip install "coiled-runtime-cli[suites]"')
    data = dataset("national_water_model")
    opened = xr.open_zarr(data.location, storage_options=data.storage_options or None).zwattablrt
    if scale.name == "full":
        return opened.sel(time=slice("2001", "2002")).isel(x=slice(2800), y=slice(2800))
    return opened


@pytest.fixture(scope="module")
def months_of_one_place(water):
    """What pandas makes of the first place: the mean of each month of the year."""
    series = water.isel(x=0, y=0).compute(scheduler="threads").astype("float64").to_series()
    return series.groupby(series.index.month).mean()


@pytest.mark.client("group_reduction_cluster")
@pytest.mark.parametrize("method", ["cohorts", "map-reduce", "chunked-cohorts"])
def test_xarray_groupby_reduction(xr, water, months_of_one_place, discard_but_first, client, method):
    """Mean by month of the year, by flox: months that share chunks together, all at once, or chunks cut at months first."""
    if method == "chunked-cohorts":
        if not hasattr(xr, "groupers"):
            pytest.skip("chunks cut at months need xarray 2024.7 or newer: pip install -U xarray")
        water = water.chunk(time=xr.groupers.TimeResampler("ME"))
    by_month = water.groupby("time.month").mean(method=method.removeprefix("chunked-"))
    assert by_month.sizes["month"] == len(months_of_one_place)
    found = discard_but_first(by_month.transpose("month", "y", "x").data)
    assert found == pytest.approx(months_of_one_place.to_numpy(), rel=1e-5)


@pytest.fixture(scope="session")
def discard_but_first(da):
    """``discard_but_first(array)``: compute all blocks of ``(month, y, x)``, and keep the months of the first place."""
    import dask

    def run(array):
        size, first = dask.compute(array.map_blocks(_size, dtype="int64", chunks=_ones(array)).sum(), array[:, 0, 0])
        assert size == array.size
        return first

    def _size(block):
        import numpy as np

        return np.full((1,) * block.ndim, block.size, dtype="int64")

    def _ones(array):
        return tuple((1,) * len(each) for each in array.chunks)

    return run


@pytest.mark.max_threads(50)
@pytest.mark.parametrize("backend", ["dataframe", "array"])
def test_quadratic_mean(da, xr, small_client, scale, backend):
    """Means over time of squares and products of two fields, as arrays or as the columns of a frame."""
    if backend == "dataframe":
        pytest.importorskip("dask.dataframe", reason='tables need pandas: pip install "dask[dataframe]"')
    times = scale.count(smoke=100, laptop=600, full=5_000)
    height, width = (scale.count(smoke=each // 16, laptop=each // 4, full=each) for each in (987, 1920))
    random = da.random.default_rng(0)

    def field():
        return ["time", "face", "j", "i"], random.random((times, 1, height, width), chunks=(10, 1, -1, -1))

    winds = xr.Dataset({"anom_u": field(), "anom_v": field()})
    products = winds**2
    products["uv"] = winds.anom_u * winds.anom_v
    means = products.mean("time")
    if backend == "dataframe":
        table = means.to_dask_dataframe().compute()
        assert len(table) == height * width
        found = table[["anom_u", "anom_v", "uv"]].mean()
    else:
        found = means.compute().mean()
    # the mean square of a number below 1, and the mean product of two
    assert float(found["anom_u"]) == pytest.approx(1 / 3, rel=0.01)
    assert float(found["anom_v"]) == pytest.approx(1 / 3, rel=0.01)
    assert float(found["uv"]) == pytest.approx(1 / 4, rel=0.01)


def test_anom_mean(xr, new_array, small_client, sizing):
    """What differs from the mean of its day of the year, averaged over the years (dask/distributed#2602); without flox."""
    np = pytest.importorskip("numpy")
    wide = sizing.chunk(0.08) // 8
    times = max(100, sizing.data(0.5) // 8 // wide)
    groups = max(2, times // 100)
    days = np.arange(times) % groups
    array = xr.DataArray(new_array((times, wide), chunks=(1, wide)), dims=["time", "x"], coords={"day": ("time", days)})
    with xr.set_options(use_flox=False):
        climate = array.groupby("day").mean(dim="time")
        anomaly = array.groupby("day") - climate
        found = anomaly.mean(dim="time").compute()
    assert found.shape == (wide,)
    # Within a day of the year anomalies add up to 0, so they do over all.
    assert float(abs(found).max()) < 1e-9


def test_climatic_mean(xr, new_array, mean_of_values, small_client, sizing):
    """Means of ten groups of forecasts in six dimensions, of twice the memory; without flox.

    The predecessor never ran it, for it failed there (coiled/benchmarks#253).
    """
    np = pytest.importorskip("numpy")
    # 200 MiB a chunk at full scale: (1, 1, 96, 21, 90, 144)
    shrunk = sizing.chunk_share() ** (1 / 3)
    latitudes, levels, longitudes = (max(2, round(each * shrunk)) for each in (96, 90, 144))
    chunks = max(20, sizing.data(2) // (8 * latitudes * 21 * levels * longitudes))
    members = min(28, chunks // 10)
    shape = (members, chunks // members, latitudes, 21, levels, longitudes)
    array = xr.DataArray(
        new_array(shape, chunks=(1, 1, *shape[2:])),
        dims=["ensemble", "init_date", "lat", "lead_time", "level", "lon"],
        coords={"init_date": np.arange(shape[1]) % 10},
    )
    with xr.set_options(use_flox=False):
        climate = array.groupby("init_date").mean(dim="init_date")
    assert climate.sizes["init_date"] == 10
    found = climate.mean(dim=("ensemble", "lat", "lead_time", "level", "lon")).compute()
    assert found.values == pytest.approx(mean_of_values, rel=0.01)
