"""Whether a database can be used, without changing anything in it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from coiled_runtime_cli.db.engine import is_current, make_engine, stored_revisions
from coiled_runtime_cli.db.errors import database_errors, shown


@dataclass(frozen=True, slots=True)
class Health:
    """``refusal`` is why a server would not take rows; None: it would, or the database is a file, of which the system knows."""

    name: str
    revisions: tuple[str, ...]  # none: it is empty
    is_current: bool
    refusal: str | None = None


def look(target: str) -> Health:
    """What there is at a path or URL. Raises as :func:`coiled_runtime_cli.db.engine.open_database`."""
    engine = make_engine(target, read_only=True)
    try:
        with database_errors(engine), engine.connect() as connection:
            current = is_current(connection, target)
            revisions = tuple(sorted(stored_revisions(connection)))
            refusal = None
            if engine.dialect.name == "postgresql":
                may = "has_table_privilege('run', 'insert')" if current else "has_schema_privilege('public', 'create')"
                standby, allowed = connection.execute(text(f"select pg_is_in_recovery(), {may}")).one()
                refusal = "it is a standby" if standby else None if allowed else "its user may not write"
            return Health(shown(engine), revisions, current, refusal)
    finally:
        engine.dispose()
