"""How moist the ground is: an index of two bands of Sentinel-2, by month.

Full scale is the predecessor's "small": eight months of Germany in 2024 from Microsoft's Planetary Computer, on ten workers. It
needs `pip install 'coiled-runtime-cli[geo-full]'`.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from coiled_runtime_cli.datasets import pictures

#: West, south, east and north of Germany.
GERMANY = (5.87, 47.27, 15.04, 55.06)


@pytest.fixture
def bands(open_data, planetary, catalog, scale):
    """B08 and B11 by time and place."""
    if scale.name != "full":
        return open_data("sentinel2")
    stac = planetary("odc.stac")
    return stac.load(
        catalog(collections=["sentinel-2-l2a"], bbox=GERMANY, datetime="2024-01-01/2024-09-01"),
        bands=["B08", "B11"],
        chunks={},
        patch_url=planetary("planetary_computer").sign,
        resolution=40,
        crs="EPSG:3857",
        groupby="solar_day",
    )


def test_satellite_filtering(xr, bands, scale, scratch_url, run):
    """Bring old and new scenes to one baseline, divide the bands' difference by their sum, average by month."""
    np = pytest.importorskip("numpy")
    # https://planetarycomputer.microsoft.com/dataset/sentinel-2-l2a#Baseline-Change
    changed, offset = pictures.CHANGED, pictures.OFFSET
    old = bands.sel(time=slice(None, str(changed - timedelta(days=1))))
    new = bands.sel(time=slice(str(changed), None))
    alike = xr.concat([old.astype("float32"), (new.clip(min=offset) - offset).astype("float32")], dim="time")
    index = (alike.B08 - alike.B11) / (alike.B08 + alike.B11)
    by_month = index.groupby("time.month").mean().rename("moisture").to_dataset()

    def check(_):
        found = xr.open_zarr(scratch_url).moisture
        assert set(found.month.values) == set(bands.time.dt.month.values)
        if scale.name == "full":
            assert -1 <= float(found.isel(month=0).mean()) <= 1
            return
        planted = pictures.moisture(found.month.values)
        np.testing.assert_allclose(found.mean(dim=("y", "x")).values, planted, atol=0.002)

    run(lambda: by_month.to_zarr(scratch_url), check)
