"""`crt sync`: one shared history, many writers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from coiled_runtime_cli import config as configuration
    from coiled_runtime_cli.sharing import Shared
    from coiled_runtime_cli.sync.pull import Pulled
    from coiled_runtime_cli.sync.store import Store
    from coiled_runtime_cli.sync.verify import Verified

_HELP = """\
Share the history through a bucket or a folder.

\b
crt sync push      add the sessions that the remote has not
crt sync pull      add those that this database has not
crt sync status    what is where
"""

app = typer.Typer(no_args_is_help=True, help=_HELP)

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

#: Keys of segments that are named one by one.
_NAMED = 10


@app.command()
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
    settings, where, store = _remote(remote, endpoint_url, profile, region, db)
    sharing.check_folder(where, makes=not dry_run, asks=dry_run)
    with _opened(settings, store) as shared:
        sessions = _sessions(shared, session or [], all_=all_, dry_run=dry_run)
        with sharing.progress("pushing") as tell:
            done = put(store, shared.history, sessions, sharing.today(), dry_run=dry_run, progress=tell)
        left = len(shared.history.pending()) - done.expired
        if format_ == "json":
            _show_json(
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


@app.command()
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

    settings, where, store = _remote(remote, endpoint_url, profile, region, db)
    sharing.check_folder(where)
    with _opened(settings, store, absent="empty" if dry_run else "make") as shared:
        begun = 0 if dry_run or archived else sharing.begin(shared)
        if begun:
            shared.history.mark_all_pushed()
        with sharing.progress("pulling") as tell:
            done = fetch(store, shared.history, sharing.today(), archived=archived, dry_run=dry_run, progress=tell)
        if format_ == "json":
            _show_json(
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
    _complain(store, done)


@app.command()
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

    settings, where, store = _remote(remote, endpoint_url, profile, region, db)
    sharing.check_folder(where, asks=True)
    with _opened(settings, store) as shared:
        policy = read_policy(store)
        today = sharing.today()
        pending = [each for each, day in shared.history.pending().items() if policy.keeps(day, today)]
        pushed, applied = len(shared.history.pushed()), len(shared.history.applied())
        runs = shared.history.runs_of(pending)
        missing = fetch(store, shared.history, today, dry_run=True)
        published = store.head(KEY)
    if format_ == "json":
        _show_json(
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
    for key in list(missing.refused)[:_NAMED]:
        console.warning(f"{key}: {missing.refused[key]}")


@app.command()
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
    settings, where, store = _remote(remote, endpoint_url, profile, region, None)
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
        _show_json(
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
    _complain(store, done.pulled)


@app.command()
def verify(
    *,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="Move what is damaged to quarantine/, so that a pull is clean again.")
    ] = False,
    remote: Remote = None,
    db: Database = None,
    endpoint_url: Endpoint = None,
    profile: Profile = None,
    region: Region = None,
    format_: Format = "table",
) -> None:
    """Read everything in the remote, and say what is damaged or lost.

    crt sync verify --remote s3://bucket/benchmarks
    """
    from coiled_runtime_cli import console, sharing
    from coiled_runtime_cli.core.quantity import bytes_text, counted
    from coiled_runtime_cli.errors import RemoteError
    from coiled_runtime_cli.sync import verify as verification

    settings, where, store = _remote(remote, endpoint_url, profile, region, db)
    sharing.check_folder(where)
    with _opened(settings, store, absent="empty") as shared:
        with sharing.progress("verifying") as tell:
            done = verification.verify(store, shared.history.pushed(), sharing.today(), progress=tell)
        published = _verify_published(store)
        if published is not None:
            done.damaged["benchmark.db"] = published
        if quarantine:
            verification.quarantine(store, done)
        if quarantine or done.lost:
            moved = set(done.moved)
            gone = [each for each, key in shared.history.pushed().items() if key in moved or each in done.lost]
            shared.history.forget(gone)
    if format_ == "json":
        _show_json(
            store,
            {
                "segments": done.segments,
                "archived": done.archived,
                "runs": done.runs,
                "segment_bytes": done.size,
                "damaged": done.damaged,
                "newer": done.newer,
                "lost": done.lost,
                "quarantined": done.moved,
            },
        )
    else:
        console.result(
            f"{store.name}: {counted(done.segments, 'session')} ({done.runs:,} runs, {bytes_text(done.size)}), "
            f"{done.archived:,} archived, {len(done.damaged):,} damaged, {len(done.lost):,} lost"
        )
    _show_damage(done)
    if done.damaged or done.lost:
        raise RemoteError(
            f"{store.name}: {len(done.damaged):,} objects are damaged, {len(done.lost):,} sessions are lost",
            hint=_remedy(done, quarantined=quarantine),
        )


def _verify_published(store: Store) -> str | None:
    """What is wrong with the published database; None where it is sound, newer than this crt, or not there."""
    from pathlib import Path

    from coiled_runtime_cli import temporary
    from coiled_runtime_cli.db.snapshot import SnapshotError, check_snapshot
    from coiled_runtime_cli.sync.publish import KEY
    from coiled_runtime_cli.sync.store import MissingObjectError

    with temporary.folder() as folder:
        copy = Path(folder) / KEY
        try:
            store.download(KEY, copy)
            check_snapshot(copy)
        except MissingObjectError:
            return None
        except SnapshotError as error:
            return str(error)
    return None


def _show_damage(done: Verified) -> None:
    from coiled_runtime_cli import console

    for key, reason in list(done.damaged.items())[:_NAMED]:
        console.warning(f"{key}: {reason}")
    for session in list(done.lost)[:_NAMED]:
        console.warning(f"session {session} was pushed, and is not there")
    rest = max(0, len(done.damaged) - _NAMED) + max(0, len(done.lost) - _NAMED)
    if rest:
        console.warning(f"and {rest:,} more: --format json names all of them")


def _remedy(done: Verified, *, quarantined: bool) -> str:
    if done.damaged and not quarantined:
        return "crt sync verify --quarantine moves it aside; then whoever measured it: crt sync push --all"
    return "crt sync push --all, on the machines that measured it; crt sync publish writes benchmark.db anew"


def _remote(
    remote: str | None, endpoint_url: str | None, profile: str | None, region: str | None, db: str | None
) -> tuple[configuration.Config, configuration.Remote, Store]:
    from coiled_runtime_cli import config, sharing

    settings = config.load({"db": db})
    where = config.remote(settings, remote=remote, endpoint_url=endpoint_url, profile=profile, region=region)
    return settings, where, sharing.open_remote(where)


@contextmanager
def _opened(
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


def _show_json(store: Store, document: Mapping[str, Any]) -> None:
    from coiled_runtime_cli import console

    usage = store.usage
    console.show_json(
        {
            "schema": 1,
            "remote": store.name,
            **document,
            "requests": usage.requests,
            "bytes": usage.sent + usage.received,
            "bytes_sent": usage.sent,
            "bytes_received": usage.received,
        }
    )


def _complain(store: Store, done: Pulled) -> None:
    """Say what was not applied; raises RemoteError then."""
    from coiled_runtime_cli import console
    from coiled_runtime_cli.core.quantity import counted
    from coiled_runtime_cli.errors import RemoteError

    if done.conflicts:
        console.warning(
            f"{len(done.conflicts):,} runs were there with other content, such as {done.conflicts[0]}: "
            "of two the same one stays on every machine"
        )
    for key, reason in list({**done.refused, **done.newer}.items())[:_NAMED]:
        console.warning(f"{key}: {reason}")
    if done.newer:
        raise RemoteError(
            f"{store.name}: a newer crt wrote {counted(len(done.newer), 'session')}, which this one cannot read",
            hint="python3 -m pip install --upgrade coiled-runtime-cli, and crt sync pull again",
        )
    if done.refused:
        raise RemoteError(
            f"{store.name}: {len(done.refused):,} objects are no sound segments; all others were applied",
            hint="crt sync verify --quarantine moves them aside",
        )
