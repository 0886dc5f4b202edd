"""Commands whose database is a PostgreSQL server, which may die while they use it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import text

from coiled_runtime_cli.db.engine import open_database

from .measuring import Bench
from .runs import SESSIONS, compared, fill, uuids
from .trial import SIGNALS, Command, Trial, Workbench

if TYPE_CHECKING:
    from pathlib import Path

SERVER = ("killed server",)


def database_of(trial: Trial) -> str:
    """The URL of this trial's own database, which the configuration of its folder names."""
    if "url" not in trial.facts:
        assert trial.bench.postgresql is not None
        trial.facts["url"] = trial.bench.postgresql.new_database()
        open_database(trial.facts["url"]).dispose()
        trial.path("crt.toml").write_text(f'db = "{trial.facts["url"]}"\n')
    return str(trial.facts["url"])


def asked(trial: Trial, question: str) -> list[tuple[Any, ...]]:
    engine = open_database(database_of(trial))
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(question))]
    finally:
        engine.dispose()


def checked(trial: Trial) -> list[str]:
    done = trial.inside(["db", "check"])
    return [] if done.code == 0 else [f"broken: db check says {done.code}: {done.err}"]


class MergeIntoServer(Command):
    name = "db merge, PostgreSQL"
    faults = (*SIGNALS, *SERVER)
    database: ClassVar[str | None] = None

    def prepare(self, here: Path, _bench: Workbench) -> None:
        fill(here / "other.db", range(SESSIONS))

    def arguments(self, trial: Trial) -> list[str]:
        return ["db", "merge", "other.db", "--db", database_of(trial)]

    def problems(self, trial: Trial) -> list[str]:
        found = Counter(row[0] for row in asked(trial, "select uuid from test_run"))
        return compared(uuids(range(SESSIONS)), found) + checked(trial)


class BenchIntoServer(Bench):
    name = "bench, PostgreSQL"
    faults = (*SIGNALS, *SERVER, "killed test process")
    database: ClassVar[str | None] = None

    def arguments(self, trial: Trial) -> list[str]:
        database_of(trial)
        return super().arguments(trial)

    def rows(self, trial: Trial, question: str) -> list[tuple[Any, ...]]:
        return asked(trial, question)

    def problems(self, trial: Trial) -> list[str]:
        return super().problems(trial) + checked(trial)
