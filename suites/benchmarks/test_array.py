"""Arrays: reductions, neighbours, products, and a few elements of a large graph."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.cluster("small_cluster", by_memory=True)


def both_kinds(test):
    """Numbers that compress and numbers that do not, which are what the test had before there were two kinds."""
    kinds = [pytest.param("uncompressible", marks=pytest.mark.formerly(test)), "compressible"]
    return pytest.mark.parametrize("new_array", kinds, indirect=True)


@pytest.fixture
def kind(request):
    """Which of the two kinds of numbers ``new_array`` makes; every second of the compressible ones is 0."""
    return request.node.callspec.params["new_array"]


@pytest.fixture
def two_arrays(new_array):
    """``two_arrays(shape, chunks)``: two different arrays of this shape, of chunks with an even number of columns."""

    def make(shape, chunks):
        both = new_array((2, *shape), chunks=(1, *chunks))
        return both[0], both[1]

    return make


@pytest.fixture(scope="module")
def moments(da):
    """``moments(array)``: number, mean and mean square of the elements; every block is computed and none is kept."""
    import numpy as np

    def run(array):
        def summarise(block):
            sums = np.array([block.size, block.sum(), np.vdot(block, block)])
            return sums.reshape((1,) * block.ndim + (3,))

        ones = tuple((1,) * len(each) for each in array.chunks)
        axes = tuple(range(array.ndim))
        parts = array.map_blocks(summarise, chunks=(*ones, (3,)), new_axis=array.ndim, dtype=float)
        size, total, squares = parts.sum(axis=axes).compute()
        return int(size), total / size, squares / size

    return run


@pytest.mark.parametrize(
    ("pause", "layout"),
    [
        pytest.param(0, "thin", id="fast-thin", marks=pytest.mark.formerly("test_basic_sum")),
        pytest.param(0.5, "thin", id="slow-thin"),
        pytest.param(0.5, "square", id="slow-square"),
    ],
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


@both_kinds("test_vorticity")
def test_vorticity(da, two_arrays, kind, moments, small_client, sizing):
    """Two fields, each nearly as large as the memory, padded by a row, multiplied with a plane each and subtracted."""
    edge = sizing.square(sizing.chunk(1.5)) // 2 * 2
    u, v = two_arrays(sizing.shape(sizing.data(0.85), (edge, edge, None)), (edge, edge, 1))
    dx, dy = two_arrays((edge + 1, edge), (edge + 1, edge))

    def padded(array):
        return da.pad(array, [(0, 1), (0, 0), (0, 0)], mode="wrap").rechunk((edge + 1, edge, 1))

    size, mean, square = moments(dx[..., None] * padded(u) - dy[..., None] * padded(v))
    assert size == (edge + 1) * edge * u.shape[2]
    assert mean == pytest.approx(0, abs=0.01)
    # Of numbers below 1 the mean is 1/2 and the mean square 1/3; of the compressible ones every second column is 0.
    assert square == pytest.approx((2 / 9 - 2 / 16) / {"uncompressible": 1, "compressible": 2}[kind], rel=0.03)


@both_kinds("test_double_diff")
def test_double_diff(two_arrays, kind, moments, small_client, sizing, scale):
    """Two arrays shifted against each other: every output chunk needs eight of the inputs (coiled/benchmarks#564)."""
    # 20 MiB at full scale; the graph is what grows with the number of chunks
    chunk = sizing.square(sizing.chunk(scale.pick(smoke=1 / 2, laptop=1 / 2, full=20 / 128))) // 2 * 2
    edge = max(2 * chunk, sizing.square(sizing.data(1, gentle=True)))
    a, b = two_arrays((edge, edge), (chunk, chunk))
    size, mean, square = moments(a[1:, 1:] - b[:-1, :-1])
    assert size == (edge - 1) ** 2
    assert mean == pytest.approx(0, abs=0.01)
    # Shifted by one column, one of two compressible numbers is 0.
    assert square == pytest.approx({"uncompressible": 1 / 6, "compressible": 1 / 3}[kind], rel=0.03)


@both_kinds("test_dot_product")
def test_dot_product(new_array, mean_of_values, small_client, sizing):
    """An array times its own transpose."""
    chunk = sizing.square(sizing.chunk()) // 2 * 2
    edge = chunk * max(2, sizing.square(sizing.data(1 / 17, gentle=True)) // chunk)
    array = new_array((edge, edge), chunks=(chunk, chunk))
    found = float((array @ array.T).sum().compute())
    # A product of two numbers below 1 is 0.25 on average; every second column of the compressible array is 0.
    assert found / edge**3 == pytest.approx(mean_of_values / 2, rel=0.02)


@pytest.fixture
def image(new_array, scale):
    """An array of many small chunks, and a hundred of its elements."""
    edge = scale.count(smoke=2_000, laptop=10_000, full=10_000)
    array = new_array((edge, edge), chunks=(50, 50))
    middle = edge // 2
    place = slice(middle, middle + 10), slice(middle, middle + 10)
    return array, place, array[place].compute(scheduler="synchronous")


@both_kinds("test_map_overlap_sample")
def test_map_overlap_sample(image, small_client):
    """Ten times ten elements out of 40,000 chunks that overlap: the graph is what costs."""
    array, place, expected = image
    found = array.map_overlap(lambda block: block, depth=1, boundary="none")[place].compute()
    assert (found == expected).all()
    assert found.shape == (10, 10)
