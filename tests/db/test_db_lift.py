"""Segments of earlier schemas: what the migrations did to databases is done to what is read of a remote."""

from __future__ import annotations

import dataclasses
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from recorded import lines

from coiled_runtime_cli.core import segment as core
from coiled_runtime_cli.core.segment import NewerSegmentError, Segment, SegmentError
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest
from coiled_runtime_cli.db.lift import Lift
from coiled_runtime_cli.db.segments import read_segment
from coiled_runtime_cli.db.shared import SharedHistory
from coiled_runtime_cli.locations import migrations_folder

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine

FIRST, SECOND = "8f757665a50a", "a7c9a77d8d2b"


@pytest.fixture
def segment(engine: Engine) -> Segment:
    ingest(engine, lines(1))
    return read_segment(engine, "s1")


def as_of(segment: Segment, revision: str, **renamed: str) -> Segment:
    """The segment as a crt of that revision wrote it: without what came later, columns of runs by their old names."""
    benchmarks = [{name: each[name] for name in each if name != "formerly"} for each in segment.tables["benchmark"]]
    runs = [{renamed.get(name, name): value for name, value in row.items()} for row in segment.tables["run"]]
    tables = {**segment.tables, "benchmark": benchmarks, "run": runs}
    return dataclasses.replace(segment, revision=revision, tables=tables)


@pytest.mark.parametrize("revision", [FIRST, SECOND])
def test_a_segment_of_every_earlier_revision_becomes_one_of_today(segment: Segment, revision: str) -> None:
    old = core.from_bytes(core.to_bytes(as_of(segment, revision)))
    with Lift() as lift:
        new = lift(old)
        assert lift(segment) is segment
    benchmarks = [{**each, "formerly": []} for each in new.tables["benchmark"]]
    assert core.to_bytes(dataclasses.replace(new, tables={**new.tables, "benchmark": benchmarks})) == core.to_bytes(
        segment
    )


def test_a_segment_of_a_later_revision_is_left_to_a_newer_crt(segment: Segment) -> None:
    with Lift() as lift, pytest.raises(NewerSegmentError, match="0123456789ab, which this crt does not know"):
        lift(dataclasses.replace(segment, revision="0123456789ab"))


def test_what_an_earlier_schema_had_no_place_for_is_refused(segment: Segment) -> None:
    old = dataclasses.replace(segment, revision=FIRST)  # with a column that came later
    with Lift() as lift, pytest.raises(SegmentError, match="'formerly', which its schema has not"):
        lift(old)


@pytest.mark.parametrize(
    "run",
    [
        {"metrics": None},
        {"metrics": [["rows", "", "lower", 1.0], ["rows", "", "lower", 2.0]]},
        {"metrics": [["rows", "", "lower", "NaN"]]},
        {"duration": 10**400},
    ],
    ids=["no list", "twice", "no number", "too large"],
)
def test_what_no_earlier_database_could_hold_is_refused(segment: Segment, run: dict[str, Any]) -> None:
    runs = [{**row, **run} for row in segment.tables["run"]]
    old = as_of(dataclasses.replace(segment, tables={**segment.tables, "run": runs}), FIRST)
    with Lift() as lift, pytest.raises(SegmentError):
        lift(old)


def test_migrations_that_change_what_is_there_are_applied_to_segments(
    segment: Segment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: str
) -> None:
    """As if crt had once called the duration of a run "wall", in milliseconds."""
    folder = tmp_path / "alembic"
    shutil.copytree(migrations_folder(), folder)
    (first,) = (folder / "versions").glob(f"*_{FIRST}_*.py")
    (second,) = (folder / "versions").glob(f"*_{SECOND}_*.py")
    text = first.read_text()
    view = re.search(r"CREATE VIEW test_run AS.*?(?=\n\"\"\"|\"\"\")", text, re.DOTALL)
    assert view is not None
    text = text.replace('sa.Column("duration"', 'sa.Column("wall"').replace("run.duration AS", "run.wall AS")
    first.write_text(text)
    change = (
        'op.execute("drop view test_run")\n'
        "    with op.batch_alter_table('run') as batch:\n"
        "        batch.alter_column('wall', new_column_name='duration')\n"
        '    op.execute("update run set duration = duration / 1000")\n'
        f'    op.execute("""{view[0].strip()}""")\n'
    )
    text = second.read_text()
    second.write_text(text.replace("def upgrade() -> None:\n", f"def upgrade() -> None:\n    {change}", 1))
    for module in ("migrate", "revisions"):
        monkeypatch.setattr(f"coiled_runtime_cli.db.{module}.migrations_folder", lambda: folder)
    runs = [{**row, "duration": row["duration"] * 1000} for row in segment.tables["run"]]
    old = as_of(dataclasses.replace(segment, tables={**segment.tables, "run": runs}), FIRST, duration="wall")
    shutil.copyfile(database, tmp_path / "other.db")
    engine = open_database(str(tmp_path / "other.db"))
    with SharedHistory(engine, "r") as history:
        (applied,) = history.apply([("k", old)])
    assert not isinstance(applied, SegmentError), applied
    found = {row["uuid"]: row["duration"] for row in read_segment(engine, "s1").tables["run"]}
    assert found == pytest.approx({row["uuid"]: row["duration"] for row in segment.tables["run"]})
    engine.dispose()
