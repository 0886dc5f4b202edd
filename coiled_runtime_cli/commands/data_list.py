"""`crt data list`: the data sets, made or not, and what else is in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.commands.data_cells import (
    HASH_DIGITS,
    count_text,
    day_text,
    folder_document,
    kind_text,
    moment_text,
    size_text,
)
from coiled_runtime_cli.commands.data_options import Format, Names, ScaleOption, scale_and_cache

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from coiled_runtime_cli.core.scale import Scale
    from coiled_runtime_cli.core.table import Table
    from coiled_runtime_cli.datasets.inventory import Entry


def list_(names: Names = None, *, scale: ScaleOption = None, format_: Format = "table") -> None:
    """Show the data sets: size, seed, hash, and whether they are made.

    No data are read: crt data verify does that.

    \b
    crt data list                      all, at the scale of the configuration
    crt data list nyc_taxi --scale full
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console, datasets
    from coiled_runtime_cli.core.quantity import counted
    from coiled_runtime_cli.core.table import Column, Table
    from coiled_runtime_cli.datasets import inventory

    size, cache = scale_and_cache(scale)
    chosen = datasets.recipes(names or ())
    entries = [inventory.entry(each, size, cache) for each in chosen.values()]
    here = {each.location for each in entries}
    others = [
        each
        for each in inventory.folders(datasets.recipes(), cache)
        if str(each.path) not in here and (not names or each.name in names)
    ]
    if format_ == "json":
        document = {
            "schema": 1,
            "cache": str(cache),
            "scale": size.name,
            "datasets": [_entry(each) for each in entries],
            "others": [folder_document(each) for each in others],
        }
        console.show_json(document)
        return
    console.show_table(_entries_table(entries, size, cache, whole=format_ == "csv"), format_)
    if not others or format_ == "csv":
        return
    stale = sum(each.bytes for each in others if each.kind in inventory.STALE)
    columns = (
        Column("also in the cache"),
        Column("what"),
        Column("size", align="right"),
        Column("last used", align="right", drop=1),
    )
    rows = [
        (each.path.name, kind_text(each), size_text(each.bytes), day_text(each.used))
        for each in others
        if not each.scales
    ]
    for scales in dict.fromkeys(each.scales for each in others if each.scales):
        alike = [each for each in others if each.scales == scales]
        last = max((each.used for each in alike if each.used is not None), default=None)
        size_ = size_text(sum(each.bytes for each in alike))
        rows.append((counted(len(alike), "data set"), kind_text(alike[0]), size_, day_text(last)))
    console.result("")
    console.show_table(Table(columns, tuple(rows)), format_)
    if stale:
        console.hint(f"crt data prune frees {size_text(stale)}")


def _entries_table(entries: Sequence[Entry], scale: Scale, cache: Path, *, whole: bool) -> Table:
    from coiled_runtime_cli.core.table import Column, Table
    from coiled_runtime_cli.datasets.inventory import State

    located = whole or any(each.state is State.REMOTE for each in entries)  # all others are in the cache
    styles = {State.MADE: "good", State.DAMAGED: "bad", State.REMOTE: None, State.NOT_MADE: "dim"}
    columns = (
        Column("data set", key="name"),
        Column("rows", align="right", drop=2),
        Column("size", align="right", key="bytes"),
        Column("files", align="right", drop=3),
        Column("seed", align="right", drop=4),
        Column("state"),
        Column("hash", key="sha256", drop=1),
        Column("summary", drop=5),
        *((Column("location"),) if located else ()),
    )
    rows = []
    for each in entries:
        there = each.state in (State.MADE, State.DAMAGED) and each.sha256 is not None
        size = "" if each.bytes is None else size_text(each.bytes) if there else f"~ {size_text(each.bytes)}"
        cells = (
            each.name,
            count_text(each.rows, whole=whole),
            str(each.bytes or "") if whole else size,
            count_text(each.files, whole=whole),
            "" if each.seed is None else str(each.seed),
            each.state.value,
            (each.sha256 or "")[: None if whole else HASH_DIGITS],
            each.summary,
            *((each.location if whole or each.state is State.REMOTE else "",) if located else ()),
        )
        rows.append(cells)
    made = [each for each in entries if each.state is State.MADE]
    total = sum(each.bytes or 0 for each in made)
    caption = f"{len(made)} of {len(entries)} made at scale {scale.name}: {size_text(total)} in {cache}"
    paints = tuple(
        tuple(styles[each.state] if index == 5 else None for index in range(len(columns))) for each in entries
    )
    return Table(columns, tuple(rows), paints, caption)


def _entry(each: Entry) -> dict[str, Any]:
    from coiled_runtime_cli.datasets.inventory import State

    return {
        "name": each.name,
        "summary": each.summary,
        "state": each.state.value,
        "location": each.location,
        "version": each.version,
        "seed": each.seed,
        "parameters": None if each.parameters is None else dict(each.parameters),
        "rows": each.rows,
        "bytes": each.bytes,
        "approximate": each.sha256 is None and each.state is not State.REMOTE,
        "files": each.files,
        "sha256": each.sha256,
        "used": moment_text(each.used),
    }
