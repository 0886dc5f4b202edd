from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from written import write

from coiled_runtime_cli import config
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def test_the_nearest_project_file_upwards_is_read(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "crt.toml", 'label = "far"')
    near = write(tmp_path / "a/pyproject.toml", '[tool.crt]\nlabel = "near"')
    write(tmp_path / "a/b/pyproject.toml", '[project]\nname = "has nothing of crt in tool"')
    (tmp_path / "a/b/c").mkdir()
    read = config.load(folder=tmp_path / "a/b/c", environ=home)
    assert (read.label, read.origin("label")) == ("near", str(near))


def test_crt_toml_wins_over_pyproject_in_the_same_folder(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "crt.toml", 'label = "own"')
    write(tmp_path / "pyproject.toml", '[tool.crt]\nlabel = "shared"')
    assert config.load(folder=tmp_path, environ=home).label == "own"


def test_a_broken_pyproject_of_another_project_is_none_of_our_business(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "pyproject.toml", "[project\nname = ")
    assert config.load(folder=tmp_path, environ=home).label == "local"


def test_a_tool_crt_that_is_no_table_is_refused(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "pyproject.toml", "[tool]\ncrt = 3")
    with pytest.raises(UsageError, match=r"pyproject\.toml: tool\.crt: expected a table, not 3"):
        config.load(folder=tmp_path, environ=home)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path, home: dict[str, str]) -> None:
    (tmp_path / "crt.toml").write_bytes(b"label = '\xff'")
    with pytest.raises(UsageError, match="is not UTF-8"):
        config.load(folder=tmp_path, environ=home)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, home: dict[str, str]) -> None:
    write(tmp_path / "crt.toml", "").chmod(0)
    with pytest.raises(UsageError, match="cannot be read: Permission denied"):
        config.load(folder=tmp_path, environ=home)
