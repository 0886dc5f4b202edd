from __future__ import annotations

from pathlib import Path

import pytest
from written import write

from coiled_runtime_cli import config
from coiled_runtime_cli.errors import UsageError


def test_keys_may_be_written_with_dashes(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "crt.toml", 'max-time = "1h30m"\nprecision = "2%"\ntimeout = 90')
    read = config.load(folder=tmp_path, environ=home)
    assert (read.max_time, read.precision, read.timeout) == (5400, 0.02, 90)


def test_relative_paths_start_from_the_file_that_says_them(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "crt.toml", 'suites = "mine"\ndb = "history/benchmark.db"\nruns = "journals"')
    (tmp_path / "deep").mkdir()
    read = config.load(folder=tmp_path / "deep", environ={**home, "CRT_DATA": "cache"})
    assert read.suites == tmp_path / "mine"
    assert read.db == str(tmp_path / "history/benchmark.db")
    assert read.runs == tmp_path / "journals"
    assert read.data == tmp_path / "deep/cache"


def test_a_relative_sqlite_url_starts_from_its_file_too(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "crt.toml", 'db = "sqlite:///history/benchmark.db?timeout=5"')
    read = config.load(folder=tmp_path, environ=home)
    assert read.db == f"sqlite:///{tmp_path}/history/benchmark.db?timeout=5"
    assert read.runs == tmp_path / "history/crt-runs"


def test_folder_and_bundle_of_reports_start_from_the_file_that_says_them(tmp_path: Path, home: dict[str, str]) -> None:
    write(
        tmp_path / "home/.config/crt/config.toml", '[report]\nplotly = "~nobody-of-this-name/plotly.js"\ntitle = "Ours"'
    )
    write(tmp_path / "crt.toml", '[report]\nout = "there"\ndays = 5')
    (tmp_path / "deep").mkdir()
    read = config.load(folder=tmp_path / "deep", environ=home)
    bundle = tmp_path / "home/.config/crt/~nobody-of-this-name/plotly.js"
    assert read.report == {"out": str(tmp_path / "there"), "plotly": str(bundle), "title": "Ours", "days": 5}
    write(tmp_path / "crt.toml", '[report]\nout = "~/there"')
    assert config.load(folder=tmp_path, environ=home).report["out"] == str(Path("~/there").expanduser())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('sclae = "smoke"', "crt.toml: unknown key 'sclae': did you mean 'scale'?"),
        ('scale = "hug"', "crt.toml: scale: unknown scale 'hug'"),
        ("scale = true", "crt.toml: scale: expected a text that is not empty, not True"),
        ('timeout = "soon"', "crt.toml: timeout: expected seconds above 0"),
        ("timeout = 0", "crt.toml: timeout: expected seconds above 0"),
        ("timeout = inf", "crt.toml: timeout: expected seconds above 0"),
        ("timeout = true", "crt.toml: timeout: expected seconds above 0"),
        ("timeout = [1]", "crt.toml: timeout: expected seconds above 0"),
        ('precision = "120%"', "crt.toml: precision: expected a share between 0 and 1"),
        ('label = ""', "crt.toml: label: expected a text that is not empty"),
        ('label = "a\\u001b[31m"', "crt.toml: label: expected a text without control characters"),
        ("db = 3", "crt.toml: db: expected a path, not 3"),
        ('suites = ""', "crt.toml: suites: expected a path, not ''"),
        ('clusters = "big"', "crt.toml: clusters: expected a table, not 'big'"),
        ("[clusters]\nbig = 3", "crt.toml: clusters.big: expected a table, not 3"),
        ("[detect]\nmin_effect = 0.1", "crt.toml: detect.min_effect: detect has no keys"),
        ('[bisect]\nrepo = "../dask"', "crt.toml: bisect.repo: bisect has no keys"),
        ("[sync]\n[sync]", "crt.toml: is not valid TOML"),
        ("label = ", "crt.toml: is not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_file_key_and_expectation(
    tmp_path: Path, home: dict[str, str], text: str, message: str
) -> None:
    write(tmp_path / "crt.toml", text)
    with pytest.raises(UsageError) as caught:
        config.load(folder=tmp_path, environ=home)
    assert message in caught.value.message
    assert str(tmp_path) in caught.value.message
