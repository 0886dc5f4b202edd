from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import dask
import pytest

from coiled_runtime_cli import clusters
from coiled_runtime_cli.clusters import address as address_module
from coiled_runtime_cli.errors import RemoteError, ToolError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("no_process_left", "stand_ins")


@pytest.fixture
def foreign() -> Iterator[str]:
    """The address of a scheduler with one worker, which somebody else runs."""
    from loopback_cluster import PlainCluster

    cluster = PlainCluster()
    yield cluster.scheduler_address
    cluster.close()


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A scheduler without workers: its process and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port),
         "--no-dashboard", "--dashboard-address", "127.0.0.1:0"],
        cwd=tmp_path, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield process, f"tcp://127.0.0.1:{port}"
    process.kill()
    process.wait()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_module, "ANSWER", 0.5)
    monkeypatch.setattr(clusters, "ANSWER", 0.5)


def test_a_foreign_cluster_is_used_and_left_as_it_is(foreign: str) -> None:
    spec = clusters.resolve(foreign)
    clusters.check(spec)
    with clusters.start(spec, name="lab") as cluster:
        assert (cluster.name, cluster.address, cluster.expected_workers) == ("lab", foreign, None)
        with cluster.client() as client:
            cluster.wait(client, 60)
            assert client.submit(sum, [1, 2]).result() == 3
            threads = sum(client.ncores().values())
        assert cluster.alive()
    with clusters.start(spec, name="lab") as again:
        assert again.alive()
    key = cluster.spec.key_options()
    assert (key["host"], key["n_workers"], key["threads"]) == ("127.0.0.1", 1, threads)
    assert key["memory"] > 0


def test_a_scheduler_without_workers_says_that_none_came(lonely: tuple[subprocess.Popen[bytes], str]) -> None:
    with (
        clusters.start(clusters.resolve(lonely[1]), name="lab") as cluster,
        cluster.client() as client,
        pytest.raises(ToolError, match="0 of 1 workers came"),
    ):
        cluster.wait(client, 0.1)


def test_a_killed_scheduler_is_noticed(lonely: tuple[subprocess.Popen[bytes], str], impatient: None) -> None:
    process, address = lonely
    with clusters.start(clusters.resolve(address), name="lab") as cluster:
        assert cluster.alive()
        process.kill()
        process.wait()
        assert not cluster.alive()
        with pytest.raises(RemoteError, match=f"no scheduler answers at {address}"):
            cluster.client()


@pytest.mark.usefixtures("impatient")
def test_an_unreachable_address_is_named() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        for attempt in (clusters.check, lambda spec: clusters.start(spec, name="lab")):
            with pytest.raises(RemoteError, match=f"no scheduler answers at {address}") as error:
                attempt(clusters.resolve(address))
            assert error.value.exit_code == 4
            assert error.value.hint is not None


@pytest.mark.usefixtures("impatient")
def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RemoteError, match="no scheduler answers"):
            clusters.start(clusters.resolve(address), name="lab")


@pytest.mark.usefixtures("impatient")
def test_a_server_of_another_kind_is_no_scheduler() -> None:
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as server:  # fmt: skip
        assert server.stdout is not None
        port = int(server.stdout.readline().split("port ")[1].split()[0])
        with pytest.raises(RemoteError, match="no scheduler answers"):
            clusters.start(clusters.resolve(f"tcp://127.0.0.1:{port}"), name="lab")
        server.kill()


def test_a_host_that_does_not_exist_is_named(impatient: None) -> None:
    with pytest.raises(RemoteError, match=r"tcp://no-such-host\.invalid:8786"):
        clusters.check(clusters.resolve("tcp://no-such-host.invalid:8786"))


def test_tls_without_certificates_says_where_they_go(lonely: tuple[subprocess.Popen[bytes], str]) -> None:
    address = lonely[1].replace("tcp", "tls")
    with dask.config.set({"distributed.comm.tls.ca-file": None}), pytest.raises(UsageError) as error:
        clusters.start(clusters.resolve(address), name="lab")
    assert "distributed.comm.tls" in str(error.value.hint)
