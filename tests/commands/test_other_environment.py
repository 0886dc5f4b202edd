"""`crt bench --python`: another interpreter and an older Dask, into which nothing of crt is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def python_310():
    """A Python 3.10, on PATH or among the versions that pyenv keeps; None where there is none."""
    candidates = [shutil.which("python3.10"), *map(str, Path.home().glob(".pyenv/versions/3.10*/bin/python"))]
    root = os.environ.get("PYENV_ROOT")
    candidates += map(str, Path(root).glob("versions/3.10*/bin/python")) if root else []
    for candidate in filter(None, candidates):
        asked = subprocess.run(
            [candidate, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True
        )
        if asked.stdout.split() == ["3", "10"]:
            return candidate
    return None


def test_an_interpreter_without_pytest_is_told_with_what_to_type(crt, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    python = tmp_path / "bare" / "bin" / "python"
    crt.suite("test_one.py", "def test_one(): ...\n")
    crt.environment.pop("PYTHONPATH")
    done = crt.run(
        "bench", "--suite", "one", "--python", str(python), environment={"PYTHONPATH": str(Path(__file__).parents[2])}
    )
    assert done.returncode == 3
    assert "pip install pytest" in done.stderr
    assert not (crt.folder / "crt-runs").exists()


@pytest.mark.slow
def test_the_parquet_suite_runs_on_python_310_with_an_older_dask_and_nothing_of_crt(crt, tmp_path):
    python = python_310()
    if python is None:
        pytest.skip("needs a Python 3.10 beside this one")
    venv = tmp_path / "old environment"
    subprocess.run([python, "-m", "venv", str(venv)], check=True)
    packages = ["dask[dataframe]==2023.6.0", "distributed==2023.6.0", "pandas<2.2", "numpy<2", "pyarrow<17", "pytest<9"]
    install = [str(venv / "bin" / "python"), "-m", "pip", "install", "-q", *packages]
    installed = subprocess.run(install, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"the older Dask cannot be installed here: {installed.stderr[-300:]}")
    from coiled_runtime_cli.locations import suites_folder

    crt.environment["CRT_SUITES"] = str(suites_folder())
    arguments = [
        "bench",
        "--suite",
        "parquet",
        "--scale",
        "smoke",
        "--python",
        str(venv / "bin" / "python"),
        "--label",
        "old",
    ]
    done = crt.run(*arguments, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    ((dask, python_version, count),) = crt.rows(
        "select distinct dask_version, python_version, count(*) from test_run where outcome = 'passed'"
    )
    assert (dask, python_version[:5]) == ("2023.6.0", "3.10.")
    assert count >= 10
    assert crt.rows("select count(*) from test_run where outcome not in ('passed', 'skipped')") == [(0,)]
    found = subprocess.run(
        [str(venv / "bin" / "python"), "-c", "import coiled_runtime_cli"], capture_output=True, cwd=tmp_path
    )
    assert found.returncode != 0, "crt was installed into the environment under test"
