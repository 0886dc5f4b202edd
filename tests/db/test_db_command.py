from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def crt(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("DB_NAME", "CRT_"))}
    environment |= {"HOME": str(folder), "COLUMNS": "100"}
    command = [sys.executable, "-W", "error", "-m", "coiled_runtime_cli", "db", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


def test_upgrade_makes_a_database_that_current_and_check_approve(tmp_path: Path) -> None:
    assert crt(tmp_path, "upgrade").returncode == 0
    assert (tmp_path / "benchmark.db").is_file()
    done = crt(tmp_path, "current", "--format", "json")
    found = json.loads(done.stdout)
    assert (found["schema"], found["is_head"], found["revisions"]) == (1, True, found["heads"])
    assert "(head)" in crt(tmp_path, "current").stdout
    done = crt(tmp_path, "check")
    assert (done.returncode, done.stdout) == (0, "")


def test_check_fails_where_database_and_models_differ(tmp_path: Path) -> None:
    assert crt(tmp_path, "check").returncode == 0
    assert list(tmp_path.glob("*.db")) == []
    (tmp_path / "benchmark.db").touch()
    done = crt(tmp_path, "check")
    assert (done.returncode, "not at head" in done.stdout) == (1, True)


def test_stamp_declares_a_revision(database: str, tmp_path: Path) -> None:
    assert crt(tmp_path, "stamp", "base", "--db", database).returncode == 0
    assert crt(tmp_path, "current", "--db", database).stdout == "none\n"
    assert crt(tmp_path, "stamp", "head", "--db", database).returncode == 0
    assert "(head)" in crt(tmp_path, "current", "--db", database).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["current", "--db", "missing.db"], 2, "no database at"),
        (["stamp", "head", "--db", "missing.db"], 2, "no database at"),
        (["upgrade", "--db", "."], 2, "is a folder"),
        (["upgrade", "--db", "notes.txt"], 2, "not a SQLite database"),
        (["stamp", "nosuch", "--db", "fine.db"], 2, "nosuch"),
        (["upgrade", "--db", "postgresql://u:s3cret@127.0.0.1:1/x"], 4, "cannot reach"),
    ],
)
def test_a_mistake_is_one_message_and_its_exit_code(tmp_path: Path, arguments: list[str], code: int, says: str) -> None:
    (tmp_path / "notes.txt").write_text("notes " * 100)
    crt(tmp_path, "upgrade", "--db", "fine.db")
    done = crt(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr
    assert not (tmp_path / "missing.db").exists()
