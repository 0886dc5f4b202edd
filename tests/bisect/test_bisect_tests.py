"""`crt bisect` of benchmarks: the plugin measures each commit on a cluster, and the row says what was imported where."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import slowpoke

SUITE = """
def test_work(small_client, benchmark_all):
    def work(number):
        import slowpoke

        slowpoke.work()
        return number

    with benchmark_all(small_client):
        assert sum(small_client.gather(small_client.map(work, range(2), pure=False))) == 1
"""

#: The workers get a slowpoke of their own.
OTHER_COPY = """
import pytest


@pytest.fixture(scope="module", autouse=True)
def _copied(small_cluster):
    from distributed import WorkerPlugin

    class Copy(WorkerPlugin):
        def setup(self, worker):
            import pathlib, sys, tempfile

            folder = pathlib.Path(tempfile.mkdtemp())
            (folder / "slowpoke").mkdir()
            (folder / "slowpoke" / "__init__.py").write_text("def work(): pass")
            sys.path.insert(0, str(folder))
            sys.modules.pop("slowpoke", None)

    with small_cluster.client() as client:
        client.register_plugin(Copy())
    yield
"""

#: No cluster, and a metric of its own, of which more is better.
RATE = """
import time

import slowpoke


def test_rate(test_run_benchmark, record_metric):
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        slowpoke.work()
        seconds.append(time.perf_counter() - began)
    # the quickest: a pause of a busy machine is no property of a commit
    record_metric("rate", 1 / min(seconds), unit="1/s", better="higher")
"""


def bisect(crt, repository, target, *flags, code=0, good="v0"):
    done = crt.run(
        "bisect", "--good", good, "--bad", "v1", "--repo", repository.folder, "--python", sys.executable,
        "--scale", "smoke", "--format", "json", *flags, target,
    )  # fmt: skip
    assert done.returncode == code, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout) if done.stdout else None, done.stderr


@pytest.mark.slow
def test_a_metric_that_is_better_when_higher_is_followed_and_every_value_has_its_row(crt):
    crt.suite("test_rate.py", RATE)
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 6, 3)
    found, _ = bisect(crt, repository, "test_rate", "--metric", "rate")
    assert found["culprit"]["commit"] == repository.hashes[3]
    assert found["effect"]["ratio"] < 0.5
    assert found["unit"] == "1/s"
    runs = {each["run"] for each in found["probes"]}
    rows = crt.rows("select uuid, outcome from test_run")
    assert {uuid for uuid, _ in rows} == runs
    assert len(rows) == len(found["probes"])
    # the environment of each row says the commit that was asked for
    sql = "select run.uuid, environment.packages from run join environment on environment.key = run.environment_key"
    commits = {
        uuid: next(
            each["commit"] for each in json.loads(packages) if each["name"] == "slowpoke" and each.get("imported")
        )
        for uuid, packages in crt.rows(sql)
    }
    assert all(commits[each["run"]] == each["candidate"] for each in found["probes"])
    assert crt.rows("select distinct label from session") == [("bisect",)]
    wrong, errors = bisect(crt, repository, "test_rate", "--metric", "rat", code=2)
    assert wrong is None
    assert "did you mean 'rate'" in errors


def test_a_test_that_never_imports_the_project_is_no_measurement(crt):
    crt.suite("test_other.py", "def test_other(test_run_benchmark): pass\n")
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 2, 1)
    _, errors = bisect(crt, repository, "test_other", code=3)
    assert "nothing of slowpoke was imported" in errors


def test_one_test_is_followed_not_several(crt):
    crt.suite(
        "test_many.py",
        "import pytest, slowpoke\n@pytest.mark.parametrize('n', [1, 2])\ndef test_many(test_run_benchmark, n): pass\n",
    )
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 2, 1)
    _, errors = bisect(crt, repository, "test_many", code=2)
    assert "2 tests were run" in errors
    assert "test_many[1]" in errors


def test_a_test_that_hangs_has_no_value_where_no_timeout_was_named(crt):
    crt.suite("test_hang.py", "import time, slowpoke\ndef test_hang(): slowpoke.work()\n")
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 2, 1, seconds=(0.01, 600))
    (crt.folder / "crt.toml").write_text('timeout = "3s"\n')
    _, errors = bisect(crt, repository, "test_hang", code=3)
    assert "the bad end takes too long: " in errors
    assert "3 s" in errors
    assert "bug in crt" not in errors


def test_how_long_it_may_take_is_known_of_that_test_and_its_parameters_alone(inside):
    repository = slowpoke.with_a_slow_commit(inside.folder / "clone", 2, 1)
    inside.suite(
        "test_read.py",
        """
        import pytest
        def test_read(): pass
        def test_read_parquet(): pass
        @pytest.mark.parametrize("n", [1, 2])
        def test_sum(n): pass
        """,
    )
    assert inside.run("bench", "test_read_parquet", "test_sum", "--scale", "smoke").returncode == 0

    def seconds(test):
        done, _ = bisect(inside, repository, test, "--dry-run")
        return done["plan"]["seconds"]

    assert seconds("test_read_parquet") is not None
    assert seconds("test_sum") is not None
    assert seconds("test_sum[2]") is not None
    assert seconds("test_read") is None


@pytest.mark.slow
def test_a_commit_is_named_by_what_workers_ran(crt):
    crt.suite("test_work.py", SUITE)
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 12, 7, seconds=(0.05, 0.2), breaks=(3,))
    found, _ = bisect(crt, repository, "test_work")
    assert found["culprit"]["commit"] == repository.hashes[7]
    assert found["effect"]["ratio"] > 1.5
    # what was measured is taken over by the next one of the same test and environment
    again, errors = bisect(crt, repository, "test_work", "--reuse")
    assert again["culprit"]["commit"] == repository.hashes[7]
    assert again["runs"] < found["runs"]
    assert "earlier runs are taken over" in errors


@pytest.mark.slow
def test_workers_with_another_copy_are_an_error_and_no_number(crt):
    crt.suite("test_work.py", SUITE)
    crt.suite("conftest.py", OTHER_COPY)
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 2, 1)
    found, errors = bisect(crt, repository, "test_work", code=3)
    assert found is None
    assert "do not run the same code" in errors


@pytest.mark.slow
def test_two_jobs_measure_at_once_each_on_its_own_core(crt):
    crt.suite("test_rate.py", RATE)
    repository = slowpoke.with_a_slow_commit(crt.folder / "clone", 24, 10)
    found, _ = bisect(crt, repository, "test_rate", "--metric", "rate", "--jobs", "2")
    assert found["culprit"]["commit"] == repository.hashes[10]
    trees = Path(crt.environment["XDG_CACHE_HOME"]) / "crt" / "environments" / "bisect" / "worktrees"
    assert len([each for each in trees.glob("*/*") if each.is_dir()]) == 2


@pytest.mark.slow
def test_a_finding_of_detect_is_bisected_by_its_id(crt):
    """Commits that were measured night by night: the range, the test and the metric are in the history."""
    crt.suite("test_rate.py", RATE)
    repository = slowpoke.with_a_slow_commit(crt.folder / "slowpoke", 16, 9)
    for number in range(17):
        repository.git("checkout", "-q", repository.hashes[number])
        done = crt.run(
            "bench", "--suite", "rate", "--scale", "smoke",
            environment={"PYTHONPATH": f"{repository.folder}:{crt.environment['PYTHONPATH']}"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    repository.git("checkout", "-q", "main")
    detected = crt.json("detect", "--metric", "rate", "--format", "json")
    (finding,) = detected["regressions"]
    done = crt.run(
        "bisect", "--regression", finding["id"], "--repo", repository.folder, "--python", sys.executable,
        "--format", "json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["culprit"]["commit"] == repository.hashes[9]
