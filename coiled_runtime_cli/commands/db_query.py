"""`crt db query`: a question in SQL."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from coiled_runtime_cli.commands.db_options import Database, present


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

    settings = present(db)
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
