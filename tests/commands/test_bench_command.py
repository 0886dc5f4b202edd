"""`crt bench` from end to end, on suites that need no cluster."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

EVERY_OUTCOME = """
    import os, time, pytest
    def test_a_passed(): ...
    def test_b_failed(): assert 1 == 2
    def test_c_skipped(): pytest.skip("not today")
    def test_d_killed(): os.kill(os.getpid(), 9)
    def test_e_too_long(): time.sleep(100)
    def test_f_last(): ...
"""


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def processes_below(folder):
    """Every process that still works for the session in ``folder``."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and str(folder) in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def journal_text(crt):
    return "".join(path.read_text() for path in crt.folder.glob("crt-runs/*/*.jsonl"))


def test_every_outcome_is_stored_the_session_goes_on_and_a_failure_is_exit_code_1(crt):
    crt.suite("benchmarks/test_all.py", EVERY_OUTCOME)
    done = crt.run("bench", "--suite", "all", "--timeout", "1s")
    assert done.returncode == 1, done.stderr
    assert crt.rows() == [
        ("test_a_passed", "passed"),
        ("test_b_failed", "failed"),
        ("test_c_skipped", "skipped"),
        ("test_d_killed", "crashed"),
        ("test_e_too_long", "timeout"),
        ("test_f_last", "passed"),
    ]
    assert "test_f_last" in done.stdout
    assert "assert 1 == 2" in done.stderr
    assert "SIGKILL" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (crt.folder / "crt-runs").exists()


@pytest.mark.slow
def test_a_test_that_hangs_where_no_signal_reaches_it_is_killed_and_the_next_one_runs(crt):
    crt.suite(
        "test_hang.py",
        """
        import signal, time
        def test_hang():
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
            time.sleep(600)
        def test_next(): ...
        """,
    )
    done = crt.run("bench", "--suite", "hang", "--timeout", "0.5s")
    assert done.returncode == 1
    assert crt.rows() == [("test_hang", "timeout"), ("test_next", "passed")]


def test_json_is_one_document_on_stdout_with_the_documented_keys(crt):
    crt.suite("test_one.py", "def test_one(record_metric): record_metric('rate', 3, unit='B/s', better='higher')\n")
    found = crt.json("bench", "--suite", "one", "--format", "json")
    assert found["schema"] == 1
    assert found["database"] == str(crt.folder / "benchmark.db")
    (run,) = found["runs"]
    assert {"uuid", "benchmark", "name", "outcome", "duration", "average_memory", "peak_memory", "metrics"} <= set(run)
    assert (run["benchmark"], run["outcome"]) == ("test_one.py::test_one", "passed")
    assert run["metrics"] == [{"name": "rate", "value": 3.0, "unit": "B/s", "better": "higher"}]
    assert crt.rows("select uuid, session_id from test_run") == [(run["uuid"], found["session_id"])]


def test_repeats_are_whole_rounds_and_a_row_each(crt):
    crt.suite("test_two.py", "def test_a(): ...\ndef test_b(): ...\n")
    assert crt.run("bench", "--suite", "two", "--repeat", "3").returncode == 0
    order = crt.rows('select name, "repeat" from test_run order by start')
    assert order == [("test_a", 0), ("test_b", 0), ("test_a", 1), ("test_b", 1), ("test_a", 2), ("test_b", 2)]


@pytest.mark.slow
@pytest.mark.alone
def test_an_automatic_repeat_ends_with_what_is_known_well_enough(crt):
    # durations are what a test says they are: real time would make this test a lottery
    crt.suite(
        "test_noise.py",
        """
        import os, pathlib
        HERE = pathlib.Path(__file__).parent
        def _count(name):
            file = HERE / name
            number = int(file.read_text()) if file.exists() else 0
            file.write_text(str(number + 1))
            return number
        def test_steady(test_run_benchmark):
            _count("steady")
            test_run_benchmark.timed, test_run_benchmark.duration = True, 1.0
        def test_noisy(test_run_benchmark):
            values = [1.0, 2.0, 1.0, 1.01, 1.0, 1.0, 1.0]
            test_run_benchmark.timed, test_run_benchmark.duration = True, values[_count("noisy") % 7]
        def test_failing():
            assert False
        """,
    )
    done = crt.run("bench", "--suite", "noise", "--repeat", "auto", "--precision", "40%", "--max-time", "60s")
    assert done.returncode == 1
    counts = dict(crt.rows("select name, count(*) from test_run group by name"))
    assert counts["test_failing"] == 1
    assert counts["test_steady"] == 3
    assert counts["test_noisy"] > 3


@pytest.mark.alone
def test_the_second_session_is_compared_with_the_first(crt):
    crt.suite("test_one.py", "import time\ndef test_one(): time.sleep(0.05)\n")
    first = crt.run("bench", "--suite", "one", "--repeat", "3")
    assert "new" in first.stdout
    second = crt.run("bench", "--suite", "one", "--repeat", "3")
    assert "new" not in second.stdout
    (change,) = crt.json("bench", "--suite", "one", "--format", "json")["changes"]
    assert change["low"] < change["ratio"] < change["high"]


def test_a_scale_without_a_suite_measures_every_suite(crt):
    crt.suite("test_one.py", "def test_one(): pass\n")
    crt.suite("deep/test_two.py", "def test_two(): pass\n")
    found = crt.json("bench", "--scale", "smoke", "--format", "json")["runs"]
    assert sorted(each["name"] for each in found) == ["test_one", "test_two"]


def test_a_configured_scale_without_a_suite_measures_every_suite_too(crt):
    crt.suite("test_one.py", "def test_one(): pass\n")
    crt.suite("deep/test_two.py", "def test_two(): pass\n")
    refused = crt.run("bench", "--dry-run")
    assert (refused.returncode, "no suite and no test was named" in refused.stderr) == (2, True)
    found = crt.json("bench", "--format", "json", environment={"CRT_SCALE": "smoke"})["runs"]
    assert sorted(each["name"] for each in found) == ["test_one", "test_two"]
    (crt.folder / "crt.toml").write_text('scale = "smoke"\n')
    assert crt.run("bench", "--dry-run").returncode == 0


@pytest.mark.parametrize("arguments", [["one", "-k", "nothing_like_it"], ["broken"]])
def test_a_session_in_which_no_test_ran_leaves_no_row(crt, arguments):
    crt.suite("test_one.py", "def test_one(): ...\n")
    crt.suite("test_broken.py", "import no_such_module\n")
    assert crt.run("bench", "--suite", *arguments).returncode != 0
    assert crt.rows("select id from session") == []


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["bench"], 2, "no suite and no test was named"),
        (["bench", "--suite", "on"], 2, "did you mean 'one'?"),
        (["bench", "test_onne"], 2, "did you mean 'test_one'?"),
        (["bench", "--suite", "one", "--cluster", "lokal"], 2, "did you mean 'local'?"),
        (["bench", "--suite", "one", "--scale", "tiny"], 2, "scale"),
        (["bench", "--suite", "one", "--scale", "-1"], 2, "scale"),
        (["bench", "--suite", "one", "--repeat", "0"], 2, "--repeat 0"),
        (["bench", "--suite", "one", "--repeat", "x"], 2, "--repeat x"),
        (["bench", "--suite", "one", "--format", "jsn"], 2, "jsn"),
        (["bench", "--suite", "one", "--timeout", "soon"], 2, "timeout"),
        (["bench", "--suite", "one", "--python", "/no/such/python"], 2, "/no/such/python"),
        (["bench", "--suite", "one", "--db", "no/such/folder/x.db"], 2, "no/such/folder"),
        (["bench", "--suite", "one", "--db", "suites"], 2, "suites"),
        (["bench", "--suite", "one", "--db", "suites/pytest.ini"], 2, "not"),
        (["bench", "--suite", "one", "-k", "nothing_like_it"], 2, "no test was selected"),
        (["bench", "--suite", "one", "-k", "a b ("], 2, ""),
        (["bench", "--suite", "one", "--cluster", "tcp://127.0.0.1:9"], 4, "tcp://127.0.0.1:9"),
        (["bench", "--suite", "one", "--cluster", "coiled"], 4, "coiled login"),
        (["bench", "--suite", "one", "--cluster", "dask.distributed.NoSuch"], 2, "NoSuch"),
        (["bench", "--suite", "broken"], 3, "no_such_module"),
        (["bench", "--suite", "syntax"], 3, "test_syntax.py"),
        (["bench", "--suite", "one", "--no-such-flag"], 2, "--no-such-flag"),
        (["bench", "--suite", "one", "--", "--no-such-flag"], 2, "--no-such-flag"),
    ],
)
def test_bad_input_is_a_message_with_its_exit_code_and_never_a_traceback(crt, arguments, code, message):
    crt.suite("test_one.py", "def test_one(): ...\n")
    crt.suite("test_broken.py", "import no_such_module\ndef test_x(): ...\n")
    crt.suite("test_syntax.py", "def test_x(:\n")
    done = crt.run(*arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr.replace("Traceback:", "")  # pytest's own word for an import error
    assert done.stdout == ""
    assert not list(crt.folder.glob("crt-runs/*"))


def test_one_suite_that_does_not_import_does_not_stop_the_others(crt):
    crt.suite("more/test_one.py", "def test_one(): ...\n")
    crt.suite("more/test_broken.py", "import no_such_module\n")
    done = crt.run("bench", "--suite", "more")
    assert done.returncode == 3
    assert crt.rows() == [("test_one", "passed")]
    assert "no_such_module" in done.stderr


def test_a_dry_run_says_what_would_run_and_writes_nothing(crt):
    crt.suite("test_one.py", "def test_one(): ...\n")
    done = crt.run("bench", "--suite", "one", "--dry-run")
    assert done.returncode == 0
    assert "test_one.py" in done.stdout
    assert {each.name for each in crt.folder.iterdir()} == {"suites"}


def test_the_list_names_every_suite_and_test(crt):
    crt.suite("benchmarks/test_one.py", '"""The one."""\ndef test_a(): ...\ndef test_b(): ...\n')
    assert "test_a" in crt.run("bench", "--list").stdout
    (found,) = crt.json("bench", "--list", "--format", "json")["suites"]
    assert found["tests"] == ["benchmarks/test_one.py::test_a", "benchmarks/test_one.py::test_b"]
    assert crt.json("bench", "--list", "--suite", "one", "--format", "json")["suites"] == [found]


def test_what_follows_two_dashes_goes_to_pytest(crt):
    crt.suite("test_many.py", "def test_a(): assert 0\ndef test_b(): ...\n")
    done = crt.run("bench", "--suite", "many", "--", "--maxfail=1")
    assert done.returncode == 1
    assert crt.rows() == [("test_a", "failed")]


def test_tests_of_a_folder_named_like_a_library_do_not_measure_the_folder(crt):
    (crt.folder / "dask").mkdir()
    (crt.folder / "dask" / "__init__.py").write_text("raise RuntimeError('the wrong dask')\n")
    crt.suite("test_one.py", "import dask\ndef test_one(): assert dask.__version__\n")
    assert crt.run("bench", "--suite", "one").returncode == 0


def test_a_file_outside_the_suites_can_be_measured(crt):
    (crt.folder / "mine.py").write_text("def test_mine(): ...\n")
    (crt.folder / "test_mine.py").write_text("def test_mine(): ...\n")
    assert crt.run("bench", "test_mine.py").returncode == 0
    assert crt.rows() == [("test_mine", "passed")]


def test_labels_and_names_meant_to_break_sql_and_markup_are_kept_as_they_are(crt):
    crt.suite(
        "test_odd.py",
        """
        import pytest
        @pytest.mark.parametrize("x", ["'; drop table run; --", "[red]bold[/red]", "a\\nb"], ids=str)
        def test_odd(x): ...
        """,
    )
    label = "'); delete from session; -- [bold]"
    done = crt.run("bench", "--suite", "odd", "--label", label)
    assert done.returncode == 0, done.stderr
    assert "[red]bold[/red]" in done.stdout
    assert crt.rows("select distinct coiled_runtime_version, count(*) from test_run") == [(label, 3)]


def test_pytest_alone_writes_the_same_rows(crt):
    import subprocess

    crt.suite("benchmarks/test_one.py", "def test_one(benchmark_time):\n    with benchmark_time(): pass\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "coiled_runtime_cli.plugin",
        "suites/benchmarks/test_one.py",
        "--benchmark",
    ]
    done = subprocess.run(command, cwd=crt.folder, env=crt.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "1 runs stored" in done.stdout or "1 run stored" in done.stdout
    columns = "path, name, originalname, outcome, setup_outcome, call_outcome, teardown_outcome, coiled_runtime_version"
    (alone,) = crt.rows(f"select {columns} from test_run")
    assert crt.run("bench", "--suite", "one").returncode == 0
    assert set(crt.rows(f"select {columns} from test_run")) == {alone}
    assert alone[0] == "benchmarks/test_one.py"


@pytest.mark.slow
def test_pytest_alone_under_xdist_stores_every_row_in_one_session(crt):
    import subprocess

    for name in "ab":
        crt.suite(f"test_{name}.py", "import pytest\n@pytest.mark.parametrize('x', range(3))\ndef test(x): ...\n")
    command = [sys.executable, "-m", "pytest", "-p", "coiled_runtime_cli.plugin", "suites", "--benchmark", "-n", "2"]
    done = subprocess.run(command, cwd=crt.folder, env=crt.environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert crt.rows("select count(*), count(distinct uuid), count(distinct session_id) from test_run") == [(6, 6, 1)]
    assert not (crt.folder / "crt-runs").exists()


def test_processes_of_xdist_share_the_modules_and_every_row_is_stored(crt):
    for name in "abc":
        crt.suite(f"test_{name}.py", "import pytest\n@pytest.mark.parametrize('x', range(4))\ndef test(x): ...\n")
    done = crt.run("bench", "test_a.py", "test_b.py", "test_c.py", "-n", "2")
    assert done.returncode == 0, done.stderr
    assert crt.rows("select count(*), count(distinct uuid) from test_run") == [(12, 12)]


def test_a_worker_of_xdist_that_dies_costs_the_test_that_it_ran(crt):
    crt.suite("test_a.py", "import os\ndef test_1(): ...\ndef test_2(): os.kill(os.getpid(), 9)\ndef test_3(): ...\n")
    crt.suite("test_b.py", "def test_4(): ...\n")
    done = crt.run("bench", "test_a.py", "test_b.py", "-n", "2")
    assert done.returncode == 1, done.stderr
    assert crt.rows() == [("test_1", "passed"), ("test_2", "crashed"), ("test_3", "passed"), ("test_4", "passed")]


def test_a_thread_that_a_test_has_left_does_not_hold_the_session(crt):
    crt.suite(
        "test_left.py",
        "import threading, time\ndef test_a(): threading.Thread(target=time.sleep, args=(600,)).start()\n",
    )
    done = crt.run("bench", "--suite", "left")
    assert done.returncode == 0, done.stderr
    assert crt.rows() == [("test_a", "passed")]


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_the_rows_ends_every_process_and_is_exit_code_130(crt, signal_):
    crt.suite("test_long.py", "import time\ndef test_a(): ...\ndef test_b(): time.sleep(600)\ndef test_c(): ...\n")
    child = crt.start("bench", "--suite", "long")
    wait_for(lambda: '"benchmark":"test_long.py::test_b"' in journal_text(crt) and "started" in journal_text(crt))
    child.send_signal(signal_)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert crt.rows() == [("test_a", "passed")]
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert processes_below(crt.folder) == []
    assert not (crt.folder / "crt-runs").exists()


def test_after_kill_9_the_next_command_stores_every_finished_run_and_says_so(crt):
    crt.suite("test_long.py", "import time\ndef test_a(): ...\ndef test_b(): ...\ndef test_c(): time.sleep(600)\n")
    child = crt.start("bench", "--suite", "long")
    wait_for(lambda: journal_text(crt).count('"type":"started"') == 3)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    done = crt.run("db", "current")  # at once: pytest has not yet noticed that it is alone
    assert done.returncode == 0, done.stderr
    assert "recovered" in done.stderr
    stored = crt.rows()
    assert stored[:2] == [("test_a", "passed"), ("test_b", "passed")]
    wait_for(lambda: processes_below(crt.folder) == [])  # it has let go of its journal, and ends
    assert "recovered" not in crt.run("db", "current").stderr
    assert crt.rows() == stored


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs permissions as POSIX has them")
def test_a_database_that_takes_no_rows_keeps_the_journal(crt):
    crt.suite("test_one.py", "def test_one(): ...\n")
    assert crt.run("bench", "--suite", "one").returncode == 0
    assert crt.run("bench", "--suite", "one", "--db", "sub/x.db").returncode == 2
    import sqlite3

    # another process holds the database for writing until after the session
    connection = sqlite3.connect(crt.folder / "benchmark.db", isolation_level=None)
    crt.suite("test_lock.py", "def test_lock(): ...\n")
    child = crt.start("bench", "--suite", "lock")
    wait_for(lambda: "test_lock" in journal_text(crt))
    connection.execute("begin immediate")
    _, errors = child.communicate(timeout=120)
    connection.execute("rollback")
    connection.close()
    assert child.returncode == 3, errors
    assert "Traceback" not in errors
    assert "crt-runs" in errors
    done = crt.run("db", "current")
    assert "recovered 1" in done.stderr
    assert crt.rows("select count(*) from test_run") == [(2,)]


def limited_to(size):
    """What a full disk does, for this process and all that it starts: no file grows beyond ``size`` bytes."""
    import resource

    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_database_on_a_full_disk_keeps_the_journal_and_loses_nothing(crt):
    crt.suite("test_many.py", "import pytest\n@pytest.mark.parametrize('x', range(70))\ndef test(x): ...\n")
    assert crt.run("db", "upgrade").returncode == 0
    room = (crt.folder / "benchmark.db").stat().st_size + 4096
    child = crt.start("bench", "--suite", "many", preexec_fn=limited_to(max(room, 0)))
    _, errors = child.communicate(timeout=120)
    assert child.returncode == 3, errors
    assert "Traceback" not in errors
    assert "nothing is lost" in errors
    kept = journal_text(crt).count('"type":"run"')
    assert kept >= 1
    recovered = crt.run("db", "current")
    assert f"recovered {kept} run" in recovered.stderr
    assert crt.rows("select count(*), count(distinct uuid) from test_run") == [(kept, kept)]


def test_a_journal_on_a_full_disk_stops_the_session_and_keeps_what_it_holds(crt):
    crt.suite("test_many.py", "import pytest\n@pytest.mark.parametrize('x', range(500))\ndef test(x): ...\n")
    assert crt.run("db", "upgrade").returncode == 0
    child = crt.start("bench", "--suite", "many", preexec_fn=limited_to(400_000))
    _, errors = child.communicate(timeout=120)
    assert child.returncode == 3, errors
    assert "cannot write the journal" in errors
    assert "Traceback" not in errors
    crt.run("db", "current")
    ((stored, different),) = crt.rows("select count(*), count(distinct uuid) from test_run where outcome = 'passed'")
    assert 100 < stored == different < 500


ON_CLUSTER = """
    import time
    def test_a(small_client): assert small_client.submit(sum, [1]).result() == 1
    def test_b(small_client): small_client.submit(time.sleep, 600).result()
"""


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGKILL])
def test_no_process_of_a_cluster_outlives_its_session(crt, signal_):
    crt.suite("test_cluster.py", ON_CLUSTER)
    child = crt.start("bench", "--suite", "cluster")
    wait_for(lambda: journal_text(crt).count('"type":"started"') == 2)
    time.sleep(1)  # into the body of the second test, or its set-up: either way there is a cluster
    processes = psutil.Process(child.pid).children(recursive=True)
    assert len(processes) >= 3  # pytest and two workers
    child.send_signal(signal_)
    _, errors = child.communicate(timeout=90)
    _, alive = psutil.wait_procs(processes, timeout=60)
    assert alive == []
    assert "Traceback" not in errors
    if signal_ == signal.SIGINT:
        assert child.returncode == 130
    else:
        assert "recovered" in crt.run("db", "current").stderr
    assert ("test_a", "passed") in crt.rows()


@pytest.mark.slow
def test_a_bisection_can_measure_each_commit_by_crt_bench(crt):
    sys.path.insert(0, str(Path(__file__).parents[1] / "bisect"))
    import slowpoke

    repository = slowpoke.Repository(crt.folder / "clone")
    for number in range(3):
        repository.commit(seconds=0.0 if number < 2 else 2.0)
    crt.suite("test_one.py", "import slowpoke\ndef test_one(): slowpoke.work()\n")
    ends = ("--repo", repository.folder, "--good", repository.hashes[0])
    command = crt.command("bench", "test_one", "--db", "of-bench.db")
    done = crt.run("bisect", *ends, "--metric", "duration", "--format", "json", "--", *command)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert {each["outcome"] for each in found["probes"]} == {"measured"}
    assert found["culprit"]["commit"] == repository.hashes[2]
    assert {outcome for _, outcome in crt.rows(database="of-bench.db")} == {"passed"}
