"""Changing the schema, through Alembic's API. Importing Alembic is slow: a database that is up to date does without."""

from __future__ import annotations

import contextlib
import io
import re
from argparse import Namespace
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, Engine, text

from coiled_runtime_cli import temporary
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.db.engine import is_current, make_engine, stored_revisions, writing
from coiled_runtime_cli.db.errors import database_errors, shown
from coiled_runtime_cli.db.models import Base, UTCDateTime
from coiled_runtime_cli.db.revisions import read_revisions
from coiled_runtime_cli.db.view import TEST_RUN
from coiled_runtime_cli.errors import ToolError, UsageError
from coiled_runtime_cli.locations import migrations_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.autogenerate.api import AutogenContext
    from alembic.config import Config
    from alembic.script import ScriptDirectory


@dataclass(frozen=True, slots=True)
class Current:
    """Where a database stands: no revision for an empty one, several only between two heads of a merge."""

    revisions: tuple[str, ...]
    heads: tuple[str, ...]

    @property
    def is_head(self) -> bool:
        return self.revisions == self.heads


def current(engine: Engine) -> Current:
    with database_errors(engine), engine.connect() as connection:
        return Current(tuple(sorted(stored_revisions(connection))), heads())


def heads() -> tuple[str, ...]:
    return tuple(sorted(read_revisions().heads))


def upgrade(engine: Engine) -> bool:
    """Apply what is missing, in one transaction; False if nothing was. Of processes that try at once, one does it."""
    with database_errors(engine), migrating(engine) as connection:
        if is_current(connection, engine):
            return False
        from alembic import command

        command.upgrade(_config(connection), "heads")
        return True


def stamp(engine: Engine, revision: str) -> None:
    """Declare that the schema is at ``revision`` without touching it. Raises UsageError for an unknown revision."""
    from alembic.util import CommandError

    from alembic import command

    with database_errors(engine), migrating(engine) as connection:
        try:
            command.stamp(_config(connection), revision)
        except CommandError as error:
            if "Can't locate" in str(error):
                told = unknown("revision", revision, ["head", "base", *sorted(read_revisions().known)])
                raise UsageError(told, hint=f"the newest is {', '.join(heads())}") from error
            raise UsageError(
                f"cannot stamp {shown(engine)}: {error}", hint=f"the newest is {', '.join(heads())}"
            ) from error


def check(engine: Engine) -> tuple[str, ...]:
    """What sets the database apart from the models, a line each; nothing when it is at head and they agree."""
    with database_errors(engine), engine.connect() as connection:
        if not is_current(connection, engine):
            found = ", ".join(sorted(stored_revisions(connection))) or "an empty database"
            return (f"not at head: {found} instead of {', '.join(heads())}",)
        return differences(connection)


def check_migrations() -> tuple[str, ...]:
    """What sets the models apart from a database that the migrations have just built."""
    with scratch() as connection:
        return differences(connection)


def revision(message: str, *, autogenerate: bool = False) -> Path:
    """Write a new migration into the checkout; ``autogenerate`` fills it with what the migrations lack of the models.

    It compares with a database of its own, made for the purpose. Raises UsageError outside a checkout.
    """
    folder = migrations_folder()
    if not (folder.parent / "pyproject.toml").is_file():
        raise UsageError(
            f"migrations are written in a checkout of crt, and {folder} is part of an installed one",
            hint="python3 -m pip install --editable . in the checkout",
        )
    from alembic.util import CommandError

    from alembic import command

    with scratch() as connection:
        try:
            script = command.revision(_config(connection), message, autogenerate=autogenerate)
        except CommandError as error:
            raise ToolError(f"cannot write a migration: {error}") from error
    if script is None or isinstance(script, list):
        raise ToolError("Alembic wrote no migration")
    return Path(script.path)


def differences(connection: Connection) -> tuple[str, ...]:
    from alembic.autogenerate import produce_migrations, render_python_code
    from alembic.migration import MigrationContext

    context = MigrationContext.configure(connection, opts=comparison())
    operations = produce_migrations(context, Base.metadata).upgrade_ops
    found = []
    if operations is not None and not operations.is_empty():
        code = render_python_code(operations, migration_context=context, render_item=_render_item)
        found += [line.strip() for line in code.splitlines() if line.strip() and not line.strip().startswith("#")]
    if connection.dialect.name == "sqlite":
        stored = connection.scalar(text("select sql from sqlite_master where type = 'view' and name = 'test_run'"))
        if _folded(stored or "") != _folded(TEST_RUN):
            found.append("the view test_run is not what db/view.py says")
    return tuple(found)


def comparison() -> dict[str, Any]:
    """How models and database are compared: the same from a command, from ``alembic`` itself and from tests."""
    return {
        "target_metadata": Base.metadata,
        "compare_type": True,
        "compare_server_default": True,
        "render_as_batch": True,  # SQLite changes most of a table by making it anew
        "render_item": _render_item,
        "transactional_ddl": True,  # true of SQLite too, since its transactions are begun by us
    }


@contextlib.contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """A transaction that may change the schema: alone, all or nothing, its foreign keys checked at the end."""
    sqlite = engine.dialect.name == "sqlite"
    # Making a table anew drops the old one, whose references must survive that. The switch is ignored in a transaction.
    with writing(engine, foreign_keys=False) as connection:
        yield connection
        if sqlite and (broken := connection.execute(text("PRAGMA foreign_key_check")).first()):
            raise ToolError(f"the migration of {shown(engine)} was taken back: it breaks references of {broken[0]!r}")


@contextlib.contextmanager
def scratch() -> Iterator[Connection]:
    """A new SQLite database at head in a temporary folder, open in a transaction that is rolled back."""
    with temporary.folder() as folder:
        engine = make_engine(str(Path(folder) / "scratch.db"))
        with engine.connect() as connection:
            apply_migrations(connection)
            yield connection


def apply_migrations(connection: Connection, *, since: str = "base", until: str = "heads") -> None:
    """Run the migrations from one revision to another without Alembic's environment, which cannot be entered twice."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    scripts = _scripts(migrations_folder())
    context = MigrationContext.configure(connection, opts=comparison())
    with Operations.context(context):
        for script in reversed(list(scripts.walk_revisions(since, until))):
            if script.revision != since:
                script.module.upgrade()
    context.stamp(scripts, until)


@lru_cache(maxsize=4)
def _scripts(folder: Path) -> ScriptDirectory:
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(folder))


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    folder = migrations_folder()
    project = folder.parent / "pyproject.toml"
    config = Config(
        toml_file=project if project.is_file() else None,
        stdout=io.StringIO(),
        cmd_opts=Namespace(quiet=True),  # else it tells on stdout what it writes
    )
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _render_item(kind: str, item: Any, _context: AutogenContext) -> str | Literal[False]:
    """Write our own column type as what it is in SQL: migrations do not import crt, whose code changes after them."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def _folded(sql: str) -> str:
    return re.sub(r"\s+", " ", sql).strip().rstrip(";").strip()
