"""How far the making of data is, under a bar: what `crt data make` and `crt data verify --repair` show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coiled_runtime_cli.commands.data_cells import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator


def followed(events: Any, bar: Any) -> Iterator[Any]:
    """Show how far the making of data is, and yield what is ready or has failed."""
    from contextlib import closing

    from coiled_runtime_cli import console
    from coiled_runtime_cli.datasets.events import Checking, Serial, Step, Waiting

    with closing(events):
        for event in events:
            match event:
                case Step(name, done, total):
                    bar.update(done, total, f"{size_text(done)} {name}")
                case Checking(name, size):
                    bar.update(0, text=f"checking {size_text(size)} of {name}")
                case Waiting(name):
                    bar.log(f"{name} is being made by another process: waiting for it")
                case Serial(reason):
                    console.warning(f"no local cluster ({reason}): the files are made one after another")
                case _:
                    yield event
