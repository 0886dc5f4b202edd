"""Open databases and read them as one history, for the commands that decide."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coiled_runtime_cli import config, console, session
from coiled_runtime_cli.core.nearest import unknown
from coiled_runtime_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Engine

    from coiled_runtime_cli.core.history import History, HistoryMetric


@dataclass(frozen=True, slots=True)
class Opened:
    """``engines`` are in the order asked for: the first one is where a command keeps what it finds."""

    settings: config.Config
    engines: tuple[Engine, ...]
    history: History

    def metric(self, name: str) -> HistoryMetric:
        """Raises UsageError, with the nearest one, where no run has such a metric."""
        for each in self.history.metrics:
            if each.key == name:
                return each
        raise UsageError(unknown("metric", name, [each.key for each in self.history.metrics]))


@contextmanager
def opened(
    databases: Sequence[str] | None, *, suites: Sequence[str] = (), labels: Sequence[str] = ()
) -> Iterator[Opened]:
    """Several databases as one history; the engines are closed in the end.

    Raises UsageError for a database that does not exist, and a suite or label that none of them has.
    """
    from coiled_runtime_cli.db import queries
    from coiled_runtime_cli.db.history import read_history

    settings = [config.load({"db": each}) for each in (databases or (None,))]
    engines: list[Engine] = []
    try:
        engines.extend(session.open_existing(each) for each in settings)  # one by one: a failure leaves the others here
        there = {
            "suite": sorted({each for engine in engines for each in queries.suites(engine)}),
            "label": sorted({each.label for engine in engines for each in queries.labels(engine)}),
        }
        for kind, names in (("suite", suites), ("label", labels)):
            for name in names:
                if name not in there[kind]:
                    raise UsageError(unknown(kind, name, there[kind]))
        with console.progress(None, "reading the history") as bar:
            history = read_history(
                engines,
                cache=settings[0].history,
                suites=list(suites) or None,
                labels=list(labels) or None,
                progress=bar.update,
            )
        yield Opened(settings[0], tuple(engines), history)
    finally:
        for engine in engines:
            engine.dispose()
