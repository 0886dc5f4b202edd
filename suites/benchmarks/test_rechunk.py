"""Rechunk: tiles to rows, axes swapped, small chunks made whole; with either shuffle."""

from __future__ import annotations

import math
import re

import pytest

pytestmark = pytest.mark.cluster("small_cluster", by_memory=True)

METHODS = {"tasks": "shuffle_tasks", "p2p-disk": "shuffle_p2p", "p2p-memory": "shuffle_p2p"}
#: What stood in other files, and was replaced by these tests.
REPLACED = {
    "test_tiles_to_rows[auto-tasks]": ("benchmarks/test_array.py::test_rechunk_striping[tasks]",),
    "test_tiles_to_rows[auto-p2p-disk]": ("benchmarks/test_array.py::test_rechunk_striping[p2p]",),
    "test_swap_axes_in_memory[auto-tasks]": (
        "stability/test_array.py::test_rechunk_in_memory",
        "benchmarks/test_array.py::test_rechunk_in_memory[tasks]",
    ),
    "test_swap_axes_in_memory[auto-p2p-disk]": ("benchmarks/test_array.py::test_rechunk_in_memory[p2p]",),
    "test_swap_axes_out_of_core[tasks]": (
        "stability/test_array.py::test_rechunk_out_of_memory",
        "benchmarks/test_array.py::test_rechunk_out_of_memory[tasks]",
        "benchmarks/test_array.py::test_rechunk_swap_axes[tasks]",
        "benchmarks/test_rechunk.py::test_swap_axes[tasks]",
    ),
    "test_swap_axes_out_of_core[p2p]": (
        "benchmarks/test_array.py::test_rechunk_out_of_memory[p2p]",
        "benchmarks/test_array.py::test_rechunk_swap_axes[p2p]",
        "benchmarks/test_rechunk.py::test_swap_axes[p2p]",
    ),
}


def former(name, *others):
    """What the benchmark of this name was called."""
    return pytest.mark.formerly(*others, *REPLACED.get(name, ()))


def by_part_and_method(test):
    """Chunks of both sizes, by every method; the small ones were called by their size on the predecessor's cluster."""
    both = []
    for part in ("small", "auto"):
        for method, marker in METHODS.items():
            name = f"{part}-{method}"
            earlier = (f"{test}[8.5 MiB-{method}]",) if part == "small" else ()
            marks = [former(f"{test}[{name}]", *earlier), getattr(pytest.mark, marker)]
            both.append(pytest.param(part, method, id=name, marks=marks))
    return pytest.mark.parametrize(("part", "method"), both, indirect=True)


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, marker)) for name, marker in METHODS.items()])
def method(request, sizing):
    """How chunks travel, set in Dask's configuration; and what "auto" chunks are, which is 128 MiB at full scale."""
    import dask
    import distributed

    shuffle, _, storage = request.param.partition("-")
    needed = {"disk": (2023, 2, 1), "memory": (2023, 10, 1)}.get(storage)
    version = tuple(int(each) for each in re.findall(r"\d+", distributed.__version__)[:3])
    if needed is not None and version < needed:
        pytest.skip(f"{request.param} needs distributed {'.'.join(map(str, needed))} or newer")
    with dask.config.set(
        {
            "array.rechunk.method": shuffle,
            "distributed.p2p.storage.disk": storage != "memory",
            "array.chunk-size": sizing.chunk(),
        }
    ):
        yield request.param


@pytest.fixture(params=["small", "auto"])
def part(request, small):
    """Size of the chunks to begin with: small ones, or what Dask chooses."""
    return small if request.param == "small" else "auto"


@pytest.fixture
def small(sizing, scale):
    """8.5 MiB at full scale. Elsewhere less small a part of the others: it is their number that takes time."""
    return f"{sizing.chunk(scale.pick(smoke=1 / 6, laptop=1 / 6, full=8.5 / 128))} B"


def new(da, shape, chunks):
    return da.random.default_rng(0).random(shape, chunks=chunks)


def check_total(array):
    """The numbers are below 1 and 1/2 on average: a chunk that is lost, or there twice, is far outside of what chance does."""
    found = float(array.sum().compute())
    assert abs(found - array.size / 2) < 6 * math.sqrt(array.size / 12)


@by_part_and_method("test_tiles_to_rows")
def test_tiles_to_rows(da, part, method, small_client, sizing, scale):
    """Square tiles become stripes, of one and a half times the memory (at laptop once)."""
    edge = sizing.square(sizing.data(scale.pick(smoke=1.5, laptop=1, full=1.5)))
    check_total(new(da, (edge, edge), part).rechunk((-1, "auto")))


@by_part_and_method("test_swap_axes_in_memory")
def test_swap_axes_in_memory(da, part, method, small_client, sizing, scale):
    """Columns become rows, within half of the memory."""
    # a quarter of a small local worker is its interpreter and libraries
    edge = sizing.square(sizing.data(scale.pick(smoke=0.5, laptop=0.3, full=0.5)))
    check_total(new(da, (edge, edge), (-1, part)).rechunk(("auto", -1)))


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(
            each, marks=[former(f"test_swap_axes_out_of_core[{each}]"), getattr(pytest.mark, f"shuffle_{each}")]
        )
        for each in ("tasks", "p2p")
    ],
    indirect=True,
)
def test_swap_axes_out_of_core(da, method, small_client, sizing, scale):
    """Columns become rows, of one and a half times the memory (at laptop once): p2p goes to disk."""
    edge = sizing.square(sizing.data(scale.pick(smoke=1.5, laptop=1, full=1.5)))
    check_total(new(da, (edge, edge), (-1, "auto")).rechunk(("auto", -1)))


@by_part_and_method("test_adjacent_groups")
def test_adjacent_groups(da, part, method, small_client, sizing, scale):
    """Groups of neighbours become other groups of neighbours: nothing travels far."""
    length = scale.count(smoke=1_000, laptop=4_000, full=10_000)
    array = new(da, sizing.shape(sizing.data(1.5), (None, 10, length)), (part, 2, length // 2))
    check_total(array.rechunk(("auto", 5, length)))


def test_heal_oversplit(da, small, method, small_client, sizing):
    """Chunks that are too small become ordinary ones, in a ratio that is no whole number."""
    edge = sizing.square(sizing.data(1.5))
    check_total(new(da, (edge, edge), small).rechunk("auto"))
