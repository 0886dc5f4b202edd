"""A history that speaks for or against a release: daily sessions, with a step where a version comes in."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "commands"))
import histories

from coiled_runtime_cli.core.record import Package
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest


def put_sessions(crt, *, slower_by=1.0, before="2026.7.1", after="2026.8.0", label="upstream", failing=()):
    """40 days: dask goes from one version to another on day 24, and one test gets slower by a factor."""
    engine = open_database(str(crt.folder / "benchmark.db"))
    for number in range(40):
        new = number >= 24
        packages = (
            Package(name="dask", version=after if new else before),
            Package(name="distributed", version="2026.8.0"),
        )
        effects = {"write": slower_by if new else 1.0, "read": 1.0}
        rows = histories.session(
            label, number, effects, version="", packages=packages, failing=failing if number == 39 else ()
        )
        ingest(engine, rows)
    engine.dispose()
