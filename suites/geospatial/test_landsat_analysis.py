"""A picture without clouds, from many scenes of tiles that overlap.

Full scale is the "small" of the predecessor's branch: ten tiles in Cameroon of 2012 and 2013 from Microsoft's Planetary Computer;
there on twenty workers of 16 GiB, here on ten of 8. It needs `pip install 'coiled-runtime-cli[geo-full]'`.
"""

from __future__ import annotations

import collections

import pytest

from coiled_runtime_cli.datasets import pictures

BANDS = ("red", "green", "blue")
#: Bits of the quality band: clouds, what is near to them, their shadows.
CLOUDS = 0b11100
#: West, south, east and north.
BOX = (10.305842676154782, 3.126347122963935, 14.497958439404897, 5.052677334304235)


@pytest.fixture
def tiles(xr, open_data, planetary, catalog, scale):
    """``(tiles, place)``: what is known of each tile, and how a composite of one is put where it belongs."""
    np = pytest.importorskip("numpy")
    if scale.name == "full":
        return _of_cameroon(planetary, catalog)
    opened = open_data("landsat")
    top, left = opened.top.values, opened.left.values
    edge = opened.sizes["y"]
    found = [
        opened[["cloud_qa", *BANDS]]
        .isel(tile=tile)
        .assign_coords(y=np.arange(edge) + top[tile], x=np.arange(edge) + left[tile])
        for tile in range(opened.sizes["tile"])
    ]
    whole = {"y": np.arange(edge + top.max()), "x": np.arange(edge + left.max())}
    return found, lambda composite: composite.reindex(whole)


def _of_cameroon(planetary, catalog):
    stac, geobox, geo = (planetary(each) for each in ("odc.stac", "odc.geo.geobox", "odc.geo.xr"))
    scenes = collections.defaultdict(list)
    for item in catalog(collections=["landsat-c2-l2"], bbox=BOX, datetime="2012-01-01/2013-10-30"):
        scenes[item.id.split("_")[2]].append(item)
    target = geobox.GeoBox.from_bbox(BOX, crs="WGS 84", resolution=0.0003).to_crs("EPSG:6933")
    found = [
        stac.load(items, chunks={}, bands=["cloud_qa", *BANDS], crs="EPSG:6933", resolution=30, fail_on_error=False)
        for items in list(scenes.values())[:10]
    ]
    return found, lambda composite: geo.xr_reproject(composite, how=target, dst_nodata=float("nan"))


def test_landsat_data_preparation(xr, tiles, scale, chunk_size, scratch_url, run):
    """Mask clouds, take the median of each tile's scenes, put the tiles together, add the texture around each place."""
    np = pytest.importorskip("numpy")
    found, place = tiles
    edge = {"smoke": 48, "full": 2_250}.get(scale.name, 192)

    def composite(tile):
        clear = tile[list(BANDS)].where((tile.cloud_qa.astype("uint16") & CLOUDS) == 0)
        clear = clear.astype("float32").chunk({"time": -1, "x": "auto", "y": "auto"})
        seen = clear.red.count(dim="time").astype("float32")
        return clear.median(dim="time").assign(count=seen.where(seen != 0))

    placed = [place(composite(each)).chunk({"x": edge, "y": edge}) for each in found]
    whole = xr.concat(placed, dim="tile", join="outer").mean(dim="tile")
    for band in BANDS:
        whole[f"{band}_texture"] = whole[band].rolling(x=5, y=5, center=True, min_periods=1).std()
    whole = whole.chunk({"x": edge, "y": edge})

    def check(_):
        written = xr.open_zarr(scratch_url)
        assert {*BANDS, "count", "red_texture"} <= set(written.data_vars)
        if scale.name == "full":
            few = written.red.isel(x=slice(None, None, 100), y=slice(None, None, 100)).values
            assert np.isfinite(few).any()
            assert (few[np.isfinite(few)] >= 0).all()
            return
        y, x = np.ix_(range(written.sizes["y"]), range(written.sizes["x"]))
        for number, band in enumerate(BANDS):
            np.testing.assert_array_equal(written[band].values, pictures.ground(number, y, x))  # below the clouds
        corner = written.red.values[:5, :5].astype("float64").std()
        assert float(written.red_texture[2, 2]) == pytest.approx(corner, rel=1e-3)

    run(lambda: whole.to_zarr(scratch_url), check)
