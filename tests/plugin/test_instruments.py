"""The instruments on real clusters."""

import asyncio
import contextlib
import os
import subprocess
import sys

import pytest

from coiled_runtime_cli.core.record import Cluster, Warned

LOCAL = {
    "": {"kind": "local", "name": "local", "options": {"n_workers": 2, "threads_per_worker": 1, "memory_limit": 2**30}}
}


@pytest.fixture
def on_cluster(measured):
    measured.settings["clusters"] = LOCAL
    measured.settings["timeout"] = 120
    return measured


def test_everything_is_measured_on_a_local_cluster(on_cluster):
    on_cluster.write(
        "test_all.py",
        """
        import time
        import pytest

        def hold(megabytes, seconds):
            data = bytearray(megabytes << 20)
            data[::4096] = b"x" * len(data[::4096])
            time.sleep(seconds)
            return len(data)

        @pytest.fixture
        def slow_setup():
            time.sleep(1)
            return time.time()

        def test_holds_memory(small_client, slow_setup, test_run_benchmark):
            assert test_run_benchmark.start >= slow_setup
            small_client.gather(small_client.map(hold, [300, 301], [1.5, 1.5]))

        def test_tiny(small_client):
            assert small_client.submit(sum, [1, 2]).result() == 3

        def test_fails(small_client):
            assert small_client.submit(lambda: 1 / 0).result()

        def test_blocks_the_loop_of_a_worker(small_client):
            def block(dask_worker):
                time.sleep(0.5)
            small_client.run(block)
            time.sleep(0.3)
        """,
    )
    done = on_cluster.run("test_all.py")
    runs = done.runs
    big, tiny, failed, blocked = (
        runs[name] for name in ("test_holds_memory", "test_tiny", "test_fails", "test_blocks_the_loop_of_a_worker")
    )
    assert [each.outcome for each in (big, tiny, failed, blocked)] == ["passed", "passed", "failed", "passed"]
    assert big.duration > 1.4
    # two workers that hold 300 MiB each, beside what they are themselves
    assert big.peak_memory > 600 * 2**20
    assert tiny.average_memory <= big.average_memory <= big.peak_memory
    # thread-seconds: two threads of 1.5 s
    assert big.compute_time > 2.9
    assert (big.transfer_time, big.disk_spill_time) == (0.0, 0.0)
    # shorter than one sample, and measured all the same
    assert tiny.peak_memory > 50 * 2**20
    assert tiny.scheduler_memory_max > 50 * 2**20
    assert 0 <= tiny.scheduler_cpu_avg < 4
    assert blocked.worker_max_tick > 0.3
    assert failed.duration is None
    assert "ZeroDivisionError" in failed.failure
    (cluster,) = {line.key for line in done.lines if isinstance(line, Cluster)}
    assert {run.cluster for run in runs.values()} == {cluster}
    assert {run.cluster_name for run in runs.values()} == {big.cluster_name}


def test_a_key_asked_for_again_with_other_dependencies_is_told_and_explains_a_failure(on_cluster):
    on_cluster.write(
        "test_twice.py",
        """
        from dask.task_spec import Alias, DataNode, Task
        from distributed import Event

        def held(value):
            Event("goes on").wait()
            return value

        def ask_twice(client):
            first = client.get({"before": DataNode("before", 1), "held": Task("held", held, Alias("before"))}, "held", sync=False)
            again = client.get(
                {"other": DataNode("other", 1), "held": Task("held", held, Alias("other"))}, "held", sync=False
            )
            Event("goes on", client=client).set()
            return first.result()

        def test_passes(small_client):
            assert ask_twice(small_client) == 1

        def test_fails(small_client):
            assert ask_twice(small_client) == 2

        def test_asks_once(small_client):  # and fails, for its text to be looked at
            assert small_client.submit(abs, -1).result() == 2
        """,
    )
    done = on_cluster.run("test_twice.py")
    told = [line.text for line in done.lines if isinstance(line, Warned)]
    assert [each.split(" asked for ")[0] for each in told] == [
        "test_twice.py::test_passes",
        "test_twice.py::test_fails",
    ], done
    assert all("dask/dask#9888" in each for each in told)
    assert done.runs["test_passes"].outcome == "passed"
    assert done.runs["test_passes"].failure is None
    assert done.runs["test_fails"].failure.startswith("The test asked for tasks under keys")
    assert "dask/dask#9888" not in done.runs["test_fails"].failure.splitlines()[-1]
    assert "dask/dask#9888" not in done.runs["test_asks_once"].failure


@pytest.mark.slow
def test_transfer_and_spill_are_told_apart_from_computing(on_cluster):
    on_cluster.settings["clusters"] = {
        "": {**LOCAL[""], "options": {**LOCAL[""]["options"], "memory_limit": 400 * 2**20}}
    }
    on_cluster.write(
        "test_spill.py",
        """
        import os
        def make(number): return os.urandom(30 << 20)
        def both(a, b): return len(a) + len(b)
        def test_transfer(small_client):
            first, second = small_client.scheduler_info()["workers"]
            a = small_client.submit(make, 1, workers=[first])
            b = small_client.submit(make, 2, workers=[second])
            small_client.submit(both, a, b).result()
        def test_spill(small_client):
            from distributed import wait
            futures = small_client.map(make, range(30))
            wait(futures)
            small_client.gather(small_client.map(len, futures))
        """,
    )
    runs = on_cluster.run("test_spill.py").runs
    assert runs["test_transfer"].transfer_time > 0
    assert runs["test_spill"].disk_spill_time > 0
    assert runs["test_transfer"].disk_spill_time == 0


def test_each_test_finds_fresh_workers_and_nothing_of_the_one_before(on_cluster):
    on_cluster.write(
        "test_fresh.py",
        """
        import os
        def leave(dask_worker): dask_worker.left = True
        def find(dask_worker): return (getattr(dask_worker, "left", False), os.getpid())
        SEEN = []
        def test_first(small_client):
            small_client.run(leave)
            SEEN.extend(small_client.run(find).values())
        def test_second(small_client):
            found = small_client.run(find).values()
            assert len(found) == 2
            assert not any(left for left, _ in found)
            assert not {pid for _, pid in found} & {pid for _, pid in SEEN}
        """,
    )
    runs = on_cluster.run("test_fresh.py").runs
    assert {name: run.failure for name, run in runs.items()} == {"test_first": None, "test_second": None}


def test_a_dead_cluster_fails_the_rest_of_its_module_and_the_next_module_gets_a_new_one(on_cluster):
    on_cluster.write(
        "test_a.py",
        """
        def test_kills(small_client, small_cluster):
            small_cluster.close()
            small_client.submit(sum, [1]).result(timeout=5)
        def test_after(small_client): ...
        """,
    )
    on_cluster.write("test_b.py", "def test_new(small_client): assert small_client.submit(sum, [1]).result() == 1\n")
    done = on_cluster.run("test_a.py", "test_b.py")
    outcomes = {name: run.outcome for name, run in done.runs.items()}
    assert outcomes == {"test_kills": "failed", "test_after": "error", "test_new": "passed"}, done.output
    assert "died" in done.runs["test_after"].failure


def test_the_client_marker_starts_a_cluster_for_one_test_with_its_plugin_and_file(on_cluster):
    on_cluster.write("helper_module.py", "VALUE = 7\n")
    on_cluster.write(
        "test_client.py",
        """
        import pytest
        from distributed import WorkerPlugin
        class Mark(WorkerPlugin):
            def setup(self, worker): worker.marked = True
        @pytest.mark.client("small_cluster", upload_file="helper_module.py", worker_plugin=Mark())
        def test_own(client):
            def look(dask_worker):
                import helper_module
                return dask_worker.marked, helper_module.VALUE
            assert set(client.run(look).values()) == {(True, 7)}
        """,
    )
    run = on_cluster.run("test_client.py").runs["test_own"]
    assert (run.outcome, run.failure) == ("passed", None)
    assert run.peak_memory > 0


#: A process that runs this first has nothing of crt.
WITHOUT_CRT = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "coiled_runtime_cli":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
"""


def test_instruments_need_nothing_of_crt_on_scheduler_and_workers():
    check = """
import sys
import cloudpickle
from coiled_runtime_cli.plugin.ready_cluster import send_by_value
send_by_value()
from coiled_runtime_cli.plugin import identity
from coiled_runtime_cli.plugin.instruments import memory, memray_profile, profiler, py_spy_profile, scheduler, tasks
from distributed.protocol.pickle import dumps
functions = [
    identity.identities, identity.import_all, identity.module_identity, memory.resident_set_size, scheduler.start_on_scheduler,
    scheduler.start_on_worker, scheduler.stop_on_scheduler, scheduler.stop_on_worker, tasks.start_tracking,
    tasks.stop_tracking, memray_profile.start, memray_profile.stop, py_spy_profile.start, py_spy_profile.stop,
    profiler.read_piece, profiler.forget,
]
sys.stdout.write("\\n".join(dumps(each).hex() for each in functions))
"""
    written = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout
    read = f"""{WITHOUT_CRT}
import pickle
for line in sys.stdin.read().split():
    function = pickle.loads(bytes.fromhex(line))
    if function.__name__ == "identities":
        assert function(("pickle",))["pickle"]
    if function.__name__ == "resident_set_size":
        assert function() > 0
print("ok")
"""
    done = subprocess.run([sys.executable, "-c", read], input=written, capture_output=True, text=True)
    assert done.stdout == "ok\n", done.stderr


@contextlib.contextmanager
def elsewhere(folder, first, **environment):
    """The address of a cluster in a process of its own, which runs ``first`` before it starts."""
    import time

    script = f"""
import sys
{first}
from distributed import LocalCluster
if __name__ == "__main__":
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None, processes=False, protocol="tcp")
    open(sys.argv[1], "w").write(cluster.scheduler_address)
    sys.stdin.read()
"""
    file = folder / "address"
    server = subprocess.Popen(
        [sys.executable, "-c", script, str(file)], env={**os.environ, **environment}, stdin=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + 60
        while not (file.exists() and file.read_text()):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield file.read_text()
    finally:
        server.stdin.close()
        server.wait(30)


def at(address):
    """The settings of a cluster that runs already."""
    return {"": {"kind": "address", "name": address, "options": {"address": address}}}


def test_a_cluster_that_has_nothing_of_crt_is_measured(measured, tmp_path):
    with elsewhere(tmp_path, WITHOUT_CRT) as address:
        measured.settings["clusters"] = at(address)
        measured.write("test_x.py", "def test_x(small_client): assert small_client.submit(sum, [1]).result() == 1\n")
        run = measured.run("test_x.py").runs["test_x"]
    assert (run.outcome, run.failure) == ("passed", None)
    assert run.peak_memory > 0


def test_a_scheduler_that_runs_other_code_fails_the_run_loudly(measured, tmp_path_factory):
    """A scheduler and workers that import another version of a checkout than the client."""
    folder = tmp_path_factory.mktemp("other code")
    for name, version in (("theirs", "1.0"), ("mine", "2.0")):
        package = folder / name / "measured_package"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(f"__version__ = {version!r}\n")
    with elsewhere(folder, "import measured_package", PYTHONPATH=str(folder / "theirs")) as address:
        measured.settings["clusters"] = at(address)
        measured.write("test_code.py", "import measured_package\ndef test_x(small_client): ...\n")
        run = measured.run("test_code.py", environment={"PYTHONPATH": str(folder / "mine")}).runs["test_x"]
    assert run.outcome == "error"
    assert "measured_package: 2.0" in run.failure
    assert "1.0" in run.failure
    assert "do not run the same code" in run.failure


@pytest.mark.parametrize("flag", ["--cluster-dump=always"])
def test_an_artefact_is_kept_and_the_run_says_where(on_cluster, flag, tmp_path):
    on_cluster.settings["artifacts"] = str(tmp_path / "artifacts")
    on_cluster.write("test_a.py", "def test_a(small_client): small_client.submit(sum, [1]).result()\n")
    run = on_cluster.run("test_a.py", flag).runs["test_a"]
    assert run.outcome == "passed", run.failure
    (file,) = (tmp_path / "artifacts").rglob("*.msgpack.gz")
    assert run.cluster_dump_url == file.as_uri()


def test_a_worker_that_is_gone_when_it_is_asked_costs_a_second_question():
    from coiled_runtime_cli import clusters
    from coiled_runtime_cli.plugin.ready_cluster import freshen

    spec = clusters.ClusterSpec.from_json(LOCAL[""])
    with clusters.start(spec, name="asked twice") as cluster, cluster.client() as client:
        cluster.wait(client, 60)
        asked = []
        run = client.run

        def broken_at_first(*arguments, **options):
            asked.append(arguments)
            if len(asked) == 1:
                raise OSError("in <TCP (closed) Scheduler Broadcast>: Stream is closed")
            return run(*arguments, **options)

        client.run = broken_at_first
        freshen(cluster, client)
        assert len(asked) == 2


def test_workers_of_a_cluster_of_ours_are_replaced_and_not_restarted():
    from coiled_runtime_cli import clusters
    from coiled_runtime_cli.plugin.ready_cluster import freshen

    spec = clusters.ClusterSpec.from_json(LOCAL[""])
    with clusters.start(spec, name="restarted") as cluster, cluster.client() as client:
        cluster.wait(client, 60)
        freshen(cluster, client)
        first = set(client.run(os.getpid).values())

        def hangs(timeout):
            raise asyncio.TimeoutError(f"no worker came back within {timeout} s")

        client.restart = hangs
        freshen(cluster, client)
        second = set(client.run(os.getpid).values())
        assert len(second) == 2
        assert not first & second
        assert client.submit(sum, [1, 2]).result() == 3


@pytest.mark.parametrize(("scale", "same"), [("smoke", True), pytest.param("laptop", False, marks=pytest.mark.slow)])
def test_workers_are_kept_at_smoke_scale_until_a_test_fails(on_cluster, scale, same):
    on_cluster.settings["scale"] = scale
    on_cluster.write(
        "test_kept.py",
        """
        import os

        seen = []

        def look(client):
            seen.append(set(client.run(os.getpid).values()))

        def test_first(small_client):
            look(small_client)

        def test_second(small_client):
            look(small_client)
            assert (seen[0] == seen[1]) is SAME

        def test_that_takes_workers_away(small_client, small_cluster):
            small_cluster.cluster.scale(0)
            while small_client.nthreads():
                pass

        def test_third(small_client):
            look(small_client)
            assert len(seen[2]) == 2
            raise AssertionError("on purpose")

        def test_fourth(small_client):
            look(small_client)
            assert not seen[2] & seen[3]
        """.replace("SAME", str(same)),
    )
    done = on_cluster.run("test_kept.py")
    assert {name: run.outcome for name, run in done.runs.items()} == {
        "test_first": "passed", "test_second": "passed", "test_that_takes_workers_away": "passed",
        "test_third": "failed", "test_fourth": "passed",
    }, done.output  # fmt: skip


@pytest.mark.slow
def test_sizes_follow_from_the_cluster_whose_workers_are_small_where_data_follow_from_memory(on_cluster):
    on_cluster.settings["clusters"] = {
        "": {**LOCAL[""], "options": {**LOCAL[""]["options"], "memory_limit": 3 * 2**30}}
    }
    on_cluster.settings["scale"] = "laptop"
    on_cluster.write(
        "test_small.py",
        """
        import pytest

        pytestmark = pytest.mark.cluster("small_cluster", by_memory=True)

        def test_sizes(small_client, sizing):
            assert (sizing.memory, sizing.threads) == (2 * 2**30, 2)
            assert sizing.data(0.5) == 2**30

        @pytest.mark.max_threads(1)
        def test_for_one_thread(small_client):
            raise AssertionError

        @pytest.mark.max_threads(2)
        def test_for_two_threads(small_client):
            pass
        """,
    )
    on_cluster.write("test_whole.py", "def test_sizes(sizing):\n    assert sizing.memory == 6 * 2**30\n")
    done = on_cluster.run("test_small.py", "test_whole.py")
    assert "3 passed, 1 skipped" in done.output, done.output
    skipped = done.runs["test_for_one_thread"]
    assert "says nothing on more than 1 threads, and the cluster has 2" in skipped.failure
    limits = {line.spec["memory_limit"] for line in done.lines if isinstance(line, Cluster)}
    assert limits == {2**30}
