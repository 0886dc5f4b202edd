"""Alembic's entrance: for crt, which brings a connection along, and for plain ``alembic`` in the checkout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic.util import CommandError

from alembic import context
from coiled_runtime_cli.db.engine import make_engine
from coiled_runtime_cli.db.migrate import comparison, migrating, scratch

if TYPE_CHECKING:
    from sqlalchemy import Connection


def run(connection: Connection) -> None:
    context.configure(connection=connection, **comparison())
    with context.begin_transaction():
        context.run_migrations()


def command() -> str:
    """The name of the ``alembic`` command on the command line: upgrade, revision, ..."""
    chosen = getattr(context.config.cmd_opts, "cmd", None)
    return chosen[0].__name__ if chosen else ""


if context.is_offline_mode():
    raise CommandError("crt's migrations run on a database, not into a script: leave --sql out")
if (given := context.config.attributes.get("connection")) is not None:
    run(given)
elif command() in {"revision", "check"}:
    # What the migrations make is what counts, not the state of some database on this machine.
    with scratch() as connection:
        run(connection)
else:
    from coiled_runtime_cli import config

    with migrating(make_engine(config.load({}).db)) as connection:
        run(connection)
