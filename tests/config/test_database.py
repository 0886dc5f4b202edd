from __future__ import annotations

from pathlib import Path

import pytest

from coiled_runtime_cli import config


@pytest.mark.parametrize(
    ("db", "file"),
    [
        ("benchmark.db", "benchmark.db"),
        ("sqlite:///benchmark.db", "benchmark.db"),
        ("sqlite+pysqlite:////data/benchmark.db?mode=ro", "/data/benchmark.db"),
        ("sqlite://", None),
        (":memory:", None),
        ("postgresql://host/db", None),
    ],
)
def test_the_file_of_a_database_is_known_from_path_or_url(db: str, file: str | None) -> None:
    assert config.sqlite_file(db) == (None if file is None else Path(file))


def test_journals_of_a_server_are_kept_by_its_url_without_the_password(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    folders = {
        config.load({"db": f"postgresql://me{password}@host/runs"}, folder=tmp_path, environ=environ).runs
        for password in (":old", ":new", "")
    }
    assert len(folders) == 1
    assert folders.pop().parent == tmp_path / "state/crt/runs"
