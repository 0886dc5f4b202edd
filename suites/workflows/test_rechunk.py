"""Rechunk what others wrote, and write it again: from Zarr to Zarr.

Full scale: ice upon the sea (MUR, 3.8 TiB), and rain (GPM IMERG, 0.2 TiB).
"""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.workflows, pytest.mark.cluster("small_cluster")]


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
    """Whether both have the same first, middle and last moment of every third place."""
    length = first.shape[0]
    some = (slice(None, None, max(1, length // 2)), slice(None, 50, 3), slice(None, 50, 3))
    return bool((first[some].compute(scheduler="threads") == second[some].compute(scheduler="threads")).all())


def test_rechunk_simple(open_array, write, small_client):
    """Chunks of all days of a few places become twice as wide: two of them make a new one."""
    ice = open_array("sea_ice", "sea_ice_fraction")
    days, height, width = ice.chunksize
    written = write(ice.rechunk((days, height, 2 * width)))
    assert written.chunksize == (days, height, 2 * width)
    assert same(ice, written)


def test_rechunk_full_shuffle(open_array, write, small_client, scale):
    """Chunks of a few days and all places become chunks of all days and a few places: every one goes into every other."""
    rain = open_array("precipitation", "HQprecipitation")
    east, north = {"smoke": (9, 9), "full": (36, 180)}.get(scale.name, (24, 24))
    written = write(rain.rechunk((-1, east, north)))
    assert written.chunksize == (rain.shape[0], east, north)
    assert same(rain, written)
