import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "build"))
from index_server import served


@pytest.fixture
def index():
    with served() as found:
        yield found
