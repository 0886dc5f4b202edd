"""A database and the remote that it shares its history with: what `crt sync` and `crt bench --push` compose."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import config, console, process, temporary
from coiled_runtime_cli.errors import RemoteError, UsageError
from coiled_runtime_cli.locations import expanded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from sqlalchemy import Engine

    from coiled_runtime_cli.db.shared import SharedHistory
    from coiled_runtime_cli.sync.history import Progress
    from coiled_runtime_cli.sync.store import Store


@dataclass(frozen=True, slots=True)
class Shared:
    """``history`` is the database as far as ``store`` is concerned."""

    engine: Engine
    history: SharedHistory
    store: Store


def open_remote(remote: config.Remote) -> Store:
    """The remote's store; nothing is asked of it yet. Raises UsageError."""
    from coiled_runtime_cli.sync.store import open_store

    return open_store(remote.remote, endpoint_url=remote.endpoint_url, profile=remote.profile, region=remote.region)


def check_folder(remote: config.Remote, *, makes: bool = False, asks: bool = False) -> None:
    """Raise where a remote that is a folder is not there: a share that is not mounted must not look like an empty one.

    ``makes``: it may be made, in a folder that is there. ``asks``: the default one need not be there.
    """
    folder = _folder(remote)
    if folder is None or folder.is_dir():
        return
    if folder.exists():
        raise UsageError(f"{folder} is no folder", hint="--remote names a folder, or s3://bucket/prefix")
    if remote.origin == "default":
        if asks:
            return
        if not makes:
            raise RemoteError(
                "nothing was shared yet, and no remote is named",
                hint="crt sync push makes one on this machine; a team's is --remote s3://bucket/prefix, or a shared folder",
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
    elif not makes or not folder.parent.is_dir():
        missing = folder if folder.parent.is_dir() else folder.parent
        raise RemoteError(f"no such folder: {missing}", hint=f"is it mounted? If it is to be new: mkdir -p '{folder}'")


def _folder(remote: config.Remote) -> Path | None:
    scheme, separator, rest = remote.remote.partition("://")
    if separator and scheme.lower() != "file":
        return None
    from urllib.parse import unquote, urlsplit

    return Path(unquote(urlsplit(remote.remote).path)) if separator else expanded(rest or remote.remote)


@contextlib.contextmanager
def shared(engine: Engine, store: Store) -> Iterator[Shared]:
    from coiled_runtime_cli.db.shared import SharedHistory

    with SharedHistory(engine, store.identity) as history:
        yield Shared(engine, history, store)


@contextlib.contextmanager
def mirror(store: Store, cache: Path) -> Iterator[Shared]:
    """A database in the cache that holds what the remote holds, and nothing else. A damaged one is made anew."""
    from coiled_runtime_cli.db.engine import open_database
    from coiled_runtime_cli.db.shared import SharedHistory
    from coiled_runtime_cli.db.snapshot import SnapshotError, check_snapshot

    folder = cache / "remotes"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(store.identity.encode('utf-8', 'backslashreplace')).hexdigest()[:20]}.db"
    if path.exists():
        try:
            check_snapshot(path)
        except SnapshotError:
            path.unlink()
    engine = open_database(str(path))
    try:
        with SharedHistory(engine, store.identity, pushes=False) as history:
            yield Shared(engine, history, store)
    finally:
        engine.dispose()


def begin(shared: Shared) -> int:
    """Fill a database that never had a session with what was last published; the number of runs.

    Without it the segments tell the same, one by one: where it cannot be used, a warning says so.
    """
    from coiled_runtime_cli.db.snapshot import SnapshotError, begin_with
    from coiled_runtime_cli.sync.publish import KEY
    from coiled_runtime_cli.sync.store import MissingObjectError

    beside = _beside(shared.engine)
    if beside is not None:
        _clean(beside)
    if not shared.history.is_empty():
        return 0
    with _scratch(shared.engine) as folder:
        copy = folder / KEY
        try:
            shared.store.download(KEY, copy)
        except MissingObjectError:
            return 0
        try:
            with console.progress(None, "taking over the published database") as bar:
                runs = begin_with(shared.engine, copy, bar.update)
        except SnapshotError as error:
            console.warning(f"{KEY} in {shared.store.name} is not used: {error}; every session is fetched by itself")
            return 0
    return runs or 0


def _beside(engine: Engine) -> Path | None:
    """The folder of a database that is a file."""
    database = engine.url.database if engine.dialect.name == "sqlite" else None
    return Path(database).absolute().parent if database else None


def _scratch_prefix() -> str:
    """Of the folders that this machine makes beside a database: a share may have those of others."""
    return f".crt-pull-{hashlib.sha256(platform.node().encode()).hexdigest()[:8]}-"


def _clean(folder: Path) -> None:
    """Remove what killed processes of this machine have left."""
    for each in folder.glob(f"{_scratch_prefix()}*"):
        pid = each.name.removeprefix(_scratch_prefix()).partition("-")[0]
        if pid.isdigit() and not process.is_running(int(pid)):
            shutil.rmtree(each, ignore_errors=True)


@contextlib.contextmanager
def _scratch(engine: Engine) -> Iterator[Path]:
    """A folder with room for a copy of a database: beside it, where it is a file, else where the system has temporary files."""
    prefix = f"{_scratch_prefix()}{os.getpid()}-"
    with temporary.folder(prefix, beside=_beside(engine)) as folder:
        yield Path(folder)


@contextlib.contextmanager
def progress(title: str) -> Iterator[Progress]:
    """A bar that tells of sessions, rows and bytes."""
    from coiled_runtime_cli.core.quantity import bytes_text

    with console.progress(None, title) as bar:

        def tell(done: int, total: int, rows: int, size: int) -> None:
            bar.update(done, total, f"{rows:,} runs, {bytes_text(size)}")

        yield tell


def today() -> date:
    """The day (UTC), by which all machines decide what is old."""
    return datetime.now(timezone.utc).date()
