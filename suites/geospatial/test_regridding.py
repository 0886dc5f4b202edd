"""Regrid a model's output: each new place is a weighted mean of its neighbours, a product with a sparse matrix.

Full scale is the predecessor's "small": the sea's temperature by the hour, 2020 and 2021, to one degree, on ten workers.
"""

from __future__ import annotations

import pytest


@pytest.fixture
def sea(open_data, scale):
    """Two years of the sea's temperature."""
    opened = open_data("era5" if scale.name == "full" else "era5_surface")[["sea_surface_temperature"]]
    return opened.sel(time=slice("2020-01-01", "2021-12-31"))


@pytest.fixture
def places(scale):
    """Latitudes and longitudes of the new grid. That of laptop is finer than its source: its matrix is the work."""
    np = pytest.importorskip("numpy", reason="arrays need NumPy: pip install numpy")
    degrees = {"smoke": 30, "full": 1}.get(scale.name, 1.5)
    return np.arange(90, -90 - degrees / 2, -degrees), np.arange(0, 360, degrees)


@pytest.fixture
def one_moment(sea, places):
    """The first moment as SciPy's interpolation sees it."""
    np = pytest.importorskip("numpy")
    interpolate = pytest.importorskip("scipy.interpolate", reason='needs scipy: pip install "coiled-runtime-cli[geo]"')
    moment = sea.sea_surface_temperature.isel(time=0).compute(scheduler="threads")
    around = np.concatenate([moment.values, moment.values[:, :1]], axis=1).astype("float64")
    known = interpolate.RegularGridInterpolator(
        (moment.latitude.values[::-1], np.append(moment.longitude.values, 360)), around[::-1]
    )
    return known(np.stack(np.meshgrid(*places, indexing="ij"), axis=-1))


def _by_matrix(xr, np, sparse, sea, places):
    """``sea`` on a new grid, by bilinear weights in a sparse matrix; the longitude is periodic."""

    def weights(old, new, period=None):
        """A row for each new place, with what its two neighbours count."""
        ascending = old if old[0] < old[-1] else -old
        wanted = new if old[0] < old[-1] else -new
        if period is not None:
            ascending = np.append(ascending, ascending[0] + period)
        left = np.clip(np.searchsorted(ascending, wanted, side="right") - 1, 0, len(ascending) - 2)
        share = (wanted - ascending[left]) / (ascending[left + 1] - ascending[left])
        rows = np.arange(len(new))
        columns = np.concatenate([left, (left + 1) % len(old)])
        matrix = sparse.coo_matrix(
            (np.concatenate([1 - share, share]), (np.tile(rows, 2), columns)), shape=(len(new), len(old))
        ).tocsr()
        matrix.eliminate_zeros()  # a place that is no neighbour may be land, and not a number
        return matrix

    latitudes, longitudes = places
    matrix = sparse.kron(
        weights(sea.latitude.values, latitudes), weights(sea.longitude.values, longitudes, 360), format="csr"
    ).astype("float32")

    def regrid(moments):
        flat = moments.reshape(-1, matrix.shape[1])
        return (matrix @ flat.T).T.reshape(*moments.shape[:-2], len(latitudes), len(longitudes))

    found = xr.apply_ufunc(
        regrid,
        sea,
        input_core_dims=[["latitude", "longitude"]],
        output_core_dims=[["latitude", "longitude"]],
        exclude_dims={"latitude", "longitude"},
        dask="parallelized",
        output_dtypes=["float32"],
        dask_gufunc_kwargs={"output_sizes": {"latitude": len(latitudes), "longitude": len(longitudes)}},
        keep_attrs=True,
    )
    return found.assign_coords(latitude=latitudes, longitude=longitudes)


def test_xesmf(xr, sea, places, one_moment, chunk_size, scratch_url, run):
    """Bilinear regridding of two years to a coarser or finer grid: by xESMF, or where it is missing by a matrix of SciPy.

    ESMF is not on PyPI (``conda install xesmf``). Both apply one sparse matrix to each moment.
    """
    np = pytest.importorskip("numpy")
    latitudes, longitudes = places
    try:
        import xesmf
    except ImportError:
        sparse = pytest.importorskip("scipy.sparse", reason='needs scipy: pip install "coiled-runtime-cli[geo]"')
        regridded, near = _by_matrix(xr, np, sparse, sea, places), {"rtol": 1e-5}
    else:
        grid = xr.Dataset(
            coords={
                "latitude": ("latitude", latitudes, {"units": "degrees_north"}),
                "longitude": ("longitude", longitudes, {"units": "degrees_east"}),
            }
        )
        regridded = xesmf.Regridder(sea, grid, "bilinear", periodic=True)(sea, keep_attrs=True)
        near = {"atol": 1}  # its neighbours are those on a sphere
    regridded = regridded.chunk(time="auto")

    def check(_):
        found = xr.open_zarr(scratch_url).sea_surface_temperature
        assert found.sizes == {"time": sea.sizes["time"], "latitude": len(latitudes), "longitude": len(longitudes)}
        first = found.isel(time=0).values
        both = np.isfinite(first) & np.isfinite(one_moment)
        assert both.sum() >= 0.9 * np.isfinite(one_moment).sum() > 0
        np.testing.assert_allclose(first[both], one_moment[both], **near)

    run(lambda: regridded.to_zarr(scratch_url), check)
