"""What several suites share. Functions that run on workers are not here: workers cannot import this file."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from contextlib import contextmanager, suppress

import pytest

MEMORY_INTERVAL = 0.05  # s


@pytest.fixture(scope="session")
def da():
    """``dask.array``."""
    return pytest.importorskip("dask.array", reason='arrays need NumPy: pip install "dask[array]"')


@pytest.fixture(scope="session")
def dd():
    """``dask.dataframe``, with what it needs to read and write Parquet."""
    try:
        import dask.dataframe
        import pandas as pd  # noqa: F401
        import pyarrow.parquet as pq  # noqa: F401
    except ImportError as error:
        pytest.skip(f'tables need dask.dataframe and pyarrow ({error}): pip install "dask[dataframe]" pyarrow')
    return dask.dataframe


@pytest.fixture(scope="session")
def timeseries(dd):
    """``timeseries(nbytes, chunk, columns, start=...)``: a frame of random floats, an hour a partition of ``chunk`` bytes."""
    import dask.datasets
    import pandas as pd

    def make(nbytes, chunk, columns, *, kinds=(float,), start="2000-01-01", seed=42):
        dtypes = {f"{kind.__name__}-{number}": kind for kind in kinds for number in range(columns // len(kinds))}
        rows = max(10, int(chunk / (8 * len(dtypes) + 8)))
        hours = max(2, round(nbytes / chunk))
        first = pd.Timestamp(start)
        return dask.datasets.timeseries(
            start=str(first),
            end=str(first + pd.Timedelta(hours=hours)),
            freq=f"{max(1, 3_600_000 // rows)}ms",
            partition_freq="1h",
            dtypes=dtypes,
            seed=seed,
        )

    return make


@pytest.fixture(scope="session")
def rows_of():
    """``rows_of(frame)``: how many rows a frame of ``timeseries`` has, made here of one partition: all have as many."""

    def rows(frame):
        return frame.npartitions * len(frame.get_partition(0).compute(scheduler="synchronous"))

    return rows


@pytest.fixture
def mean_of_values(request):
    """What the numbers of ``new_array`` are on average: below 1, and every second of the compressible ones is 0."""
    return {"uncompressible": 0.5, "compressible": 0.25}[request.node.callspec.params["new_array"]]


@pytest.fixture
def measured(benchmark_time, test_run_benchmark):
    """``with measured():`` stores the time of the block, and the memory of this process and of those that it started."""

    @contextmanager
    def block():
        if test_run_benchmark is None:
            yield
            return
        with own_memory(test_run_benchmark), benchmark_time():
            yield

    return block


@contextmanager
def own_memory(draft):
    """Average and largest resident memory (bytes) while the block runs, as workers of Dask are measured.

    Tests of a session share this process: what earlier ones hold no more is given back first.
    """
    import psutil

    give_back()
    myself = psutil.Process()
    processes = [myself, *myself.children(recursive=True)]
    samples = [resident(processes)]
    ended = threading.Event()

    def sample():
        while not ended.wait(MEMORY_INTERVAL):
            samples.append(resident(processes))

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield
    finally:
        ended.set()
        sampler.join()
        samples.append(resident(processes))
        draft.average_memory = sum(samples) / len(samples)
        draft.peak_memory = max(samples)


def give_back():
    """Return memory that nothing uses to the system, as far as allocators can."""
    gc.collect()
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # the C library of Linux alone has it
        ctypes.CDLL(None).malloc_trim(0)


def resident(processes):
    import psutil

    total = 0
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            total += each.memory_info().rss
    return float(total)
