"""Rechunk a model's output: from all places of a moment to all moments of a place.

Full scale is the predecessor's "small": the sea's temperature by the hour, 2020 to 2022 (0.10 TiB), on ten workers.
"""

from __future__ import annotations


def test_era5_rechunking(xr, open_data, scale, chunk_size, scratch_url, run):
    """Pancakes to pencils: chunks of few moments and all places become chunks of all moments and few places."""
    # The bucket has it by the hour beside the winds; generated is every sixth hour alone.
    name = "era5" if scale.name == "full" else "era5_surface"
    pancakes = open_data(name)[["sea_surface_temperature"]]
    pancakes = pancakes.sel(time=slice("2020-01-01", "2022-12-31"))
    pencils = pancakes.chunk({"time": -1, "longitude": "auto", "latitude": "auto"})

    def check(_):
        written = xr.open_zarr(scratch_url)
        assert written.sizes == pancakes.sizes
        assert written.chunksizes["time"] == (pancakes.sizes["time"],)
        few = {"time": slice(None, None, pancakes.sizes["time"] // 3), "latitude": [0, -1]}
        xr.testing.assert_identical(written.isel(few).load(), pancakes.isel(few).load())

    run(lambda: pencils.to_zarr(scratch_url), check)
