"""What several commands read from their flags in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from datetime import datetime

Databases = Annotated[
    list[str] | None,
    typer.Option("--db", metavar="PATH|URL", help="Database. Repeatable: histories are merged. Default: benchmark.db."),
]


#: What part of a history is searched for changes.
Since = Annotated[
    str | None, typer.Option("--since", metavar="DATE|30d", help="Only what began then or later. Default: everything.")
]
Suites = Annotated[list[str] | None, typer.Option("--suite", "-s", metavar="NAME", help="Only this suite. Repeatable.")]
Metrics = Annotated[
    list[str] | None, typer.Option("--metric", metavar="NAME", help="Only this metric. Repeatable. Default: all.")
]
Labels = Annotated[list[str] | None, typer.Option("--label", metavar="NAME", help="Only this runtime. Repeatable.")]
MinEffect = Annotated[str, typer.Option("--min-effect", metavar="SHARE", help="Smallest change that counts.")]


def share(flag: str, text: str, *, zero: bool = False) -> float:
    """A fraction below 1, written as 5% or 0.05. ``zero``: it may be 0. Raises UsageError on anything else."""
    from coiled_runtime_cli.core.quantity import parse_fraction
    from coiled_runtime_cli.errors import UsageError

    expected = f"expected a share {'from 0 to' if zero else 'above 0 and'} below 1, as 5% or 0.05"
    try:
        value = parse_fraction(text)
    except ValueError as error:
        raise UsageError(f"{flag} {text}: {expected}") from error
    if not (0 <= value < 1 if zero else 0 < value < 1):
        raise UsageError(f"{flag} {text}: {expected}")
    return value


def seconds(flag: str, text: str) -> float:
    """A time in seconds, written as 30m or 2h. Raises UsageError on anything else."""
    from coiled_runtime_cli.core.quantity import parse_seconds
    from coiled_runtime_cli.errors import UsageError

    try:
        return parse_seconds(text)
    except ValueError as error:
        raise UsageError(f"{flag} {text}: expected a time, as 30m or 2h") from error


def moment(flag: str, text: str) -> datetime:
    """A date (its first moment, UTC) or a number of days before now. Raises UsageError on anything else."""
    from datetime import datetime, time, timedelta, timezone

    from coiled_runtime_cli.errors import UsageError

    now = datetime.now(timezone.utc)
    if text.endswith("d") and text[:-1].isdecimal() and int(text[:-1]) < 100_000:
        return now - timedelta(days=int(text[:-1]))
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{flag} {text}: expected a date or a number of days, as 2026-11-01 or 30d") from error
    if len(text) <= 10:
        found = datetime.combine(found.date(), time())
    return found if found.tzinfo is not None else found.replace(tzinfo=timezone.utc)
