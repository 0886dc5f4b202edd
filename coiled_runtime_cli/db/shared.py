"""A database with what it remembers of one remote: the history that push and pull work on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, func, select

from coiled_runtime_cli.core.segment import Applied, SegmentError
from coiled_runtime_cli.db import marks, models
from coiled_runtime_cli.db.apply import Applier
from coiled_runtime_cli.db.engine import writing
from coiled_runtime_cli.db.errors import database_errors
from coiled_runtime_cli.db.kinds import chunks
from coiled_runtime_cli.db.lift import Lift
from coiled_runtime_cli.db.segments import read_segment
from coiled_runtime_cli.db.snapshot import write_snapshot

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import date
    from pathlib import Path
    from types import TracebackType

    from coiled_runtime_cli.core.segment import Segment


class SharedHistory:
    """``remote`` is its identity. With ``pushes`` of False the sessions that come are not marked as pushed there."""

    def __init__(self, engine: Engine, remote: str, *, pushes: bool = True) -> None:
        self._engine = engine
        self._remote = remote
        self._pushes = pushes
        self._lift: Lift | None = None

    def __enter__(self) -> SharedHistory:  # noqa: PYI034  Self came with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._lift is not None:
            self._lift.__exit__(kind, error, traceback)

    def days(self, sessions: Sequence[str]) -> dict[str, date | None]:
        """The days (UTC) on which those of these sessions started that there are."""
        found: dict[str, date | None] = {}
        with database_errors(self._engine), self._engine.connect() as connection:
            for chunk in chunks(sessions):
                found.update(marks.days(connection, models.Session.id.in_(chunk)))
        return found

    def pending(self) -> dict[str, date | None]:
        """The sessions that the remote has not, as far as is known, with the days (UTC) of their starts, the oldest first."""
        with database_errors(self._engine), self._engine.connect() as connection:
            return marks.pending_sessions(connection, self._remote)

    def pushed(self) -> dict[str, str]:
        """Keys in the remote by session."""
        with database_errors(self._engine), self._engine.connect() as connection:
            return marks.pushed_keys(connection, self._remote)

    def forget(self, sessions: Sequence[str]) -> None:
        """The remote has lost these sessions: they are pending again."""
        with database_errors(self._engine), writing(self._engine) as connection:
            marks.unmark_pushed(connection, self._remote, sessions)

    def is_empty(self) -> bool:
        """Whether it has no session, and never had one of a remote."""
        with database_errors(self._engine), self._engine.connect() as connection:
            return not marks.session_count(connection) and not marks.applied_keys(connection)

    def segment(self, session: str) -> Segment:
        return read_segment(self._engine, session)

    def mark_pushed(self, keys: Mapping[str, str]) -> None:
        with database_errors(self._engine), writing(self._engine) as connection:
            marks.mark_pushed(connection, self._remote, keys)
            for session, key in keys.items():
                marks.mark_applied(connection, key, session)

    def applied(self) -> frozenset[str]:
        with database_errors(self._engine), self._engine.connect() as connection:
            return marks.applied_keys(connection)

    def apply(self, segments: Sequence[tuple[str, Segment]]) -> list[Applied | SegmentError]:
        results: dict[str, Applied | SegmentError] = {}
        ready: list[tuple[str, Segment]] = []
        for key, segment in segments:
            try:
                ready.append((key, self._lifted(segment)))
            except SegmentError as error:
                results[key] = error
        try:
            results.update(self._apply(ready))
        except SegmentError:
            # one of them is to blame; the others come all the same
            for each in ready:
                try:
                    results.update(self._apply([each]))
                except SegmentError as error:
                    results[each[0]] = error
        return [results[key] for key, _ in segments]

    def _lifted(self, segment: Segment) -> Segment:
        self._lift = self._lift or Lift()
        return self._lift(segment)

    def _apply(self, segments: Sequence[tuple[str, Segment]]) -> dict[str, Applied | SegmentError]:
        results: dict[str, Applied | SegmentError] = {}
        if not segments:
            return results
        with database_errors(self._engine), writing(self._engine) as connection:
            applier = Applier(connection)
            for key, segment in segments:
                known = _is_known(connection, segment.id)
                applied = results[key] = applier.apply(segment)
                marks.mark_applied(connection, key, segment.id)
                if not known and self._pushes:
                    marks.mark_pushed(connection, self._remote, {segment.id: key})
                elif applied.new or applied.conflicts:
                    # the remote that this came from has the old and the new; others lack the new
                    marks.forget_pushed(connection, [segment.id], but=self._remote)
        return results

    def catalog(self) -> tuple[str, date] | None:
        with database_errors(self._engine), self._engine.connect() as connection:
            return marks.seen_catalog(connection, self._remote)

    def saw_catalog(self, etag: str, through: date) -> None:
        with database_errors(self._engine), writing(self._engine) as connection:
            marks.see_catalog(connection, self._remote, etag, through)

    def mark_all_pushed(self) -> None:
        """The remote has every session of this database: it was begun from what is there."""
        with database_errors(self._engine), writing(self._engine) as connection:
            rows = connection.execute(
                select(models.AppliedSegment.session, models.AppliedSegment.key).join(
                    models.Session, models.Session.id == models.AppliedSegment.session
                )
            ).all()
            marks.mark_pushed(connection, self._remote, {row.session: row.key for row in rows})

    def snapshot(self, target: Path, first: date | None) -> int:
        return write_snapshot(self._engine, target, first)

    def runs(self) -> int:
        with database_errors(self._engine), self._engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(models.Run)) or 0

    def runs_of(self, sessions: Collection[str]) -> int:
        """How many runs these sessions have."""
        query = (
            select(models.Session.id, func.count())
            .join(models.Run, models.Run.session_key == models.Session.key)
            .group_by(models.Session.id)
        )
        with database_errors(self._engine), self._engine.connect() as connection:
            rows: Any = connection.execute(query).all()
        return sum(count for session, count in rows if session in sessions)


def _is_known(connection: Connection, session: str) -> bool:
    return connection.scalar(select(models.Session.key).where(models.Session.id == session)) is not None
