from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = {
    "alembic",
    "boto3",
    "coiled",
    "dask",
    "distributed",
    "jinja2",
    "numpy",
    "pandas",
    "plotly",
    "psutil",
    "pygments",
    "pyarrow",
    "rattler",
    "rattler_build",
    "pytest",
    "rich",
    "scipy",
    "sqlalchemy",
    "yaml",
}


@pytest.mark.parametrize(
    "command",
    [
        "--help",
        "--version",
        "bench --help",
        "report --help",
        "detect --help",
        "compare --help",
        "build --help",
        "release --help",
        "release pins --help",
        "sync --help",
        "sync push --help",
        "data --help",
        "data make --help",
        "db --help",
        "db query --help",
        "config show --help",
        "init --help",
        "doctor --help",
    ],
)
def test_help_imports_nothing_heavy(command: str, tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from coiled_runtime_cli.cli import run\n"
        "code = run(sys.argv[1:])\n"
        "print(*sorted(sys.modules), file=sys.stderr)\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command.split()], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout
    assert HEAVY & set(done.stderr.split()) == set()


@pytest.mark.parametrize("command", ["--help", "--version"])
def test_the_list_of_commands_imports_none_of_them(command: str, tmp_path: Path) -> None:
    code = (
        "import sys; from coiled_runtime_cli.cli import run; run(sys.argv[1:])\n"
        "sys.exit([name for name in sys.modules if name.startswith('coiled_runtime_cli.commands')] != [])"
    )
    subprocess.run([sys.executable, "-c", code, command], capture_output=True, cwd=tmp_path, check=True)
