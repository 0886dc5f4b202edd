"""`crt db upgrade`, `current`, `check`, `stamp` and `revision`: the schema of the database."""

from __future__ import annotations

import shlex
from typing import Annotated, Literal

import typer

from coiled_runtime_cli.commands.db_options import Database, recover


def upgrade(*, db: Database = None) -> None:
    """Bring the schema up to date; commands that write do so too.

    crt db upgrade --db benchmark.db
    """
    from coiled_runtime_cli import config, console
    from coiled_runtime_cli.db import migrate
    from coiled_runtime_cli.db.engine import make_engine
    from coiled_runtime_cli.db.errors import shown

    recover(db)
    engine = make_engine(config.load({"db": db}).db)
    try:
        changed = migrate.upgrade(engine)
    finally:
        engine.dispose()
    console.note(f"{shown(engine)} is {'now' if changed else 'already'} at {', '.join(migrate.heads())}")


def current(
    *,
    db: Database = None,
    format: Annotated[  # noqa: A002  named as the flag
        Literal["table", "json"], typer.Option("--format", help="How to write it.")
    ] = "table",
) -> None:
    """Print the schema revision, and whether it is the newest.

    crt db current --format json
    """
    from coiled_runtime_cli import config, console
    from coiled_runtime_cli.db import migrate
    from coiled_runtime_cli.db.engine import make_engine
    from coiled_runtime_cli.db.errors import shown

    recover(db)
    engine = make_engine(config.load({"db": db}).db, read_only=True)
    try:
        found = migrate.current(engine)
    finally:
        engine.dispose()
    if format == "json":
        console.show_json(
            {
                "schema": 1,
                "database": shown(engine),
                "revisions": list(found.revisions),
                "heads": list(found.heads),
                "is_head": found.is_head,
            }
        )
        return
    console.result(f"{', '.join(found.revisions) or 'none'}{' (head)' if found.is_head else ''}")
    if not found.is_head:
        console.hint(f"crt db upgrade --db {shlex.quote(shown(engine))}")


def check(*, db: Database = None) -> None:
    """Compare models, migrations and database; exit 1 if they differ.

    crt db check --db postgresql://user@host/name
    """
    from coiled_runtime_cli import config, console
    from coiled_runtime_cli.db import migrate
    from coiled_runtime_cli.db.engine import make_engine
    from coiled_runtime_cli.db.errors import shown

    recover(db)
    found = [f"migrations: {line}" for line in migrate.check_migrations()]
    target = config.load({"db": db}).db
    file = config.sqlite_file(target)
    if file is not None and not file.exists():
        console.note(f"no database at {file}: the migrations alone were checked")
    else:
        engine = make_engine(target, read_only=True)
        try:
            found += [f"{shown(engine)}: {line}" for line in migrate.check(engine)]
        finally:
            engine.dispose()
    for line in found:
        console.result(line)
    if found:
        raise typer.Exit(1)
    console.note("no differences")


def stamp(
    revision: Annotated[str, typer.Argument(metavar="REVISION", help="A revision, or head.")], *, db: Database = None
) -> None:
    """Declare the database to be at a revision, its tables as they are.

    crt db stamp head --db benchmark.db
    """
    from coiled_runtime_cli import config, console
    from coiled_runtime_cli.db import migrate
    from coiled_runtime_cli.db.engine import make_engine
    from coiled_runtime_cli.db.errors import shown

    target = config.load({"db": db}).db
    make_engine(target, read_only=True).dispose()  # a file that is not there is not to be made
    engine = make_engine(target)
    try:
        migrate.stamp(engine, revision)
        found = migrate.current(engine)
    finally:
        engine.dispose()
    console.note(f"{shown(engine)} is declared to be at {', '.join(found.revisions) or 'none'}")


def revision(
    *,
    message: Annotated[str, typer.Option("--message", "-m", metavar="TEXT", help="What the migration does.")],
    autogenerate: Annotated[
        bool, typer.Option("--autogenerate", help="Write what the models have beyond the migrations.")
    ] = False,
) -> None:
    """Write a new migration into the checkout, and print its path.

    crt db revision --autogenerate -m "add a column for the compiler"
    """
    from coiled_runtime_cli import console
    from coiled_runtime_cli.db import migrate

    console.result(str(migrate.revision(message, autogenerate=autogenerate)))
    console.hint("read it, edit it, then: crt db check")
