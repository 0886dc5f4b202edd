"""`crt sync pull`: the sessions of the remote that a database has not, added to it."""

from __future__ import annotations

from typing import Annotated

import typer

from coiled_runtime_cli.commands.sync_options import (
    Database,
    DryRun,
    Endpoint,
    Format,
    Profile,
    Region,
    Remote,
    chosen_remote,
    opened,
)
from coiled_runtime_cli.commands.sync_result import complain, show_json


def pull(
    *,
    archived: Annotated[
        bool, typer.Option("--archived", help="Also the sessions that the remote keeps no more, from its archive.")
    ] = False,
    remote: Remote = None,
    db: Database = None,
    endpoint_url: Endpoint = None,
    profile: Profile = None,
    region: Region = None,
    dry_run: DryRun = False,
    format_: Format = "table",
) -> None:
    """Add the sessions of the remote that this database has not.

    An empty database begins with what was last published.

    \b
    crt sync pull
    crt sync pull --remote s3://bucket/benchmarks --db team.db
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console, sharing
    from coiled_runtime_cli.core.quantity import bytes_text, counted
    from coiled_runtime_cli.sync.pull import pull as fetch

    settings, where, store = chosen_remote(remote, endpoint_url, profile, region, db)
    sharing.check_folder(where)
    with opened(settings, store, absent="empty" if dry_run else "make") as shared:
        begun = 0 if dry_run or archived else sharing.begin(shared)
        if begun:
            shared.history.mark_all_pushed()
        with sharing.progress("pulling") as tell:
            done = fetch(store, shared.history, sharing.today(), archived=archived, dry_run=dry_run, progress=tell)
        if format_ == "json":
            show_json(
                store,
                {
                    "pushed": 0,
                    "pulled": done.segments,
                    "pending": 0 if dry_run else len(shared.history.pending()),
                    "runs": begun + done.runs,
                    "published_runs": begun,
                    "conflicts": done.conflicts,
                    "refused": done.refused,
                    "newer": done.newer,
                    "dry_run": dry_run,
                },
            )
        elif dry_run:
            console.result(
                f"{counted(done.segments, 'session')} would be pulled from {store.name} ({bytes_text(done.size)})"
            )
        elif begun or done.segments:
            rest = f"{counted(done.segments, 'session')} pulled from {store.name} ({done.runs:,} runs, {bytes_text(done.size)})"
            if begun:
                console.result(f"began with what {store.name} has published ({begun:,} runs)")
            if done.segments:
                console.result(rest)
        else:
            console.result(f"nothing to pull: {settings.db} has every session of {store.name}")
    complain(store, done)
