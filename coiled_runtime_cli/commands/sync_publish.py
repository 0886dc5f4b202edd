"""`crt sync publish`: the whole history of a remote as one database beside its segments."""

from __future__ import annotations

from typing import Annotated

import typer

from coiled_runtime_cli.commands.sync_options import Endpoint, Format, Profile, Region, Remote, chosen_remote
from coiled_runtime_cli.commands.sync_result import complain, show_json


def publish(
    *,
    keep: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="From now on keep sessions this long: 90d, 12 weeks, 2y, all. Older ones are archived."
        ),
    ] = None,
    single_publisher: Annotated[
        bool, typer.Option("--single-publisher", help="On a store without conditional writes: nobody else publishes.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite a benchmark.db that crt did not publish.")
    ] = False,
    delete_archived: Annotated[
        bool, typer.Option("--delete-archived", help="Delete from the archive what was put there a week ago or more.")
    ] = False,
    remote: Remote = None,
    endpoint_url: Endpoint = None,
    profile: Profile = None,
    region: Region = None,
    format_: Format = "table",
) -> None:
    """Publish the whole history as one benchmark.db.

    It is a plain SQLite file beside the segments, which anyone may fetch, and which a first pull begins with.

    \b
    crt sync publish                what a nightly job does
    crt sync publish --keep 90d     and archive what is older, from now on
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console, sharing
    from coiled_runtime_cli.core.quantity import bytes_text, counted
    from coiled_runtime_cli.core.retention import Policy, PolicyError
    from coiled_runtime_cli.db.migrate import heads
    from coiled_runtime_cli.db.revisions import read_revisions
    from coiled_runtime_cli.db.snapshot import inspect_published
    from coiled_runtime_cli.errors import UsageError
    from coiled_runtime_cli.sync.publish import KEY, Options
    from coiled_runtime_cli.sync.publish import publish as put

    try:
        policy = None if keep is None else Policy.parse(keep)
    except PolicyError as error:
        raise UsageError(f"--keep: {error}") from error
    settings, where, store = chosen_remote(remote, endpoint_url, profile, region, None)
    sharing.check_folder(where)
    options = Options(
        inspect=inspect_published,
        knows=read_revisions().known.__contains__,
        revision=heads()[0],
        keep=policy,
        single_publisher=single_publisher,
        replace=replace,
        delete_archived=delete_archived,
    )
    with sharing.mirror(store, settings.history) as mirrored:
        sharing.begin(mirrored)
        with sharing.progress("publishing") as tell:
            done = put(store, mirrored.history, sharing.today(), options, progress=tell)
    if format_ == "json":
        show_json(
            store,
            {
                "published": KEY,
                "runs": done.runs,
                "published_bytes": done.size,
                "archived": done.archived,
                "restored": done.restored,
                "deleted": done.deleted,
                "keep_days": None if done.policy is None else done.policy.days,
                "catalog": done.has_catalog,
                "refused": done.pulled.refused,
            },
        )
    else:
        console.result(f"{store.name}/{KEY}: {done.runs:,} runs, {bytes_text(done.size)}")
    if done.archived or done.restored or done.deleted:
        console.note(
            f"{counted(done.archived, 'session')} archived, {done.restored:,} restored, {done.deleted:,} deleted: "
            f"the remote keeps {done.policy}"
        )
    if not done.is_conditional:
        console.warning(
            "this store has no conditional writes: if another publishes at the same time, one of them is undone"
        )
    complain(store, done.pulled)
