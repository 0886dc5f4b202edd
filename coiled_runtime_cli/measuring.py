"""One session of tests, from its first line to its rows in the database: what an arm of an A/B and a probe of a bisection run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from coiled_runtime_cli import bench, session
from coiled_runtime_cli.core.record import Run

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from sqlalchemy import Engine

    from coiled_runtime_cli.clusters import ClusterSpec
    from coiled_runtime_cli.config import Config
    from coiled_runtime_cli.core.settings import SessionSettings


def metric_value(run: Run, metric: str) -> float | None:
    """What a run measured under a name: a column of every run, or a metric of its own."""
    built_in = getattr(run, metric, None) if metric in type(run).__dataclass_fields__ else None
    if isinstance(built_in, (int, float)):
        return float(built_in)
    return next((each.value for each in run.metrics if each.name == metric), None)


def measure(
    settings: Config,
    prepared: SessionSettings,
    spec: ClusterSpec,
    target: bench.Target,
    selection: bench.Selection,
    *,
    engine: Engine,
    storing: threading.Lock,
    command: tuple[str, ...],
    tell: Callable[[object], None],
    stopping: Callable[[], bool],
) -> int:
    """Run tests in an environment, store their runs, and say how many there were. ``tell`` gets the events of the round.

    ``storing`` is held while the database is written, for sessions beside each other. What ``tell`` raises ends the session;
    its runs are stored all the same. Raises what explains it where no test could run.
    """
    folder = Path(prepared.folder)
    writer = session.begin(settings, prepared, spec, command=command)
    count, trouble, interrupted = 0, None, False
    try:
        for event in bench.run_round(
            target, selection, prepared, write_settings=session.write_settings, stopping=stopping
        ):
            if isinstance(event, Run):
                count += 1
            elif isinstance(event, bench.ProcessEnded) and not count:
                trouble = bench.explain(event)
            tell(event)
    except KeyboardInterrupt:
        interrupted = True
        raise
    finally:
        session.end(writer, prepared, interrupted=interrupted)
        with storing:
            if not count:
                session.discard_empty(prepared)
            if count or interrupted:  # a test that was interrupted has not died, as the next crt would say of it
                session.store(folder, engine, settle=not interrupted)
    if trouble is not None:
        raise trouble
    return count
