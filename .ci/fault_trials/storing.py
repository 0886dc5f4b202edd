"""The commands that change a database: import, merge, prune, upgrade, and what is said about a finding."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

import histories
import test_db_import as old
from alembic.config import Config
from alembic.script import ScriptDirectory

from coiled_runtime_cli.db.engine import make_engine, open_database
from coiled_runtime_cli.db.ingest import ingest
from coiled_runtime_cli.db.migrate import apply_migrations, migrating
from coiled_runtime_cli.db.revisions import read_revisions

from .runs import RUNS, SESSIONS, compared, cut_short, fill, stored, uuids
from .trial import ROOT, Command, Trial, Workbench

if TYPE_CHECKING:
    import random
    from pathlib import Path


class Import(Command):
    name = "db import"
    half = True

    def prepare(self, here: Path, _bench: Workbench) -> None:
        (here / "old").mkdir()
        old.write(here / "old" / "benchmark.db", old.history(sessions=8, tests=60))
        open_database(str(here / "benchmark.db")).dispose()

    def arguments(self, _trial: Trial) -> list[str]:
        return ["db", "import", "old/benchmark.db", "--db", "benchmark.db"]

    def cut(self, trial: Trial, chance: random.Random) -> str:
        trial.facts["whole"] = trial.path("old/benchmark.db").read_bytes()
        return cut_short(trial.path("old/benchmark.db"), chance)

    def problems(self, trial: Trial) -> list[str]:
        told = []
        if "whole" in trial.facts:
            trial.path("old/benchmark.db").write_bytes(trial.facts["whole"])
            again = trial.run(self.arguments(trial))
            told = (
                [] if again.code == 0 else [f"broken: the whole file is imported with {again.code}: {again.err[-300:]}"]
            )
        found = stored(trial.path("benchmark.db"))
        return told + compared(set(), found) + ([] if len(found) == 480 else [f"lost: {480 - len(found)} of 480 rows"])


class Merge(Command):
    name = "db merge"

    def prepare(self, here: Path, _bench: Workbench) -> None:
        fill(here / "benchmark.db", range(2))
        fill(here / "other.db", range(1, SESSIONS))

    def arguments(self, _trial: Trial) -> list[str]:
        return ["db", "merge", "other.db", "--db", "benchmark.db"]

    def problems(self, trial: Trial) -> list[str]:
        return compared(uuids(range(SESSIONS)), stored(trial.path("benchmark.db")))


class Prune(Command):
    name = "db prune"

    def prepare(self, here: Path, _bench: Workbench) -> None:
        fill(here / "benchmark.db", range(SESSIONS))

    def arguments(self, _trial: Trial) -> list[str]:
        return ["db", "prune", "--yes", *(f"--session=s{each}" for each in range(3))]

    codes = (0, 2)  # those sessions are not there any more

    def between(self, trial: Trial) -> list[str]:
        found = stored(trial.path("benchmark.db"))
        parts = {len([u for u in uuids(range(each, each + 1)) if u in found]) for each in range(SESSIONS)}
        return [] if parts <= {0, RUNS} else ["broken: a session is half removed"]

    def problems(self, trial: Trial) -> list[str]:
        found = stored(trial.path("benchmark.db"))
        return compared(uuids(range(3, SESSIONS)), found) + (
            [] if len(found) == (SESSIONS - 3) * RUNS else ["broken: what was to go is there"]
        )


class Upgrade(Command):
    name = "db upgrade"
    next: ClassVar[list[str]] = ["db", "check"]
    next_codes = (0, 1, 2)  # it is behind

    def prepare(self, here: Path, _bench: Workbench) -> None:
        first = min(read_revisions().known, key=lambda each: len(_ancestors(each)))
        engine = make_engine(str(here / "benchmark.db"))
        with migrating(engine) as connection:
            apply_migrations(connection, until=first)
        engine.dispose()

    def arguments(self, _trial: Trial) -> list[str]:
        return ["db", "upgrade"]

    def problems(self, trial: Trial) -> list[str]:
        checked = trial.inside(["db", "check"])
        return [] if checked.code == 0 else [f"broken: db check says {checked.err}"]


def _ancestors(revision: str) -> list[str]:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "alembic"))
    return [each.revision for each in ScriptDirectory.from_config(config).iterate_revisions(revision, "base")]


class Accept(Command):
    name = "detect accept"

    def prepare(self, here: Path, bench: Workbench) -> None:
        engine = open_database(str(here / "benchmark.db"))
        for number in range(40):
            ingest(
                engine,
                histories.session("main", number, {"slow": 1.0 if number < 25 else 1.5}, version=f"2026.{number}.0"),
            )
        engine.dispose()
        found = Trial(here.parent, bench, "template-detect").run(["detect", "--format", "json"])
        self.id = json.loads(found.out)["regressions"][0]["id"]

    def arguments(self, _trial: Trial) -> list[str]:
        return ["detect", "accept", self.id, "--reason", "meant so"]

    def problems(self, trial: Trial) -> list[str]:
        found = trial.inside(["detect", "--format", "json"])
        states = [each["state"] for each in json.loads(found.out)["regressions"]]
        return [] if states in ([], ["accepted"]) else [f"lost: what was accepted is {states}"]
