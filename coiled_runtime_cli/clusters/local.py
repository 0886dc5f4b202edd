"""Clusters of processes on this machine."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import shutil
import tempfile
from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.clusters.running import CLUSTER_ERRORS, OwnedCluster, expected_workers, failed_to_start

if TYPE_CHECKING:
    from coiled_runtime_cli.clusters.spec import ClusterSpec


class LocalCluster(OwnedCluster):
    """Dask's LocalCluster, with a folder of its own for what workers spill."""

    def __init__(self, cluster: Any, spec: ClusterSpec, *, name: str, cleanup: contextlib.ExitStack) -> None:
        super().__init__(cluster, spec, name=name, expected_workers=expected_workers(spec))
        self._cleanup = cleanup

    def close(self) -> None:
        pids = _worker_pids(self.cluster)
        super().close()
        _end(pids)
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


def _worker_pids(cluster: Any) -> set[int]:
    found = (getattr(worker, "pid", None) for worker in getattr(cluster, "workers", {}).values())
    return {pid for pid in found if isinstance(pid, int)}


def _end(pids: set[int]) -> None:
    """End the workers that outlived their cluster, so that none goes on unseen."""
    for child in multiprocessing.active_children():
        if child.pid in pids:
            child.kill()
            child.join(5)
