"""`crt report`: draw the history as a static site, one file, or a summary."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Engine

    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.core.history import History
    from coiled_runtime_cli.report.build import Options


def report(
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="The site. Default: site.")] = None,
    db: Annotated[
        list[str] | None,
        typer.Option("--db", metavar="PATH|URL", help="Database. Repeatable: histories are merged. Default: benchmark.db."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Only the N days before the last run. Default: everything.")
    ] = None,
    suite: Annotated[
        list[str] | None, typer.Option("--suite", "-s", metavar="NAME", help="Only this suite. Repeatable.")
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", metavar="NAME", help="Only this runtime. Repeatable.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="LABEL", help="What the compare page and the summary compare with.")
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="The site's name. Default: Benchmarks.")] = None,
    single: Annotated[
        Path | None, typer.Option(metavar="FILE", help="One self-contained page to mail, instead of a folder.")
    ] = None,
    summary: Annotated[
        Literal["markdown", "github"] | None,
        typer.Option(help="Print what changed as Markdown, for a pull request, instead of a folder."),
    ] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Serve it here, and rebuild when the history grows.")] = False,
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Of --serve; 0: any that is free.")] = 8000,
    format_: Annotated[
        Literal["table", "json"], typer.Option("--format", help="How to say what was written.")
    ] = "table",
) -> None:
    """Draw the history as a static site: what changed, every benchmark, comparisons.

    \b
    crt report --out site/ --open                from benchmark.db in this folder
    crt report --out site/ --days 90             the last 90 days of it
    crt report --db mine.db --db team.db         two histories as one
    crt report --single report.html --days 30    one file to mail
    crt report --summary github                  for a pull request
    crt report --serve                           rebuilt while benchmarks run
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    request = _Request(
        databases=db or [],
        days=days,
        suites=suite or [],
        labels=label or [],
        baseline=baseline,
        title=title,
    )
