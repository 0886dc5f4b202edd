"""How long a cluster takes to start. Alone in its module: no other cluster waits meanwhile."""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from dataclasses import replace

import pytest


@pytest.fixture
def spec(cluster_spec):
    """The chosen cluster, of one worker."""
    if cluster_spec.kind == "address":
        pytest.skip("a scheduler that runs already cannot be started: crt bench --cluster local")
    number = "scale" if cluster_spec.kind == "class" and "n_workers" not in cluster_spec.options else "n_workers"
    return replace(cluster_spec, options={**cluster_spec.options, number: 1})


@pytest.mark.formerly(
    "benchmarks/test_coiled.py::test_default_cluster_spinup_time",
    "runtime/test_coiled.py::test_default_cluster_spinup_time",
)
def test_default_cluster_spinup_time(spec, benchmark_time, get_cluster_info, test_run_benchmark):
    """From nothing to a scheduler with one worker that has done a task; imports and closing are not counted."""
    import distributed  # noqa: F401

    from coiled_runtime_cli import clusters
    from coiled_runtime_cli.core.record import Cluster

    name = f"crt-spinup-{uuid.uuid4().hex[:12]}"
    with ExitStack() as stack:
        with benchmark_time():
            cluster = stack.enter_context(clusters.start(spec, name=name))
            client = stack.enter_context(cluster.client())
            cluster.wait(client, 600)
            answer = client.submit(sum, [1, 2]).result(timeout=60)
        assert answer == 3
        assert len(client.nthreads()) == 1
        with get_cluster_info(cluster):
            pass
        if test_run_benchmark is not None:
            test_run_benchmark.cluster = Cluster(kind=spec.kind, spec=spec.key_options(), name=name, dask_config={})
