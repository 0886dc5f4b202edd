"""What models publish as a netCDF file a year becomes one Zarr store.

Full scale is the predecessor's "small": one model and one variable of NEX-GDDP-CMIP6, on ten workers.
"""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def files(dataset):
    """``(files, options)`` for ``xarray.open_mfdataset``."""
    data = dataset("nex_gddp")
    if not data.remote:
        pytest.importorskip("scipy", reason='reads netCDF: pip install "coiled-runtime-cli[geo]"')
        return list(data.files), {"engine": "scipy"}
    fsspec = pytest.importorskip("fsspec", reason='reads a bucket: pip install "coiled-runtime-cli[geo-full]"')
    pytest.importorskip("h5netcdf", reason='reads netCDF: pip install "coiled-runtime-cli[geo-full]"')
    system, pattern = fsspec.core.url_to_fs(data.files[0], **data.storage_options)
    found = [system.unstrip_protocol(each) for each in sorted(system.glob(pattern))]
    return found, {"engine": "h5netcdf", "backend_kwargs": {"storage_options": data.storage_options}}


@pytest.fixture(scope="module")
def corner(files):
    """All days of one place as SciPy reads them, without xarray and Dask; None at full scale."""
    paths, options = files
    if options["engine"] != "scipy":
        return None
    np = pytest.importorskip("numpy")
    netcdf = pytest.importorskip("scipy.io").netcdf_file
    parts = []
    for each in paths:
        with netcdf(each, mmap=False) as opened:
            parts.append(opened.variables["hurs"][:, -1, 0].copy())
    return np.concatenate(parts)


def test_cloud_optimize(xr, files, corner, chunk_size, scratch_url, mode, run):
    """Open many files as one, rechunk from all places of a year to all days of few places, write Zarr.

    The files are opened by tasks of their own, as the predecessor did; in submission mode, without workers, by the client.
    """
    pytest.importorskip("cftime", reason='years of 365 days need cftime: pip install "coiled-runtime-cli[geo]"')
    np = pytest.importorskip("numpy")
    paths, options = files
    years = xr.open_mfdataset(
        paths,
        combine="nested",
        concat_dim="time",
        data_vars="minimal",
        coords="minimal",
        compat="override",
        join="override",
        parallel=mode == "execution",
        **options,
    )
    humidity = years[["hurs"]].drop_encoding()
    pencils = humidity.chunk({"time": -1, "lon": "auto", "lat": "auto"})

    def check(_):
        written = xr.open_zarr(scratch_url).hurs
        assert written.sizes == humidity.sizes
        assert written.chunksizes["time"] == (humidity.sizes["time"],)
        found = written.isel(lat=-1, lon=0).values
        assert 0 < float(np.nanmean(found)) < 120
        if corner is not None:
            np.testing.assert_array_equal(found, corner)
            assert len(paths) == len({Path(each).name for each in paths})

    run(lambda: pencils.to_zarr(scratch_url), check)
