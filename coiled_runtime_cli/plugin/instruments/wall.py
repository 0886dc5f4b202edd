"""Wall-clock time of a block."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.plugin.recorder import RunDraft


@contextmanager
def measure(draft: RunDraft) -> Iterator[None]:
    """Store start and end (s since the epoch) and the duration (s); if the block raises, the duration stays None.

    The duration comes from the monotonic clock: a clock that is set meanwhile does not change it.
    """
    draft.timed = True
    draft.start = time.time()
    began = time.perf_counter()
    try:
        yield
        draft.duration = time.perf_counter() - began
    finally:
        draft.end = draft.start + (time.perf_counter() - began)
