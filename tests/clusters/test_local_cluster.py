from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import dask
import psutil
import pytest

from coiled_runtime_cli import clusters
from coiled_runtime_cli.clusters import ClusterSpec
from coiled_runtime_cli.errors import ToolError, UsageError

pytestmark = pytest.mark.usefixtures("no_process_left")

SMALL = {"n_workers": 1, "threads_per_worker": 2, "memory_limit": 512 * 2**20}


def local(**options: object) -> ClusterSpec:
    return ClusterSpec(kind="local", name="local", options={**SMALL, **options})


def test_a_local_cluster_computes_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "a folder with spaces"
    folder.mkdir()
    with (
        dask.config.set({"temporary-directory": str(folder)}),
        clusters.start(local(n_workers=2), name="pair") as cluster,
    ):
        assert cluster.name == "pair"
        assert cluster.address.startswith("tcp://127.0.0.1:")
        assert cluster.expected_workers == 2
        assert cluster.info() == clusters.ClusterInfo()
        assert cluster.alive()
        with cluster.client() as client:
            cluster.wait(client, 60)
            assert client.submit(sum, [1, 2]).result() == 3
            workers = client.scheduler_info()["workers"].values()
            assert {(each["nthreads"], each["memory_limit"]) for each in workers} == {(2, 512 * 2**20)}
            assert all(each["local_directory"].startswith(str(folder)) for each in workers)
    assert not cluster.alive()
    assert list(folder.glob("crt-*")) == []
    cluster.close()  # a second time


def test_each_client_is_its_own() -> None:
    with clusters.start(local(), name="one") as cluster:
        with cluster.client() as first, cluster.client() as second:
            assert first.id != second.id
        with cluster.client() as third:
            assert third.submit(abs, -1).result() == 1


def test_two_clusters_run_at_once_without_a_clash_of_ports() -> None:
    # warnings are errors here, and Dask warns of a port that is taken
    with clusters.start(local(), name="one") as one, clusters.start(local(), name="two") as two:
        assert one.address != two.address


def test_wait_brings_back_the_size_that_a_test_changed() -> None:
    with clusters.start(local(), name="one") as cluster, cluster.client() as client:
        cluster.cluster.scale(2)  # type: ignore[attr-defined]
        client.wait_for_workers(2, timeout=60)
        cluster.wait(client, 60)
        assert len(client.ncores()) == 1
        cluster.cluster.scale(0)  # type: ignore[attr-defined]
        deadline = time.monotonic() + 60
        while client.ncores():  # one that is about to go is one of those that are waited for
            assert time.monotonic() < deadline
            time.sleep(0.05)
        cluster.wait(client, 60)
        assert len(client.ncores()) == 1


def test_workers_that_do_not_come_are_counted() -> None:
    with clusters.start(local(), name="one") as cluster, cluster.client() as client:
        cluster.expected_workers = 3
        cluster._scale = lambda: None  # type: ignore[attr-defined]
        with pytest.raises(ToolError, match=r"1 of 3 workers came within 0\.2 s"):
            cluster.wait(client, 0.2)


def test_workers_are_forked_from_a_process_that_has_imported_what_they_need_unless_another_way_is_configured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def parent_and_settings() -> tuple[str, str | None, bool]:
        command = " ".join(psutil.Process().parent().cmdline())
        started_with = Path("/proc/self/environ").read_text()
        return command, os.environ.get("OMP_NUM_THREADS"), "MALLOC_TRIM_THRESHOLD_=" in started_with

    with clusters.start(local(), name="quick") as cluster, cluster.client() as client:
        cluster.wait(client, 60)
        ((command, threads, trims),) = client.run(parent_and_settings).values()
    assert "multiprocessing.forkserver" in command
    assert (threads, trims) == ("1", True)  # what Dask has a worker's environment say before it starts
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__MULTIPROCESSING_METHOD", "spawn")
    with clusters.start(local(), name="spawned") as cluster, cluster.client() as client:
        cluster.wait(client, 60)
        ((command, threads, trims),) = client.run(parent_and_settings).values()
    assert "multiprocessing.forkserver" not in command
    assert (threads, trims) == ("1", True)


def test_a_temporary_folder_whose_name_is_too_long_for_a_socket_does_no_harm(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    code = textwrap.dedent(
        """
        from coiled_runtime_cli import clusters
        if __name__ == "__main__":
            spec = clusters.ClusterSpec(kind="local", name="local", options={"n_workers": 1})
            with clusters.start(spec, name="one") as cluster, cluster.client() as client:
                cluster.wait(client, 60)
                print(client.submit(sum, [1, 2]).result())
        """
    )
    (tmp_path / "measure.py").write_text(code)
    done = subprocess.run(
        [sys.executable, tmp_path / "measure.py"],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "3\n", done.stderr


def test_a_dead_scheduler_is_noticed_and_closed() -> None:
    with clusters.start(local(), name="one") as cluster:
        dask_cluster = cluster.cluster  # type: ignore[attr-defined]
        dask_cluster.sync(dask_cluster.scheduler.close)
        assert not cluster.alive()
        with pytest.raises(ToolError, match="cluster one"):
            cluster.client()


def test_a_killed_worker_comes_back() -> None:
    with clusters.start(local(), name="one") as cluster, cluster.client() as client:
        (nanny,) = cluster.cluster.workers.values()  # type: ignore[attr-defined]
        os.kill(nanny.pid, signal.SIGKILL)
        before = client.submit(os.getpid, pure=False)
        assert before.result(timeout=60) != os.getpid()
        cluster.wait(client, 60)
        assert cluster.alive()


@pytest.mark.usefixtures("half_made_clusters")
@pytest.mark.filterwarnings("ignore:unclosed cluster:ResourceWarning")
def test_an_unknown_keyword_is_named(tmp_path: Path) -> None:
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        with pytest.raises(UsageError, match="memory_limitt") as error:
            clusters.start(local(memory_limitt=1), name="one")
        assert error.value.hint is not None
        assert "clusters.local" in error.value.hint
    assert list(tmp_path.glob("crt-*")) == []


@pytest.mark.usefixtures("half_made_clusters")
@pytest.mark.filterwarnings("ignore:unclosed cluster:ResourceWarning")
@pytest.mark.parametrize("options", [{"memory_limit": "much"}, {"protocol": "carrier-pigeon"}, {"n_workers": "two"}])
def test_a_wrong_value_is_a_tool_error_with_its_cause(options: dict[str, object]) -> None:
    with pytest.raises(ToolError, match="cluster local did not start: ") as error:
        clusters.start(local(**options), name="one")
    assert error.value.__cause__ is not None


def test_a_process_that_is_interrupted_leaves_no_worker(tmp_path: Path) -> None:
    script = tmp_path / "main.py"
    script.write_text(
        textwrap.dedent("""
        import time
        from coiled_runtime_cli import clusters

        if __name__ == "__main__":
            spec = clusters.ClusterSpec(kind="local", name="local", options={"n_workers": 1})
            with clusters.start(spec, name="x") as c:
                print(*[each.pid for each in c.cluster.workers.values()], flush=True)
                time.sleep(60)
        """)
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        (worker,) = (int(each) for each in process.stdout.readline().split())
        process.send_signal(signal.SIGINT)
        assert process.wait(60) != 0
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
