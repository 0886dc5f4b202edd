"""Rechunk what others wrote, and write it again: from Zarr to Zarr.

Full scale: ice upon the sea (MUR, 3.8 TiB), and rain (GPM IMERG, 0.2 TiB).
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.workflows, pytest.mark.cluster("small_cluster")]

#: How wide the blocks are that are compared, in places.
EDGE = 50


@pytest.fixture(scope="module")
def open_array(da, dataset):
    """``open_array(name, component)``: one array of a data set."""
    pytest.importorskip("zarr", reason='needs zarr: pip install "coiled-runtime-cli[suites]"')

    def opened(name, component):
        data = dataset(name)
        return da.from_zarr(data.location, component=component, storage_options=data.storage_options or None)

    return opened


@pytest.fixture
def write(da, scratch_url):
    """``write(array)``: to a store of this test's own, and read it lazily from there."""

    def to_zarr(array):
        array.to_zarr(scratch_url)
        return da.from_zarr(scratch_url)

    return to_zarr


def same(first, second):
    """Whether both have the same first, middle and last moment of three blocks: in two corners and halfway between."""
    import dask
    import numpy as np

    length, *extent = first.shape
    moments = sorted({0, length // 2, length - 1})
    blocks = []
    for part in (0, 0.5, 1):
        starts = [int(part * max(0, each - EDGE)) for each in extent]
        places = (moments, *(slice(each, each + EDGE) for each in starts))
        blocks += [first[places], second[places]]
    found = dask.compute(*blocks, scheduler="threads")
    return all(np.array_equal(*pair, equal_nan=True) for pair in zip(found[::2], found[1::2], strict=True))


def test_rechunk_simple(open_array, write, small_client, stop_measuring):
    """Chunks of all days of a few places become twice as wide: two of them make a new one."""
    ice = open_array("sea_ice", "sea_ice_fraction")
    days, height, width = ice.chunksize
    written = write(ice.rechunk((days, height, 2 * width)))
    stop_measuring()
    assert written.chunksize == (days, height, 2 * width)
    assert same(ice, written)


def test_rechunk_full_shuffle(open_array, write, small_client, stop_measuring, scale):
    """Chunks of a few days and all places become chunks of all days and a few places: every one goes into every other."""
    rain = open_array("precipitation", "HQprecipitation")
    east, north = {"smoke": (9, 9), "full": (36, 180)}.get(scale.name, (24, 24))
    written = write(rain.rechunk((-1, east, north)))
    stop_measuring()
    assert written.chunksize == (rain.shape[0], east, north)
    assert same(rain, written)
