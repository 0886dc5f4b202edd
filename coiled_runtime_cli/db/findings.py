"""Findings that were reported, and those that a person has accepted."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from sqlalchemy import Engine, insert, select, update

from coiled_runtime_cli.core.findings import Known
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.core.series import SeriesKey
from coiled_runtime_cli.db import models
from coiled_runtime_cli.db.engine import writing
from coiled_runtime_cli.db.errors import database_errors
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coiled_runtime_cli.core.findings import Finding

_KEY = ("benchmark", "epoch", "label", "scale", "cluster", "python", "host")


def known_findings(engine: Engine) -> list[Known]:
    table = models.Finding
    with database_errors(engine), engine.connect() as connection:
        rows = connection.execute(select(table.__table__).order_by(table.reported, table.id)).mappings().all()
    return [
        Known(
            id=row["id"],
            key=SeriesKey(**{name: row[name] for name in _KEY}),
            metric=row["metric"],
            kind=row["kind"],
            first_bad=row["first_bad"],
            since=row["since"],
            accepted=row["accepted"] is not None,
            verdict=row["verdict"],
        )
        for row in rows
    ]


def remember(engine: Engine, findings: Sequence[Finding]) -> None:
    """Keep that these were reported; of one that was reported before, what it is thought to be now."""
    table = models.Finding
    now = datetime.now(timezone.utc)
    with database_errors(engine), writing(engine) as connection:
        there = set(connection.scalars(select(table.id)))
        for each in findings:
            found = {
                "first_bad": each.first_bad.uuid,
                "since": each.first_bad.start,
                "before": each.before,
                "after": each.after,
            }
            if each.id in there:
                connection.execute(update(table).where(table.id == each.id).values(**found))
                continue
            key = {name: getattr(each.key, name) for name in _KEY}
            row = {"id": each.id, **key, "metric": each.metric.key, "kind": each.kind, **found, "reported": now}
            connection.execute(insert(table).values(**row))
            there.add(each.id)


def accept(engine: Engine, identities: Sequence[str], reason: str) -> None:
    """A person says that these are as they should be. Raises UsageError, and accepts none, where one was never reported."""
    table = models.Finding
    with database_errors(engine), writing(engine) as connection:
        there = set(connection.scalars(select(table.id)))
        for each in identities:
            if each not in there:
                raise UsageError(unknown("finding", each, sorted(there)), hint="crt detect lists them with their ids")
        values = {"accepted": datetime.now(timezone.utc), "reason": reason}
        connection.execute(update(table).where(table.id.in_(identities)).values(**values))


def conclude(engine: Engine, finding: Finding, verdict: str, measured: tuple[float, float, float]) -> None:
    """Keep what fresh runs have said of a suspect: "confirmed" or "noise", and the ratio with its interval."""
    remember(engine, [finding])
    table = models.Finding
    ratio, low, high = measured
    values = {
        "checked": datetime.now(timezone.utc),
        "verdict": verdict,
        "measured": ratio,
        "measured_low": low,
        "measured_high": high,
    }
    with database_errors(engine), writing(engine) as connection:
        connection.execute(update(table).where(table.id == finding.id).values(**values))
