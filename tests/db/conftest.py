from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from coiled_runtime_cli.db.engine import open_database

sys.path.insert(0, str(Path(__file__).parent))
from postgresql_server import MissingPostgresqlError, postgresql_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from postgresql_server import Server
    from sqlalchemy import Engine


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file at head without runs. Copy it: building one takes a while."""
    path = tmp_path_factory.mktemp("template") / "benchmark.db"
    open_database(str(path)).dispose()
    return path


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> str:
    path = tmp_path / "benchmark.db"
    shutil.copyfile(empty_database, path)
    return str(path)


@pytest.fixture
def engine(database: str) -> Engine:
    return open_database(database)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    pytest.importorskip("psycopg", reason="pip install '.[postgresql]'")
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(postgresql_server())
        except MissingPostgresqlError as error:
            pytest.skip(str(error))
        yield server


@pytest.fixture
def new_postgresql(postgresql: Server) -> Callable[[], str]:
    """Makes an empty database at each call, and gives its URL."""
    return postgresql.new_database


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The path or URL of a database without a schema, on each kind that is supported."""
    if request.param == "sqlite":
        return str(tmp_path / "any.db")
    make: Callable[[], str] = request.getfixturevalue("new_postgresql")
    return make()
