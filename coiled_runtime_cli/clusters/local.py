"""Clusters of processes on this machine."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.clusters.running import CLUSTER_ERRORS, OwnedCluster, expected_workers, failed_to_start
from coiled_runtime_cli.process import end_workers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.clusters.spec import ClusterSpec


#: Modules that a worker imports with its first task. A fresh worker has those that the client has before anything is measured.
WARM = ("numpy", "pandas", "pyarrow", "pyarrow.parquet", "dask.array", "dask.dataframe", "xarray", "zarr", "sklearn")

_METHOD = "distributed.worker.multiprocessing-method"


class LocalCluster(OwnedCluster):
    """Dask's LocalCluster, with a folder of its own for what workers spill."""

    def __init__(self, cluster: Any, spec: ClusterSpec, *, name: str, cleanup: contextlib.ExitStack) -> None:
        super().__init__(cluster, spec, name=name, expected_workers=expected_workers(spec))
        self._cleanup = cleanup

    def close(self) -> None:
        pids = _worker_pids(self.cluster)
        super().close()
        end_workers(pids)
        self._cleanup.close()

    def _shrinks(self) -> bool:
        return True


def start(spec: ClusterSpec, *, name: str) -> LocalCluster:
    """Start the cluster. Raises UsageError for keywords that it does not know, ToolError when it does not start."""
    import dask
    from distributed import LocalCluster as DaskLocalCluster

    with contextlib.ExitStack() as cleanup:
        folder = tempfile.mkdtemp(prefix="crt-workers-", dir=dask.config.get("temporary-directory", None))
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        cleanup.enter_context(_quick_workers())
        options: dict[str, Any] = {
            "name": name,
            "silence_logs": logging.ERROR,
            "local_directory": folder,
            # Any free port, here alone, and no bokeh: a dashboard costs the scheduler time that would be measured.
            "dashboard_address": "127.0.0.1:0",
            **spec.options,
        }
        if "dashboard_address" not in spec.options:
            options["scheduler_kwargs"] = {"dashboard": False, **options.get("scheduler_kwargs", {})}
        try:
            cluster = DaskLocalCluster(**options)
        except CLUSTER_ERRORS as error:
            raise failed_to_start(error, spec) from error
        return LocalCluster(cluster, spec, name=name, cleanup=cleanup.pop_all())


#: Bytes that the path of a socket may have on every system.
_LONGEST_SOCKET = 103


@contextlib.contextmanager
def _quick_workers() -> Iterator[None]:
    """Have workers forked from a process that has imported what they need: there in half a second, and not in five.

    Dask's own default starts an interpreter for each, which imports everything again. Whoever has configured a method keeps it.
    """
    import dask
    from distributed import utils

    chosen = dask.config.get(_METHOD, None, config=dask.config.collect())  # files and environment, no defaults
    known = "forkserver" in multiprocessing.get_all_start_methods() and hasattr(utils, "get_mp_context")
    # it is asked through a socket in the temporary folder, below pymp-12345678/listener-12345678
    reachable = len(os.fsencode(tempfile.gettempdir())) + 32 <= _LONGEST_SOCKET
    if chosen is not None or not known or not reachable:
        yield
        return
    with dask.config.set({_METHOD: "forkserver"}):
        context = utils.get_mp_context()  # which has its own idea of what is imported
        context.set_forkserver_preload(
            ["distributed", "distributed.nanny", *(each for each in WARM if each in sys.modules)]
        )
        yield


def _worker_pids(cluster: Any) -> set[int]:
    found = (getattr(worker, "pid", None) for worker in getattr(cluster, "workers", {}).values())
    return {pid for pid in found if isinstance(pid, int)}
