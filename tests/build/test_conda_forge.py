"""Solving against real metadata: a part of what conda-forge had, with its own dependencies and conflicts."""

import gzip
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from recipes import put_recipe

SAMPLE = Path(__file__).parent / "data" / "conda-forge-sample.json.gz"
PINS = ("dask ==2026.1.1", "distributed ==2026.1.1", "numpy ==2.3.5", "pandas ==2.3.3", "xarray", "pip")


@pytest.fixture(scope="module")
def conda_forge(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conda-forge")
    for subdir, document in json.loads(gzip.decompress(SAMPLE.read_bytes()))["channel"].items():
        (folder / subdir).mkdir()
        (folder / subdir / "repodata.json").write_text(json.dumps(document))
    return folder


def checked(crt, channel, pins, *arguments):
    folder = put_recipe(crt, python=">=3.11,<3.13")
    text = (folder / "meta.yaml").read_text()
    start, end = text.index("    - dask"), text.index("test:")
    (folder / "meta.yaml").write_text(text[:start] + "".join(f"    - {each}\n" for each in pins) + "\n" + text[end:])
    done = crt.run(
        "build",
        "--check",
        "-c",
        channel,
        "--override-channels",
        "--platform",
        "linux-64",
        "--replace",
        "--format",
        "json",
        *arguments,
    )
    return done, json.loads(done.stdout)


def words(told):
    return {each["python"]: each["word"] for each in told["checks"] if each["what"] == "solve"}


def test_pins_of_conda_forge_are_solved_and_what_cannot_be_fetched_is_not_verified(inside, conda_forge):
    done, told = checked(inside, conda_forge, PINS, "--python", "3.12")
    assert words(told) == {"3.12": "verified"}
    assert told["check"] == "not verified"
    assert done.returncode == 5


def test_dask_and_distributed_that_do_not_fit_are_told_as_such(inside, conda_forge):
    pins = [each.replace("distributed ==2026.1.1", "distributed ==2025.12.0") for each in PINS]
    done, told = checked(inside, conda_forge, pins, "--python", "3.12")
    assert done.returncode == 1
    (reason,) = told["reasons"]
    assert reason["pins"] == ["dask ==2026.1.1", "distributed ==2025.12.0"]
    assert any(each.startswith("dask 2026.1.1 needs distributed >=2026.1.1") for each in reason["because"])
    # what is advised is tried: either change alone lets the rest be had
    for change in reason["changes"]:
        name, version = change["name"], change["version"]
        mended = [f"{name} =={version}" if each.split()[0] == name else each for each in pins]
        assert words(checked(inside, conda_forge, mended, "--python", "3.12")[1]) == {"3.12": "verified"}
    assert {each["name"] for each in reason["changes"]} == {"dask", "distributed"}


def test_a_version_that_is_not_there_is_told_with_the_newest(inside, conda_forge):
    pins = [each.replace("pandas ==2.3.3", "pandas ==9.9") for each in PINS]
    _, told = checked(inside, conda_forge, pins, "--python", "3.12")
    (reason,) = told["reasons"]
    assert reason["because"] == ["no channel has pandas ==9.9 for linux-64: the newest is 2.3.3"]
    assert reason["changes"] == [{"name": "pandas", "version": "2.3.3"}]
