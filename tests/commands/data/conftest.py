import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from cached_data import NAMES, SMOKE

from coiled_runtime_cli import datasets
from coiled_runtime_cli.datasets.events import Failed


@pytest.fixture
def cache(inside):
    """Where the data go."""
    folder = inside.folder / "data sets"
    inside.environment["CRT_DATA"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Data sets that are made once, since most tests only look at them."""
    folder = tmp_path_factory.mktemp("made once")
    for event in datasets.make(NAMES, scale=SMOKE, cache=folder, workers=1):
        assert not isinstance(event, Failed), event.error
    return folder


@pytest.fixture
def filled(cache, made_once):
    """The cache with copies of data that were made once."""
    shutil.copytree(made_once, cache)
    return cache
