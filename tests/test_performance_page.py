"""docs/performance.md is written from rows of the suite that measures crt."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def performance(folder, *arguments):
    command = [sys.executable, str(ROOT / ".ci" / "performance.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_the_page_is_written_from_the_newest_rows_and_keeps_what_is_written_by_hand(tmp_path):
    environment = {**os.environ, "CRT_SUITES": str(ROOT / "suites")}
    # the second session has but the test that came first in the first one
    for tests, scale in (("test_help and not asv", "0.01"), ("test_help and crt and not asv", "smoke")):
        bench = [sys.executable, "-m", "coiled_runtime_cli", "bench", "toolkit/test_startup.py", "-k", tests]
        done = subprocess.run(
            [*bench, "--scale", scale, "--db", "toolkit.db", "--no-progress"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()
    shown = performance(tmp_path, "--db", "toolkit.db", "--show")
    assert shown.returncode == 0, shown.stderr
    lines = shown.stdout.splitlines()
    (help_,) = [line for line in lines if line.startswith("| `crt --help` |")]
    assert " times (" in help_
    assert help_.endswith(("| kept |", "| **missed** |"))
    assert any(line.startswith("| `crt report`, 1,000,000 runs |") and "not measured" in line for line in lines)
    page = (ROOT / "docs" / "performance.md").read_text()
    assert lines[0] == page.splitlines()[0]
    assert page.partition("## How to read it")[2].strip() in shown.stdout
    assert "at scale smoke" in shown.stdout


def test_a_database_without_such_rows_is_told_of_with_the_command_that_makes_them(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "coiled_runtime_cli", "db", "upgrade", "--db", "empty.db"], cwd=tmp_path, check=True
    )
    shown = performance(tmp_path, "--db", "empty.db", "--show")
    assert shown.returncode == 1
    assert "crt bench --suite toolkit --scale full --db empty.db" in shown.stderr


def test_a_budget_of_a_size_is_neither_kept_nor_missed_at_another_scale(monkeypatch):
    specification = importlib.util.spec_from_file_location("performance", ROOT / ".ci" / "performance.py")
    module = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "performance", module)  # where dataclasses look for the names of types
    specification.loader.exec_module(module)
    (year,) = [each for each in module.BUDGETS if each.test == "test_build_of_a_year"]
    slow, fast = (
        module.Row(1.0, 1.0, {"ratio_to_predecessor": ratio, "processor_time": 1.0}) for ratio in (3.8, 1 / 45)
    )
    assert year.cells(slow, "smoke") == "3.8 of it (1 s) | of another size"
    assert year.cells(slow, "full") == "3.8 of it (1 s) | **missed**"
    assert year.cells(fast, "full") == "1/45 of it (1 s) | kept"
    assert year.cells(None, "full") == "not measured | "
