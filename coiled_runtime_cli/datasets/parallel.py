"""The files of data sets, made one after another or by the processes of a local Dask cluster: the same bytes either way."""

from __future__ import annotations

import contextlib
import logging
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from coiled_runtime_cli.datasets import files as making
from coiled_runtime_cli.datasets.files import Failure, StoredFile
from coiled_runtime_cli.process import end_workers

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

    from coiled_runtime_cli.datasets.recipe import Parameters, PlannedFile, Recipe

#: Bytes from which on processes save more time than their start takes (some two seconds of every core).
WORTHWHILE = 200 * 10**6

#: A task is a file, or as many small ones as come to so much.
_BATCH_BYTES = 8 * 2**20
_BATCH_FILES = 200


@dataclass(frozen=True, slots=True)
class Batch:
    """What one task makes. ``folder`` is there, with all folders below it."""

    job: int  # which data set it belongs to
    recipe: Recipe
    parameters: Parameters
    files: tuple[PlannedFile, ...]
    folder: Path


#: Of which data set, which file: so many bytes (approximate) more are written, or it is made, or cannot be made.
News: TypeAlias = "tuple[int, PlannedFile, float | StoredFile | Failure]"


def batches(files: Iterable[PlannedFile]) -> Iterator[tuple[PlannedFile, ...]]:
    """Cut files into what one task makes, the largest first, so that the last to end are short."""
    batch: list[PlannedFile] = []
    size = 0
    for file in sorted(files, key=lambda each: -each.bytes):
        if batch and (size + file.bytes > _BATCH_BYTES or len(batch) == _BATCH_FILES):
            yield tuple(batch)
            batch, size = [], 0
        batch.append(file)
        size += file.bytes
    if batch:
        yield tuple(batch)


def workers_for(total: float, tasks: int) -> int:
    """How many processes it takes to write ``total`` bytes: 1 where more would not be quicker."""
    if total < WORTHWHILE or tasks < 2:
        return 1
    from dask.system import CPU_COUNT  # minds affinity and the limits of a container

    return min(int(CPU_COUNT), tasks)


def made_here(waiting: Iterator[Batch]) -> Generator[News, None, None]:
    """Make the files of each batch in this process; a batch ends with its first failure."""
    for batch in waiting:
        for file in batch.files:
            news: float | StoredFile | Failure = 0.0
            for news in making.made(batch.recipe, batch.parameters, file, batch.folder):
                yield batch.job, file, news
            if isinstance(news, Failure):
                break


def made(waiting: Iterator[Batch], workers: int) -> Generator[News | str, None, None]:
    """As :func:`made_here`, by ``workers`` processes; a batch is taken when one has room for it.

    Where no processes can be started it says why (a text), and makes the files here.
    """
    reason = None
    with contextlib.ExitStack() as stack:
        try:
            client = stack.enter_context(_cluster(workers))
        except (ImportError, OSError, RuntimeError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
        else:
            yield from _shared(client, waiting, 2 * workers)
    if reason is not None:
        yield reason
        yield from made_here(waiting)


def _shared(client: Any, waiting: Iterator[Batch], room: int) -> Iterator[News]:
    import itertools
    import queue
    import uuid

    told: queue.SimpleQueue[Any] = queue.SimpleQueue()  # futures that are over, and what workers say meanwhile
    topic = f"crt-data-{uuid.uuid4().hex}"
    client.subscribe_topic(topic, lambda event: told.put(event[1]))
    running: dict[str, tuple[Any, Batch]] = {}
    planned: dict[tuple[int, int], PlannedFile] = {}

    def submit() -> None:
        for batch in itertools.islice(waiting, room - len(running)):
            planned.update({(batch.job, file.index): file for file in batch.files})
            future = client.submit(_make, batch, topic, key=f"{batch.recipe.name}-{uuid.uuid4().hex}", pure=False)
            running[future.key] = future, batch
            future.add_done_callback(told.put)

    submit()
    while running:
        item = told.get()
        if isinstance(item, tuple):
            job, index, size = item
            yield job, planned[job, index], float(size)
            continue
        future, batch = running.pop(item.key)
        for file, result in _result(future, batch):
            yield batch.job, file, result
        submit()


def _result(future: Any, batch: Batch) -> list[tuple[PlannedFile, StoredFile | Failure]]:
    if future.status == "finished":
        return list(future.result())
    first, *others = batch.files
    named = first.path + (f" (or one of {len(others)} more)" if others else "")
    return [(first, Failure(named, f"the process that made it ended: {future.exception()}"))]


def _make(batch: Batch, topic: str) -> list[tuple[PlannedFile, StoredFile | Failure]]:
    """Make the files of a batch; runs on a worker."""
    from distributed import get_worker

    worker = get_worker()
    results: list[tuple[PlannedFile, StoredFile | Failure]] = []
    for job, file, news in made_here(iter((batch,))):
        if isinstance(news, float):
            worker.log_event(topic, (job, file.index, news))
        else:
            results.append((file, news))
    return results


@contextlib.contextmanager
def _cluster(workers: int) -> Iterator[Any]:
    """Processes of one thread each, for as long as the block lasts: afterwards none is left that could write."""
    from distributed import Client, LocalCluster

    with contextlib.ExitStack() as stack:
        with _interrupts_wait():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=0,  # a generator takes what it needs
                silence_logs=logging.CRITICAL,
                dashboard_address="127.0.0.1:0",
                scheduler_kwargs={"dashboard": False, "allowed_failures": 1},
            )
        stack.callback(end_workers, {worker.pid for worker in cluster.workers.values()})
        stack.enter_context(cluster)
        yield stack.enter_context(Client(cluster, set_as_default=False))


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Hold Ctrl-C back until the block ends; processes that it starts never get one: they are ended by who started them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # or its start, on the way to the first process, would let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
