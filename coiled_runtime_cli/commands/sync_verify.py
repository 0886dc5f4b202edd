"""`crt sync verify`: everything in a remote, read; what is damaged or lost, and what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from coiled_runtime_cli.commands.sync_options import (
    Database,
    Endpoint,
    Format,
    Profile,
    Region,
    Remote,
    chosen_remote,
    opened,
)
from coiled_runtime_cli.commands.sync_result import NAMED, show_json

if TYPE_CHECKING:
    from coiled_runtime_cli.sync.store import Store
    from coiled_runtime_cli.sync.verify import Verified


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

    settings, where, store = chosen_remote(remote, endpoint_url, profile, region, db)
    sharing.check_folder(where)
    with opened(settings, store, absent="empty") as shared:
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
        show_json(
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

    for key, reason in list(done.damaged.items())[:NAMED]:
        console.warning(f"{key}: {reason}")
    for session in list(done.lost)[:NAMED]:
        console.warning(f"session {session} was pushed, and is not there")
    rest = max(0, len(done.damaged) - NAMED) + max(0, len(done.lost) - NAMED)
    if rest:
        console.warning(f"and {rest:,} more: --format json names all of them")


def _remedy(done: Verified, *, quarantined: bool) -> str:
    if done.damaged and not quarantined:
        return "crt sync verify --quarantine moves it aside; then whoever measured it: crt sync push --all"
    return "crt sync push --all, on the machines that measured it; crt sync publish writes benchmark.db anew"
