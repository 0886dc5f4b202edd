"""`crt release pins`: what is behind, withdrawn, vulnerable or slower, and the recipe with newer pins."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "build"))
from channels import metadata_channel, subdir_here
from measured import put_sessions
from recipes import put_recipe


def pins(crt, index, *arguments, **options):
    return crt.run("release", "pins", "--index-url", index.url, *arguments, **options)


def by_name(done):
    return {each["name"]: each for each in json.loads(done.stdout)["pins"]}


@pytest.fixture
def filled(index):
    index.add("dask", "2026.7.1")
    index.add("dask", "2026.8.0", uploaded="2026-08-24T19:21:25.906788Z")
    index.add("dask", "2026.9.0")
    index.add("dask", "2026.10.0", requires_python=">=3.13")
    index.add("dask", "2026.11.0rc1")
    index.add("distributed", "2026.8.0")
    index.add("distributed", "2026.9.0", yanked="a mistake")
    return index


def test_newer_releases_are_those_for_all_pythons_of_the_recipe(inside, filled):
    put_recipe(inside, python=">=3.11,<3.14")
    found = by_name(pins(inside, filled, "--format", "json"))
    assert found["dask"]["newest"] == "2026.9.0"
    assert found["dask"]["newest_of_all"] == "2026.10.0"
    assert found["dask"]["behind"]
    assert found["dask"]["released"] == "2026-08-24T19:21:25.906788+00:00"
    assert found["dask"]["age"] > 0
    assert found["distributed"]["newest"] == "2026.8.0"  # what was withdrawn is none
    assert not found["distributed"]["behind"]
    assert found["openssl"]["why"] == "only conda has it"
    table = pins(inside, filled).stdout
    assert "2026.9.0 (2026.10.0 for newer Pythons)" in table
    assert "1 of 2 exact pins are behind" in table


def test_what_is_said_against_a_version_is_shown_and_gated(inside, index):
    put_recipe(inside)
    index.add("dask", "2026.8.0", yanked=True)
    index.add(
        "distributed",
        "2026.8.0",
        vulnerabilities=[
            {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-0001"]},
            {"id": "PYSEC-2026-2", "aliases": [], "withdrawn": "2026-01-01"},
        ],
    )
    found = by_name(pins(inside, index, "--format", "json"))
    assert found["dask"]["yanked"]
    assert found["distributed"]["advisories"] == ["CVE-2026-0001"]
    done = pins(inside, index, "--check")
    assert done.returncode == 1
    assert "CVE-2026-0001" in done.stdout
    assert "yanked" in done.stdout


def test_with_nothing_against_any_pin_the_check_passes(inside, index):
    put_recipe(inside)
    index.add("dask", "2026.8.0")
    index.add("distributed", "2026.8.0")
    assert pins(inside, index, "--check").returncode == 0
    index.add("dask", "2026.9.0")
    assert pins(inside, index, "--check").returncode == 1


def test_the_newest_are_written_and_the_layout_stays(inside, filled):
    folder = put_recipe(inside, python=">=3.11,<3.14")
    before = (folder / "meta.yaml").read_text()
    would = pins(inside, filled, "--latest", "--dry-run")
    assert would.returncode == 0
    assert "would be changed" in would.stderr
    assert (folder / "meta.yaml").read_text() == before
    assert pins(inside, filled, "--latest").returncode == 0
    after = (folder / "meta.yaml").read_text()
    # the one version, where it stood: in the default of the variable
    assert after == before.replace('"DASK_VERSION", "2026.8.0"', '"DASK_VERSION", "2026.9.0"')
    again = pins(inside, filled, "--latest")
    assert "has them already" in again.stdout
    assert (folder / "meta.yaml").read_text() == after


def test_single_pins_are_set(inside, filled):
    folder = put_recipe(inside)
    done = pins(inside, filled, "--set", "distributed=2026.7.1", "--set", "openssl=>=3.2", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["changed"] == [
        {"name": "distributed", "before": "==2026.8.0", "after": "==2026.7.1"},
        {"name": "openssl", "before": ">3.0", "after": ">=3.2"},
    ]
    text = (folder / "meta.yaml").read_text()
    assert "    - distributed ==2026.7.1\n" in text
    assert "    - openssl >=3.2  # any of them\n" in text
    assert filled.asked == []  # nobody had to be asked
    wrong = pins(inside, filled, "--set", "distributde=1.0")
    assert wrong.returncode == 2
    assert "did you mean 'distributed'" in wrong.stderr
    assert (folder / "meta.yaml").read_text() == text


def test_line_ends_of_windows_stay(inside, filled):
    folder = put_recipe(inside)
    text = (folder / "meta.yaml").read_text()
    (folder / "meta.yaml").write_bytes(text.replace("\n", "\r\n").encode())
    assert pins(inside, filled, "--set", "distributed=2026.7.1").returncode == 0
    content = (folder / "meta.yaml").read_bytes()
    assert content.count(b"\r\n") == content.count(b"\n") == text.count("\n")
    assert b"distributed ==2026.7.1" in content


def test_an_index_that_stumbles_is_asked_again_and_one_that_is_down_is_4(inside, index):
    put_recipe(inside)
    index.add("dask", "2026.8.0")
    index.add("distributed", "2026.8.0")
    index.broken = 1
    assert pins(inside, index).returncode == 0
    index.broken = 10_000
    done = pins(inside, index)
    assert done.returncode == 4
    assert "does not answer" in done.stderr
    assert inside.run("release", "pins", "--index-url", "http://127.0.0.1:9").returncode == 4
    assert inside.run("release", "pins", "--index-url", "ftp://nowhere").returncode == 4


def test_channels_are_an_index_too(inside, tmp_path, index):
    put_recipe(inside)
    index.add("dask", "2026.8.0", vulnerabilities=[{"id": "PYSEC-1", "aliases": []}])
    rows = [("dask", "2026.8.0", []), ("dask", "2026.8.2", []), ("distributed", "2026.8.0", [])]
    channel = metadata_channel(tmp_path / "c", {"noarch": rows, subdir_here(): [("openssl", "3.5.0", [])]})
    done = inside.run("release", "pins", "--index", "conda", "-c", channel, "--format", "json", timeout=120)
    assert done.returncode == 0, done.stderr
    found = by_name(done)
    assert found["dask"]["newest"] == "2026.8.2"
    assert found["openssl"]["newest"] == "3.5.0"
    assert found["python"]["why"] == "no channel has it"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--latest", "--set", "dask=1.0"], "contradict"),
        (["--dry-run"], "--latest and --set"),
        (["-c", "conda-forge"], "--index conda"),
        (["--set", "dask"], "NAME=VERSION"),
    ],
)
def test_wrong_flags_are_told(inside, arguments, expected):
    put_recipe(inside)
    done = inside.run("release", "pins", *arguments)
    assert done.returncode == 2
    assert expected in done.stderr


def test_without_a_recipe_nothing_is_edited(inside):
    done = inside.run("release", "pins", "--set", "dask=1.0")
    assert done.returncode == 2
    assert "no recipe here" in done.stderr


def test_a_regression_of_this_database_speaks_against_the_version_that_it_began_with(inside, index):
    put_recipe(inside)
    index.add("dask", "2026.8.0")
    index.add("distributed", "2026.8.0")
    put_sessions(inside, slower_by=1.2)
    found = by_name(pins(inside, index, "--format", "json"))
    (text,) = found["dask"]["regressions"]
    assert "duration x1." in text
    assert found["distributed"]["regressions"] == []
    assert pins(inside, index, "--check").returncode == 1
