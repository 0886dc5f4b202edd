"""What the commands of `crt data` are asked: the flags that they share, and which scale, cache and folders those mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from coiled_runtime_cli.core.scale import Scale
    from coiled_runtime_cli.datasets.inventory import Folder

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Only these data sets.")]
ScaleOption = Annotated[
    str | None, typer.Option("--scale", metavar="SCALE", help="smoke, laptop, full, or a multiple of laptop.")
]
Format = Annotated[
    Literal["table", "json", "markdown", "csv", "github"], typer.Option("--format", help="How to write the result.")
]
Jobs = Annotated[
    int | None, typer.Option("--jobs", "-n", metavar="N", min=1, help="Processes that make files. Default: one a core.")
]


def scale_and_cache(scale: str | None) -> tuple[Scale, Path]:
    """The scale of the flag, or of the settings, and the folder of the cache."""
    from coiled_runtime_cli import config
    from coiled_runtime_cli.core.scale import Scale

    settings = config.load({"scale": scale})
    return Scale.parse(settings.scale), settings.data.absolute()


def folders_of(names: Iterable[str] | None, cache: Path) -> list[Folder]:
    """What is in the cache of these names, or all. Raises UsageError for a name of neither a recipe nor a folder."""
    from coiled_runtime_cli import datasets
    from coiled_runtime_cli.core.nearest import unknown
    from coiled_runtime_cli.datasets import inventory
    from coiled_runtime_cli.errors import UsageError

    everything = inventory.folders(datasets.recipes(), cache)
    known = sorted({*datasets.names(), *(each.name for each in everything)})
    for name in names or ():
        if name not in known:
            raise UsageError(unknown("data set", name, known))
    return [each for each in everything if not names or each.name in names]
