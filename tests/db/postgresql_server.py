"""A private PostgreSQL server on a loopback port."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_numbers = itertools.count()


class MissingPostgresqlError(Exception):
    """There is no PostgreSQL on this machine."""


class Server:
    """``url`` names it, but for the database. It keeps its databases through :meth:`kill` and :meth:`start`."""

    def __init__(self, folder: Path, pg_ctl: Path, identity: dict[str, Any]) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"postgresql://crt@127.0.0.1:{port}"
        self._folder, self._pg_ctl, self._identity = folder, pg_ctl, identity
        self._options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"

    def start(self) -> None:
        data, log = self._folder / "data", self._folder / "log"
        # not through a pipe: the server would keep it open
        started = subprocess.run(
            [self._pg_ctl, "-D", data, "-l", log, "-w", "-t", "60", "-o", self._options, "start"],
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=120,
            **self._identity,
        )
        assert started.returncode == 0, log.read_text()

    def kill(self) -> None:
        """End it at once, with all that it is doing: the next start recovers what was committed."""
        command = [self._pg_ctl, "-D", self._folder / "data", "-m", "immediate", "-w", "stop"]
        _run(command, self._folder, self._identity)

    def new_database(self) -> str:
        """The URL of an empty database."""
        import psycopg

        name = f"crt_{next(_numbers)}"
        with psycopg.connect(f"{self.url}/postgres", autocommit=True) as connection:
            connection.execute(f"create database {name}")
        return f"{self.url}/{name}"


@contextlib.contextmanager
def postgresql_server() -> Iterator[Server]:
    """A server, started. Raises MissingPostgresqlError."""
    initdb, pg_ctl = _program("initdb"), _program("pg_ctl")
    if initdb is None or pg_ctl is None:
        raise MissingPostgresqlError("no PostgreSQL server here: neither on PATH nor in /usr/lib/postgresql")
    # not below a folder of the tests: only its owner may enter that, and the server refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="crt-postgresql-"))
    identity: dict[str, Any] = {}
    if os.geteuid() == 0:
        users = {each.pw_name: each for each in pwd.getpwall()}
        user = users.get("postgres") or users["nobody"]
        os.chown(folder, user.pw_uid, user.pw_gid)
        identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    try:
        command = [
            initdb,
            "-D",
            folder / "data",
            "-U",
            "crt",
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
        ]
        _run(command, folder, identity)
        server = Server(folder, pg_ctl, identity)
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(command: list[Any], folder: Path, identity: dict[str, Any]) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, **identity)
    log = folder / "log"
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}"


def _program(name: str) -> Path | None:
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda each: each.parts[-3].zfill(4))
    return versions[-1] if versions else None
