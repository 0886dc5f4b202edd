"""The mean over each county, day by day.

Full scale is the predecessor's "small": the National Water Model of 2020, every three hours (6 TiB), on ten workers.
"""

from __future__ import annotations

import pytest


@pytest.fixture
def water(open_data, scale):
    """Depth of the water table."""
    opened = open_data("national_water_model").zwattablrt
    return opened.sel(time=slice("2020-01-01", "2020-12-31")) if scale.name == "full" else opened


@pytest.fixture
def counties(xr, open_data, water, scale):
    """``(map, numbers)``: the number of the county at each place, lazily, and those that there are; 0 is none."""
    np = pytest.importorskip("numpy")
    if scale.name == "full":
        rioxarray = pytest.importorskip(
            "rioxarray", reason='reads a picture of counties: pip install "coiled-runtime-cli[geo-full]"'
        )
        fsspec = pytest.importorskip("fsspec", reason='reads a bucket: pip install "coiled-runtime-cli[geo-full]"')
        found = rioxarray.open_rasterio(
            "s3://nwm-250m-us-counties/Counties_on_250m_grid.tif", chunks="auto", opener=fsspec.open
        ).squeeze()
    else:
        found = open_data("national_water_model").county
    _, found = xr.align(water, found, join="override")
    numbers = np.unique(found.data.compute(scheduler="threads"))
    return found.rename("county"), numbers[numbers != 0]


@pytest.fixture
def first_day(water, counties):
    """What NumPy makes of the first moment: the mean of each county."""
    np = pytest.importorskip("numpy")
    places, numbers = counties
    depth = water.isel(time=0).compute(scheduler="threads").values.ravel().astype("float64")
    owner = places.compute(scheduler="threads").values.ravel().astype("int64")
    known = np.isfinite(depth)
    size = int(numbers.max()) + 1
    with np.errstate(invalid="ignore"):
        means = np.bincount(owner[known], depth[known], size) / np.bincount(owner[known], minlength=size)
    return means[numbers.astype("int64")]


def test_nwm(water, counties, first_day, run):
    """Mean depth of the water table by county and day, by flox.

    The predecessor skipped its submission, for which it needed workers to find the counties: here they are found before.
    """
    flox = pytest.importorskip("flox.xarray", reason='needs flox: pip install "coiled-runtime-cli[geo]"')
    np = pytest.importorskip("numpy")
    places, numbers = counties
    means = flox.xarray_reduce(water, places, func="mean", expected_groups=(numbers,))

    def check(found):
        assert dict(found.sizes) == {"time": water.sizes["time"], "county": len(numbers)}
        np.testing.assert_allclose(found.isel(time=0).values, first_day, rtol=1e-4)

    run(means.compute, check)
