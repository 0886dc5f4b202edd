"""Scheduler load and event-loop delays, on any cluster: a small probe on the event loop of scheduler and workers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.plugin.instruments import ANSWER_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client

    from coiled_runtime_cli.plugin.recorder import RunDraft

#: A delay shorter than this goes unseen, and a probe costs some 20 wake-ups a second of about 20 microseconds each.
INTERVAL = 0.05  # s


class LoopProbe:
    """Sleeps and wakes on an event loop: how late it wakes is how long something blocked the loop."""

    def __init__(self, interval: float) -> None:
        import asyncio
        import time

        import psutil

        self.interval = interval
        self.max_tick = 0.0  # s
        self._process = psutil.Process()
        self.max_memory = self._process.memory_info().rss  # bytes
        self._clock = time.perf_counter
        self._thread_time = time.thread_time
        self._began = self._clock()
        self._processor_began = self._thread_time()
        self._woke = self._began
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        import asyncio

        wakes = 0
        while True:
            await asyncio.sleep(self.interval)
            self._look()
            wakes += 1
            if wakes % 4 == 0:
                self.max_memory = max(self.max_memory, self._process.memory_info().rss)

    def _look(self) -> None:
        now = self._clock()
        self.max_tick = max(self.max_tick, now - self._woke - self.interval)
        self._woke = now

    def stop(self) -> dict[str, float]:
        """Largest delay (s), largest resident memory (bytes), processor time of the loop's thread per wall time."""
        self._task.cancel()
        self._look()  # a block shorter than one interval, or a delay that lasts until now
        memory = max(self.max_memory, self._process.memory_info().rss)
        elapsed = max(self._clock() - self._began, 1e-9)
        return {
            "max_tick": self.max_tick,
            "max_memory": float(memory),
            "processor": (self._thread_time() - self._processor_began) / elapsed,
        }


def start_on_scheduler(interval: float, dask_scheduler: Any = None) -> None:
    dask_scheduler.crt_probe = LoopProbe(interval)


def stop_on_scheduler(dask_scheduler: Any = None) -> dict[str, float]:
    return dask_scheduler.crt_probe.stop()  # type: ignore[no-any-return]


def start_on_worker(interval: float, dask_worker: Any = None) -> None:
    dask_worker.crt_probe = LoopProbe(interval)


def stop_on_worker(dask_worker: Any = None) -> dict[str, float] | None:
    """None on a worker that joined after the start."""
    probe = getattr(dask_worker, "crt_probe", None)
    return None if probe is None else probe.stop()


@contextmanager
def measure(draft: RunDraft, client: Client) -> Iterator[None]:
    """Store scheduler processor use (fraction of one core), its largest memory (bytes), and the largest event-loop delays (s).

    Processor use is that of the thread of the event loop, where a scheduler does its work: the scheduler of a LocalCluster
    shares its process, but not this thread's time, with the client's own code.
    """
    client.run_on_scheduler(start_on_scheduler, INTERVAL, callback_timeout=ANSWER_TIMEOUT)
    client.run(start_on_worker, INTERVAL, callback_timeout=ANSWER_TIMEOUT)
    try:
        yield
    finally:
        scheduler = client.run_on_scheduler(stop_on_scheduler, callback_timeout=ANSWER_TIMEOUT)
        workers = client.run(stop_on_worker, callback_timeout=ANSWER_TIMEOUT)
        draft.scheduler_cpu_avg = scheduler["processor"]
        draft.scheduler_memory_max = scheduler["max_memory"]
        draft.scheduler_max_tick = max(scheduler["max_tick"], 0.0)
        ticks = [each["max_tick"] for each in workers.values() if each is not None]
        draft.worker_max_tick = max(ticks, default=None)
