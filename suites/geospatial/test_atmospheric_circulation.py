"""Transport by the atmosphere: zonal means, what differs from them, its products, day by day.

Full scale is the predecessor's "small": January 2020 of ERA5, 37 levels by the hour (0.85 TiB), on ten workers.
"""

from __future__ import annotations

import pytest


@pytest.fixture
def first_day(open_data, scale):
    """What NumPy makes of the first 24 hours; None at full scale, where that is 27 GB."""
    if scale.name == "full":
        return None
    opened = open_data("era5", chunks=None).isel(time=slice(24))
    v, t = (opened[name].values.astype("float64") for name in ("v_component_of_wind", "temperature"))
    opened.close()
    v_means, t_means = v.mean(axis=3, keepdims=True), t.mean(axis=3, keepdims=True)
    transport = ((v - v_means) * (t - t_means)).mean(axis=(0, 3))
    return t.mean(axis=(0, 3)), transport


def test_atmospheric_circulation(xr, open_data, first_day, scratch_url, run):
    """Fluxes of the transformed Eulerian mean: wind and temperature, less their zonal means, multiplied and averaged by day."""
    names = {
        "u_component_of_wind": "U",
        "v_component_of_wind": "V",
        "temperature": "T",
        "vertical_velocity": "W",
    }
    winds = open_data("era5")[list(names)].sel(time=slice("2020-01-01", "2020-02-01")).rename(names)
    means = winds.mean("longitude")
    eddies = winds - means
    fluxes = xr.Dataset({"uv": eddies.U * eddies.V, "vt": eddies.V * eddies["T"], "uw": eddies.U * eddies.W})
    daily = means.merge(fluxes.mean("longitude")).resample(time="D").mean()

    def check(_):
        np = pytest.importorskip("numpy")
        found = xr.open_zarr(scratch_url).isel(time=0).load()
        assert set(found.data_vars) == {"U", "V", "T", "W", "uv", "vt", "uw"}
        if first_day is not None:
            temperature, transport = first_day
            np.testing.assert_allclose(found["T"], temperature, rtol=1e-4)
            np.testing.assert_allclose(found["vt"], transport, atol=0.01)
        assert 180 < float(found["T"].mean()) < 320

    run(lambda: daily.to_zarr(scratch_url), check)
