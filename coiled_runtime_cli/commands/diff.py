"""`crt diff`: what sets two runs apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from coiled_runtime_cli.commands.options import Databases  # noqa: TC001  typer reads it

if TYPE_CHECKING:
    from coiled_runtime_cli.core.difference import Difference
    from coiled_runtime_cli.core.history import History

#: Lines of a changed test that are shown.
_LINES = 60


def diff(
    first: Annotated[
        str, typer.Argument(metavar="RUN1", help="A run's UUID, or what crt compare takes: its newest run.")
    ],
    second: Annotated[str, typer.Argument(metavar="RUN2", help="The other one; of several, the same test's.")],
    *,
    db: Databases = None,
    format_: Annotated[
        Literal["table", "json", "markdown", "csv", "github"], typer.Option("--format", help="How to write it.")
    ] = "table",
) -> None:
    """Show what sets two runs apart: environments, hosts, configurations, commits, results.

    \b
    crt diff 0199f0c4e1 0199f3d2aa           the UUIDs of two runs
    crt diff upstream,2026-11-01 upstream    newest run of that day, and of all
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console, histories
    from coiled_runtime_cli.core.difference import differences, source_difference
    from coiled_runtime_cli.core.history import uuid_text

    with histories.opened(db) as opened:
        history = opened.history
        one = _row(history, first, None)
        other = _row(history, second, history.benchmarks[history.runs.benchmark[one]].id)
        found = differences(history, one, other)
        source = source_difference(history, one, other)
        uuids = [uuid_text(history.runs.uuid[row]) for row in (one, other)]
        names = [history.benchmarks[history.runs.benchmark[row]].id for row in (one, other)]
    if format_ == "json":
        console.show_json(
            {
                "schema": 1,
                "runs": [{"uuid": uuid, "benchmark": name} for uuid, name in zip(uuids, names, strict=True)],
                "differences": [
                    {"section": each.section, "name": each.name, "first": each.first, "second": each.second}
                    | ({"commits_url": each.url} if each.url else {})
                    for each in found
                ],
                "source": source,
            }
        )
        return
    for uuid, name in zip(uuids, names, strict=True):
        console.note(f"{uuid}  {name}")
    if not found:
        console.result("nothing that is recorded differs" if one != other else "they are one run")
        return
    _show(found, format_)
    for each in found:
        if each.url:
            console.note(f"{each.name}: {each.url}")
    lines = source.splitlines()
    for line in lines[:_LINES]:
        console.note(line)
    if len(lines) > _LINES:
        console.hint(f"--format json has the other {len(lines) - _LINES} lines")


def _row(history: History, text: str, benchmark: str | None) -> int:
    from coiled_runtime_cli.core.difference import find_run
    from coiled_runtime_cli.core.selection import SelectionError
    from coiled_runtime_cli.errors import ToolError, UsageError

    if not len(history.runs):
        raise ToolError("nothing was measured yet", hint="crt bench --suite parquet")
    try:
        return find_run(history, text, benchmark=benchmark)
    except SelectionError as error:
        raise UsageError(str(error), hint='crt db query "select uuid, name, start from test_run" lists runs') from error


def _show(found: list[Difference], format_: str) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.table import Column, Table

    rows, last = [], ""
    for each in found:
        section = each.section if each.section != last or format_ == "csv" else ""
        last = each.section
        rows.append((section, each.name, each.first or "none", each.second or "none"))
    columns = (Column("", key="section"), Column("what"), Column("first"), Column("second"))
    console.show_table(Table(columns, tuple(rows)), format_)
