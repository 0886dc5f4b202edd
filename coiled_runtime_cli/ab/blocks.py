"""The blocks of an experiment: every arm once, in random order, until all are run, every test is decided or the time is up."""

from __future__ import annotations

import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from coiled_runtime_cli.ab.cells import Measure
from coiled_runtime_cli.core import experiment as plans

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Engine

    from coiled_runtime_cli import config
    from coiled_runtime_cli.ab.cells import Step
    from coiled_runtime_cli.ab.environments import Made
    from coiled_runtime_cli.ab.record import Record
    from coiled_runtime_cli.core.experiment import Experiment


def run(
    experiment: Experiment,
    record: Record,
    made: Mapping[str, Made],
    settings: config.Config,
    engine: Engine,
    *,
    tell: Callable[[Step], None],
    decided: Callable[[int], bool],
    command: tuple[str, ...],
    only: Sequence[str] | None = None,
) -> str:
    """Run the blocks that are left. Says why it ended: "blocks", "decided" or "time".

    ``decided(look)`` is asked at each look of the experiment but the last one. ``only``: benchmarks, of those that the
    experiment selects. Raises NothingSelectedError where none is left.
    On KeyboardInterrupt what runs is stopped and stored, and the record says where to go on.
    """
    places = experiment.looks
    names = [each.name for each in experiment.every]
    longest = 0.0
    measure = Measure(experiment, record, made, settings, engine, tell, command, only)
    for block in range(record.blocks(experiment), experiment.blocks):
        if experiment.max_time is not None and block and record.spent + longest > experiment.max_time:
            return "time"
        began = time.monotonic()
        cells = [name for name in plans.order(names, block, record.seed) if not record.is_done(name, block)]
        try:
            if experiment.parallel > 1:
                _beside_each_other(measure, cells, block, experiment.parallel)
            else:
                for name in cells:
                    measure(name, block)
        finally:
            record.spent += time.monotonic() - began
            record.write()
        longest = max(longest, time.monotonic() - began)
        if block + 1 in places[:-1] and decided(places.index(block + 1)):
            return "decided"
    return "blocks"


def _beside_each_other(measure: Measure, cells: Sequence[str], block: int, parallel: int) -> None:
    with ThreadPoolExecutor(parallel) as pool:
        waiting = {pool.submit(measure, name, block) for name in cells}
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
                for each in done:
                    each.result()
        except BaseException:
            measure.stopped.set()
            for each in waiting:
                each.cancel()
            raise
