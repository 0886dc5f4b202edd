"""`crt sync push`: the sessions of a database that the remote has not, added to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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
from coiled_runtime_cli.commands.sync_result import show_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from coiled_runtime_cli.sharing import Shared


def push(
    *,
    session: Annotated[
        list[str] | None, typer.Option("--session", metavar="ID", help="Only this session. Repeatable.")
    ] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Look into the remote as well, and push again what it has lost.")
    ] = False,
    remote: Remote = None,
    db: Database = None,
    endpoint_url: Endpoint = None,
    profile: Profile = None,
    region: Region = None,
    dry_run: DryRun = False,
    format_: Format = "table",
) -> None:
    """Add the sessions of this database that the remote has not.

    Pushed twice, or by two machines, is once.

    \b
    crt sync push                                 to the configured remote
    crt sync push --remote s3://bucket/benchmarks
    crt sync push --remote /mnt/team/benchmarks   a folder does as well
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from coiled_runtime_cli import console, sharing
    from coiled_runtime_cli.core.quantity import bytes_text, counted
    from coiled_runtime_cli.errors import UsageError
    from coiled_runtime_cli.sync.push import push as put

    if session and all_:
        raise UsageError("--session and --all contradict each other", hint="give one of them")
    settings, where, store = chosen_remote(remote, endpoint_url, profile, region, db)
    sharing.check_folder(where, makes=not dry_run, asks=dry_run)
    with opened(settings, store) as shared:
        sessions = _sessions(shared, session or [], all_=all_, dry_run=dry_run)
        with sharing.progress("pushing") as tell:
            done = put(store, shared.history, sessions, sharing.today(), dry_run=dry_run, progress=tell)
        left = len(shared.history.pending()) - done.expired
        if format_ == "json":
            show_json(
                store,
                {
                    "pushed": done.segments,
                    "known": done.known,
                    "expired": done.expired,
                    "pulled": 0,
                    "pending": max(0, left),
                    "runs": done.runs,
                    "dry_run": dry_run,
                },
            )
        elif not done.segments + done.known:
            console.result(f"nothing to push: {store.name} has every session of {settings.db}")
        else:
            verb = "would be pushed" if dry_run else "pushed"
            known = f", {done.known:,} were there already" if done.known else ""
            console.result(
                f"{counted(done.segments, 'session')} {verb} to {store.name} ({done.runs:,} runs, {bytes_text(done.size)}){known}"
            )
        if done.expired:
            console.note(f"{counted(done.expired, 'session')} not pushed: older than {store.name} keeps")
        if where.origin == "default" and done.segments:
            console.hint("this remote is a folder on this machine; a team's is named by --remote or CRT_SYNC_REMOTE")


def _sessions(shared: Shared, named: Sequence[str], *, all_: bool, dry_run: bool) -> Mapping[str, date | None]:
    """The sessions to push: those named; with ``all_`` also what the remote has lost; else those that no push has marked."""
    from coiled_runtime_cli import sharing
    from coiled_runtime_cli.core import segment
    from coiled_runtime_cli.db import queries
    from coiled_runtime_cli.sync.pull import ARCHIVE, listed
    from coiled_runtime_cli.sync.verify import lost

    history, store = shared.history, shared.store
    if named:
        known = [each.id for each in queries.sessions(shared.engine)]
        return history.days([_found(each, known) for each in named])
    if all_:
        there = {*listed(store), *listed(store, ARCHIVE + segment.PREFIX)}
        gone = list(lost(store, history.pushed(), there, sharing.today()))
        if dry_run:
            return {**history.days(gone), **history.pending()}
        history.forget(gone)
    return history.pending()


def _found(named: str, known: Sequence[str]) -> str:
    """The session of this id, or the only one whose id begins so."""
    from coiled_runtime_cli.core.nearest import unknown
    from coiled_runtime_cli.errors import UsageError

    if named in known:
        return named
    fitting = [each for each in known if each.startswith(named)] if named else []
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageError(f"{len(fitting)} sessions begin with {named}", hint="write more of it")
    raise UsageError(unknown("session", named, known), hint="crt db query 'select id, started, label from session'")
