"""`crt data verify`: every file in the cache, read; what is damaged can be made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from coiled_runtime_cli.commands.data_cells import count_text, folder_document, kind_text, size_text
from coiled_runtime_cli.commands.data_options import Format, Jobs, Names, ScaleOption, folders_of, scale_and_cache
from coiled_runtime_cli.commands.data_progress import followed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from coiled_runtime_cli.datasets.damage import Verdict
    from coiled_runtime_cli.errors import ToolError

_LISTED = 20  # damaged files that a table shows


def verify(
    names: Names = None,
    *,
    scale: ScaleOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Make again what is damaged.")] = False,
    jobs: Jobs = None,
    format_: Format = "table",
) -> None:
    """Read every file in the cache; exit 1 if one is damaged.

    \b
    crt data verify                    everything in the cache
    crt data verify nyc_taxi --scale laptop --repair
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console, datasets
    from coiled_runtime_cli.datasets import damage

    size, cache = scale_and_cache(scale)
    found = folders_of(names, cache)
    if scale is not None:
        at = {str(cache / f"{name}-{each.key(each.parameters(size))}") for name, each in datasets.recipes().items()}
        found = [each for each in found if str(each.path) in at]
    verdicts: list[Verdict] = []
    with console.progress(None, "data") as bar:
        for event in damage.verify(found):
            if isinstance(event, damage.Verdict):
                verdicts.append(event)
            else:
                bar.update(event.done, event.total, f"{size_text(event.done)} {event.name}")
    repaired, failures = _repaired([each for each in verdicts if each.harms], cache, jobs) if repair else (set(), [])
    _show_verdicts(verdicts, repaired, cache, format_)
    if failures:
        raise failures[0]
    left = [each for each in verdicts if each.harms and each.folder.path not in repaired]
    if left:
        if not repair and any(damage.remedy(datasets.recipes(), each.folder) for each in left):
            console.hint(" ".join(["crt data verify --repair", *sorted({each.folder.name for each in left})]))
        raise typer.Exit(1)


def _repaired(damaged: Sequence[Verdict], cache: Path, jobs: int | None) -> tuple[set[Path], list[ToolError]]:
    """Make again what is damaged and has a recipe; the folders that are whole now, and what went wrong."""
    from coiled_runtime_cli import console, datasets
    from coiled_runtime_cli.datasets import damage
    from coiled_runtime_cli.datasets.events import Ready
    from coiled_runtime_cli.datasets.production import produce

    remedies = [damage.remedy(datasets.recipes(), each.folder) for each in damaged]
    repaired: set[Path] = set()
    failures = []
    with console.progress(None, "data") as bar:
        for event in followed(produce([each for each in remedies if each], cache, workers=jobs), bar):
            if isinstance(event, Ready):
                repaired.add(event.stored.folder)
            else:
                failures.append(event.error)
    return repaired, failures


def _show_verdicts(verdicts: Sequence[Verdict], repaired: set[Path], cache: Path, format_: str) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.table import Column, Table

    states = {
        each.folder.path: "intact" if not each.harms else "repaired" if each.folder.path in repaired else "damaged"
        for each in verdicts
    }
    if format_ == "json":
        shown = [
            folder_document(each.folder)
            | {
                "state": states[each.folder.path],
                "damaged": [{"path": path, "reason": why} for path, why in each.harms],
            }
            for each in verdicts
        ]
        console.show_json({"schema": 1, "cache": str(cache), "datasets": shown})
        return
    styles = {"intact": "good", "damaged": "bad", "repaired": "strong"}
    columns = (
        Column("folder"),
        Column("what", drop=1),
        Column("files", align="right", drop=2),
        Column("size", align="right", key="bytes"),
        Column("state"),
    )
    whole = format_ == "csv"
    rows = tuple(
        (
            each.folder.path.name,
            kind_text(each.folder),
            count_text(None if each.folder.manifest is None else len(each.folder.manifest.files), whole=whole),
            str(each.folder.bytes) if whole else size_text(each.folder.bytes),
            states[each.folder.path],
        )
        for each in verdicts
    )
    paints = tuple((None, None, None, None, styles[states[each.folder.path]]) for each in verdicts)
    total = sum(each.folder.bytes for each in verdicts)
    console.show_table(Table(columns, rows, paints, f"{size_text(total)} read in {cache}"), format_)
    damaged = [(f"{each.folder.path.name}/{path}", why) for each in verdicts for path, why in each.harms]
    if damaged and not whole:
        rest = len(damaged) - _LISTED
        console.result("")
        console.show_table(
            Table(
                (Column("damaged file"), Column("what is wrong")),
                tuple(damaged[:_LISTED]),
                caption=f"and {rest} more" if rest > 0 else None,
            ),
            format_,
        )
