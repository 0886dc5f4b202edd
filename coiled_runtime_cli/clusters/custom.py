"""Clusters of any class that has Dask's Cluster interface: job queues, SSH, Kubernetes, one's own."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from typing import Any

from coiled_runtime_cli.clusters.running import (
    CLUSTER_ERRORS,
    OwnedCluster,
    check_keywords,
    expected_workers,
    failed_to_start,
)
from coiled_runtime_cli.clusters.spec import SCALE, ClusterSpec
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.errors import UsageError

_INTERFACE = ("scheduler_address", "close")


class CustomCluster(OwnedCluster):
    """A cluster of a class that the user named."""


def start(spec: ClusterSpec, *, name: str) -> CustomCluster:
    """Start the cluster. Raises UsageError for an unknown class or keyword, ToolError if it does not start."""
    make = find(spec)
    options = {key: value for key, value in spec.options.items() if key != SCALE}
    check_keywords(make, options, spec)
    try:
        cluster = make(**options)
    except CLUSTER_ERRORS as error:
        raise failed_to_start(error, spec) from error
    _check_interface(cluster, spec)
    wanted = expected_workers(spec)
    if wanted is None:
        # A class with its own idea of how many, such as one worker for each of a list of hosts.
        plan = getattr(cluster, "plan", None)
        wanted = len(plan) if isinstance(plan, (set, list, dict)) and plan else None
    return CustomCluster(cluster, spec, name=name, expected_workers=wanted)


def find(spec: ClusterSpec) -> Any:
    """The class, or the function that returns a cluster. Raises UsageError when there is none of this name."""
    dotted = str(spec.class_path)
    module_name, _, attribute = dotted.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        package = module_name.partition(".")[0]
        missing = error.name or package
        raise UsageError(
            f"cluster {spec.name}: cannot import {dotted}: {error}",
            hint=f"python -m pip install {missing.partition('.')[0].replace('_', '-')}, or mend the name",
        ) from error
    make = getattr(module, attribute, None)
    if make is None:
        public = [each for each in dir(module) if not each.startswith("_") and callable(getattr(module, each, None))]
        clusters = [each for each in public if each.endswith("Cluster")]
        raise UsageError(f"{module_name} has no {attribute}: {unknown('class', attribute, clusters or public)}")
    if not callable(make):
        raise UsageError(f"{dotted} is no class: {make!r}")
    return make


def _check_interface(cluster: Any, spec: ClusterSpec) -> None:
    if asyncio.iscoroutine(cluster) or getattr(cluster, "asynchronous", False):
        with contextlib.suppress(*CLUSTER_ERRORS):
            closed = cluster.close()
            if asyncio.iscoroutine(closed):
                closed.close()
        raise UsageError(f"{spec.class_path} made an asynchronous cluster", hint="asynchronous = false")
    missing = [each for each in _INTERFACE if not hasattr(cluster, each)]
    if missing:
        raise UsageError(
            f"{spec.class_path} made {type(cluster).__name__}, which is no Dask cluster: it has no "
            + " and no ".join(missing)
        )
