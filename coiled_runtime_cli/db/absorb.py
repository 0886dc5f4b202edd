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
from coiled_runtime_cli.db.kinds import SHARED, current_kinds
from coiled_runtime_cli.db.segments import read_segments

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from coiled_runtime_cli.db.kinds import Kind

#: Sessions that are written in one transaction.
_PORTION = 50

#: Whether ``other`` has the metrics of a run otherwise.
_METRICS = """
    (select count(*) from main.metric where run_key = mine.key)
        is not (select count(*) from other.metric where run_key = theirs.key)
    or exists (
        select * from main.metric here join main.metric_info info on info.key = here.metric_info_key
        left join other.metric_info known
            on known.name = info.name and known.unit = info.unit and known.better = info.better
        left join other.metric there on there.run_key = theirs.key and there.metric_info_key = known.key
        where here.run_key = mine.key
            and (here.value is not there.value or info.key in (select * from unlike_metric_info))
    )
"""


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
    raw = source.raw_connection()
    try:
        with database_errors(source):
            driver: sqlite3.Connection = raw.driver_connection  # type: ignore[assignment]
            driver.execute("attach ? as other", (str(target.url.database),))
            return [row[0] for row in driver.execute(_differing_sessions())]
    finally:
        raw.close()


def _differing_sessions() -> str:
    """A query for the sessions of ``main`` that ``other`` has not just so, with all that their rows point to."""
    kinds = current_kinds()
    unlike = ", ".join(f"unlike_{name} as ({_unlike(kinds[name])})" for name in (*SHARED, "session", "cluster"))
    return f"""
        with {unlike}
        select session.id from main.session where session.key in (
            select * from unlike_session
            union all
            select session_key from main.cluster where key in (select * from unlike_cluster)
            union all
            {_unlike(kinds["run"], "session_key", _METRICS)}
        ) order by session.started, session.id
    """  # noqa: S608  names of columns alone


def _unlike(kind: Kind, wanted: str | None = None, *more: str) -> str:
    """A query for the rows of ``main`` that ``other`` lacks or has otherwise: for their keys, or for the column ``wanted``."""
    differs = {column: f'mine."{column}" is not theirs."{column}"' for column in kind.columns}
    for each in kind.references:
        here = f'mine."{each.column}"'
        differs[each.column] = f"""(
            {here} in (select * from unlike_{each.table})
            or theirs."{each.column}" is not (
                select there.key from main.{each.table} here
                join other.{each.table} there on {_same(current_kinds()[each.table], "there", "here")}
                where here.key = {here}
            )
        )"""  # noqa: S608
    if kind.name == "benchmark":
        differs["source_hash"] = "mine.source_hash in (select * from unlike_source)"
    if kind.name != "run":
        # such rows are completed, and what main lacks completes nothing; of two runs that differ one stays, whole
        differs = {column: f'mine."{column}" is not null and {differ}' for column, differ in differs.items()}
    (key,) = kind.table.primary_key.columns.keys()
    return f"""
        select mine."{wanted or key}" from main.{kind.name} mine
        left join other.{kind.name} theirs on {_same(kind, "theirs", "mine")}
        where {" or ".join([f'theirs."{kind.natural[0]}" is null', *differs.values(), *more])}
    """  # noqa: S608


def _same(kind: Kind, one: str, other: str) -> str:
    return " and ".join(f'{one}."{name}" = {other}."{name}"' for name in kind.natural)
