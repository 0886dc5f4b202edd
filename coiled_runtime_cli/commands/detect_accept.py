"""`crt detect accept`: changes that are as they should be; the level after them is the baseline."""

from __future__ import annotations

from typing import Annotated

import typer


def accept(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Findings, by the ids that crt detect shows.")],
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it is as it should be.")],
    db: Annotated[
        str | None, typer.Option("--db", metavar="PATH|URL", help="The database. Default: benchmark.db.")
    ] = None,
) -> None:
    """Accept changes: the level after them is the baseline from now on.

    crt detect accept 3f2a9c1b7d10 --reason "checks its answer now"
    """
    from coiled_runtime_cli import config, console, session
    from coiled_runtime_cli.core.quantity import counted
    from coiled_runtime_cli.db import findings as kept
    from coiled_runtime_cli.errors import UsageError

    if not reason.strip():
        raise UsageError("--reason is empty", hint="say why the change is as it should be: others will ask")
    engine = session.open_existing(config.load({"db": db}))
    try:
        kept.accept(engine, ids, reason.strip())
    finally:
        engine.dispose()
    console.note(f"{counted(len(ids), 'finding')} accepted")
