"""`crt data`: what there is, making it, proving it, and freeing the space."""

import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pexpect
import psutil
import pytest

from coiled_runtime_cli import datasets
from coiled_runtime_cli.datasets import cache as cached

fcntl = pytest.importorskip("fcntl", reason="needs POSIX locks")

#: Small data sets of each format.
NAMES = ("citibike", "era5", "nyc_taxi")


@pytest.fixture
def cache(inside):
    """Where the data go; links to data that were made once, since most tests only look."""
    folder = inside.folder / "data sets"
    inside.environment["CRT_DATA"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made once")
    for event in datasets.make(NAMES, scale=datasets_scale("smoke"), cache=folder, workers=1):
        assert not isinstance(event, cached.Failed), event.error
    return folder


@pytest.fixture
def filled(cache, made_once):
    shutil.copytree(made_once, cache)
    return cache


def datasets_scale(text):
    from coiled_runtime_cli.core.scale import Scale

    return Scale.parse(text)


def folder_of(cache, name):
    (found,) = cache.glob(f"{name}-*")
    return found


def stored_file(cache, name="nyc_taxi"):
    """A file of the data set."""
    return min(each for each in folder_of(cache, name).rglob("*") if each.is_file() and each.suffix != ".json")


def truncate(path):
    path.write_bytes(path.read_bytes()[:-10])


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def unfinished(cache):
    return [each.name for each in cache.iterdir() if ".partial-" in each.name or ".old-" in each.name]


# list


def test_an_empty_cache_is_a_list_of_what_could_be_made_and_stays_empty(inside, cache):
    told = inside.json("data", "list", "--format", "json")
    assert list(told) == ["schema", "cache", "scale", "datasets", "others"]
    assert (told["schema"], told["cache"], told["scale"], told["others"]) == (1, str(cache), "laptop", [])
    assert [each["name"] for each in told["datasets"]] == list(datasets.names())
    for each in told["datasets"]:
        assert (each["state"], each["approximate"], each["sha256"], each["used"]) == ("not made", True, None, None)
        assert each["rows"] > 0
        assert each["bytes"] > 0
        assert each["summary"]
    assert not cache.exists()


def test_what_is_made_is_listed_with_its_size_and_the_hash_that_sha256sum_gives(inside, filled):
    (each,) = inside.json("data", "list", "nyc_taxi", "--scale", "smoke", "--format", "json")["datasets"]
    folder = folder_of(filled, "nyc_taxi")
    files = sorted(folder.glob("*.parquet"))
    lines = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
    assert each["sha256"] == hashlib.sha256(lines.encode()).hexdigest()
    assert each["bytes"] == sum(file.stat().st_size for file in files)
    assert (each["files"], each["rows"], each["seed"]) == (len(files), 80_000, 20190101)
    assert (each["state"], each["approximate"], each["location"]) == ("made", False, str(folder))
    done = inside.run("data", "list", "nyc_taxi", "--scale", "smoke")
    assert each["sha256"][:12] in done.stdout
    assert f"1 of 1 made at scale smoke: {datasets_text(each['bytes'])} in {filled}" in done.stdout


def datasets_text(size):
    from coiled_runtime_cli.core.quantity import bytes_text

    return bytes_text(size)


def test_a_list_reads_no_data_and_still_sees_a_file_that_is_cut_off(inside, filled, monkeypatch):
    monkeypatch.setattr(cached.making, "sha256", lambda path: pytest.fail(f"{path} was read"))
    truncate(stored_file(filled))
    states = {
        each["name"]: each["state"]
        for each in inside.json("data", "list", *NAMES, "--scale", "smoke", "--format", "json")["datasets"]
    }
    assert states == {"citibike": "made", "era5": "made", "nyc_taxi": "damaged"}


@pytest.mark.parametrize("text", ["", "{", '{"schema": 1, "files": [{}]}', "[]", "null", "[" * 100_000])
def test_a_manifest_that_is_garbage_is_damage_that_verify_finds_and_repairs(inside, filled, text):
    (folder_of(filled, "nyc_taxi") / "manifest.json").write_text(text)
    (listed,) = inside.json("data", "list", "nyc_taxi", "--scale", "smoke", "--format", "json")["datasets"]
    assert listed["state"] == "damaged"
    assert inside.run("data", "prune", "--no-keep-current", "nyc_taxi").returncode == 0
    assert folder_of(filled, "nyc_taxi").exists()  # nothing proves that it is ours to remove
    assert inside.run("data", "verify", "nyc_taxi").returncode == 1
    assert inside.run("data", "verify", "nyc_taxi", "--repair").returncode == 0
    assert inside.run("data", "verify", "nyc_taxi").returncode == 0


def test_a_manifest_cannot_lead_out_of_its_folder(inside, filled):
    manifest = folder_of(filled, "nyc_taxi") / "manifest.json"
    content = json.loads(manifest.read_text())
    content["files"][0]["path"] = "../../secret"
    manifest.write_text(json.dumps(content))
    done = inside.run("data", "verify", "nyc_taxi")
    assert done.returncode == 1
    assert "no manifest" in done.stdout


def test_at_full_scale_the_real_data_are_listed_by_their_address(inside, cache):
    (each,) = inside.json("data", "list", "nyc_taxi", "--scale", "full", "--format", "json")["datasets"]
    assert each["state"] == "remote"
    assert each["location"].startswith("s3://")
    assert (each["rows"], each["bytes"], each["seed"]) == (None, None, None)
    assert each["location"] in inside.run("data", "list", "nyc_taxi", "--scale", "full").stdout
    done = inside.json("data", "make", "nyc_taxi", "--scale", "full", "--format", "json")
    assert done["datasets"][0]["state"] == "remote"
    assert not cache.exists()


def test_every_format_has_a_row_for_each_data_set(inside, filled):
    for form, first in [("csv", "name,rows,bytes,"), ("markdown", "| data set |"), ("github", "| data set |")]:
        told = inside.run("data", "list", *NAMES, "--scale", "smoke", "--format", form).stdout
        assert told.startswith(first)
        assert all(sum(name in line for line in told.splitlines()) == 1 for name in ("citibike", "era5", "nyc_taxi"))


@pytest.mark.parametrize("command", ["list", "make", "verify", "prune"])
def test_an_unknown_name_names_the_nearest(inside, cache, command):
    done = inside.run("data", command, "nyc_taxis")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown data set 'nyc_taxis': did you mean 'nyc_taxi'?" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("make",), "no data set was named"),
        (("make", "--all", "nyc_taxi"), "--all is every data set: name none"),
        (("make", "nyc_taxi", "--scale", "huge"), "unknown scale 'huge'"),
        (("make", "nyc_taxi", "-n", "0"), "0 is not in the range"),
        (("prune", "--older-than", "soon"), "--older-than soon: expected a time"),
    ],
)
def test_wrong_usage_says_what_to_type(inside, cache, arguments, message):
    done = inside.run("data", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "hint:" in done.stderr or "expected a time" in done.stderr or "unknown scale" in done.stderr
    assert not cache.exists()


# make


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
    monkeypatch.setattr(cached.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
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
            manifest = cached.read_manifest(each)
            assert manifest is not None
            assert all(harm is None for _, harm in cached.harms(each, manifest.files))
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


# verify


def test_nothing_to_verify_is_a_result_too(inside, cache):
    assert inside.json("data", "verify", "--format", "json")["datasets"] == []
    assert inside.run("data", "verify").returncode == 0
    assert inside.json("data", "prune", "--format", "json")["folders"] == []


def test_damage_is_found_told_by_file_and_repaired(inside, filled):
    for name, harm in [("nyc_taxi", truncate), ("era5", Path.unlink), ("citibike", flip_a_byte)]:
        harm(stored_file(filled, name))
    done = inside.run("data", "verify", "--format", "json")
    assert done.returncode == 1
    told = {each["name"]: each for each in json.loads(done.stdout)["datasets"]}
    assert {each["state"] for each in told.values()} == {"damaged"}
    (reason,) = [each["reason"] for each in told["nyc_taxi"]["damaged"]]
    assert "bytes instead of" in reason
    assert told["era5"]["damaged"][0]["reason"] == "missing"
    assert told["citibike"]["damaged"][0]["reason"] == "other content"
    shown = inside.run("data", "verify")
    assert shown.returncode == 1
    assert "hint: crt data verify --repair citibike era5 nyc_taxi" in shown.stderr
    assert stored_file(filled, "citibike").name in shown.stdout
    repaired = inside.run("data", "verify", "--repair")
    assert repaired.returncode == 0
    assert repaired.stdout.count("repaired") == 3
    assert inside.run("data", "verify").returncode == 0


def test_what_is_verified_may_be_one_data_set_or_one_scale(inside, filled):
    truncate(stored_file(filled))
    assert inside.run("data", "verify", "era5", "citibike").returncode == 0
    assert inside.run("data", "verify", "--scale", "laptop").returncode == 0
    assert inside.run("data", "verify", "--scale", "smoke").returncode == 1


def test_a_multiple_of_laptop_is_repaired_from_its_manifest(inside, cache):
    assert inside.run("data", "make", "nyc_taxi", "--scale", "0.01").returncode == 0
    truncate(stored_file(cache))
    assert inside.run("data", "verify").returncode == 1
    assert inside.run("data", "verify", "--repair").returncode == 0
    assert inside.run("data", "verify", "--scale", "0.01").returncode == 0


# prune


def aged(cache, name, monkeypatch, **changes):
    """Let the recipe change, so that the folder is one of former times; returns the folder."""
    folder = folder_of(cache, name)
    recipe = datasets._RECIPES[name]
    monkeypatch.setitem(datasets._RECIPES, name, replace(recipe, **changes))
    return folder


def test_prune_removes_what_nothing_reads_and_says_how_much_it_frees(inside, filled, monkeypatch):
    inside.run("data", "make", "citibike", "--scale", "0.02")
    old = aged(filled, "nyc_taxi", monkeypatch, version=2)
    monkeypatch.delitem(datasets._RECIPES, "era5")
    dead = filled / f".{folder_of(filled, 'era5').name}.partial-dead"
    (dead / "deep").mkdir(parents=True)
    (dead / "deep" / "half.tmp").write_bytes(b"x" * 1000)
    kinds = {each["kind"] for each in inside.json("data", "list", "--format", "json")["others"]}
    assert kinds == {"current", "other scale", "old version", "no recipe", "unfinished"}
    looked = inside.json("data", "prune", "--dry-run", "--format", "json")
    assert (looked["dry_run"], len(looked["folders"])) == (True, 4)
    assert old.exists()
    assert dead.exists()
    done = inside.json("data", "prune", "--format", "json")
    assert done["freed"] == looked["freed"] > 1000
    assert all(each["removed"] and each["kept"] is None for each in done["folders"])
    assert sorted(each.name for each in filled.iterdir() if each.is_dir()) == [folder_of(filled, "citibike").name]
    assert {each.name for each in filled.iterdir() if each.name.endswith(".lock")} == {
        f".{folder_of(filled, 'citibike').name}.lock"
    }
    assert inside.json("data", "prune", "--format", "json")["freed"] == 0


def test_prune_keeps_what_today_s_recipes_make_unless_told_otherwise(inside, filled):
    assert inside.json("data", "prune", "--format", "json")["folders"] == []
    old = time.time() - 40 * 86400
    os.utime(folder_of(filled, "era5") / "manifest.json", (old, old))
    done = inside.json("data", "prune", "--no-keep-current", "--older-than", "30d", "--format", "json")
    assert [each["name"] for each in done["folders"]] == ["era5"]
    done = inside.json("data", "prune", "nyc_taxi", "--no-keep-current", "--format", "json")
    assert [each["name"] for each in done["folders"]] == ["nyc_taxi"]
    assert [each.name for each in filled.glob("[a-z]*")] == [folder_of(filled, "citibike").name]


def test_reading_a_data_set_says_when_it_was_last_used(filled):
    folder = folder_of(filled, "nyc_taxi")
    os.utime(folder / "manifest.json", (0, 0))
    cached._verified.clear()
    datasets.prepare("nyc_taxi", scale=datasets_scale("smoke"), cache=filled)
    assert (folder / "manifest.json").stat().st_mtime > 10**9


def test_a_newer_crt_s_data_are_not_pruned(inside, filled, monkeypatch):
    aged(filled, "nyc_taxi", monkeypatch, version=0)
    (each,) = [each for each in inside.json("data", "list", "--format", "json")["others"] if each["name"] == "nyc_taxi"]
    assert (each["kind"], each["stale"]) == ("newer version", False)
    assert inside.json("data", "prune", "--format", "json")["folders"] == []


def test_what_is_not_ours_is_never_touched(inside, filled, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder_of(filled, "nyc_taxi"), elsewhere / "data")
    for name in datasets.names():
        monkeypatch.delitem(datasets._RECIPES, name)
    monkeypatch.setitem(datasets._RECIPES, "other", replace(datasets_recipe(), name="other"))
    shutil.rmtree(filled)
    filled.mkdir()
    (filled / "precious").mkdir()
    (filled / "precious" / "thesis.tex").write_text("years of work")
    (filled / "notes-0123456789ab").mkdir()  # named like a data set, and none
    (filled / "renamed-0123456789ab").mkdir()
    shutil.copy(elsewhere / "data" / "manifest.json", filled / "renamed-0123456789ab")
    (filled / elsewhere.joinpath("data").name).symlink_to(elsewhere / "data")
    (filled / "nyc_taxi-0123456789ab").symlink_to(elsewhere / "data")
    (filled / ".nyc_taxi-0123456789ab.partial-link").symlink_to(elsewhere)
    (filled / ".hidden.partial-mine").mkdir()
    before = sorted(str(each) for each in tmp_path.rglob("*"))
    done = inside.json("data", "prune", "--no-keep-current", "--format", "json")
    assert (done["freed"], done["folders"]) == (0, [])
    assert sorted(str(each) for each in tmp_path.rglob("*")) == before


def datasets_recipe():
    from coiled_runtime_cli.datasets.taxi import NYC_TAXI

    return NYC_TAXI


def test_a_link_inside_a_data_set_is_removed_and_not_followed(inside, filled, tmp_path, monkeypatch):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("years of work")
    old = aged(filled, "nyc_taxi", monkeypatch, version=2)
    (old / "link").symlink_to(tmp_path / "precious")
    assert inside.json("data", "prune", "--format", "json")["folders"][0]["removed"]
    assert not old.exists()
    assert (tmp_path / "precious" / "thesis.tex").exists()


def test_what_a_process_writes_or_reads_stays(inside, filled, monkeypatch):
    old = {name: aged(filled, name, monkeypatch, version=99) for name in ("nyc_taxi", "era5")}
    partial = filled / f".{old['era5'].name}.partial-abc"
    partial.mkdir()
    with (
        (old["nyc_taxi"] / "manifest.json").open() as reader,
        (filled / f".{old['era5'].name}.lock").open("a") as writer,
    ):
        fcntl.flock(reader, fcntl.LOCK_SH)
        fcntl.flock(writer, fcntl.LOCK_EX)
        done = inside.json("data", "prune", "--format", "json")
    kept = {Path(each["folder"]).name: each["kept"] for each in done["folders"]}
    assert kept == {
        partial.name: "a process is writing it",
        old["era5"].name: "a process is writing it",
        old["nyc_taxi"].name: "a process is reading it",
    }
    assert all(each.exists() for each in (*old.values(), partial))
    assert len(inside.json("data", "prune", "--format", "json")["folders"]) == 3
    assert not any(each.exists() for each in (*old.values(), partial))


def test_a_data_set_that_is_prepared_is_being_read_until_the_process_ends(inside, filled, monkeypatch):
    cached._verified.clear()
    datasets.prepare("nyc_taxi", scale=datasets_scale("smoke"), cache=filled)
    old = aged(filled, "nyc_taxi", monkeypatch, version=2)
    (kept,) = inside.json("data", "prune", "--format", "json")["folders"]
    assert kept["kept"] == "a process is reading it"
    os.close(cached._held.pop(old))
    (gone,) = inside.json("data", "prune", "--format", "json")["folders"]
    assert gone["removed"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may remove anything")
def test_what_cannot_be_removed_is_an_error(inside, filled, monkeypatch):
    aged(filled, "nyc_taxi", monkeypatch, version=2)
    filled.chmod(0o555)
    try:
        assert inside.run("data", "prune").returncode == 3
    finally:
        filled.chmod(0o755)


# How it looks


@pytest.mark.parametrize(
    "arguments", [("list",), ("list", "--scale", "full"), ("list", "nyc_taxi"), ("verify",), ("prune", "--dry-run")]
)
def test_in_a_terminal_of_80_columns_every_line_fits(crt, made_once, tmp_path, arguments):
    cache = tmp_path / "c"
    shutil.copytree(made_once, cache)
    (cache / ".nyc_taxi-0123456789ab.partial-dead").mkdir()
    child = pexpect.spawn(
        sys.executable,
        [*crt.command("data", *arguments)[1:]],
        dimensions=(60, 80),
        cwd=str(crt.folder),
        env={**crt.environment, "TERM": "xterm", "CRT_DATA": str(cache), "NO_COLOR": "1"},
        encoding="utf-8",
        timeout=60,
    )
    child.expect(pexpect.EOF)
    lines = child.before.splitlines()
    assert max(len(line) for line in lines if str(cache) not in line) <= 80, child.before
    assert any("nyc_taxi" in line for line in lines)


@pytest.mark.parametrize("command", ["", "list", "make", "verify", "prune"])
def test_help_fits_80_columns(inside, command):
    done = inside.run("data", *command.split(), "--help")
    assert done.returncode == 0
    assert max(len(line) for line in done.stdout.splitlines()) <= 80
