import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.core.scale import GIB, NAMES, REFERENCE_MEMORY, Scale, Sizing

SCALES = [Scale.parse(each) for each in (*NAMES, "0.5", "3")]


def sizing(name, memory=2 * GIB, threads=2):
    return Sizing(Scale.parse(name), memory, threads)


@pytest.mark.parametrize("scale", SCALES, ids=lambda each: each.name)
def test_data_keep_their_ratio_to_memory_but_at_smoke(scale):
    found = Sizing(scale, 2 * GIB, 2).data(1.5)
    assert found == 3 * GIB * (1 / 32 if scale.name == "smoke" else 1)


def test_work_that_grows_faster_than_its_data_is_held_back_on_large_clusters_alone():
    assert sizing("laptop").data(0.3, gentle=True) == sizing("laptop").data(0.3)
    at_reference = sizing("full", REFERENCE_MEMORY)
    assert at_reference.data(0.3, gentle=True) == at_reference.data(0.3)
    four_times = sizing("full", 4 * REFERENCE_MEMORY)
    assert four_times.data(0.3, gentle=True) == pytest.approx(2 * at_reference.data(0.3), rel=1e-6)


def test_chunks_and_pauses_grow_with_the_scale():
    for measure in (lambda each: each.chunk(), lambda each: each.chunk(0.1), lambda each: each.pause(2.0)):
        smoke, laptop, full = (measure(sizing(name)) for name in NAMES)
        assert smoke < laptop < full
    assert sizing("full").chunk() == 128 * 2**20
    assert [sizing(name).chunk_share() for name in NAMES] == [1 / 32, 1 / 8, 1.0]
    assert sizing("full").pause(2.0) == 2.0
    assert sizing("3").chunk() == sizing("laptop").chunk()


def test_a_local_worker_is_small_unless_the_scale_is_full():
    assert Scale.parse("smoke").worker_memory() == Scale.parse("laptop").worker_memory() == GIB
    assert Scale.parse("3").worker_memory() == 3 * GIB
    assert Scale.parse("0.01").worker_memory() == GIB / 2, "with less a worker pauses before its first task"
    assert Scale.parse("full").worker_memory() is None


def test_a_number_is_the_scale_factor_of_tpch():
    named = {each: Scale.parse(each).tpch_factor() for each in (*NAMES, "0.1", "10")}
    assert named == {"smoke": 0.01, "laptop": 1, "full": 1000, "0.1": 0.1, "10": 10}


@given(st.integers(1, 10**13), st.sampled_from([1, 4, 8, 16]))
def test_a_square_is_the_largest_that_fits(nbytes, itemsize):
    edge = sizing("full").square(nbytes, itemsize)
    assert edge == 1 or edge**2 * itemsize <= nbytes
    assert (edge + 1) ** 2 * itemsize > nbytes


@given(st.integers(10**4, 10**13), st.lists(st.none() | st.integers(1, 50), min_size=1, max_size=5))
def test_a_shape_keeps_what_is_fixed_and_takes_about_the_bytes_asked_for(nbytes, template):
    if None not in template:
        with pytest.raises(ValueError, match="nothing to choose"):
            sizing("full").shape(nbytes, template)
        return
    shape = sizing("full").shape(nbytes, template)
    assert [length for length, wanted in zip(shape, template, strict=True) if wanted is not None] == [
        each for each in template if each is not None
    ]
    chosen = {length for length, wanted in zip(shape, template, strict=True) if wanted is None}
    assert len(chosen) == 1
    larger = [length + (wanted is None) for length, wanted in zip(shape, template, strict=True)]
    assert chosen == {1} or math.prod(shape) * 8 <= nbytes * 1.01
    assert math.prod(larger) * 8 > nbytes * 0.99


def test_files_are_as_many_as_the_memory_takes():
    assert sizing("full", 58 * GIB).files(0.5, 1000, gib=580) == 50
    assert sizing("full", GIB).files(0.5, 10, gib=580) == 1
    assert sizing("full", 10_000 * GIB).files(0.5, 1000, gib=580) == 1000


def test_rows_are_as_many_as_fit_and_never_none():
    assert sizing("laptop").rows(1000, of=10) == 100
    assert sizing("laptop").rows(5, of=10) == 1


@pytest.mark.parametrize(("memory", "threads"), [(0, 2), (GIB, 0)])
def test_a_cluster_without_memory_or_threads_is_none(memory, threads):
    with pytest.raises(ValueError, match="memory and threads"):
        sizing("laptop", memory, threads)
