"""What a database knows by name, for shells that complete: read at once, or not at all.

Plain sqlite3, for SQLAlchemy takes longer to import than anybody waits for a key. The file is only read, and never made; one
that is absent, locked, damaged or another program's has no names.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: How long a question may take, and a lock be waited for (s).
_LONGEST = 0.5
_LOCKED = 0.1

#: The names of each kind with what is said of them, the newest first where there may be many.
_QUESTIONS = {
    "label": "select label, count(*) || ' sessions' from session where label is not null group by label order by label",
    "suite": "select distinct suite, '' from benchmark order by suite",
    "metric": "select name, unit from metric_info order by name",
    "benchmark": "select distinct path || '::' || name, suite from benchmark order by 1",
    "session": "select id, coalesce(label, '') || ' ' || coalesce(substr(started, 1, 16), '') from session order by started desc",
    "run": (
        "select run.uuid, benchmark.name || ' ' || coalesce(substr(run.start, 1, 16), '') from run"
        " join benchmark on benchmark.key = run.benchmark_key order by run.key desc"
    ),
    "finding": "select id, kind || ' of ' || metric || ' in ' || benchmark from finding order by reported desc",
    "bisection": (
        "select substr(id, -8), status || ' ' || metric || ' ' || coalesce(benchmark, repository, '')"
        " from bisection order by started desc"
    ),
}

#: More names than this nobody looks through; a part of one narrows them.
LIMIT = 300


def names(file: Path, kind: str, *, start: str = "") -> Sequence[tuple[str, str]]:
    """The names of one of the kinds that begin with ``start``, each with a few words about it; at most LIMIT."""
    if not file.is_file():
        return ()
    try:
        with closing(_opened(file)) as connection:
            cursor = connection.execute(_QUESTIONS[kind])
            found: list[tuple[str, str]] = []
            for name, about in cursor:
                if isinstance(name, str) and name.startswith(start):
                    found.append((name, str(about or "").strip()))
                if len(found) == LIMIT:
                    break
            return found
    except sqlite3.Error:
        return ()


def _opened(file: Path) -> sqlite3.Connection:
    address = f"file:{quote(str(file.absolute()))}?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=_LOCKED)
    deadline = time.monotonic() + _LONGEST

    def late() -> Any:
        return time.monotonic() > deadline

    connection.set_progress_handler(late, 10_000)
    return connection
