"""How a geospatial workload is run: to its end, or only built and submitted."""

from __future__ import annotations

import contextvars
import threading
import time

import pytest


@pytest.fixture(scope="session")
def xr():
    """``xarray``, with what it needs to read and write Zarr."""
    pytest.importorskip("dask.array", reason='arrays need NumPy: pip install "dask[array]"')
    pytest.importorskip("zarr", reason='needs zarr: pip install "coiled-runtime-cli[geo]"')
    return pytest.importorskip("xarray", reason='needs xarray: pip install "coiled-runtime-cli[geo]"')


@pytest.fixture(
    params=[
        pytest.param("execution", marks=pytest.mark.geo_execution),
        pytest.param("submission", marks=pytest.mark.geo_submission),
    ]
)
def mode(request):
    """Whether the workload is executed, or its graph only submitted to a scheduler that has no workers."""
    return request.param


@pytest.fixture
def run(mode, small_client, small_cluster, stop_measuring, record_metric):
    """``run(action, check)``: compute by ``action()``, and give what it returns to ``check``, which is not measured.

    In submission mode the workers are gone before the clock starts. It stops when the scheduler has the whole graph, which is
    what its event "update-graph" says; then nothing may have run, and there is nothing to check. Counts the tasks.
    """

    def execute(action, check):
        found = action()
        stop_measuring()
        check(found)

    if mode == "execution":
        yield execute
        return

    _take_workers_away(small_cluster, small_client)
    arrived = threading.Event()
    errors = []

    def notice(event):
        _, message = event
        if isinstance(message, dict) and message.get("action") == "update-graph":
            arrived.set()

    small_client.subscribe_topic("scheduler", notice)

    def tasks_of(dask_scheduler):
        states = [each.state for each in dask_scheduler.tasks.values()]
        return len(states), states.count("memory")

    def submit(action, check):
        def wait_forever():
            try:
                action()
            except Exception as error:  # noqa: BLE001 - one before the graph arrived is raised below; then, the client closes
                errors.append(error)

        # What computes waits for its result, and there is none to come: that thread ends with the client.
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(wait_forever,), name="submission", daemon=True).start()
        while not arrived.wait(1):
            if errors:
                raise errors[0]
            if small_client.run_on_scheduler(tasks_of)[0]:  # a release of distributed that has no such event
                break
        stop_measuring()
        tasks, ran = small_client.run_on_scheduler(tasks_of)
        assert tasks > 1
        assert ran == 0
        record_metric("tasks", tasks)

    yield submit
    small_client.unsubscribe_topic("scheduler")


def _take_workers_away(cluster, client):
    """Leave a scheduler without workers. The next test on this cluster gets as many as there were."""
    scale = getattr(getattr(cluster, "cluster", None), "scale", None)
    if scale is None or cluster.expected_workers is None:
        pytest.skip("submission alone needs a cluster that crt may take the workers of: --cluster local or coiled")
    try:
        scale(0)
    except (AttributeError, NotImplementedError):
        pytest.skip("submission alone needs a cluster that can be scaled to no workers: --cluster local or coiled")
    deadline = time.monotonic() + 120
    while client.nthreads():
        if time.monotonic() > deadline:
            pytest.fail("the workers did not go within 120 s")
        time.sleep(0.05)


@pytest.fixture
def planetary():
    """``planetary(module)``: one of those that read Microsoft's Planetary Computer, or a skip that says what to type."""

    def library(module):
        how = 'reads the Planetary Computer: pip install "coiled-runtime-cli[geo-full]"'
        return pytest.importorskip(module, reason=how)

    return library


@pytest.fixture
def catalog(planetary):
    """``catalog(**query)``: the scenes that it finds, each with the right to read it."""

    def search(**query):
        signed = planetary("planetary_computer").sign_inplace
        opened = planetary("pystac_client").Client.open(
            "https://planetarycomputer.microsoft.com/api/stac/v1", modifier=signed
        )
        return opened.search(**query).item_collection()

    return search


@pytest.fixture
def chunk_size(sizing):
    """Dask's own choice of chunks ("auto") in proportion: 128 MiB at full scale."""
    import dask

    with dask.config.set({"array.chunk-size": sizing.chunk()}):
        yield sizing.chunk()


@pytest.fixture(scope="session")
def open_data(xr, dataset):
    """``open_data(name)``: a data set in Zarr, from disk or its bucket; what is written of it is compressed anew."""

    def opened(name, **options):
        data = dataset(name)
        return xr.open_zarr(data.location, storage_options=data.storage_options or None, **options).drop_encoding()

    return opened
