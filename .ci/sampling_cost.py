"""Does measuring slow down what is measured? A graph of 10,000 tasks with instruments on, off and off, in random order.

    python .ci/sampling_cost.py [--triples 7] [--tasks 10000] [--seed 0]

Each triple runs the same graph three times on one cluster. On against off is the cost; off against off is the control, which
says how small a cost this machine could have seen.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time

from coiled_runtime_cli.core.record import Benchmark
from coiled_runtime_cli.core.stats import ratio_of_means


def increment(number: int) -> int:
    return number + 1


def measure(client: object, tasks: int, *, on: bool) -> float:
    """Seconds for two layers of ``tasks / 2`` tasks and a sum."""
    import dask
    from distributed import Client

    from coiled_runtime_cli.plugin.instruments import memory, scheduler, wall
    from coiled_runtime_cli.plugin.instruments import tasks as durations
    from coiled_runtime_cli.plugin.recorder import RunDraft

    assert isinstance(client, Client)
    first = [dask.delayed(increment)(number) for number in range(tasks // 2)]
    total = dask.delayed(sum)([dask.delayed(increment)(each) for each in first])
    draft = RunDraft("cost", Benchmark(path="cost", name="cost", originalname="cost"))
    if on:
        with (
            memory.measure(draft, client),
            durations.measure(draft, client),
            scheduler.measure(draft, client),
            wall.measure(draft),
        ):
            total.compute()
    else:
        with wall.measure(draft):
            total.compute()
    assert draft.duration is not None
    return draft.duration


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triples", type=int, default=7)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    from distributed import Client, LocalCluster

    generator = random.Random(asked.seed)
    taken: dict[str, list[float]] = {"on": [], "off": [], "off, again": []}
    began = time.perf_counter()
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        measure(client, asked.tasks, on=True)  # warm
        for _ in range(asked.triples):
            arms = list(taken)
            generator.shuffle(arms)
            for arm in arms:
                taken[arm].append(measure(client, asked.tasks, on=arm == "on"))
    for arm, values in taken.items():
        print(f"{arm:11} median {statistics.median(values):.3f} s of {len(values)}")
    for name, base, contender in (("on / off", "off", "on"), ("control: off / off", "off", "off, again")):
        # paired: each triple has its own level
        ratios = [b / a for a, b in zip(taken[base], taken[contender], strict=True)]
        found = ratio_of_means([1.0] * 2 + [1.0], ratios)
        print(f"{name:19} {found.value:.3f} [{found.low:.3f}, {found.high:.3f}]")
    print(f"{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
