from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SUITE = '''
"""Tables on disk."""
import pytest

def test_read(): ...

@pytest.mark.parametrize("form", ["a b", "c:d", "$e'f"])
def test_write(form): ...
'''


@pytest.fixture
def here(crt: Any) -> Any:
    """A folder with a suite, a configured cluster, AWS profiles, a repository, and what crt is started by."""
    crt.suite("benchmarks/test_tables.py", SUITE)
    with (crt.folder / "crt.toml").open("a") as file:
        file.write('\n[clusters.slurm]\nclass = "dask_jobqueue.SLURMCluster"\n')
    home = Path(crt.environment["HOME"])
    (home / ".aws").mkdir(parents=True)
    (home / ".aws" / "config").write_text("[default]\n[profile team]\nregion = x\n")
    clone = crt.folder / "clone"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(clone)]
    subprocess.run(["git", "init", "-q", "-b", "trunk", clone], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    subprocess.run([*git, "tag", "2026.8.0"], check=True)
    return crt


@pytest.fixture
def quick(here: Any, inside: Any) -> Any:
    """The same, within the process of the test."""
    return inside


@pytest.fixture
def quick_history(history: Any, inside: Any) -> Any:
    return inside


@pytest.fixture
def program(here: Any) -> Any:
    """With crt on the path."""
    program = Path(here.environment["HOME"]) / "bin" / "crt"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m coiled_runtime_cli "$@"\n')
    program.chmod(0o755)
    here.environment["PATH"] = f"{program.parent}{os.pathsep}{here.environment['PATH']}"
    return here


@pytest.fixture
def history(here: Any, whole_history: Path) -> Any:
    shutil.copy(whole_history, here.folder)
    return here
