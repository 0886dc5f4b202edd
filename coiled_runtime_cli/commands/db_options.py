"""What the commands of `crt db` are asked: the flags that they share, and which database those mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from coiled_runtime_cli.config import Config

Database = Annotated[
    str | None, typer.Option("--db", metavar="PATH|URL", help="The database. Default: DB_NAME, or benchmark.db.")
]
Format = Annotated[Literal["table", "json"], typer.Option("--format", help="How to write the result.")]


def recover(db: str | None) -> None:
    """Store what killed sessions have left for this database, as every command does that opens it."""
    from coiled_runtime_cli import config, journal

    settings = config.load({"db": db})
    if journal.pending(settings.runs):
        from coiled_runtime_cli import session

        session.open_history(settings).dispose()


def present(db: str | None) -> Config:
    """The settings of a database that is there, at this crt's schema, with what killed sessions have left in it."""
    from coiled_runtime_cli import config, session

    settings = config.load({"db": db})
    session.open_existing(settings).dispose()
    return settings


def refuse_itself(files: list[Path], target: str, done: str) -> None:
    from coiled_runtime_cli import config
    from coiled_runtime_cli.errors import UsageError

    own = config.sqlite_file(target)
    for file in files:
        if own is not None and own.exists() and file.exists() and file.samefile(own):
            raise UsageError(
                f"{file} cannot be {done} itself",
                hint="choose another file, or another database with --db, such as --db crt.db",
            )
