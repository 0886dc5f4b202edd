"""What the commands of `crt sync` are asked: the flags that they share, and the remote and the database that those open."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coiled_runtime_cli import config as configuration
    from coiled_runtime_cli.sharing import Shared
    from coiled_runtime_cli.sync.store import Store

Remote = Annotated[
    str | None,
    typer.Option(
        "--remote",
        metavar="s3://BUCKET/PREFIX|FOLDER",
        help="Where the shared history is. Default: CRT_SYNC_REMOTE, [tool.crt.sync], or a folder of yours.",
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option("--endpoint-url", metavar="URL", help="Of a store other than AWS's. CRT_SYNC_ENDPOINT_URL."),
]
Profile = Annotated[str | None, typer.Option("--profile", metavar="NAME", help="AWS profile to log in with.")]
Region = Annotated[str | None, typer.Option("--region", metavar="NAME", help="AWS region of the bucket.")]
Database = Annotated[
    str | None, typer.Option("--db", metavar="PATH|URL", help="The database. Default: DB_NAME, or benchmark.db.")
]
Format = Annotated[Literal["table", "json"], typer.Option("--format", help="How to write the result.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")]


def chosen_remote(
    remote: str | None, endpoint_url: str | None, profile: str | None, region: str | None, db: str | None
) -> tuple[configuration.Config, configuration.Remote, Store]:
    """The settings, and the remote of the flags or of the settings, whose store nothing is asked of yet. Raises UsageError."""
    from coiled_runtime_cli import config, sharing

    settings = config.load({"db": db})
    where = config.remote(settings, remote=remote, endpoint_url=endpoint_url, profile=profile, region=region)
    return settings, where, sharing.open_remote(where)


@contextmanager
def opened(
    settings: configuration.Config, store: Store, *, absent: Literal["refuse", "make", "empty"] = "refuse"
) -> Iterator[Shared]:
    """The database with its remote. One that is absent is refused, made, or taken for an empty one that nobody will see."""
    from coiled_runtime_cli import config, journal, session, sharing, temporary
    from coiled_runtime_cli.db.engine import open_database

    file = config.sqlite_file(settings.db)
    is_absent = file is not None and not file.exists() and not journal.pending(settings.runs)
    with temporary.folder() as folder:
        if absent == "refuse":
            engine = session.open_existing(settings)
        elif is_absent and absent == "empty":
            engine = open_database(f"{folder}/empty.db")
        else:
            engine = session.open_history(settings)
        try:
            with sharing.shared(engine, store) as shared:
                yield shared
        finally:
            engine.dispose()
