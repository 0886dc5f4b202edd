"""``crt db``: the database of runs and its schema."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  typer reads it
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from coiled_runtime_cli.db.legacy import Imported

app = typer.Typer(no_args_is_help=True, help="Look after the database of runs.")

Database = Annotated[
    str | None, typer.Option("--db", metavar="PATH|URL", help="The database. Default: DB_NAME, or benchmark.db.")
]


def _recover(db: str | None) -> None:
    """Store what killed sessions have left for this database, as every command does that opens it."""
    from coiled_runtime_cli import config, console, journal

    settings = config.load({"db": db})
    if journal.pending(settings.runs):
        from coiled_runtime_cli import session

        engine, recovered = session.open_history(settings)
        engine.dispose()
        for each in recovered:
            console.note(each.sentence())


@app.command()
def upgrade(*, db: Database = None) -> None:
    """Bring the schema up to date; commands that write do so too.

    crt db upgrade --db benchmark.db
    """
    from coiled_runtime_cli import config, console
    from coiled_runtime_cli.db import migrate
    from coiled_runtime_cli.db.engine import make_engine
    from coiled_runtime_cli.db.errors import shown

    _recover(db)
    engine = make_engine(config.load({"db": db}).db)
    try:
        changed = migrate.upgrade(engine)
    finally:
        engine.dispose()
    console.note(f"{shown(engine)} is {'now' if changed else 'already'} at {', '.join(migrate.heads())}")


@app.command()
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

    _recover(db)
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
        console.hint(f"crt db upgrade --db '{shown(engine)}'")


@app.command()
def check(*, db: Database = None) -> None:
    """Compare models, migrations and database; exit 1 if they differ.

    crt db check --db postgresql://user@host/name
    """
    from coiled_runtime_cli import config, console
    from coiled_runtime_cli.db import migrate
    from coiled_runtime_cli.db.engine import make_engine
    from coiled_runtime_cli.db.errors import shown

    _recover(db)
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


@app.command()
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


@app.command()
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


@app.command("import")
def import_(
    files: Annotated[
        list[Path], typer.Argument(metavar="OLD.db...", help="SQLite files of the predecessor, at any revision.")
    ],
    *,
    db: Database = None,
    format: Annotated[  # noqa: A002  named as the flag
        Literal["table", "json"], typer.Option("--format", help="How to write it.")
    ] = "table",
) -> None:
    """Add the history of the predecessor: its tables test_run and tpch_run.

    The files are only read. Importing again adds what is new, and nothing twice.

    crt db import old/benchmark.db --db benchmark.db
    """
    from contextlib import ExitStack

    from coiled_runtime_cli import config, console
    from coiled_runtime_cli.db.engine import open_database
    from coiled_runtime_cli.db.errors import shown
    from coiled_runtime_cli.db.legacy import import_history, opened

    target = config.load({"db": db}).db
    _refuse_itself(files, target)
    with ExitStack() as stack:
        sources = [stack.enter_context(opened(file)) for file in files]
        _recover(db)
        engine = open_database(target)
        stack.callback(engine.dispose)
        imported: list[Imported] = []
        counts = [source.count() for source in sources]
        with console.progress(sum(counts), "importing") as bar:
            for number, source in enumerate(sources):
                if source.unknown:
                    console.warning(
                        f"{source.path} has columns that crt does not know, and that stay behind: "
                        f"{', '.join(source.unknown)}"
                    )
                before = sum(counts[:number])
                rest = f"{counts[number]:,} rows of {source.path}"

                def advance(done: int, before: int = before, rest: str = rest) -> None:
                    bar.update(before + done, text=f"{done:,} of {rest}")

                imported.append(import_history(engine, source, progress=advance))
    for each, source in zip(imported, sources, strict=True):
        for what, count in sorted(each.mended.items()):
            console.note(f"{source.path}: {count:,} {what}")
    if format == "json":
        documents = [{"file": str(file), **_document(each)} for file, each in zip(files, imported, strict=True)]
        console.show_json({"schema": 1, "database": shown(engine), **_document(*imported), "files": documents})
        return
    console.show_table(_table(files, imported))
    console.hint(f"crt report --db '{shown(engine)}' --out site/")


def _refuse_itself(files: list[Path], target: str) -> None:
    from coiled_runtime_cli import config
    from coiled_runtime_cli.errors import UsageError

    own = config.sqlite_file(target)
    for file in files:
        if own is not None and own.exists() and file.exists() and file.samefile(own):
            raise UsageError(
                f"{file} cannot be imported into itself",
                hint=f"choose the database to import into: crt db import '{file}' --db crt.db",
            )


def _document(*imported: Imported) -> dict[str, Any]:
    from collections import Counter

    names = ("rows", "sessions", "new", "known", "duplicates", "merged")
    sums: dict[str, Any] = {name: sum(getattr(each, name) for each in imported) for name in names}
    for name in ("skipped", "mended"):
        total: Counter[str] = sum((getattr(each, name) for each in imported), Counter())
        sums[name] = dict(sorted(total.items()))
    return sums


def _table(files: list[Path], imported: list[Imported]) -> Any:
    from coiled_runtime_cli.core.table import Column, Table

    numbers = ("rows", "new", "known", "duplicates", "merged", "skipped")
    rows = [
        (
            str(file),
            *(f"{getattr(each, name):,}" for name in numbers[:-1]),
            f"{sum(each.skipped.values()):,}",
            "; ".join(f"{count:,} {reason}" for reason, count in sorted(each.skipped.items())),
        )
        for file, each in zip(files, imported, strict=True)
    ]
    columns = (
        Column("file"),
        Column("rows read", align="right", key="rows"),
        Column("runs new", align="right", key="new"),
        *(Column(name, align="right") for name in numbers[2:]),
        Column("why skipped", drop=1),
    )
    return Table(columns, tuple(rows))
