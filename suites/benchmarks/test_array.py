"""Arrays: reductions, neighbours, products, and a few elements of a large graph."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.cluster("small_cluster", by_memory=True)


@pytest.mark.formerly("test_basic_sum")
@pytest.mark.parametrize(
    ("pause", "layout"), [(0, "thin"), (0.5, "thin"), (0.5, "square")], ids=["fast-thin", "slow-thin", "slow-square"]
)
def test_basic_sum(da, small_client, sizing, pause, layout):
    """Sum along the columns of zeros, five times the memory: what is read too early fills it."""
    nbytes, chunk = sizing.data(5), sizing.chunk(0.8)
    edge = sizing.square(chunk)
    if layout == "thin":
        array = da.zeros((chunk // 8, max(1, nbytes // chunk)), chunks=(-1, 1))
    else:
        array = da.zeros((edge * 4, max(edge, nbytes // 8 // (edge * 4))), chunks=(edge, edge))
    seconds = sizing.pause(pause)
    if seconds:

        def slowly(block):
            time.sleep(seconds)
            return block + 1

        array = array.map_blocks(slowly, dtype=array.dtype)
    result = array.sum(axis=1).sum().compute()
    assert result == (array.size if seconds else 0)


def test_vorticity(da, new_array, discard, small_client, sizing):
    """Differences between neighbours along the first axis, of two fields that together fill most of the memory."""
    edge = sizing.square(sizing.chunk(1.5))
    shape = sizing.shape(sizing.data(0.85), (edge, edge, None))
    u = new_array(shape, chunks=(edge, edge, 1))
    v = new_array(shape, chunks=(edge, edge, 1))

    def across(array):
        padded = da.pad(array, [(1, 0), (0, 0), (0, 0)], mode="wrap").rechunk((-1, -1, 1))
        return padded[1:] - padded[:-1]

    vorticity = 2.0 * across(u) - 3.0 * across(v)
    assert vorticity.shape == u.shape
    assert discard(vorticity) == u.size


def test_double_diff(da, new_array, discard, small_client, sizing):
    """Two arrays shifted against each other: every output chunk needs eight of the inputs (coiled/benchmarks#564)."""
    chunk = sizing.square(sizing.chunk(0.16))
    edge = max(2 * chunk, sizing.square(sizing.data(0.4, gentle=True)))
    a = new_array((edge, edge), chunks=(chunk, chunk))
    b = new_array((edge, edge), chunks=(chunk, chunk))
    assert discard(a[1:, 1:] - b[:-1, :-1]) == (edge - 1) ** 2


def test_dot_product(da, new_array, mean_of_values, small_client, sizing):
    """An array times its own transpose."""
    chunk = sizing.square(sizing.chunk()) // 2 * 2
    edge = chunk * max(2, sizing.square(sizing.data(1 / 17, gentle=True)) // chunk)
    array = new_array((edge, edge), chunks=(chunk, chunk))
    found = float((array @ array.T).sum().compute())
    # A product of two numbers below 1 is 0.25 on average; every second column of the compressible array is 0.
    assert found / edge**3 == pytest.approx(mean_of_values / 2, rel=0.02)


def test_map_overlap_sample(da, new_array, small_client, scale):
    """Ten times ten elements out of 40,000 chunks that overlap: the graph is what costs."""
    edge = scale.count(smoke=1_000, laptop=5_000, full=10_000)
    array = new_array((edge, edge), chunks=(50, 50))
    result = array.map_overlap(lambda block: block, depth=1, boundary="none")[5000 % edge : 5000 % edge + 10, :10]
    assert result.compute().shape == (10, 10)
