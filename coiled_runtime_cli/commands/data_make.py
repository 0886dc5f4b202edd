"""`crt data make`: data sets made before a suite asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from coiled_runtime_cli.commands.data_cells import HASH_DIGITS, count_text, size_text
from coiled_runtime_cli.commands.data_options import Format, Jobs, Names, ScaleOption, scale_and_cache
from coiled_runtime_cli.commands.data_progress import followed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from coiled_runtime_cli.core.scale import Scale
    from coiled_runtime_cli.datasets.recipe import Recipe


def make(
    names: Names = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="Every data set.")] = False,
    scale: ScaleOption = None,
    jobs: Jobs = None,
    format_: Format = "table",
) -> None:
    """Make data sets before a suite asks for them, on a local cluster.

    What is there is verified, and only what is damaged is made again. The bytes do not depend on the number of processes.

    \b
    crt data make nyc_taxi h2o_join
    crt data make --all --scale smoke -n 4
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console, datasets
    from coiled_runtime_cli.datasets.events import Failed, Ready
    from coiled_runtime_cli.errors import UsageError

    if bool(names) == all_:
        raise UsageError(
            "--all is every data set: name none" if all_ else "no data set was named",
            hint="crt data make nyc_taxi, or crt data make --all; crt data list shows the names",
        )
    size, cache = scale_and_cache(scale)
    chosen = datasets.recipes(names or ())
    outcomes: dict[str, Ready | Failed] = {}
    with console.progress(None, "data") as bar:
        for event in followed(datasets.make(chosen, scale=size, cache=cache, workers=jobs), bar):
            outcomes[event.name] = event
    failures = [
        each.error
        for each in outcomes.values()
        if isinstance(each, Failed) and not (all_ and isinstance(each.error, datasets.MissingLibrary))
    ]
    _show_made(chosen, outcomes, size, cache, format_)
    for each in outcomes.values():
        if isinstance(each, Failed) and each.error not in failures[:1]:
            console.warning(each.error.message + (f" ({each.error.hint})" if each.error.hint else ""))
    if failures:
        raise failures[0]


def _show_made(
    chosen: Mapping[str, Recipe], outcomes: Mapping[str, Any], scale: Scale, cache: Path, format_: str
) -> None:
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.table import Column, Table

    made = [_made(recipe, outcomes.get(name), scale) for name, recipe in chosen.items()]
    if format_ == "json":
        console.show_json({"schema": 1, "cache": str(cache), "scale": scale.name, "datasets": made})
        return
    columns = (
        Column("data set", key="name"),
        Column("done", key="state"),
        Column("rows", align="right", drop=2),
        Column("size", align="right", key="bytes"),
        Column("files", align="right", drop=3),
        Column("hash", key="sha256", drop=1),
    )
    whole = format_ == "csv"
    rows = tuple(
        (
            each["name"],
            each["state"],
            count_text(each["rows"], whole=whole),
            "" if each["bytes"] is None else str(each["bytes"]) if whole else size_text(each["bytes"]),
            count_text(each["files"], whole=whole),
            (each["sha256"] or "")[: None if whole else HASH_DIGITS],
        )
        for each in made
    )
    there = sum(each["bytes"] or 0 for each in made)
    console.show_table(Table(columns, rows, caption=f"{size_text(there)} at scale {scale.name} in {cache}"), format_)


def _made(recipe: Recipe, outcome: Any, scale: Scale) -> dict[str, Any]:
    from coiled_runtime_cli.datasets.events import Ready

    nothing = {"rows": None, "bytes": None, "files": None, "sha256": None}
    if isinstance(outcome, Ready):
        stored = outcome.stored
        state = "repaired" if stored.repaired else "made" if stored.generated else "was there"
        return {
            "name": recipe.name,
            "state": state,
            "rows": stored.rows,
            "bytes": stored.bytes,
            "files": len(stored.files),
            "sha256": stored.sha256,
            "location": str(stored.folder),
            "reason": None,
        }
    if outcome is None:
        remote = recipe.remote_at(scale)
        location = None if remote is None else remote.location
        return {"name": recipe.name, "state": "remote", **nothing, "location": location, "reason": None}
    return {"name": recipe.name, "state": "failed", **nothing, "location": None, "reason": outcome.error.message}
