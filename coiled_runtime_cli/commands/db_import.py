"""`crt db import`: the history of the predecessor."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  typer reads it
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from coiled_runtime_cli.commands.db_options import Database, recover, refuse_itself

if TYPE_CHECKING:
    from coiled_runtime_cli.db.legacy import Imported


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
    refuse_itself(files, target, "imported into")
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
