"""`crt data verify`: damage is found, told, and repaired."""

import json
import shutil
from pathlib import Path

import pytest
from cached_data import flip_a_byte, folder_of, stored_file, truncate

from coiled_runtime_cli import datasets
from coiled_runtime_cli.datasets import damage, inventory


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


def test_what_is_pruned_while_it_is_verified_is_no_damage(filled):
    found = inventory.folders(datasets.recipes(), filled)
    shutil.rmtree(folder_of(filled, "nyc_taxi"))
    told = [each for each in damage.verify(found) if isinstance(each, damage.Verdict)]
    assert [each.folder.name for each in told] == ["citibike", "era5"]
    assert not any(each.harms for each in told)


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
