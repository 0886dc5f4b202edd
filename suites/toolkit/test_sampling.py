"""Whether measuring slows down what is measured: a graph on one cluster with instruments on, off and off, in random order."""

from __future__ import annotations

import operator
import statistics

import pytest


def test_graph(alternate, record_metric, measured, scale):
    """Two layers of tasks and a sum, with memory, tasks and scheduler measured and without; off against off is the control."""
    record = pytest.importorskip("coiled_runtime_cli.core.record")
    import dask
    from distributed import Client, LocalCluster

    from coiled_runtime_cli.core.stats import ratio_of_means
    from coiled_runtime_cli.plugin.instruments import memory, scheduler, wall
    from coiled_runtime_cli.plugin.instruments import tasks as durations
    from coiled_runtime_cli.plugin.recorder import RunDraft

    tasks, triples = scale.count(smoke=500, laptop=2_000, full=10_000), scale.count(smoke=2, laptop=7, full=11)

    add = dask.delayed(operator.add)  # by name: a function of ours would be sent along with each task

    def seconds(client, *, on):
        first = [add(number, 1) for number in range(tasks // 2)]
        total = dask.delayed(sum)([add(each, 1) for each in first])
        draft = RunDraft("cost", record.Benchmark(path="cost", name="cost", originalname="cost"))
        if on:
            with (
                memory.measure(draft, client),
                durations.measure(draft, client),
                scheduler.measure(draft, client),
                wall.measure(draft),
            ):
                found = total.compute()
        else:
            with wall.measure(draft):
                found = total.compute()
        assert found == sum(number + 2 for number in range(tasks // 2))
        return draft.duration

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        seconds(client, on=True)  # warm
        arms = {
            "on": lambda: seconds(client, on=True),
            "off": lambda: seconds(client, on=False),
            "off again": lambda: seconds(client, on=False),
        }
        with measured():
            found = alternate(arms, triples)
    record_metric("time_of_the_graph", statistics.median(found["off"]), unit="s")
    for name, contender in (("on", "on"), ("control", "off again")):
        # paired: each triple has its own level
        ratio = ratio_of_means([1.0] * 3, [b / a for a, b in zip(found["off"], found[contender], strict=True)])
        record_metric(f"ratio_{name}", ratio.value, unit="ratio")
        record_metric(f"ratio_{name}_low", ratio.low, unit="ratio")
        record_metric(f"ratio_{name}_high", ratio.high, unit="ratio")
