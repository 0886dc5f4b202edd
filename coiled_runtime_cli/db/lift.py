"""Segments of an earlier schema, brought to the schema of today: the migrations do to them what they did to databases.

A segment is loaded into a database of its own at its own revision, that one is upgraded, and the session is read from it. What
others wrote is never changed: only what was read of it.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli.core.segment import NewerSegmentError, SegmentError
from coiled_runtime_cli.db.apply import UNFIT, Applier
from coiled_runtime_cli.db.engine import make_engine, writing
from coiled_runtime_cli.db.kinds import reflected
from coiled_runtime_cli.db.migrate import apply_migrations, heads
from coiled_runtime_cli.db.revisions import read_revisions
from coiled_runtime_cli.db.segments import segment_in

if TYPE_CHECKING:
    from types import TracebackType

    from sqlalchemy import MetaData

    from coiled_runtime_cli.core.segment import Segment


class Lift:
    """Lifts segments; keeps an empty database of each earlier revision that it met until it is closed."""

    def __init__(self) -> None:
        (self._head,) = heads()
        self._known = read_revisions().known
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._empty: dict[str, tuple[Path, MetaData]] = {}

    def __enter__(self) -> Lift:  # noqa: PYI034  Self came with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def __call__(self, segment: Segment) -> Segment:
        """The segment as this crt would have written it. Raises NewerSegmentError, or SegmentError where it cannot be."""
        if segment.revision == self._head:
            return segment
        if segment.revision not in self._known:
            raise NewerSegmentError(f"it is of schema {segment.revision}, which this crt does not know")
        empty, metadata = self._at(segment.revision)
        scratch = empty.with_name("scratch.db")
        shutil.copyfile(empty, scratch)
        engine = make_engine(str(scratch))
        try:
            with writing(engine, foreign_keys=False) as connection:
                Applier(connection, metadata).apply(segment)
                apply_migrations(connection, since=segment.revision)
            with engine.connect() as connection:
                return segment_in(connection, segment.id, self._head)
        except (*UNFIT, ValueError, KeyError) as error:
            if isinstance(error, SegmentError):
                raise
            raise SegmentError(f"it cannot be brought to the schema of today: {error}") from error
        finally:
            engine.dispose()
            scratch.unlink(missing_ok=True)

    def _at(self, revision: str) -> tuple[Path, MetaData]:
        if revision not in self._empty:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="crt-")
            path = Path(self._folder.name) / f"{revision}.db"
            engine = make_engine(str(path))
            with writing(engine, foreign_keys=False) as connection:
                apply_migrations(connection, until=revision)
            with engine.connect() as connection:
                self._empty[revision] = path, reflected(connection)
            engine.dispose()
        return self._empty[revision]
