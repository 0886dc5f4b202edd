"""``crt db``: the rows of the database; its schema is in db.py."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.db.absorb import Absorbed
    from coiled_runtime_cli.db.legacy import Imported

Database = Annotated[
    str | None, typer.Option("--db", metavar="PATH|URL", help="The database. Default: DB_NAME, or benchmark.db.")
]
Format = Annotated[Literal["table", "json"], typer.Option("--format", help="How to write the result.")]


def register(app: typer.Typer) -> None:
    """Make these the commands of ``crt db`` beside those of the schema."""
    for name, command in (
        ("query", query),
        ("export", export),
        ("merge", merge),
        ("import", import_),
        ("prune", prune),
    ):
        app.command(name)(command)


def recover(db: str | None) -> None:
    """Store what killed sessions have left for this database, as every command does that opens it."""
    from coiled_runtime_cli import config, journal

    settings = config.load({"db": db})
    if journal.pending(settings.runs):
        from coiled_runtime_cli import session

        session.open_history(settings).dispose()


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
    _refuse_itself(files, target, "imported into")
    with ExitStack() as stack:
        sources = [stack.enter_context(opened(file)) for file in files]
        recover(db)
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


def _refuse_itself(files: list[Path], target: str, done: str) -> None:
    from coiled_runtime_cli import config
    from coiled_runtime_cli.errors import UsageError

    own = config.sqlite_file(target)
    for file in files:
        if own is not None and own.exists() and file.exists() and file.samefile(own):
            raise UsageError(
                f"{file} cannot be {done} itself",
                hint="choose another file, or another database with --db, such as --db crt.db",
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


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement that reads; - takes it from stdin.")],
    *,
    db: Database = None,
    format_: Annotated[
        Literal["table", "json", "markdown", "csv", "github"], typer.Option("--format", help="How to write the rows.")
    ] = "table",
) -> None:
    """Ask the database in SQL; it is only read.

    \b
    crt db query "select name, avg(duration) from test_run group by name"
    crt db query - --format csv < question.sql > answer.csv
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.table import Column, Table
    from coiled_runtime_cli.db.query import asked

    settings = _present(db)
    with asked(settings.db, console.read_input() if sql == "-" else sql) as (names, rows):
        if format_ == "csv":
            console.show_csv(names, rows)
        elif format_ == "json":
            console.show_json(
                {"schema": 1, "columns": names, "rows": [dict(zip(names, row, strict=True)) for row in rows]}
            )
        else:
            found = list(rows)
            columns = []
            for number, name in enumerate(names):
                numeric = any(isinstance(row[number], (int, float)) for row in found[:100])
                columns.append(Column(name, align="right" if numeric else "left", drop=number))
            shown = tuple(tuple("" if each is None else str(each) for each in row) for row in found)
            console.show_table(Table(tuple(columns), shown), format_)


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
    settings = _present(db)
    _refuse_itself([file], settings.db, "exported into")
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
    _refuse_itself([Path(each) for each in files if "://" not in each], settings.db, "merged into")
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


def prune(
    *,
    keep: Annotated[
        str | None, typer.Option(metavar="TIME", help="Remove the sessions older than this: 90d, 2y.")
    ] = None,
    session: Annotated[
        list[str] | None, typer.Option("--session", metavar="ID", help="Remove this session. Repeatable.")
    ] = None,
    db: Database = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and stop.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    format_: Format = "table",
) -> None:
    """Remove sessions from this database.

    And from no other: what was pushed stays in the remote, and is not pulled again.

    \b
    crt db prune --keep 1y --dry-run
    crt db prune --session 0199f0c4-2f7e-7c31-9d54-0a2f4f3c1b7a
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from datetime import datetime, time, timezone

    from coiled_runtime_cli import console, sharing
    from coiled_runtime_cli.core.nearest import unknown
    from coiled_runtime_cli.core.retention import Policy, PolicyError
    from coiled_runtime_cli.db import prune as pruning
    from coiled_runtime_cli.db import queries
    from coiled_runtime_cli.db.engine import open_database
    from coiled_runtime_cli.errors import UsageError

    if (keep is None) == (not session):
        raise UsageError("say which sessions are to go", hint="--keep 90d, or --session ID")
    try:
        policy = Policy() if keep is None else Policy.parse(keep)
    except PolicyError as error:
        raise UsageError(f"--keep: {error}") from error
    settings = _present(db)
    engine = open_database(settings.db)
    try:
        known = {each.id for each in queries.sessions(engine)}
        for each in session or ():
            if each not in known:
                raise UsageError(
                    unknown("session", each, sorted(known, reverse=True)),
                    hint="crt db query 'select id, started, label from session'",
                )
        first = policy.first(sharing.today())
        before = None if first is None else datetime.combine(first, time(), timezone.utc)
        chosen = pruning.chosen(before=before, ids=session or ())
        found = pruning.count(engine, chosen)
        removes = bool(found.sessions) and not dry_run
        if removes and not yes and not console.confirmed(_question(found, settings)):
            removes = False
        if removes:
            pruning.prune(engine, chosen)
            pruning.shrink(engine)
    finally:
        engine.dispose()
    if format_ == "json":
        console.show_json(
            {
                "schema": 1,
                "sessions": found.sessions,
                "runs": found.runs,
                "unshared": found.unshared,
                "removed": removes,
            }
        )
    elif not found.sessions:
        why = f": --keep {keep} keeps everything" if keep is not None and policy.days is None else ""
        console.result(f"there is no session to remove{why}")
    else:
        verb = "removed" if removes else "would be removed"
        console.result(
            f"{found.sessions:,} sessions with {found.runs:,} runs {verb}, {found.unshared:,} of them in no remote"
        )


def _question(found: Any, settings: Config) -> str:
    from coiled_runtime_cli.core.quantity import counted

    lost = f"; {found.unshared:,} of them in no remote, and so for good" if found.unshared else ""
    sessions, runs = counted(found.sessions, "session"), counted(found.runs, "run")
    return f"remove {sessions} with {runs} from {settings.db}{lost}?"


def _present(db: str | None) -> Config:
    """The settings of a database that is there, at this crt's schema, with what killed sessions have left in it."""
    from coiled_runtime_cli import config, session

    settings = config.load({"db": db})
    session.open_existing(settings).dispose()
    return settings


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
