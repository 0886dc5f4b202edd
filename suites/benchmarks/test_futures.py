"""Futures: what a task costs, and memory of a pipeline."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.cluster("small_cluster")


def inc():
    return lambda x: x + 1


@pytest.mark.max_threads(50)
def test_single_future(small_client, scale):
    """One task after the other: the way there and back."""
    step = inc()
    for index in range(scale.count(smoke=20, laptop=300, full=100)):
        assert small_client.submit(step, index, pure=False).result() == index + 1


@pytest.mark.max_threads(50)
@pytest.mark.parametrize(
    "rootish",
    [
        pytest.param(True, id="rootish", marks=pytest.mark.formerly("test_large_map")),
        pytest.param(False, id="non-rootish"),
    ],
)
def test_large_map(small_client, scale, rootish):
    """Many trivial tasks, alone or below a few that they share."""
    count = scale.count(smoke=2_000, laptop=10_000, full=100_000)
    shared = [] if rootish else small_client.map(lambda x: x, range(5), pure=False)
    futures = small_client.map(lambda x, *_: x + 1, range(count), *[[each] * count for each in shared], pure=False)
    assert sum(small_client.gather(futures)) == count * (count + 1) // 2


@pytest.mark.max_threads(50)
def test_large_map_first_work(small_client, stop_measuring, scale):
    """How long until the first of many tasks has been done."""
    from distributed import as_completed

    count = scale.count(smoke=2_000, laptop=10_000, full=100_000)
    futures = small_client.map(inc(), range(count), pure=False)
    first = next(iter(as_completed(futures)))
    assert 1 <= first.result() <= count
    stop_measuring()
    small_client.cancel(futures)


@pytest.mark.max_threads(100)
def test_memory_efficient(small_client, scale):
    """Make, raise, lower and forget one array after the other: few of them may be there at once."""
    np = pytest.importorskip("numpy", reason="arrays need NumPy: pip install numpy")
    from distributed import as_completed

    count = scale.count(smoke=10, laptop=100, full=100)
    length = scale.count(smoke=20_000, laptop=2_000_000, full=20_000_000)
    seconds = scale.pick(smoke=0.01, laptop=0.05, full=1.0)

    def make(seed):
        return np.random.default_rng(seed).integers(0, 1000, length)

    def slowly(array, change):
        time.sleep(seconds)
        return array + change

    made = small_client.map(make, range(count), pure=False)
    raised = small_client.map(slowly, made, [1] * count, pure=False)
    lowered = small_client.map(slowly, raised, [-1] * count, pure=False)
    totals = small_client.map(lambda array, seed: (seed, int(array.sum())), lowered, range(count), pure=False)
    del made, raised, lowered
    found = dict(future.result() for future in as_completed(totals))
    assert found[0] == int(make(0).sum())
    assert len(found) == count
