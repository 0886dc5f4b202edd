import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from channels import add_module, add_package, add_python, indexed, subdir_here

#: Where the machine has conda-build, if it has: the one test that is about it is told.
REAL = shutil.which("conda-build")


@pytest.fixture(autouse=True)
def without_conda(monkeypatch):
    """A machine without conda, as most are: what it has of it is not what is tested."""
    kept = [each for each in os.environ["PATH"].split(os.pathsep) if not shutil.which("conda-build", path=each)]
    monkeypatch.setenv("PATH", os.pathsep.join(kept))
    monkeypatch.delenv("CONDA_EXE", raising=False)
    return REAL


@pytest.fixture(scope="session")
def made_channel(tmp_path_factory):
    channel = tmp_path_factory.mktemp("a channel") / "packages of ours"
    add_python(channel)
    add_module(channel, "dask", "2026.8.0")
    add_module(channel, "dask", "2026.7.1")
    add_module(channel, "distributed", "2026.8.0", depends=["dask ==2026.8.0"])
    add_module(channel, "distributed", "2026.7.1", depends=["dask ==2026.7.1"])
    add_package(channel, "openssl", "3.5.0", subdir=subdir_here())
    return indexed(channel)
