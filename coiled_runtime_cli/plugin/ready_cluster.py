"""A cluster to be measured on: started, of the same code as its client, its workers fresh, and noted in the run."""

from __future__ import annotations

import re
import sys
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distributed import Client

    from coiled_runtime_cli.clusters import RunningCluster
    from coiled_runtime_cli.core.record import Cluster
    from coiled_runtime_cli.core.scale import Scale, Sizing
    from coiled_runtime_cli.core.settings import SessionSettings
    from coiled_runtime_cli.plugin.recorder import Recorder, RunDraft

#: Names of the clusters that have run a test.
_USED: set[str] = set()

#: How many tests had failed when each cluster ran its last one, and how many workers that found.
_LAST: dict[str, tuple[int, int]] = {}


def send_by_value() -> None:
    """Scheduler and workers need nothing of crt: what they are sent carries its code."""
    import cloudpickle

    from coiled_runtime_cli.plugin import identity
    from coiled_runtime_cli.plugin.instruments import (
        memory,
        memray_profile,
        performance_report,
        profiler,
        py_spy_profile,
        scheduler,
        tasks,
    )

    instruments = (memory, memray_profile, performance_report, profiler, py_spy_profile, scheduler, tasks)
    for module in (identity, *instruments):
        cloudpickle.register_pickle_by_value(module)


@contextmanager
def start(
    settings: SessionSettings, recorder: Recorder | None, *, shape: str, name: str, by_memory: bool = False
) -> Iterator[RunningCluster]:
    """A cluster of the shape that the settings have under that name; ``by_memory``: its workers' memory is the scale's."""
    from coiled_runtime_cli import clusters
    from coiled_runtime_cli.core.scale import Scale

    send_by_value()
    stored = settings.clusters.get(shape) or settings.clusters[""]
    spec = clusters.ClusterSpec.from_json(stored)
    limit = Scale.parse(settings.scale).worker_memory() if by_memory else None
    if limit is not None:
        spec = spec.with_worker_memory(limit)
    if recorder is not None:
        recorder.progress(f"starting cluster {name}", 0)
    with clusters.start(spec, name=name) as cluster:
        with cluster.client() as client:
            cluster.wait(client, 600)
            check_identity(client, settings)
        yield cluster


def check_identity(client: Client, settings: SessionSettings) -> None:
    """Fail unless client, scheduler and workers run the same code: otherwise a number says nothing."""
    from coiled_runtime_cli.core.record import NOT_THE_SAME
    from coiled_runtime_cli.plugin import identity
    from coiled_runtime_cli.plugin.instruments import ANSWER_TIMEOUT

    load = tuple(settings.watched)  # what is to be proved may not be left unsaid
    here = identity.identities((), load)
    names = tuple(dict.fromkeys([*identity.imported_elsewhere(Path(settings.suites), load), *load]))
    here.update(identity.identities(names))
    there = {
        "the scheduler": client.run_on_scheduler(identity.identities, names, load, callback_timeout=ANSWER_TIMEOUT)
    }
    workers = client.run(identity.identities, names, load, callback_timeout=ANSWER_TIMEOUT)
    there.update({f"worker {address}": found for address, found in workers.items()})
    different = identity.disagreements(here, there)
    if different:
        pytest.fail(
            f"{NOT_THE_SAME}; nothing would be measured that has a name:\n  " + "\n  ".join(different),
            pytrace=False,
        )


def _cluster_record(cluster: RunningCluster) -> Cluster:
    from coiled_runtime_cli.core.record import Cluster

    return Cluster(
        kind=cluster.spec.kind, spec=cluster.spec.key_options(), name=cluster.name, dask_config=_changed_dask_config()
    )


def _changed_dask_config() -> dict[str, Any]:
    """Dotted keys of Dask's configuration whose values differ from the defaults."""
    import dask
    from dask.config import defaults, merge

    known = _flat(merge(*defaults))
    return {
        key: value
        for key, value in sorted(_flat(dask.config.config).items())
        if known.get(key) != value and not re.search(r"token|secret|password|key-?file", key)
    }


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}".replace("_", "-")
        if isinstance(value, dict) and value:
            found.update(_flat(value, name + "."))
        else:
            plain = isinstance(value, (str, int, float, bool, list, type(None)))
            found[name] = value if plain else str(value)
    return found


def sizing_of(client: Client, scale: Scale) -> Sizing:
    """Memory (bytes) and threads of the cluster's workers."""
    from coiled_runtime_cli.core.scale import GIB, Sizing
    from coiled_runtime_cli.plugin.instruments import ANSWER_TIMEOUT

    def limits(dask_scheduler: Any) -> list[tuple[int, int]]:
        return [(each.memory_limit, each.nthreads) for each in dask_scheduler.workers.values()]

    workers = client.run_on_scheduler(limits, callback_timeout=ANSWER_TIMEOUT)
    # a worker without a limit may fill its machine, which says nothing here
    memory = sum(limit or GIB * threads for limit, threads in workers)
    return Sizing(scale, int(memory), sum(threads for _, threads in workers))


def note(draft: RunDraft, cluster: RunningCluster) -> None:
    """Name, id and page of the cluster as they are now."""
    info = cluster.info()
    draft.cluster_name = cluster.name
    draft.cluster_id = info.cluster_id
    draft.cluster_details_url = info.details_url
    draft.coiled_software_name = info.software


def measure_call(draft: RunDraft | None, cluster: RunningCluster, *blocks: AbstractContextManager[None]) -> None:
    """Note the cluster that the test runs on, and have its body run inside ``blocks``, the first outermost."""
    if draft is not None:
        draft.cluster = _cluster_record(cluster)
        note(draft, cluster)
        draft.call_blocks.extend(blocks)


def _idle_workers(client: Client) -> int:
    """How many workers there are with nothing left to do; 0 where tasks are left: those of an earlier client go when it does."""
    import time

    from coiled_runtime_cli.plugin.instruments import ANSWER_TIMEOUT

    def state(dask_scheduler: Any) -> tuple[int, int]:
        return len(dask_scheduler.tasks), len(dask_scheduler.workers)

    deadline = time.monotonic() + 2.0
    while True:
        tasks, workers = client.run_on_scheduler(state, callback_timeout=ANSWER_TIMEOUT)
        if not tasks:
            return int(workers)
        if time.monotonic() > deadline:
            return 0
        time.sleep(0.05)


def freshen_between_tests(cluster: RunningCluster, client: Client, *, failed: int, may_keep: bool) -> None:
    """Fresh workers for the next test; ``may_keep`` those that an earlier test has left in order.

    In order: since then no test has ``failed`` (how many had, so far), all workers are there, and none has anything to do.
    """
    now = failed, _idle_workers(client) if may_keep else 0
    freshen(cluster, client, keep=_LAST.get(cluster.name) == now)
    _LAST[cluster.name] = failed, len(client.nthreads())


def freshen(cluster: RunningCluster, client: Client, *, keep: bool = False) -> None:
    """Start the workers anew, so that nothing of an earlier test is left, and let them import what tasks will need.

    ``keep``: those that are there are good enough.
    The first test of a module finds them fresh. A run on all workers follows each restart: without it the next restart can
    race with workers that are still registering (distributed#7312).
    """
    from coiled_runtime_cli import clusters
    from coiled_runtime_cli.clusters.local import WARM
    from coiled_runtime_cli.plugin import identity
    from coiled_runtime_cli.plugin.instruments import ANSWER_TIMEOUT

    if cluster.name in _USED and not keep:
        if cluster.spec.kind == "local":
            _replace_workers(cluster, client)
            cluster.wait(client, 120)
        else:
            clusters.restart(client, timeout=120)  # not ours to take apart
            cluster.wait(client, 600)
    _USED.add(cluster.name)
    for attempt in range(3):
        try:
            client.run(
                identity.import_all,
                [each for each in WARM if each in sys.modules],
                callback_timeout=2 * ANSWER_TIMEOUT,
            )
        except OSError:  # a worker of before the restart was still there when it was asked, and is gone
            if attempt == 2:
                raise
            cluster.wait(client, 60)
        else:
            return


def _replace_workers(cluster: RunningCluster, client: Client) -> None:
    """Take every worker and its nanny away; the caller waits for new ones.

    As quick as a restart (1 s), and on a busy machine it always works: of 25 restarts there 5 took 17 s and some never ended.
    """
    import time

    from coiled_runtime_cli.plugin.instruments import ANSWER_TIMEOUT

    cluster.cluster.scale(0)  # type: ignore[attr-defined]
    deadline = time.monotonic() + ANSWER_TIMEOUT
    while client.scheduler_info()["workers"] and time.monotonic() < deadline:
        time.sleep(0.05)
