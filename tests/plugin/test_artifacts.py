"""Artefacts on real clusters: what is kept opens, what cannot be kept costs no run."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest
from kept import path_of

from coiled_runtime_cli.core.record import Warned
from coiled_runtime_cli.plugin import artifacts
from coiled_runtime_cli.plugin.instruments import memray_profile, profiler, py_spy_profile

LOCAL = {
    "": {"kind": "local", "name": "local", "options": {"n_workers": 2, "threads_per_worker": 1, "memory_limit": 2**30}}
}
EVERYTHING = ("--performance-report", "--memray=all", "--py-spy=all", "--cluster-dump=always")


@pytest.fixture
def on_cluster(measured, tmp_path):
    measured.settings |= {"clusters": LOCAL, "timeout": 240, "artifacts": str(tmp_path / "kept")}
    return measured


def warnings(done):
    return [line.text for line in done.lines if isinstance(line, Warned)]


def urls(run):
    return [run.performance_report_url, run.cluster_dump_url, run.memray_profiles_url, run.py_spy_profiles_url]


def check_all_open(run):
    memray = pytest.importorskip("memray")
    from distributed.cluster_dump import DumpArtefact

    html = path_of(run.performance_report_url).read_text()
    assert "sum of one" in html
    assert "number of tasks" in html
    assert not re.findall(r'<(?:script|link)[^>]+(?:src|href)="[^"]*bokeh', html), "Bokeh comes from the network"
    dump = DumpArtefact.from_url(str(path_of(run.cluster_dump_url)))
    assert len(dump.dump["workers"]) == 2
    captures = path_of(run.memray_profiles_url)
    assert sorted(each.name for each in captures.iterdir()) == [
        "scheduler.memray",
        "worker-0.memray",
        "worker-1.memray",
    ]
    for each in captures.iterdir():
        with memray.FileReader(each) as reader:
            assert reader.metadata.total_allocations > 0
    recordings = path_of(run.py_spy_profiles_url)
    names = ["scheduler.speedscope.json", "worker-0.speedscope.json", "worker-1.speedscope.json"]
    assert sorted(each.name for each in recordings.iterdir()) == names
    for each in recordings.iterdir():
        assert json.loads(each.read_text())["shared"]["frames"]


@pytest.mark.slow
def test_every_artefact_opens_and_the_row_says_where_it_is(on_cluster, tmp_path):
    on_cluster.write(
        "test_a.py",
        """
        import time
        import pytest

        def work(number):
            deadline = time.monotonic() + 0.3
            while time.monotonic() < deadline:
                bytearray(100_000)
            return number

        @pytest.mark.parametrize("name", ["../a b/ü%2e?#"])
        def test_works(small_client, name):
            '''sum of one'''
            assert small_client.gather(small_client.map(work, range(2))) == [0, 1]

        def test_fails(small_client):
            '''sum of one'''
            assert small_client.gather(small_client.map(work, range(2))) == [1, 1]

        def test_on_a_cluster_of_its_own(client):
            '''sum of one'''
            client.gather(client.map(work, range(2)))

        def test_without_a_cluster(): ...
        """,
    )
    done = on_cluster.run("test_a.py", *EVERYTHING)
    assert warnings(done) == [], done.output
    alone = done.runs["test_without_a_cluster"]
    others = [run for name, run in done.runs.items() if name != "test_without_a_cluster"]
    assert [each.outcome for each in others] == ["passed", "failed", "passed"]
    for run in others:
        assert run.profiled
        check_all_open(run)
    assert urls(alone) == [None] * 4
    assert not alone.profiled
    folders = list((tmp_path / "kept" / "the-session").iterdir())
    assert len(folders) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", each.name) for each in folders)
    assert not list((tmp_path / "kept").rglob("*.part*"))


def test_without_a_flag_nothing_is_kept(on_cluster, tmp_path):
    on_cluster.write("test_a.py", "def test_a(small_client): ...\n")
    run = on_cluster.run("test_a.py").runs["test_a"]
    assert run.outcome == "passed", run.failure
    assert not run.profiled
    assert urls(run) == [None] * 4
    assert not (tmp_path / "kept").exists()


@pytest.mark.slow
def test_a_dump_of_what_fails_is_of_what_fails_alone_and_slows_nothing(on_cluster, tmp_path):
    on_cluster.write(
        "test_a.py",
        """
        import time
        import pytest
        def test_passes(small_client): ...
        def test_skips(small_client): pytest.skip("not today")
        def test_fails(small_client):
            futures = small_client.map(lambda each: each, range(7))
            small_client.gather(futures)
            assert not futures
        """,
    )
    done = on_cluster.run("test_a.py", "--cluster-dump=fail")
    assert [name for name, run in done.runs.items() if run.cluster_dump_url] == ["test_fails"]
    assert not any(run.profiled for run in done.runs.values())
    from distributed.cluster_dump import DumpArtefact

    dump = DumpArtefact.from_url(str(path_of(done.runs["test_fails"].cluster_dump_url)))
    assert len(dump.dump["scheduler"]["tasks"]) == 7, "the state is that of the failure"


@pytest.mark.slow
def test_a_worker_that_dies_costs_its_own_profile_and_no_run(on_cluster):
    on_cluster.write(
        "test_a.py",
        """
        import os
        def test_a(small_client):
            victim = min(small_client.scheduler_info()["workers"])
            future = small_client.submit(os._exit, 1, workers=[victim], allow_other_workers=False, retries=0)
            small_client.submit(sum, [1, 2]).result()
            while small_client.scheduler_info()["workers"].get(victim):
                small_client.sync(__import__("asyncio").sleep, 0.05)
        """,
    )
    done = on_cluster.run("test_a.py", *EVERYTHING)
    run = done.runs["test_a"]
    assert run.outcome == "passed", run.failure
    assert run.performance_report_url
    assert run.cluster_dump_url
    for url in (run.memray_profiles_url, run.py_spy_profiles_url):
        assert len(list(path_of(url).iterdir())) == 2  # of the scheduler, and of the worker that lived
    told = " ".join(warnings(done))
    assert "no profile of memray of a worker" in told
    assert "no profile of py-spy of a worker" in told


@pytest.mark.slow
def test_a_scheduler_that_dies_costs_no_run_and_the_next_cluster_is_profiled(on_cluster):
    on_cluster.write(
        "test_a.py",
        """
        def test_a(small_client, small_cluster):
            small_cluster.cluster.sync(small_cluster.cluster.scheduler.close)
            while small_client.status == "running":
                small_client.sync(__import__("asyncio").sleep, 0.05)
        """,
    )
    on_cluster.write("test_b.py", "def test_b(small_client): small_client.submit(sum, [1]).result()\n")
    done = on_cluster.run("test_a.py", "test_b.py", *EVERYTHING)
    run = done.runs["test_a"]
    assert "gone" in " ".join(warnings(done))
    assert run.profiled
    assert urls(run) == [None] * 4
    after = done.runs["test_b"]
    assert after.outcome == "passed", after.failure
    assert all(urls(after))


@pytest.mark.slow
def test_a_place_that_takes_no_files_is_said_once_and_costs_no_run(on_cluster, tmp_path):
    (tmp_path / "kept").write_text("a file, where a folder should be")
    on_cluster.write("test_a.py", "def test_a(small_client): ...\ndef test_b(small_client): ...\n")
    done = on_cluster.run("test_a.py", "--performance-report", "--memray=scheduler", "--cluster-dump=always")
    assert [run.outcome for run in done.runs.values()] == ["passed", "passed"], done.output
    assert all(urls(run) == [None] * 4 for run in done.runs.values())
    assert len(set(warnings(done))) == len(warnings(done))
    assert any(each.startswith("no cluster dump: ") for each in warnings(done))


def test_workers_within_the_process_of_the_scheduler_are_profiled_once(on_cluster):
    options = {"n_workers": 2, "threads_per_worker": 1, "memory_limit": 2**30, "processes": False}
    on_cluster.settings["clusters"] = {"": {"kind": "local", "name": "local", "options": options}}
    on_cluster.write("test_a.py", "def test_a(small_client): small_client.submit(sum, [1]).result()\n")
    done = on_cluster.run("test_a.py", "--memray=all", "--py-spy=all")
    run = done.runs["test_a"]
    assert run.outcome == "passed", run.failure
    assert warnings(done) == []
    assert len(list(path_of(run.memray_profiles_url).iterdir())) == 1
    assert len(list(path_of(run.py_spy_profiles_url).iterdir())) == 1


@pytest.mark.parametrize(
    ("flag", "module", "words"),
    [("--memray=scheduler", "memray", "needs memray"), ("--performance-report", "bokeh", "needs bokeh")],
)
def test_a_library_that_is_missing_is_a_skip_that_names_what_installs_it(on_cluster, tmp_path, flag, module, words):
    (tmp_path / "hides").mkdir()
    (tmp_path / "hides" / "sitecustomize.py").write_text(f"import sys; sys.modules[{module!r}] = None\n")
    on_cluster.write("test_a.py", "def test_a(benchmark_all): ...\n")
    run = on_cluster.run("test_a.py", flag, environment={"PYTHONPATH": str(tmp_path / "hides")}).runs["test_a"]
    assert run.outcome == "skipped"
    assert words in run.failure
    assert 'pip install "coiled-runtime-cli[profile]"' in run.failure


def stand_in(tmp_path, monkeypatch, script):
    program = tmp_path / "py-spy"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    async def both():
        assert await py_spy_profile.start("a run") == {"began": True}
        return await py_spy_profile.stop("a run")

    return asyncio.run(both())


def test_a_py_spy_that_may_not_look_says_what_it_needs(tmp_path, monkeypatch):
    said = "echo 'Permission Denied: Try running again with elevated permissions' >&2; exit 1"
    found = stand_in(tmp_path, monkeypatch, said)
    assert "SYS_PTRACE" in found["trouble"]
    assert stand_in(tmp_path, monkeypatch, "echo 'Error: no such process' >&2; exit 1") == {
        "trouble": "Error: no such process"
    }
    assert stand_in(tmp_path, monkeypatch, "exit 0") == {"trouble": "py-spy recorded nothing"}


def test_a_profiler_of_a_run_that_nobody_ended_makes_way_for_the_next():
    pytest.importorskip("memray")
    assert memray_profile.start("first") == {"began": True}
    assert memray_profile.start("first") == {"shared": True}
    assert memray_profile.start("second") == {"began": True}
    assert "gone" in memray_profile.stop("first")["trouble"]
    ended = memray_profile.stop("second")
    assert ended["size"] == Path(ended["path"]).stat().st_size > 0
    profiler.forget(ended["path"])
    assert not Path(ended["path"]).parent.exists()


def test_a_file_that_could_not_be_written_whole_is_not_there(tmp_path):
    keep = artifacts.Keep(tmp_path / "run", lambda text: None)

    def half():
        with keep.file("memray/scheduler.memray") as path:
            path.write_text("half")
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        half()
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "run"])
