"""Several data sets made at once: what is missing is found, locked, shared among processes, and finished one by one."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.quantity import bytes_text, counted
from coiled_runtime_cli.datasets import parallel
from coiled_runtime_cli.datasets.events import Checking, Ready, Serial, Step, Waiting
from coiled_runtime_cli.datasets.files import Failure, StoredFile
from coiled_runtime_cli.datasets.job import Job
from coiled_runtime_cli.datasets.manifest import as_planned, folder_of
from coiled_runtime_cli.datasets.tally import Tally
from coiled_runtime_cli.datasets.verification import damaged_files
from coiled_runtime_cli.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from coiled_runtime_cli.datasets.events import Event
    from coiled_runtime_cli.datasets.recipe import Parameters, Recipe


def produce(
    wanted: Sequence[tuple[Recipe, Parameters]], cache: Path, *, workers: int | None = None
) -> Generator[Event, None, None]:
    """Have the data sets below ``cache``, verified: those that are damaged or not there are made, one event at a time.

    ``workers`` processes share the files; None: as many as it takes. What is complete stays when a later one fails.
    Raises ToolError before the first byte where the folder cannot be written, or has not the space.
    """
    missing = []
    for recipe, parameters in wanted:
        plan = recipe.plan(parameters)
        folder = folder_of(recipe, parameters, cache)
        # Most calls find everything in order, and need no lock for that.
        stored = as_planned(folder, plan)
        if stored is not None:
            yield Checking(recipe.name, stored.bytes)
        if stored is None or damaged_files(stored):
            missing.append(Job(recipe, parameters, plan, folder))
        else:
            yield Ready(recipe.name, stored)
    while missing:
        # What another process is writing comes last; and nobody waits for a lock while holding one.
        with contextlib.ExitStack() as stack:
            for job in missing:
                stack.callback(job.close)
            busy = [job for job in missing if not job.open(wait=False)]
            if len(busy) == len(missing):
                yield Waiting(busy[0].recipe.name)
                busy.pop(0).open(wait=True)
            jobs = []
            for job in missing:
                if job.chosen and job not in busy:
                    jobs.append(job)
                elif job not in busy:  # another process has done it meanwhile
                    yield Ready(job.recipe.name, job.ready())
            if jobs:
                _require_space(jobs, cache)
                yield from _run(jobs, workers)
        missing = busy


def _require_space(jobs: Sequence[Job], cache: Path) -> None:
    """Raise ToolError before the first byte where the disk cannot hold all of it."""
    needed = sum(file.bytes for job in jobs for file in job.chosen)
    free = shutil.disk_usage(cache).free
    if free >= needed:
        return
    if len(jobs) == 1:
        raise jobs[0].unwritable(errno.ENOSPC, os.strerror(errno.ENOSPC))
    raise ToolError(
        f"no space left in {cache}: {counted(len(jobs), 'data set')} need about {bytes_text(needed)}, "
        f"{bytes_text(free)} are free",
        hint="make fewer, a smaller --scale, or name another folder for data sets: CRT_DATA=/path, or `data` in crt.toml",
    )


def _run(jobs: list[Job], workers: int | None) -> Iterator[Event]:
    """Make the files of all jobs, and finish each job with its last file."""
    # What has the largest file comes first, or all would wait for it in the end.
    jobs = sorted(jobs, key=lambda job: -max(each.bytes for each in job.chosen))
    tally = Tally(sum(file.bytes for job in jobs for file in job.chosen))
    batches = [
        parallel.Batch(number, job.recipe, job.parameters, files, job.partial)
        for number, job in enumerate(jobs)
        for files in parallel.batches(job.chosen)
    ]
    count = parallel.workers_for(tally.total, len(batches)) if workers is None else min(workers, len(batches))
    waiting = (each for each in batches if not jobs[each.job].over)  # asked for the next one when there is room
    done = 0.0
    yield Step(jobs[0].recipe.name, done, tally.total)
    events = parallel.made(waiting, count) if count > 1 else parallel.made_here(waiting)
    with contextlib.closing(events):
        for told in events:
            if isinstance(told, str):
                yield Serial(told)
                continue
            number, file, news = told
            job = jobs[number]
            now = tally.count(number, file, news)
            if now > done:
                done = now
                yield Step(job.recipe.name, done, tally.total)
            if isinstance(news, Failure) and not job.over:
                yield job.fail(news)
            elif isinstance(news, StoredFile):
                job.written[file.path] = news
                if len(job.written) == len(job.chosen) and not job.over:
                    yield job.finish()
