"""Work stealing: tasks that are trivial, unequal, or wait behind a slow worker."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.cluster("small_cluster")


@pytest.mark.max_threads(50)
def test_trivial_workload_should_not_cause_work_stealing(small_client, sizing, scale):
    """Many tasks that do nothing, all on one input: to move them costs more than to do them."""
    size = sizing.chunk(1 / 128)  # 1 MiB at full scale
    root = small_client.submit(lambda: bytes(size), pure=False)
    count = scale.count(smoke=1_000, laptop=10_000, full=10_000)
    futures = small_client.map(lambda _data, index: index, [root] * count, range(count), pure=False)
    assert small_client.gather(futures) == list(range(count))


@pytest.mark.max_threads(100)
def test_work_stealing_on_inhomogeneous_workload(small_client, scale):
    """Tasks of lognormal length: who has done its part helps the others."""
    np = pytest.importorskip("numpy", reason="arrays need NumPy: pip install numpy")
    delays = np.random.default_rng(42).lognormal(1, 1.3, scale.count(smoke=40, laptop=200, full=500))
    delays = np.minimum(delays, 60) * scale.pick(smoke=1 / 200, laptop=1 / 50, full=1)

    def rest(index, seconds):
        time.sleep(seconds)
        return index

    found = small_client.gather(small_client.map(rest, range(len(delays)), delays.tolist(), pure=False))
    assert found == list(range(len(delays)))


@pytest.fixture
def elastic(client):
    """A client on a cluster that can grow."""
    if not hasattr(client.cluster, "scale"):
        pytest.skip("this cluster cannot be given more workers: crt bench --cluster local")
    return client


@pytest.mark.client("test_work_stealing_on_scaling_up")
def test_work_stealing_on_scaling_up(da, elastic, scale):
    """Two overlapping maps over a cluster of which most workers come late."""
    seconds = scale.pick(smoke=0.01, laptop=0.1, full=5)
    edge = scale.count(smoke=10, laptop=20, full=30)

    def slowly(block):
        time.sleep(seconds)
        return block + 1

    array = da.zeros((edge, edge, edge), chunks=5)
    array = array.map_overlap(slowly, depth=1, boundary="none").map_overlap(slowly, depth=1, boundary="none")
    workers = len(elastic.nthreads())
    future = elastic.compute(array.sum())
    time.sleep(scale.pick(smoke=0.2, laptop=2, full=16))
    elastic.cluster.scale(workers + scale.count(smoke=1, laptop=2, full=19))
    assert future.result() == 2 * edge**3


@pytest.mark.client("test_work_stealing_on_straggling_worker")
def test_work_stealing_on_straggling_worker(client, scale):
    """One worker answers late: its tasks go to the others."""
    pause = scale.pick(smoke=0.02, laptop=0.1, full=1)
    count = scale.count(smoke=40, laptop=200, full=1000)

    def clog(dask_worker):
        from tornado.ioloop import PeriodicCallback

        dask_worker.crt_straggler = PeriodicCallback(lambda: time.sleep(pause), pause * 1500)
        dask_worker.loop.add_callback(dask_worker.crt_straggler.start)

    def rest(index):
        time.sleep(pause)
        return index

    straggler = min(client.nthreads())
    client.run(clog, workers=[straggler])
    assert client.gather(client.map(rest, range(count), pure=False)) == list(range(count))
