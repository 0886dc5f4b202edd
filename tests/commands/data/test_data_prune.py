"""`crt data prune`: what nothing reads goes; what is used, and what is not ours, stays."""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cached_data import SMOKE, folder_of

from coiled_runtime_cli import datasets
from coiled_runtime_cli.datasets import cache as cached
from coiled_runtime_cli.datasets import locks
from coiled_runtime_cli.datasets.taxi import NYC_TAXI

fcntl = pytest.importorskip("fcntl", reason="needs POSIX locks")


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
    datasets.prepare("nyc_taxi", scale=SMOKE, cache=filled)
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
    monkeypatch.setitem(datasets._RECIPES, "other", replace(NYC_TAXI, name="other"))
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
    datasets.prepare("nyc_taxi", scale=SMOKE, cache=filled)
    old = aged(filled, "nyc_taxi", monkeypatch, version=2)
    (kept,) = inside.json("data", "prune", "--format", "json")["folders"]
    assert kept["kept"] == "a process is reading it"
    os.close(locks._held.pop(old))
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
