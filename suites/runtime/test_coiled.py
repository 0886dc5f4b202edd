"""Coming back to a cluster that runs."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager

import pytest

pytestmark = pytest.mark.cluster("small_cluster")


@contextmanager
def reattached(cluster):
    """Another client on the cluster: Coiled finds it by its name, everybody else by its address."""
    from distributed import Client

    with ExitStack() as stack:
        if cluster.spec.kind == "coiled":
            import coiled

            found = stack.enter_context(coiled.Cluster(name=cluster.name, shutdown_on_close=False, show_widget=False))
            yield stack.enter_context(Client(found, set_as_default=False))
        else:
            security = getattr(getattr(cluster, "cluster", None), "security", None)
            yield stack.enter_context(Client(cluster.address, security=security, set_as_default=False))


@pytest.mark.formerly("test_reconnect")
def test_cluster_reconnect(small_cluster, small_client, scale):
    """Connect to a cluster that runs, ask it something and leave it; often where that is over in an instant."""
    workers = set(small_client.nthreads())
    times = 1 if small_cluster.spec.kind == "coiled" else scale.count(smoke=5, laptop=50, full=50)
    for index in range(times):
        with reattached(small_cluster) as client:
            assert set(client.nthreads()) == workers
            assert client.submit(sum, [index, 1], pure=False).result(timeout=60) == index + 1
