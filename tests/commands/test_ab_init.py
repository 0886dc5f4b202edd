"""`crt ab init`: an example, or arms that are named."""

from __future__ import annotations

from typing import Any

import pytest

from coiled_runtime_cli import config


def test_an_example_is_written_once_and_can_be_planned(inside: Any) -> None:
    done = inside.run("ab", "init")
    assert done.returncode == 0
    assert sorted(each.name for each in (inside.folder / "ab").iterdir()) == [
        "baseline.toml",
        "experiment.toml",
        "newer.toml",
    ]
    assert "crt ab run ab --dry-run" in done.stderr
    again = inside.run("ab", "init")
    assert again.returncode == 2
    assert "nothing is overwritten" in again.stderr


def test_arms_that_are_named_become_files_that_say_the_same(inside: Any) -> None:
    recipe = inside.folder / "base"
    recipe.mkdir()
    (recipe / "meta.yaml").write_text(
        "package:\n  name: x\n  version: 1.0.0\nbuild:\n  noarch: python\n"
        "requirements:\n  run:\n    - python >=3.11\n    - dask ==2026.7.0\n    - msgpack-python ==1.0\n"
    )
    newer = 'dask @ git+https://example.com/a\\b"c@main'
    done = inside.run("ab", "init", "arms", "--arm", "baseline=base", "--arm", f"newer={newer}", "--suite", "parquet")
    assert done.returncode == 0, done.stderr
    folder = inside.folder / "arms"
    assert config.read_toml(folder / "baseline.toml") == {"packages": ["dask==2026.7.0", "msgpack==1.0"]}
    assert config.read_toml(folder / "newer.toml") == {"packages": [newer]}
    assert config.read_toml(folder / "experiment.toml") == {"suites": ["parquet"]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--arm", "a=dask", "--arm", "b=dask"], "no arm is named 'baseline'"),
        (["--arm", "baseline=dask"], "one arm only"),
        (["--arm", "baseline=dask", "--arm", "../x=dask"], "cannot name an arm"),
        (["--arm", "baseline"], "expected NAME=WHAT"),
        (["--suite", "parquet"], "--suite is beside --arm"),
    ],
)
def test_arms_that_cannot_be_are_refused_and_nothing_is_written(inside: Any, arguments: list[str], says: str) -> None:
    done = inside.run("ab", "init", "arms", *arguments)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert not (inside.folder / "arms").exists()
