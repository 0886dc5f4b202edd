"""The predecessor's history into crt's own: ``test_run`` and ``tpch_run`` of any of its revisions, each run once.

A run's UUID is a function of what the row says it is (table, session, path, name and start), so that importing again, another
copy of the file, or one that has grown adds what is new and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coiled_runtime_cli.db.engine import writing
from coiled_runtime_cli.db.errors import database_errors
from coiled_runtime_cli.db.legacy.sessions import Imported, SessionImport
from coiled_runtime_cli.db.legacy.source import Source, opened
from coiled_runtime_cli.db.legacy.store import Keys, Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine

__all__ = ["Imported", "Source", "import_history", "opened"]

#: Rows of a transaction, beyond which the next session begins another.
_TRANSACTION = 50_000


def import_history(engine: Engine, source: Source, *, progress: Callable[[int], None] | None = None) -> Imported:
    """Store the runs of a file of the predecessor that the database does not have; a killed import goes on when repeated.

    ``progress`` is told the rows that are done. Each transaction holds whole sessions. Raises CrtErrors as
    :func:`database_errors` does; what was committed before stays.
    """
    nameless = source.nameless()
    done = Imported(rows=nameless)
    if nameless:
        done.skipped["rows that name no test"] = nameless
    keys = Keys()
    waiting = source.sessions()
    waiting.reverse()
    told = 0
    with database_errors(engine):
        while waiting:
            before = done.rows
            with writing(engine) as connection:
                store = Store(connection, keys)
                while waiting and done.rows - before < _TRANSACTION:
                    importing = SessionImport(store, source, waiting.pop(), done)
                    for rows in importing.portions():
                        if progress is not None and rows > told:
                            told = rows
                            progress(rows)
    return done
