from __future__ import annotations

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from coiled_runtime_cli.db.engine import open_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
def postgresql_server() -> Iterator[str]:
    """The URL, but for the database's name, of a private server on a loopback port."""
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("no PostgreSQL server here: neither on PATH nor in /usr/lib/postgresql")
    pytest.importorskip("psycopg", reason="pip install '.[postgresql]'")
    # not below tmp_path: only its owner may enter that, and the server refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="crt-postgresql-"))
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        users = {each.pw_name: each for each in pwd.getpwall()}
        user = users.get("postgres") or users["nobody"]
        os.chown(folder, user.pw_uid, user.pw_gid)
        identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, log = folder / "data", folder / "log"

    def run(*command: str | Path) -> None:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, **identity)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}"

    run(initdb, "-D", data, "-U", "crt", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    # not through a pipe: the server would keep it open
    started = subprocess.run(
        [pg_ctl, "-D", data, "-l", log, "-w", "-t", "60", "-o", options, "start"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=120,
        **identity,
    )
    assert started.returncode == 0, log.read_text()
    try:
        yield f"postgresql://crt@127.0.0.1:{port}"
    finally:
        run(pg_ctl, "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder)


_numbers = itertools.count()


@pytest.fixture
def new_postgresql(postgresql_server: str) -> Callable[[], str]:
    """Makes an empty database at each call, and gives its URL."""
    import psycopg

    def make() -> str:
        name = f"crt_{next(_numbers)}"
        with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as connection:
            connection.execute(f"create database {name}")
        return f"{postgresql_server}/{name}"

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The path or URL of a database without a schema, on each kind that is supported."""
    if request.param == "sqlite":
        return str(tmp_path / "any.db")
    make: Callable[[], str] = request.getfixturevalue("new_postgresql")
    return make()


def _program(name: str) -> Path | None:
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda each: each.parts[-3].zfill(4))
    return versions[-1] if versions else None
