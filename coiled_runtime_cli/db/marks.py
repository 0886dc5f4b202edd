"""What is shared already: which segments are in this database, and which of its sessions are in which remote.

A mark says less than is true or exactly that, never more: what it should have said is found out by asking the remote again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, func, insert, select

from coiled_runtime_cli.db.kinds import chunks
from coiled_runtime_cli.db.models import AppliedSegment, PushedSegment, RemoteCatalog, Session

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from sqlalchemy import ColumnElement


def applied_keys(connection: Connection) -> frozenset[str]:
    return frozenset(connection.scalars(select(AppliedSegment.key)))


def mark_applied(connection: Connection, key: str, session: str) -> None:
    if connection.scalar(select(AppliedSegment.key).where(AppliedSegment.key == key)) is None:
        connection.execute(insert(AppliedSegment).values(key=key, session=session))


def pushed_keys(connection: Connection, remote: str) -> dict[str, str]:
    """Keys in the remote by the sessions of this database, or once of it."""
    rows = connection.execute(
        select(PushedSegment.session, PushedSegment.key).where(PushedSegment.remote == remote)
    ).all()
    return {row.session: row.key for row in rows}


def mark_pushed(connection: Connection, remote: str, marks: Mapping[str, str]) -> None:
    """Keep that the remote has these sessions, whole, under these keys."""
    unmark_pushed(connection, remote, list(marks))
    if marks:
        connection.execute(
            insert(PushedSegment),
            [{"remote": remote, "session": session, "key": key} for session, key in marks.items()],
        )


def unmark_pushed(connection: Connection, remote: str, sessions: Sequence[str]) -> None:
    """Forget that this remote has them."""
    for chunk in chunks(sessions):
        connection.execute(
            delete(PushedSegment).where(PushedSegment.remote == remote, PushedSegment.session.in_(chunk))
        )


def forget_pushed(connection: Connection, sessions: Sequence[str], *, but: str | None = None) -> None:
    """Forget that any remote has them, since they have got new runs; but for the one that these came from."""
    for chunk in chunks(sessions):
        here = PushedSegment.session.in_(chunk)
        connection.execute(delete(PushedSegment).where(here, PushedSegment.remote != (but or "")))


def pending_sessions(connection: Connection, remote: str) -> dict[str, date | None]:
    """The sessions that the remote has not, as far as is known, with the days (UTC) of their starts, the oldest first."""
    pushed = select(PushedSegment.session).where(PushedSegment.remote == remote)
    return days(connection, Session.id.not_in(pushed))


def days(connection: Connection, sessions: ColumnElement[bool]) -> dict[str, date | None]:
    """The days (UTC) on which these sessions started."""
    query = select(Session.id, Session.started).where(sessions).order_by(Session.started, Session.id)
    return {row.id: None if row.started is None else row.started.date() for row in connection.execute(query)}


def nowhere(connection: Connection, sessions: Iterable[str]) -> int:
    """How many of these sessions are in no remote, as far as is known."""
    pushed = set(connection.scalars(select(PushedSegment.session).distinct()))
    return sum(each not in pushed for each in sessions)


def seen_catalog(connection: Connection, remote: str) -> tuple[str, date] | None:
    """Etag and last day of the catalog of which this database has everything."""
    row = connection.execute(
        select(RemoteCatalog.etag, RemoteCatalog.through).where(RemoteCatalog.remote == remote)
    ).first()
    return None if row is None else (row.etag, row.through)


def see_catalog(connection: Connection, remote: str, etag: str, through: date) -> None:
    connection.execute(delete(RemoteCatalog).where(RemoteCatalog.remote == remote))
    connection.execute(insert(RemoteCatalog).values(remote=remote, etag=etag, through=through))


def session_count(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(Session)) or 0
