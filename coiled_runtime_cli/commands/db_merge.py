"""`crt db merge`: what other databases of crt have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coiled_runtime_cli.commands.db_options import Database, Format, refuse_itself

if TYPE_CHECKING:
    from coiled_runtime_cli.db.absorb import Absorbed


def merge(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Databases of crt: files, or URLs.")],
    *,
    db: Database = None,
    format_: Format = "table",
) -> None:
    """Add what other databases of crt have. Each run comes once, whatever is merged how often, in any order.

    The files are only read.

    crt db merge laptop.db ci.db --db benchmark.db
    """
    from coiled_runtime_cli import config, console, session
    from coiled_runtime_cli.core.table import Column, Table
    from coiled_runtime_cli.db.absorb import absorb
    from coiled_runtime_cli.db.copies import opened_copy
    from coiled_runtime_cli.db.errors import shown

    settings = config.load({"db": db})
    refuse_itself([Path(each) for each in files if "://" not in each], settings.db, "merged into")
    done: list[Absorbed] = []
    for each in files:
        with opened_copy(each) as source:  # all are looked at before anything is written
            source.dispose()
    engine = session.open_history(settings)
    try:
        for each in files:
            with opened_copy(each) as source, console.progress(None, f"merging {each}") as bar:
                done.append(absorb(engine, source, progress=bar.update))
    finally:
        engine.dispose()
    conflicts = sum(len(each.conflicts) for each in done)
    if format_ == "json":
        documents = [{"file": shown(file), **_merged(each)} for file, each in zip(files, done, strict=True)]
        console.show_json({"schema": 1, "database": shown(settings.db), **_merged(*done), "files": documents})
    else:
        columns = (Column("file"), *(Column(name, align="right") for name in ("sessions", "new", "known", "conflicts")))
        rows = tuple(
            (shown(file), *(f"{value:,}" for value in (each.sessions, each.new, each.known, len(each.conflicts))))
            for file, each in zip(files, done, strict=True)
        )
        console.show_table(Table(columns, rows))
    if conflicts:
        console.warning(
            f"{conflicts:,} runs were there with other content: of two the same one stays, in whatever order they are merged"
        )


def _merged(*done: Absorbed) -> dict[str, Any]:
    return {
        "sessions": sum(each.sessions for each in done),
        "new": sum(each.new for each in done),
        "known": sum(each.known for each in done),
        "conflicts": [uuid for each in done for uuid in each.conflicts],
    }
