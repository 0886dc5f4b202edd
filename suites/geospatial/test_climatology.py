"""The climate of each hour of each day of the year: a weighted mean over 61 days of all years, in two styles.

Full scale is the predecessor's "small": the sea's temperature every six hours, 2020 to 2022, on ten workers.
"""

from __future__ import annotations

import pytest

WINDOW = 61
HALF = WINDOW // 2


@pytest.fixture(scope="module")
def weights():
    """How much each day of the window counts: linearly less away from its middle; on average 1."""
    np = pytest.importorskip("numpy", reason="arrays need NumPy: pip install numpy")
    rising = np.linspace(0, 1, HALF + 1)
    window = np.concatenate([rising, rising[-2::-1]])
    return window / window.mean()


@pytest.fixture
def sea(open_data, scale):
    """Temperatures, of some places and years where all of them would take long."""
    if scale.name == "full":
        return open_data("era5_surface")[["sea_surface_temperature"]].sel(time=slice("2020-01-01", "2022-12-31"))
    # Many chunks are read as one: the high-level style makes hundreds of tasks of each.
    opened = open_data("era5_surface", chunks={"time": scale.count(smoke=86 * 17, laptop=43 * 34, full=8)})
    opened = opened[["sea_surface_temperature"]]
    return opened.isel(latitude=slice(scale.count(smoke=2, laptop=12, full=721)))


@pytest.fixture
def of_one_place(sea, weights):
    """What NumPy makes of one place and hour: a value for each day of the year."""
    np = pytest.importorskip("numpy")
    series = sea.sea_surface_temperature.isel(time=slice(1, None, 4), latitude=1, longitude=0).compute(
        scheduler="threads"
    )
    days = series.time.dt.dayofyear.values
    years = series.time.dt.year.values
    table = np.full((years.max() - years.min() + 1, 366), np.nan)
    table[years - years.min(), days - 1] = series.values
    table[:, 365] = np.where(np.isnan(table[:, 365]), table[:, 364], table[:, 365])
    padded = np.concatenate([table[:, -HALF:], table, table[:, :HALF]], axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW, axis=1)
    return (windows * weights).sum(axis=(0, 2)) / (weights.sum() * len(table))


@pytest.fixture
def check(xr, scratch_url, of_one_place):
    """The climate that was written, against that of one place."""
    np = pytest.importorskip("numpy")

    def written(_):
        found = xr.open_zarr(scratch_url).sea_surface_temperature
        assert found.sizes["hour"] == 4
        assert found.hour.values.tolist() == [0, 6, 12, 18]
        place = found.isel(latitude=1, longitude=0).sel(hour=6)
        np.testing.assert_allclose(place.values, of_one_place, rtol=1e-5)

    return written


@pytest.fixture
def pancakes(sea, scale):
    """``pancakes(climate)``: a chunk for each hour and day (below full scale a few days), of all places."""
    lengths = {name: sea.chunksizes[name] for name in ("latitude", "longitude")}
    days = {"smoke": 61, "full": 1}.get(scale.name, 31)
    return lambda climate: climate.chunk({"hour": 1, "dayofyear": days, **lengths})


def test_rechunk_map_blocks(xr, sea, weights, chunk_size, pancakes, scratch_url, check, run):
    """Rechunk to all moments of few places, one function a chunk, and back to all places of a day."""

    def rolling_mean(moments):
        years = []
        for _, year in moments.groupby("time.year"):
            renamed = year.assign_coords(time=year.time.dt.dayofyear).rename(time="dayofyear")
            years.append(renamed.reindex(dayofyear=range(1, 367)))
        table = xr.concat(years, dim="year")
        table = table.fillna(table.sel(dayofyear=365))
        table = table.pad(dayofyear=HALF, mode="wrap").rolling(dayofyear=WINDOW, center=True).construct("window")
        mean = table.weighted(xr.DataArray(weights, dims=["window"])).mean(dim=("window", "year"))
        return mean.isel(dayofyear=slice(HALF, -HALF))

    def climate_of(block):
        hours = xr.DataArray(range(0, 24, 6), dims=["hour"], name="hour")
        return xr.concat([rolling_mean(block.isel(time=block.time.dt.hour == hour)) for hour in range(0, 24, 6)], hours)

    pencils = sea.chunk({"time": -1, "longitude": "auto", "latitude": "auto"})
    new = {"hour": list(range(0, 24, 6)), "dayofyear": list(range(1, 367))}
    template = pencils.isel(time=0, drop=True).expand_dims(new).chunk({"hour": -1, "dayofyear": -1}).astype("float64")
    climate = pencils.map_blocks(climate_of, template=template)
    run(lambda: pancakes(climate).to_zarr(scratch_url), check)


def test_highlevel_api(xr, sea, weights, chunk_size, pancakes, scratch_url, check, run):
    """The same in xarray's own words: unstack the time into year, day and hour; fill, pad, roll, weigh."""
    parts = {"year": sea.time.dt.year, "dayofyear": sea.time.dt.dayofyear, "hour": sea.time.dt.hour}
    table = sea.assign_coords({name: ("time", part.data) for name, part in parts.items()})
    table = table.set_index(time=list(parts)).unstack("time")
    table = table.fillna(table.shift(dayofyear=1))  # day 366; a fill forward would need bottleneck
    table = table.pad(dayofyear=HALF, mode="wrap").rolling(dayofyear=WINDOW, center=True).construct("window")
    climate = table.weighted(xr.DataArray(weights, dims=["window"])).mean(dim=("window", "year"))
    climate = climate.isel(dayofyear=slice(HALF, -HALF))
    run(lambda: pancakes(climate).to_zarr(scratch_url), check)
