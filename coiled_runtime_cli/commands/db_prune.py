"""`crt db prune`: sessions that go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from coiled_runtime_cli.commands.db_options import Database, Format, present

if TYPE_CHECKING:
    from coiled_runtime_cli.config import Config


def prune(
    *,
    keep: Annotated[
        str | None, typer.Option(metavar="TIME", help="Remove the sessions older than this: 90d, 2y.")
    ] = None,
    session: Annotated[
        list[str] | None, typer.Option("--session", metavar="ID", help="Remove this session. Repeatable.")
    ] = None,
    db: Database = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and stop.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    format_: Format = "table",
) -> None:
    """Remove sessions from this database.

    And from no other: what was pushed stays in the remote, and is not pulled again.

    \b
    crt db prune --keep 1y --dry-run
    crt db prune --session 0199f0c4-2f7e-7c31-9d54-0a2f4f3c1b7a
    """  # noqa: D301 - a backspace tells click to keep the lines that follow
    from datetime import datetime, time, timezone

    from coiled_runtime_cli import console, sharing
    from coiled_runtime_cli.core.nearest import unknown
    from coiled_runtime_cli.core.retention import Policy, PolicyError
    from coiled_runtime_cli.db import prune as pruning
    from coiled_runtime_cli.db import queries
    from coiled_runtime_cli.db.engine import open_database
    from coiled_runtime_cli.errors import UsageError

    if (keep is None) == (not session):
        raise UsageError("say which sessions are to go", hint="--keep 90d, or --session ID")
    try:
        policy = Policy() if keep is None else Policy.parse(keep)
    except PolicyError as error:
        raise UsageError(f"--keep: {error}") from error
    settings = present(db)
    engine = open_database(settings.db)
    try:
        known = {each.id for each in queries.sessions(engine)}
        for each in session or ():
            if each not in known:
                raise UsageError(
                    unknown("session", each, sorted(known, reverse=True)),
                    hint="crt db query 'select id, started, label from session'",
                )
        first = policy.first(sharing.today())
        before = None if first is None else datetime.combine(first, time(), timezone.utc)
        chosen = pruning.chosen(before=before, ids=session or ())
        found = pruning.count(engine, chosen)
        removes = bool(found.sessions) and not dry_run
        if removes and not yes and not console.confirmed(_question(found, settings)):
            removes = False
        if removes:
            pruning.prune(engine, chosen)
            pruning.shrink(engine)
    finally:
        engine.dispose()
    if format_ == "json":
        console.show_json(
            {
                "schema": 1,
                "sessions": found.sessions,
                "runs": found.runs,
                "unshared": found.unshared,
                "removed": removes,
            }
        )
    elif not found.sessions:
        why = f": --keep {keep} keeps everything" if keep is not None and policy.days is None else ""
        console.result(f"there is no session to remove{why}")
    else:
        verb = "removed" if removes else "would be removed"
        console.result(
            f"{found.sessions:,} sessions with {found.runs:,} runs {verb}, {found.unshared:,} of them in no remote"
        )


def _question(found: Any, settings: Config) -> str:
    from coiled_runtime_cli.core.quantity import counted

    lost = f"; {found.unshared:,} of them in no remote, and so for good" if found.unshared else ""
    sessions, runs = counted(found.sessions, "session"), counted(found.runs, "run")
    return f"remove {sessions} with {runs} from {settings.db}{lost}?"
