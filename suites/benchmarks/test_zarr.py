"""Read Zarr: filter, slice, reduce, pick one element."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.cluster("small_cluster")


@pytest.fixture(scope="module")
def zarr():
    return pytest.importorskip("zarr", reason='needs zarr: pip install "coiled-runtime-cli[suites]"')


@pytest.fixture(scope="module")
def cube_folder(dataset):
    """Where the cube of integers is: 2000 along each edge at full scale, in chunks of 200."""
    return str(Path(dataset("zarr_cube").location) / "cube")


@pytest.fixture
def cube(da, zarr, cube_folder):
    """The cube, lazily."""
    return da.from_zarr(cube_folder)


@pytest.fixture(scope="module")
def known(zarr, cube_folder):
    """What NumPy finds in the cube, read a slab at a time: ``counts`` of each value, the ``first`` slab, the ``sum``."""
    np = pytest.importorskip("numpy", reason="arrays need NumPy: pip install numpy")
    whole = zarr.open(cube_folder, mode="r")
    thick = whole.chunks[0]
    counts = np.zeros(256, "int64")
    first = None
    for start in range(0, whole.shape[0], thick):
        slab = whole[start : start + thick]
        first = slab if first is None else first
        counts += np.bincount(slab.ravel(), minlength=256)
    return {"counts": counts, "first": first, "sum": int(counts @ np.arange(256))}


@pytest.mark.max_threads(100)
@pytest.mark.parametrize("threshold", [50, 100, 200, 255])
def test_filter_then_average(cube, known, small_client, threshold):
    """Mean of the elements above a threshold, from most of them down to none."""
    np = pytest.importorskip("numpy")
    found = float(cube[cube > threshold].mean().compute())
    above = known["counts"].copy()
    above[: threshold + 1] = 0
    if above.sum():
        assert found == pytest.approx(int(above @ np.arange(256)) / int(above.sum()))
    else:  # nothing is above 255, and the mean of nothing is no number
        assert np.isnan(found)


@pytest.mark.max_threads(50)
@pytest.mark.parametrize("length", [700, 75, 1])
def test_access_slices(cube, known, small_client, length):
    """A corner of the cube (700, 75 or 1 of 2000 along each edge): few of its chunks, and quick."""
    edge = max(1, cube.shape[0] * length // 2000)
    corner = cube[:edge, :edge, :edge].compute()
    assert corner.shape == (edge,) * 3
    thick = min(edge, len(known["first"]))
    assert (corner[:thick] == known["first"][:thick, :edge, :edge]).all()


@pytest.mark.max_threads(50)
def test_sum_residuals(cube, known, small_client):
    """Mean along the first axis, what differs from it, and its sum: reduce, map and reduce again."""
    found = float((cube - cube.mean(axis=0)).sum().compute())
    # Residuals add up to 0, but for rounding.
    assert abs(found) < 1e-9 * known["sum"]


@pytest.fixture(scope="module")
def heights(zarr, dataset):
    """``(store, options)`` of heights by month, level and place."""
    pytest.importorskip("cftime", reason='years of 365 days need cftime: pip install "coiled-runtime-cli[suites]"')
    data = dataset("cmip6_height")
    return data.location, data.storage_options or None


@pytest.fixture(scope="module")
def one_height(zarr, heights):
    """``(place, height)``: an element two thirds into the store, and its value as zarr alone reads it; None in a bucket."""
    store, _ = heights
    if "://" in store:
        return {"lat": 20, "lon": 40, "plev": 5, "time": 1234}, None
    whole = zarr.open(str(Path(store) / "zg"), mode="r")
    index = tuple(2 * length // 3 for length in whole.shape)
    return dict(zip(("time", "plev", "lat", "lon"), index, strict=True)), float(whole[index])


@pytest.mark.max_threads(50)
def test_select_scalar(heights, one_height, small_client):
    """One element through xarray: opening the store is what costs."""
    xr = pytest.importorskip("xarray", reason='needs xarray: pip install "coiled-runtime-cli[suites]"')
    np = pytest.importorskip("numpy")
    store, options = heights
    place, height = one_height
    found = xr.open_dataset(store, engine="zarr", chunks={}, storage_options=options).isel(place).compute()
    assert found.zg.shape == ()
    assert np.isfinite(found.zg) if height is None else float(found.zg) == height
