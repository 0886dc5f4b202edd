from __future__ import annotations

import os
import signal
from typing import Any

import psutil
import pytest
from distributed.core import Status

from coiled_runtime_cli import clusters
from coiled_runtime_cli.errors import ToolError, UsageError

pytestmark = pytest.mark.usefixtures("no_process_left", "stand_ins")


def start(dotted: str, **options: Any) -> clusters.RunningCluster:
    spec = clusters.resolve("mine", definitions={"mine": {"class": dotted, **options}})
    return clusters.start(clusters.ClusterSpec.from_json(spec.to_json()), name="test-1")


def test_a_cluster_over_hosts_has_a_worker_on_each() -> None:
    with start("loopback_cluster.LoopbackSSHCluster", hosts=["127.0.0.1", "127.0.0.1"], nthreads=2) as cluster:
        assert cluster.expected_workers == 2
        with cluster.client() as client:
            cluster.wait(client, 60)
            assert sorted(client.ncores().values()) == [2, 2]
            assert client.submit(os.getpid).result() != os.getpid()
        assert cluster.alive()
    assert not cluster.alive()


def test_a_queue_is_asked_for_as_many_workers_as_the_definition_says() -> None:
    with start("loopback_cluster.QueueCluster", cores=1, scale=2) as cluster, cluster.client() as client:
        assert cluster.expected_workers == 2
        cluster.wait(client, 60)
        assert len(client.ncores()) == 2


def test_a_queue_without_a_scale_has_no_worker_and_says_so() -> None:
    with start("loopback_cluster.QueueCluster") as cluster, cluster.client() as client:
        assert cluster.expected_workers is None
        with pytest.raises(ToolError, match="0 of 1 workers came"):
            cluster.wait(client, 0.1)


def test_a_class_of_ones_own_needs_only_an_address_and_close() -> None:
    with start("loopback_cluster.PlainCluster") as cluster:
        with cluster.client() as client:
            cluster.wait(client, 60)
            assert client.submit(sum, [1, 2]).result() == 3
        assert cluster.alive()


def test_the_subprocess_cluster_of_dask_works() -> None:
    pytest.importorskip("distributed.deploy.subprocess")
    options: dict[str, Any] = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": ":0"}
    with start("distributed.deploy.subprocess.SubprocessCluster", **options) as cluster, cluster.client() as client:
        cluster.wait(client, 60)
        assert client.submit(sum, [1, 2]).result() == 3
        assert cluster.expected_workers == 1


@pytest.mark.filterwarnings(
    "ignore:unclosed cluster:ResourceWarning"
)  # distributed's own: it could not ask the dead to close
def test_a_killed_scheduler_is_noticed_and_the_rest_is_closed() -> None:
    with start("loopback_cluster.LoopbackSSHCluster", hosts=["127.0.0.1"]) as cluster:
        with cluster.client() as client:
            cluster.wait(client, 60)
        (scheduler,) = [
            each for each in psutil.Process().children() if "distributed.cli.dask_scheduler" in each.cmdline()
        ]
        scheduler.send_signal(signal.SIGKILL)
        psutil.wait_procs([scheduler], timeout=10)
        assert not cluster.alive()
        cluster.close()
        cluster.close()
        assert cluster.cluster.status is Status.closed  # and does not complain where it is collected


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(UsageError, match=r"cannot import no_such_jobqueue\.SLURMCluster") as error:
        start("no_such_jobqueue.SLURMCluster")
    assert "python -m pip install no-such-jobqueue" in str(error.value.hint)


def test_a_class_that_the_module_does_not_have_is_refused_with_the_nearest() -> None:
    spec = clusters.resolve("dask.distributed.SHHCluster")
    for attempt in (clusters.check, lambda spec: clusters.start(spec, name="x")):
        with pytest.raises(UsageError, match="did you mean 'SSHCluster'"):
            attempt(spec)
    clusters.check(spec, elsewhere=True)


def test_wrong_keywords_are_named_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="unknown keyword 'host': did you mean 'hosts'"):
        start("loopback_cluster.LoopbackSSHCluster", host=["127.0.0.1"])
    with pytest.raises(UsageError, match="missing a required argument: 'hosts'"):
        start("loopback_cluster.LoopbackSSHCluster")


@pytest.mark.usefixtures("half_made_clusters")
@pytest.mark.filterwarnings("ignore:unclosed cluster:ResourceWarning")
def test_a_keyword_that_only_the_inside_refuses_is_named_too() -> None:
    with pytest.raises(UsageError, match="no_such_keyword"):
        start("distributed.LocalCluster", n_workers=1, processes=False, dashboard_address=":0", no_such_keyword=1)


def test_a_cluster_that_does_not_start_says_why() -> None:
    with pytest.raises(ToolError, match="cluster mine did not start: RuntimeError: the queue is full") as error:
        start("loopback_cluster.BrokenCluster")
    assert error.value.exit_code == 3


@pytest.mark.parametrize(
    ("dotted", "message"),
    [
        ("loopback_cluster.NoCluster", "no Dask cluster: it has no scheduler_address and no close"),
        ("loopback_cluster.NUMBER", "is no class: 7"),
    ],
)
def test_what_is_no_cluster_is_refused(dotted: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        start(dotted)


def test_asynchronous_clusters_are_refused() -> None:
    with pytest.raises(UsageError, match="asynchronous"):
        start("loopback_cluster.QueueCluster", asynchronous=True)
