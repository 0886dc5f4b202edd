"""`crt data make`: data sets made now, by one process or several, whatever goes wrong."""

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from dataclasses import replace

import pexpect
import psutil
import pytest
from cached_data import NAMES, flip_a_byte, folder_of, stored_file, unfinished

from coiled_runtime_cli import datasets
from coiled_runtime_cli.datasets.manifest import read_manifest
from coiled_runtime_cli.datasets.verification import harms

pytest.importorskip("fcntl", reason="needs POSIX locks")


def test_data_are_made_once_and_found_again(inside, cache):
    first = inside.json("data", "make", *NAMES, "--scale", "smoke", "--format", "json")
    second = inside.json("data", "make", *NAMES, "--scale", "smoke", "--format", "json")
    assert [each["state"] for each in first["datasets"]] == ["made"] * 3
    assert [each["state"] for each in second["datasets"]] == ["was there"] * 3
    assert [each["sha256"] for each in first["datasets"]] == [each["sha256"] for each in second["datasets"]]
    assert unfinished(cache) == []


def test_a_damaged_file_is_repaired_by_making_again(inside, filled):
    flip_a_byte(stored_file(filled))
    (each,) = inside.json("data", "make", "nyc_taxi", "--scale", "smoke", "--format", "json")["datasets"]
    assert each["state"] == "repaired"
    assert inside.run("data", "verify").returncode == 0


def test_quiet_leaves_the_result_alone(inside, cache):
    done = inside.run("data", "make", "nyc_taxi", "--scale", "smoke", "--quiet")
    assert done.stderr == ""
    assert "nyc_taxi" in done.stdout


def test_progress_without_a_terminal_is_lines_with_bytes(inside, cache):
    done = inside.run("data", "make", "nyc_taxi", "--scale", "smoke")
    assert "MiB nyc_taxi  elapsed" in done.stderr
    assert done.stderr.count("[100%]") == 1


def broken(recipe, number):
    """The recipe, one file of which cannot be made."""

    def row_groups(parameters, file, seed):
        if file.index == number:
            raise ZeroDivisionError("no such luck")
        yield from recipe.row_groups(parameters, file, seed)

    return replace(recipe, row_groups=row_groups)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_file_that_cannot_be_made_is_named_and_other_data_sets_are_made(inside, cache, monkeypatch, jobs):
    monkeypatch.setitem(datasets._RECIPES, "nyc_taxi", broken(datasets._RECIPES["nyc_taxi"], 2))
    done = inside.run("data", "make", *NAMES, "--scale", "smoke", "--format", "json", "-n", jobs)
    assert done.returncode == 3
    named = "cannot make yellow_tripdata_2019-03.parquet of data set nyc_taxi: ZeroDivisionError: no such luck"
    assert done.stderr.count(named) == 1
    states = {each["name"]: (each["state"], each["reason"]) for each in json.loads(done.stdout)["datasets"]}
    assert states == {"citibike": ("made", None), "era5": ("made", None), "nyc_taxi": ("failed", named)}
    assert unfinished(cache) == []
    assert not list(cache.glob("nyc_taxi-*"))


def test_a_process_that_dies_is_a_failure_with_the_name_of_its_file(inside, cache, monkeypatch):
    recipe = datasets._RECIPES["nyc_taxi"]

    def row_groups(parameters, file, seed):
        import os

        os._exit(1)

    monkeypatch.setitem(datasets._RECIPES, "nyc_taxi", replace(recipe, row_groups=row_groups))
    done = inside.run("data", "make", "nyc_taxi", "era5", "--scale", "smoke", "-n", "2")
    assert done.returncode == 3
    assert "of data set nyc_taxi: the process that made it ended" in done.stderr
    assert unfinished(cache) == []


def test_without_a_cluster_the_files_are_made_all_the_same(inside, cache, monkeypatch):
    import distributed

    def refuse(**options):
        raise OSError("no ports left")

    monkeypatch.setattr(distributed, "LocalCluster", refuse)
    done = inside.run("data", "make", "nyc_taxi", "era5", "--scale", "smoke", "-n", "2")
    assert done.returncode == 0
    assert "warning: no local cluster (no ports left)" in done.stderr
    assert folder_of(cache, "nyc_taxi").is_dir()


def test_a_missing_library_is_an_error_of_what_was_named_and_a_remark_on_everything(inside, filled, monkeypatch):
    for name in datasets.names():
        if name not in NAMES:
            monkeypatch.delitem(datasets._RECIPES, name)
    odd = replace(datasets._RECIPES["era5"], requires={"no_such_module": "no-such-package"})
    monkeypatch.setitem(datasets._RECIPES, "era5", odd)
    done = inside.run("data", "make", "era5", "--scale", "smoke")
    assert done.returncode == 3
    assert "data set era5 needs no-such-package" in done.stderr
    assert "pip install no-such-package" in done.stderr
    done = inside.run("data", "make", "--all", "--scale", "smoke", "--format", "json")
    assert done.returncode == 0
    assert "warning: data set era5 needs no-such-package" in done.stderr
    states = {each["name"]: each["state"] for each in json.loads(done.stdout)["datasets"]}
    assert states == {"citibike": "was there", "era5": "failed", "nyc_taxi": "was there"}


def test_a_folder_that_cannot_be_written_and_a_full_disk_are_errors_with_a_hint(inside, cache, monkeypatch):
    cache.write_text("not a folder")
    done = inside.run("data", "make", "nyc_taxi", "--scale", "smoke")
    assert done.returncode == 3
    assert "cannot write data set nyc_taxi to" in done.stderr
    assert "CRT_DATA" in done.stderr
    cache.unlink()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    done = inside.run("data", "make", "nyc_taxi", "era5", "--scale", "smoke")
    assert done.returncode == 3
    assert "2 data sets need about" in done.stderr
    assert "1000 B are free" in done.stderr
    assert unfinished(cache) == []


def test_a_disk_that_fills_up_under_two_processes_leaves_nothing_unfinished(crt, tmp_path):
    crt.environment["CRT_DATA"] = str(tmp_path / "cache")
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "from coiled_runtime_cli.__main__ import main\nmain()"
    )
    crt.command = lambda *arguments: [sys.executable, "-c", code, *arguments]
    done = crt.run("data", "make", "nyc_taxi", "nuclei", "--scale", "smoke", "-n", "2")
    assert done.returncode == 3, done.stderr
    assert "no space left in" in done.stderr
    assert "nuclei" in done.stdout
    assert unfinished(tmp_path / "cache") == []
    assert not list((tmp_path / "cache").glob("nyc_taxi-*"))
    assert list((tmp_path / "cache").glob("nuclei-*"))


@pytest.mark.parametrize("everything", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_making_that_is_killed_at_any_moment_is_completed_by_the_next(crt, tmp_path, everything):
    generator = random.Random(f"kill {everything}")
    cache = tmp_path / "cache"
    crt.environment["CRT_DATA"] = str(cache)
    names = ["ookla_hive", "nyc_taxi", "spark_genomes", "uber_lyft"]
    for _ in range(3):
        child = crt.start("data", "make", *names, "--scale", "smoke", "-n", "2")
        # at a moment of the work, not of the start: from the first byte on
        target = generator.randrange(1, 8_000_000)
        deadline = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < deadline and written(cache) < target:
            time.sleep(0.002)
        processes = [psutil.Process(child.pid)] if child.poll() is None else []
        with contextlib.suppress(psutil.NoSuchProcess):
            processes += processes[0].children(recursive=True) if processes and everything else []
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        child.communicate(timeout=60)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and any(str(cache) in " ".join(each) for each in open_files_of_python()):
            time.sleep(0.1)
        for each in cache.glob("[a-z]*-*"):  # what is in place is whole
            manifest = read_manifest(each)
            assert manifest is not None
            assert all(harm is None for _, harm in harms(each, manifest.files))
    assert crt.run("data", "make", *names, "--scale", "smoke").returncode == 0
    told = crt.json("data", "verify", "--format", "json")
    assert {each["name"]: each["state"] for each in told["datasets"]} == dict.fromkeys(names, "intact")
    assert crt.run("data", "prune").returncode == 0
    assert unfinished(cache) == []


def written(folder):
    """Bytes below a folder that others are writing to and moving things in."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(parent, name)).st_size
    return total


def open_files_of_python():
    for process in psutil.process_iter(["name"]):
        if "python" in (process.info["name"] or ""):
            with contextlib.suppress(psutil.Error):
                yield [each.path for each in process.open_files()]


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_leaves_nothing_unfinished_and_says_one_word(crt, tmp_path, jobs):
    cache = tmp_path / "cache"
    child = pexpect.spawn(
        sys.executable,
        [*crt.command("data", "make", "ookla_hive", "h2o_join", "--scale", "0.3", "-n", jobs)[1:]],
        dimensions=(24, 80),
        cwd=str(crt.folder),
        env={**crt.environment, "TERM": "xterm", "CRT_DATA": str(cache), "NO_COLOR": "1"},
        encoding="utf-8",
        timeout=60,
    )
    while written(cache) < 1_000_000:
        time.sleep(0.01)
    child.sendintr()  # as a terminal does: to all processes of the group
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert "warning: interrupted" in child.before
    assert "Traceback" not in child.before
    assert "distributed" not in child.before
    assert unfinished(cache) == []


def test_listing_and_pruning_do_not_mind_data_that_are_being_made(crt, tmp_path):
    crt.environment["CRT_DATA"] = str(tmp_path / "cache")
    child = crt.start("data", "make", "sentinel2", "landsat", "zarr_cube", "era5", "--scale", "smoke", "-n", "1")
    try:
        while child.poll() is None:
            for command in (("list", "--scale", "smoke"), ("prune",)):
                done = crt.run("data", *command)
                assert done.returncode == 0, done.stderr
    finally:
        child.communicate(timeout=60)
    assert child.returncode == 0
    assert crt.run("data", "verify").returncode == 0
