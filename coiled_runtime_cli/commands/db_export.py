"""`crt db export`: rows into a file that other programs read."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path  # noqa: TC003  typer reads it
from typing import IO, TYPE_CHECKING, Annotated, Literal

import typer

from coiled_runtime_cli.commands.db_options import Database, present, refuse_itself

if TYPE_CHECKING:
    from collections.abc import Iterator


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to; - for stdout (CSV and JSON).")],
    *,
    table: Annotated[
        Literal["test_run", "metric", "session", "environment", "benchmark"],
        typer.Option("--table", help="What: a row per run, per recorded metric, and what they belong to."),
    ] = "test_run",
    db: Database = None,
    format_: Annotated[
        Literal["parquet", "csv", "json"] | None,
        typer.Option("--format", help="Default: what the file's name ends in."),
    ] = None,
) -> None:
    """Write rows into a file that other programs read.

    \b
    crt db export runs.parquet
    crt db export - --format csv --table metric | gzip > metrics.csv.gz
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    import sys

    from coiled_runtime_cli import console
    from coiled_runtime_cli.db.engine import make_engine
    from coiled_runtime_cli.db.export import FORMS
    from coiled_runtime_cli.db.export import export as write
    from coiled_runtime_cli.errors import UsageError

    form = format_ or file.suffix.removeprefix(".").lower()
    if form not in FORMS:
        raise UsageError(f"{file}: which format is that?", hint="--format parquet, csv or json")
    if str(file) == "-" and form == "parquet":
        raise UsageError("Parquet is written to a file", hint="name one, or choose --format csv")
    settings = present(db)
    refuse_itself([file], settings.db, "exported into")
    engine = make_engine(settings.db, read_only=True)
    try:
        if str(file) == "-":
            write(engine, sys.stdout.buffer, what=table, form=form)
            return
        with console.progress(None, "exporting") as bar, _replaced(file) as stream:
            count = write(engine, stream, what=table, form=form, progress=bar.update)
    finally:
        engine.dispose()
    if not _is_stdout(file):  # there it would be one more row
        console.result(f"{file}: {count:,} rows")


def _is_stdout(file: Path) -> bool:
    import os
    import sys

    try:
        return os.path.samestat(file.stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError):
        return False


@contextmanager
def _replaced(file: Path) -> Iterator[IO[bytes]]:
    """A stream into a file that takes the place of the old one when it is whole."""
    from coiled_runtime_cli import atomic
    from coiled_runtime_cli.errors import ToolError, UsageError

    if file.is_dir() or not file.absolute().parent.is_dir():
        missing = file if file.is_dir() else file.absolute().parent
        raise UsageError(
            f"{missing} is {'a folder' if file.is_dir() else 'no folder'}", hint="name a file in a folder that is there"
        )
    try:
        with atomic.replacing(file) as stream:
            yield stream
    except OSError as error:
        raise ToolError(
            f"cannot write {file}: {error.strerror or error}", hint="free some space, or choose another place"
        ) from error
