"""One database into another: every session that it lacks or has otherwise, by the rules of segments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import Engine, delete, insert, select

from coiled_runtime_cli.db import marks as remembered
from coiled_runtime_cli.db import models
from coiled_runtime_cli.db.apply import Applier, declare
from coiled_runtime_cli.db.engine import writing
from coiled_runtime_cli.db.errors import database_errors
from coiled_runtime_cli.db.kinds import current_kinds
from coiled_runtime_cli.db.segments import read_segments

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

#: Sessions that are written in one transaction.
_PORTION = 50


@dataclass(slots=True)
class Absorbed:
    """``same`` sessions were there already as they are; ``conflicts`` are runs that both have, with other content."""

    sessions: int = 0
    same: int = 0
    new: int = 0
    known: int = 0
    conflicts: list[str] = field(default_factory=list)


def absorb(
    target: Engine,
    source: Engine,
    *,
    marks: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Absorbed:
    """Add what ``source`` says to ``target``; both are at this crt's schema. Killed in between, it is done again.

    ``marks``: the segments that are in the source count as applied then.
    """
    with database_errors(source), source.connect() as connection:
        every = remembered.session_count(connection)
    wanted = _different(target, source)
    done = Absorbed(sessions=every, same=every - len(wanted))
    for start in range(0, len(wanted), _PORTION):
        if progress is not None:
            progress(start, len(wanted))
        segments = list(read_segments(source, wanted[start : start + _PORTION]))
        with database_errors(target), writing(target) as connection:
            applier = Applier(connection)
            for segment in segments:
                applied = applier.apply(segment)
                if applied.new or applied.conflicts:
                    remembered.forget_pushed(connection, [segment.id])
                done.new += applied.new
                done.known += applied.known
                done.conflicts += applied.conflicts
    _rest(target, source, marks=marks)
    if progress is not None:
        progress(max(len(wanted), 1), max(len(wanted), 1))
    return done


def _rest(target: Engine, source: Engine, *, marks: bool) -> None:
    """What belongs to no session: former names, bisections, and which segments are in."""
    searches = models.Bisection.__table__
    with database_errors(source), source.connect() as connection:
        aliases = connection.execute(select(models.Alias.former, models.Alias.current, models.Alias.declared)).all()
        found = [dict(row) for row in connection.execute(select(searches)).mappings()]
        applied = connection.execute(select(models.AppliedSegment.key, models.AppliedSegment.session)).all()
    with database_errors(target), writing(target) as connection:
        for former, current, declared in aliases:
            declare(connection, former, current, declared)
        for key, session in applied if marks else ():
            remembered.mark_applied(connection, key, session)
        ended = {row.id: row.ended for row in connection.execute(select(searches.c.id, searches.c.ended))}
        for each in found:
            if each["id"] not in ended or (ended[each["id"]] is None and each["ended"] is not None):
                connection.execute(delete(models.Bisection).where(models.Bisection.id == each["id"]))
                del each["key"]
                connection.execute(insert(models.Bisection).values(**each))


def _different(target: Engine, source: Engine) -> list[str]:
    """The sessions that the target has not just as the source has them.

    Two SQLite files compare themselves; of other databases every session is looked at.
    """
    table = models.Session
    if not all(engine.dialect.name == "sqlite" and engine.url.database for engine in (target, source)):
        with database_errors(source), source.connect() as connection:
            return list(connection.scalars(select(table.id).order_by(table.started, table.id)))
    kinds = current_kinds()
    differ = {
        name: " or ".join(f'mine."{column}" is not theirs."{column}"' for column in kinds[name].columns)
        for name in ("session", "run")
    }
    query = f"""
        select session.id from main.session where session.key in (
            select mine.key from main.session mine left join other.session theirs on theirs.id = mine.id
            where theirs.key is null or {differ["session"]}
            union all
            select mine.session_key from main.run mine left join other.run theirs on theirs.uuid = mine.uuid
            where theirs.key is null or {differ["run"]}
        ) order by session.started, session.id
    """  # noqa: S608  names of columns alone
    raw = source.raw_connection()
    try:
        with database_errors(source):
            driver: sqlite3.Connection = raw.driver_connection  # type: ignore[assignment]
            driver.execute("attach ? as other", (str(target.url.database),))
            return [row[0] for row in driver.execute(query)]
    finally:
        raw.close()
