"""The runs that a trial begins with, and the question which of them are lost or there twice."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections import Counter
from typing import TYPE_CHECKING

import recorded

from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest

if TYPE_CHECKING:
    import random
    from pathlib import Path

SESSIONS, RUNS = 8, 4


def fill(database: Path, sessions: range) -> None:
    engine = open_database(str(database))
    for number in sessions:
        ingest(engine, recorded.lines(number, runs=RUNS))
    engine.dispose()


def uuids(sessions: range) -> set[str]:
    return {recorded.uuid(session, number) for session in sessions for number in range(RUNS)}


def stored(database: Path, where: str = "true") -> Counter[str]:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return Counter(row[0] for row in connection.execute(f"select uuid from test_run where {where}"))


def compared(wanted: set[str], found: Counter[str]) -> list[str]:
    """What is lost, and what is there twice, of the first of each."""
    told = []
    if lost := wanted - set(found):
        told.append(f"lost: {len(lost)} runs, {min(lost)}")
    if doubled := [each for each, count in found.items() if count > 1]:
        told.append(f"doubled: {min(doubled)}")
    return told


def cut_short(file: Path, chance: random.Random) -> str:
    size = file.stat().st_size
    os.truncate(file, chance.randrange(size) if size else 0)
    return str(file.name)


def suites_in(here: Path) -> Path:
    """An empty folder of suites beside the folder in which the commands run."""
    suites = here.parent / "suites"
    suites.mkdir()
    (suites / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers --import-mode=importlib\n")
    return suites
