"""Spilling: more data than memory, kept or released."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.cluster("spill_cluster", by_memory=True)


def former(kind, keep):
    """What it was called before there were two kinds of numbers."""
    return pytest.mark.formerly(
        *([f"stability/test_spill.py::test_spilling[{keep}]"] if kind == "uncompressible" else [])
    )


@pytest.fixture(scope="module", autouse=True)
def no_second_try():
    """A worker that runs out of memory fails the test at once: the scheduler that starts below this is told so."""
    import dask

    with dask.config.set({"distributed.scheduler.allowed-failures": 0}):
        yield


@pytest.mark.parametrize(
    ("new_array", "keep"),
    [
        pytest.param(kind, keep, id=f"{kind}-{'keep' if keep else 'release'}", marks=former(kind, keep))
        for kind in ("uncompressible", "compressible")
        for keep in (False, True)
    ],
    indirect=["new_array"],
)
def test_spilling(new_array, mean_of_values, small_client, sizing, keep):
    """Persist 1.8 times the memory, then read it back, while the input is released or kept."""
    from distributed import wait

    chunk = sizing.square(sizing.chunk(0.8))
    edge = max(2 * chunk, sizing.square(sizing.data(1.79)))
    array = new_array((edge, edge), chunks=(chunk, chunk)).persist()
    wait(array)
    total = array.sum().persist()
    if not keep:
        del array
    assert float(total.compute()) / edge**2 == pytest.approx(mean_of_values, rel=0.02)


@pytest.mark.parametrize(
    "new_array",
    [
        pytest.param("uncompressible", marks=pytest.mark.formerly("stability/test_spill.py::test_tensordot_stress")),
        "compressible",
    ],
    indirect=True,
)
def test_dot_product_spill(new_array, mean_of_values, small_client, sizing):
    """An array times its own transpose, where the intermediate products do not fit."""
    chunk = sizing.square(sizing.chunk()) // 2 * 2
    edge = chunk * max(2, sizing.square(sizing.data(0.3, gentle=True)) // chunk)
    array = new_array((edge, edge), chunks=(chunk, chunk))
    found = float((array @ array.T).sum().compute())
    # A product of two numbers below 1 is 0.25 on average; every second column of the compressible array is 0.
    assert found / edge**3 == pytest.approx(mean_of_values / 2, rel=0.02)
