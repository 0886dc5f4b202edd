from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from coiled_runtime_cli.db.engine import open_database

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "benchmark.db"
    open_database(str(path)).dispose()
    return path
