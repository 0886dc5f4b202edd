"""Memory of the workers: the sum of their resident set sizes, sampled while a block runs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from distributed.diagnostics import MemorySampler

from coiled_runtime_cli.plugin.instruments import ANSWER_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client

    from coiled_runtime_cli.plugin.recorder import RunDraft

INTERVAL = 0.5  # s


@contextmanager
def measure(draft: RunDraft, client: Client) -> Iterator[None]:
    """Store average and peak memory (bytes, sum over workers).

    The sampler reads what workers report by heartbeat. A block shorter than one sample would get nothing, or a value from before
    it, so the workers are also asked directly before and after; those two readings count as samples. The average is the plain
    mean of all.
    """
    sampler = MemorySampler()
    before = _resident(client)
    try:
        with sampler.sample("block", client=client, measure="process", interval=INTERVAL):
            yield
    finally:
        values = [float(value) for _, value in sampler.samples.get("block", [])]
        # The first sample precedes any heartbeat of the block: the direct reading is the better one.
        series = [before, *values[1:], _resident(client)]
        draft.average_memory = sum(series) / len(series)
        draft.peak_memory = max(series)


def _resident(client: Client) -> float:
    return float(sum(client.run(resident_set_size, callback_timeout=ANSWER_TIMEOUT).values()))


def resident_set_size() -> int:
    """Resident memory of the calling process (bytes). Sent to workers by value."""
    import psutil

    return int(psutil.Process().memory_info().rss)
