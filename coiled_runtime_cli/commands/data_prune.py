"""`crt data prune`: the space of data sets that nothing reads, freed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from coiled_runtime_cli.commands.data_cells import day_text, folder_document, kind_text, size_text
from coiled_runtime_cli.commands.data_options import Format, Names, folders_of, scale_and_cache

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from coiled_runtime_cli.datasets.pruning import Pruned


def prune(
    names: Names = None,
    *,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="TIME", help="Only what nobody used for so long, as 30d.")
    ] = None,
    keep_current: Annotated[
        bool,
        typer.Option("--keep-current/--no-keep-current", help="Keep what suites read at smoke, laptop and full."),
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and stop.")] = False,
    format_: Format = "table",
) -> None:
    """Remove data sets that nothing reads, and what is unfinished.

    That is old versions, multiples of laptop, and names that are no more. What a process is using stays; all of it can be
    made again.

    \b
    crt data prune --dry-run
    crt data prune --no-keep-current --older-than 30d
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    import time

    from coiled_runtime_cli.commands.options import seconds
    from coiled_runtime_cli.datasets import pruning
    from coiled_runtime_cli.errors import ToolError

    since = None if older_than is None else time.time() - seconds("--older-than", older_than)
    _, cache = scale_and_cache(None)
    found = folders_of(names, cache)
    done = list(pruning.prune(found, unused_since=since, keep_current=keep_current, dry_run=dry_run))
    if not dry_run and not names:
        pruning.remove_idle_locks(cache)
    _show_pruned(done, cache, format_, dry_run=dry_run)
    refused = [each for each in done if each.failed]
    if refused:
        raise ToolError(f"cannot remove {refused[0].folder.path}: {refused[0].kept}")


def _show_pruned(done: Sequence[Pruned], cache: Path, format_: str, *, dry_run: bool) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.table import Column, Table

    freed = sum(each.folder.bytes for each in done if each.kept is None)
    if format_ == "json":
        shown = [
            folder_document(each.folder) | {"removed": not dry_run and each.kept is None, "kept": each.kept}
            for each in done
        ]
        console.show_json({"schema": 1, "cache": str(cache), "dry_run": dry_run, "freed": freed, "folders": shown})
        return
    columns = (
        Column("folder"),
        Column("what"),
        Column("size", align="right", key="bytes"),
        Column("last used", align="right", drop=1),
        Column("done"),
    )
    whole = format_ == "csv"
    rows = tuple(
        (
            each.folder.path.name,
            kind_text(each.folder),
            str(each.folder.bytes) if whole else size_text(each.folder.bytes),
            day_text(each.folder.used),
            f"kept: {each.kept}" if each.kept else "would go" if dry_run else "removed",
        )
        for each in done
    )
    verb = "would be freed" if dry_run else "freed"
    console.show_table(Table(columns, rows, caption=f"{size_text(freed)} {verb} in {cache}"), format_)
