"""Rechunk: tiles to rows, axes swapped, small chunks made whole; with either shuffle."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.cluster("small_cluster", by_memory=True)


@pytest.fixture(params=["tasks", "p2p-disk", "p2p-memory"])
def method(request):
    """How chunks travel, set in Dask's configuration."""
    import dask
    import distributed

    shuffle, _, storage = request.param.partition("-")
    needed = {"disk": (2023, 2, 1), "memory": (2023, 10, 1)}.get(storage)
    version = tuple(int(each) for each in re.findall(r"\d+", distributed.__version__)[:3])
    if needed is not None and version < needed:
        pytest.skip(f"{request.param} needs distributed {'.'.join(map(str, needed))} or newer")
    with dask.config.set({"array.rechunk.method": shuffle, "distributed.p2p.storage.disk": storage != "memory"}):
        yield request.param


@pytest.fixture(params=["small", "auto"])
def part(request, sizing):
    """Length of a chunk's edge: 8.5 MiB at full scale, or what Dask chooses for its own default of 128 MiB."""
    return sizing.square(sizing.chunk(1 / 15 if request.param == "small" else 1))


def total(array):
    return float(array.sum().compute())


def ones(da, edge, chunks):
    return da.ones((edge, edge), chunks=chunks)


def test_tiles_to_rows(da, small_client, sizing, part, method):
    """Square tiles become rows, of one and a half times the memory."""
    edge = max(2 * part, sizing.square(sizing.data(1.5)))
    assert total(ones(da, edge, (part, part)).rechunk((max(1, part * part // edge), -1))) == edge**2


@pytest.mark.formerly("test_swap_axes[tasks]", "test_swap_axes[p2p]")
def test_swap_axes_in_memory(da, small_client, sizing, part, method):
    """Columns become rows, within half of the memory."""
    edge = max(2 * part, sizing.square(sizing.data(0.5)))
    thin = max(1, part * part // edge)
    assert total(ones(da, edge, (-1, thin)).rechunk((thin, -1))) == edge**2


@pytest.mark.parametrize("shuffle", ["tasks", "p2p"])
def test_swap_axes_out_of_core(da, small_client, sizing, shuffle):
    """Columns become rows, of one and a half times the memory: p2p goes to disk."""
    import dask

    edge = sizing.square(sizing.data(1.5))
    thin = max(1, sizing.chunk() // 8 // edge)
    with dask.config.set({"array.rechunk.method": shuffle}):
        assert total(ones(da, edge, (-1, thin)).rechunk((thin, -1))) == edge**2


def test_adjacent_groups(da, small_client, sizing, part, method):
    """Each group of neighbours becomes another group of neighbours: nothing travels far."""
    shape = sizing.shape(sizing.data(1.5), (None, 10, part))
    array = da.ones(shape, chunks=(part, 1, -1))
    assert total(array.rechunk((max(1, part // 10), -1, -1))) == array.size


def test_heal_oversplit(da, small_client, sizing, method):
    """Chunks that are too small become ordinary ones, in a ratio that is no whole number."""
    small, whole = sizing.square(sizing.chunk(1 / 15)), sizing.square(sizing.chunk())
    edge = max(2 * whole, sizing.square(sizing.data(1.5)))
    assert total(ones(da, edge, (small, small)).rechunk((whole, whole))) == edge**2
