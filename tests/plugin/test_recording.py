import json
import os
import subprocess
import sys

from coiled_runtime_cli.core.record import Benchmark

EVERY_OUTCOME = """
    import os
    import time

    import pytest

    def test_passed(): ...
    def test_failed(): assert 1 == 2
    def test_skipped(): pytest.skip("not today")
    @pytest.fixture
    def broken_setup(): raise RuntimeError("broken set-up")
    def test_setup(broken_setup): ...
    @pytest.fixture
    def broken_teardown():
        yield
        raise RuntimeError("broken teardown")
    def test_teardown(broken_teardown): ...
    def test_too_long(): time.sleep(60)
    def test_last(): ...
"""


def test_every_way_to_end_is_a_row_with_its_outcomes_and_the_session_goes_on(measured):
    measured.settings["timeout"] = 0.5
    measured.write("benchmarks/test_all.py", EVERY_OUTCOME)
    runs = measured.run("benchmarks/test_all.py").runs
    phases = {
        name: (run.outcome, run.setup_outcome, run.call_outcome, run.teardown_outcome) for name, run in runs.items()
    }
    assert phases == {
        "test_passed": ("passed", "passed", "passed", "passed"),
        "test_failed": ("failed", "passed", "failed", "passed"),
        "test_skipped": ("skipped", "passed", "skipped", "passed"),
        "test_setup": ("error", "failed", None, "passed"),
        "test_teardown": ("error", "passed", "passed", "failed"),
        "test_too_long": ("timeout", "passed", "failed", "passed"),
        "test_last": ("passed", "passed", "passed", "passed"),
    }
    assert "assert 1 == 2" in runs["test_failed"].failure
    assert "broken set-up" in runs["test_setup"].failure
    assert "broken teardown" in runs["test_teardown"].failure
    assert "timed out after 0.5 s" in runs["test_too_long"].failure
    assert runs["test_failed"].duration is None
    assert runs["test_passed"].duration >= 0
    assert {run.benchmark.partition("::")[0] for run in runs.values()} == {"benchmarks/test_all.py"}


def test_code_that_swallows_every_exception_cannot_swallow_the_time_limit(measured):
    measured.settings["timeout"] = 0.5
    measured.write(
        "test_stubborn.py",
        """
        import time
        def test_stubborn():
            try:
                time.sleep(60)
            except Exception:
                time.sleep(60)
        """,
    )
    assert measured.run("test_stubborn.py").runs["test_stubborn"].outcome == "timeout"


def test_setup_and_body_share_the_time_limit_and_teardown_has_its_own(measured):
    measured.settings["timeout"] = 1.0
    measured.write(
        "test_phases.py",
        """
        import time
        import pytest
        @pytest.fixture
        def slow():
            time.sleep(0.7)
            yield
            time.sleep(0.7)
        def test_both(slow): time.sleep(0.7)
        def test_neither(slow): ...
        """,
    )
    runs = measured.run("test_phases.py").runs
    assert (runs["test_both"].outcome, runs["test_both"].teardown_outcome) == ("timeout", "passed")
    assert runs["test_neither"].outcome == "passed"


def test_without_the_flag_nothing_is_recorded_and_fixtures_do_nothing(measured):
    measured.write(
        "test_plain.py",
        """
        def test_plain(
            benchmark_time, record_metric, test_run_benchmark, benchmark_db_engine, auto_benchmark_time, stop_measuring
        ):
            with benchmark_time():
                record_metric("rate", 1.0)
            stop_measuring()
            assert test_run_benchmark is None
            assert benchmark_db_engine is None
        """,
    )
    arguments = [each for each in measured.arguments("test_plain.py") if each != "--benchmark"]
    done = subprocess.run(arguments, cwd=measured.folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert not (measured.folder / "journal").exists()


def test_a_timed_block_is_the_duration_and_a_block_that_raises_has_none(measured):
    measured.write(
        "test_time.py",
        """
        import time
        def test_block(benchmark_time):
            time.sleep(0.3)
            with benchmark_time():
                time.sleep(0.01)
        def test_raises(benchmark_time):
            with benchmark_time():
                raise ValueError
        def test_whole(auto_benchmark_time):
            time.sleep(0.05)
        """,
    )
    runs = measured.run("test_time.py").runs
    assert 0.01 <= runs["test_block"].duration < 0.3
    assert runs["test_raises"].duration is None
    assert runs["test_raises"].start <= runs["test_raises"].end
    assert runs["test_whole"].duration >= 0.05


def test_what_follows_the_end_of_measuring_is_part_of_the_test_and_not_of_its_time(measured):
    measured.write(
        "test_end.py",
        """
        def test_reads_back(auto_benchmark_time, stop_measuring, test_run_benchmark, record_metric):
            assert test_run_benchmark.duration is None
            stop_measuring()
            record_metric("seen", test_run_benchmark.duration)
            stop_measuring()
        def test_is_wrong(auto_benchmark_time, stop_measuring):
            stop_measuring()
            assert 1 == 2
        def test_measures_nothing_itself(stop_measuring):
            stop_measuring()
        """,
    )
    runs = measured.run("test_end.py").runs
    assert {name: run.outcome for name, run in runs.items()} == {
        "test_reads_back": "passed",
        "test_is_wrong": "failed",
        "test_measures_nothing_itself": "passed",
    }
    (metric,) = runs["test_reads_back"].metrics
    assert metric.value == runs["test_reads_back"].duration > 0
    assert "assert 1 == 2" in runs["test_is_wrong"].failure
    assert runs["test_measures_nothing_itself"].duration > 0


def test_metrics_are_recorded_with_unit_and_direction_and_bad_ones_are_refused(measured):
    measured.write(
        "test_metrics.py",
        """
        import pytest
        def test_metrics(record_metric):
            record_metric("rate", 1, unit="B/s", better="higher")
            record_metric("rate", 2.5, unit="B/s", better="higher")
            record_metric("size", 3, "B")
            for name, value, better in [
                ("x", float("nan"), "lower"), ("x", float("inf"), "lower"), ("x", 1, "faster"), ("duration", 1, "lower")
            ]:
                with pytest.raises(ValueError):
                    record_metric(name, value, better=better)
        """,
    )
    run = measured.run("test_metrics.py").runs["test_metrics"]
    assert [(each.name, each.value, each.unit, each.better) for each in run.metrics] == [
        ("rate", 2.5, "B/s", "higher"),
        ("size", 3.0, "B", "lower"),
    ]


def test_a_benchmark_is_known_by_its_path_and_carries_source_parameters_epoch_and_former_names(measured):
    measured.write(
        "benchmarks/test_names.py",
        """
        import pytest

        @pytest.mark.formerly("test_older[1]", "stability/test_x.py::test_oldest")
        @pytest.mark.epoch(2, reason="larger chunks")
        @pytest.mark.parametrize("size", [7], ids=["seven"])
        @pytest.mark.parametrize("thing", [object])
        def test_new(size, thing):
            assert size

        class TestGroup:
            def test_inside(self): ...
        """,
    )
    lines = measured.run("benchmarks/test_names.py", "-p", "no:cacheprovider").lines
    first, second = [line for line in lines if isinstance(line, Benchmark)]
    assert first.id.startswith("benchmarks/test_names.py::test_new[")
    assert (first.originalname, first.epoch, first.epoch_reason) == ("test_new", 2, "larger chunks")
    assert first.params == {"size": 7, "thing": "<class 'object'>"}
    assert first.formerly == ("benchmarks/test_names.py::test_older[1]", "stability/test_x.py::test_oldest")
    assert first.source.startswith("@pytest.mark.formerly")
    assert second.name == "TestGroup::test_inside"


def test_workers_of_xdist_write_a_file_each(measured):
    for name in ("test_a.py", "test_b.py"):
        measured.write(name, "import pytest\n@pytest.mark.parametrize('x', range(5))\ndef test(x): ...\n")
    done = measured.run("-n2", "--dist=loadscope", ".")
    assert len([line for line in done.lines if line.type == "run"]) == 10
    assert {each.name for each in (measured.folder / "journal").glob("*.jsonl")} == {"gw0.jsonl", "gw1.jsonl"}
    assert len(done.environments) == 1


def test_only_the_benchmarks_that_are_asked_for_run(measured):
    measured.settings["only"] = ["test_a.py::test[1]", "test_a.py::test[3]"]
    measured.write("test_a.py", "import pytest\n@pytest.mark.parametrize('x', range(5))\ndef test(x): ...\n")
    done = measured.run("test_a.py")
    assert set(done.runs) == {"test[1]", "test[3]"}
    assert "3 deselected" in done.output


def test_a_module_that_does_not_import_is_named_and_the_others_run(measured):
    measured.write("test_a.py", "import no_such_module\n")
    measured.write("test_b.py", "def test(): ...\n")
    done = measured.run("--continue-on-collection-errors", ".")
    assert set(done.runs) == {"test"}
    ((file, message),) = done.collected.errors
    assert file == "test_a.py"
    assert "no_such_module" in message


def test_a_full_disk_stops_the_session_instead_of_losing_rows(measured):
    measured.write("test_a.py", "import pytest\n@pytest.mark.parametrize('x', range(2000))\ndef test(x): ...\n")
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)); "
    limited += "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); import pytest; sys.exit(pytest.main())"
    arguments = measured.arguments("test_a.py")
    done = subprocess.run(
        [sys.executable, "-c", limited, *arguments[3:]],
        cwd=measured.folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    from coiled_runtime_cli import journal

    contents = journal.read(measured.folder / "journal")
    runs = [line for line in contents.lines if line.type == "run"]
    assert 10 < len(runs) < 2000
    assert contents.damaged == 0
    assert "cannot write the journal" in done.stdout + done.stderr


def test_the_plugin_imports_nothing_heavy_until_a_fixture_asks(measured):
    measured.write(
        "test_light.py",
        """
        import json, sys
        def test_light(record_metric, benchmark_time):
            heavy = {"dask", "distributed", "sqlalchemy", "alembic", "boto3", "coiled", "s3fs", "pandas", "numpy", "rich",
                     "typer", "yaml", "psutil", "pyarrow"}
            print("HEAVY", json.dumps(sorted(heavy & set(sys.modules))))
        """,
    )
    # What other plugins import is not ours: zarr's, for one, loads NumPy.
    done = measured.run("-s", "test_light.py", environment={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    found = next(line for line in done.output.splitlines() if "HEAVY" in line)
    assert json.loads(found.partition("HEAVY")[2]) == []


def test_a_checkout_beside_the_suites_whose_name_begins_alike_is_no_part_of_them(measured):
    measured.settings["suites"] = str(measured.folder / "bench")
    for package in ("bench/own_package", "bench-lib/measured_package"):
        measured.write(f"{package}/__init__.py", "__version__ = '1.5'\n")
    measured.write("bench/test_import.py", "import measured_package, own_package\ndef test_x(): ...\n")
    path = os.pathsep.join(str(measured.folder / each) for each in ("bench", "bench-lib"))
    done = measured.run("bench/test_import.py", environment={"PYTHONPATH": path})
    (environment,) = done.environments.values()
    imported = {each.name: each.version for each in environment.packages if each.imported}
    assert imported.get("measured_package") == "1.5"
    assert "own_package" not in imported


def test_what_is_imported_from_a_checkout_is_known_by_its_commit_and_dirtiness(measured, tmp_path_factory):
    checkout = tmp_path_factory.mktemp("my checkout")
    package = checkout / "measured_package"
    package.mkdir()
    (package / "__init__.py").write_text("__version__ = '1.5'\n")
    git = ["git", "-C", str(checkout), "-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-qm", "first"], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    measured.write("test_import.py", "import measured_package\ndef test_x(): ...\n")
    environment = {"PYTHONPATH": str(checkout)}  # bytecode is written, and git was not told to ignore it

    def imported():
        done = measured.run("test_import.py", environment=environment)
        last = [line for line in done.lines if line.type == "run"][-1]
        (found,) = [each for each in done.environments[last.environment].packages if each.name == "measured_package"]
        return found

    first = imported()
    assert (first.version, first.commit, first.dirty, first.imported) == ("1.5", commit, False, True)
    (package / "__init__.py").write_text("__version__ = '1.6'\n")
    changed = imported()
    assert (changed.version, changed.commit, changed.dirty) == ("1.6", commit, True)
