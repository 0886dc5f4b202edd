"""Work that is a mix of its own: what a job queue does."""

from __future__ import annotations

import random
import time

import pytest

pytestmark = pytest.mark.cluster("small_cluster", by_memory=True)


@pytest.mark.max_threads(100)
def test_jobqueue(small_client, sizing):
    """Tasks of random length that each hold a large text for a while: forty for each thread."""
    tasks, size = 40 * sizing.threads, sizing.chunk(3)
    draws = random.Random(0)
    pauses = [draws.uniform(0, sizing.pause(3)) for _ in range(tasks)]

    def job(index, seconds):
        text = "x" * size
        time.sleep(seconds)
        return index, len(text)

    results = small_client.gather(small_client.map(job, range(tasks), pauses, pure=False))
    assert results == [(index, size) for index in range(tasks)]
