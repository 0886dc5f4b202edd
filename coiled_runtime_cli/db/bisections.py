"""Bisections in the database: each one document, under an id of its own."""

from __future__ import annotations

import contextlib
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, delete, insert, select

from coiled_runtime_cli.core.bisection import Bisection, from_document, to_document
from coiled_runtime_cli.db import models
from coiled_runtime_cli.db.engine import writing
from coiled_runtime_cli.db.errors import database_errors

if TYPE_CHECKING:
    from collections.abc import Sequence


def store(engine: Engine, bisection: Bisection) -> None:
    """Write a bisection as it stands; an earlier account of the same id gives way."""
    row = {
        "id": bisection.id,
        "started": _moment(bisection.started),
        "ended": None if bisection.ended is None else _moment(bisection.ended),
        "status": bisection.status,
        "repository": bisection.repository,
        "benchmark": bisection.benchmark,
        "metric": bisection.metric,
        "document": to_document(bisection),
    }
    with database_errors(engine), writing(engine) as connection:
        connection.execute(delete(models.Bisection).where(models.Bisection.id == bisection.id))
        connection.execute(insert(models.Bisection), row)


def bisections(engine: Engine) -> list[Bisection]:
    """All bisections, the oldest first."""
    with database_errors(engine), engine.connect() as connection:
        return read(connection)


def read(connection: Connection) -> list[Bisection]:
    """As :func:`bisections`; what a later crt wrote and this one cannot read is left out."""
    rows: Sequence[object] = (
        connection.execute(select(models.Bisection.document).order_by(models.Bisection.started, models.Bisection.id))
        .scalars()
        .all()
    )
    found = []
    for document in rows:
        with contextlib.suppress(ValueError):
            if isinstance(document, dict):
                found.append(from_document(document))
    return found


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)
