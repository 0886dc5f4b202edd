"""`crt data list`: what there is, its size, seed and hash."""

import hashlib

import pytest
from cached_data import NAMES, folder_of, stored_file, truncate

from coiled_runtime_cli import datasets
from coiled_runtime_cli.core.quantity import bytes_text
from coiled_runtime_cli.datasets import files as making


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
    assert f"1 of 1 made at scale smoke: {bytes_text(each['bytes'])} in {filled}" in done.stdout


def test_a_list_reads_no_data_and_still_sees_a_file_that_is_cut_off(inside, filled, monkeypatch):
    monkeypatch.setattr(making, "sha256", lambda path: pytest.fail(f"{path} was read"))
    truncate(stored_file(filled))
    states = {
        each["name"]: each["state"]
        for each in inside.json("data", "list", *NAMES, "--scale", "smoke", "--format", "json")["datasets"]
    }
    assert states == {"citibike": "made", "era5": "made", "nyc_taxi": "damaged"}


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
