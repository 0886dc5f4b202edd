"""`crt sync status`: what is to be pushed, and what to be pulled."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from coiled_runtime_cli.commands.sync_options import (
    Database,
    Endpoint,
    Profile,
    Region,
    Remote,
    chosen_remote,
    opened,
)
from coiled_runtime_cli.commands.sync_result import NAMED, show_json


def status(
    *,
    remote: Remote = None,
    db: Database = None,
    endpoint_url: Endpoint = None,
    profile: Profile = None,
    region: Region = None,
    format_: Annotated[
        Literal["table", "json", "markdown", "csv", "github"], typer.Option("--format", help="How to write the result.")
    ] = "table",
) -> None:
    """Show what is to be pushed, and what to be pulled.

    crt sync status
    """
    from coiled_runtime_cli import console, sharing
    from coiled_runtime_cli.core.quantity import bytes_text, counted
    from coiled_runtime_cli.core.table import Column, Table
    from coiled_runtime_cli.sync.policy import read_policy
    from coiled_runtime_cli.sync.publish import KEY
    from coiled_runtime_cli.sync.pull import pull as fetch

    settings, where, store = chosen_remote(remote, endpoint_url, profile, region, db)
    sharing.check_folder(where, asks=True)
    with opened(settings, store) as shared:
        policy = read_policy(store)
        today = sharing.today()
        pending = [each for each, day in shared.history.pending().items() if policy.keeps(day, today)]
        pushed, applied = len(shared.history.pushed()), len(shared.history.applied())
        runs = shared.history.runs_of(pending)
        missing = fetch(store, shared.history, today, dry_run=True)
        published = store.head(KEY)
    if format_ == "json":
        show_json(
            store,
            {
                "pushed": pushed,
                "pulled": applied,
                "pending": len(pending),
                "pending_runs": runs,
                "missing": missing.segments,
                "refused": missing.refused,
                "published_bytes": None if published is None else published.size,
                "keep_days": policy.days,
            },
        )
        return
    rows = (
        ("remote", f"{store.name} ({where.origin})"),
        ("database", console.printable(settings.db)),
        ("to push", f"{counted(len(pending), 'session')} ({runs:,} runs)" if pending else "nothing"),
        (
            "to pull",
            f"{counted(missing.segments, 'session')} ({bytes_text(missing.size)})" if missing.segments else "nothing",
        ),
        ("published", "not yet" if published is None else f"{KEY}, {bytes_text(published.size)}"),
        ("keeps", str(policy)),
    )
    console.show_table(Table((Column("crt sync"), Column("", key="value")), rows), format_)
    for key in list(missing.refused)[:NAMED]:
        console.warning(f"{key}: {missing.refused[key]}")
