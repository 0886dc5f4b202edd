import os

from hypothesis import given
from hypothesis import strategies as st

from coiled_runtime_cli.datasets import parallel
from coiled_runtime_cli.datasets.recipe import PlannedFile


@given(sizes=st.lists(st.integers(0, 64 * 2**20), max_size=600))
def test_batches_hold_every_file_once_and_large_files_alone(sizes):
    plan = [PlannedFile(index, str(index), 1, size) for index, size in enumerate(sizes)]
    batches = list(parallel.batches(plan))
    assert sorted(each.index for batch in batches for each in batch) == list(range(len(sizes)))
    for batch in batches:
        assert 1 <= len(batch) <= 200
        assert len(batch) == 1 or sum(each.bytes for each in batch) <= 8 * 2**20
    first = [batch[0].bytes for batch in batches]
    assert first == sorted(first, reverse=True)


def test_processes_are_started_where_there_is_enough_to_do():
    assert parallel.workers_for(10**6, 100) == 1
    assert parallel.workers_for(10**12, 1) == 1
    assert 1 <= parallel.workers_for(10**12, 100) <= (os.cpu_count() or 1)
