"""Whatever a journal holds, its reader gives a value or one of our errors, and comes to an end."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from broken import FEW, mutated, values

from coiled_runtime_cli import journal
from coiled_runtime_cli.core import record
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest
from coiled_runtime_cli.errors import CrtError

LINES = [
    record.SessionStarted(id="s1", started=1.7e9, label="a", host=record.Host(cores=2)),
    record.Environment(python="3.11.7.final.0", platform="linux", packages=(record.Package(name="dask", version="1"),)),
    record.Cluster(kind="local", spec={"n": 1}),
    record.Benchmark(path="a.py", name="test", originalname="test", params={"a": 1}, markers=("m",)),
    record.Run(
        uuid="u1",
        session="s1",
        benchmark="a.py::test",
        outcome="passed",
        duration=1.0,
        metrics=(record.Metric(name="m", value=1.0),),
    ),
    record.Collected(benchmarks=("a.py::test",), errors=(("a", "b"),)),
    record.TestStarted(uuid="u1", benchmark="a.py::test", at=1.0),
    record.Progress(what="x", done=1.0),
    record.SessionEnded(id="s1", ended=1.7e9),
]


@given(st.data())
@settings(max_examples=150)
def test_a_line_with_any_value_in_any_field_is_a_record_or_a_value_error(data: st.DataObject) -> None:
    fields = json.loads(record.encode(data.draw(st.sampled_from(LINES))))
    for _ in range(data.draw(st.integers(1, 3))):
        fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(values)
    with contextlib.suppress(ValueError):
        record.decode(json.dumps(fields))


@given(data=st.data())
@FEW
def test_what_reads_as_a_journal_can_be_stored(data: st.DataObject, empty: Path, tmp_path: Path) -> None:
    lines = []
    for line in LINES:
        fields = json.loads(record.encode(line))
        if data.draw(st.booleans()):
            fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(values)
        with contextlib.suppress(ValueError):
            lines.append(record.decode(json.dumps(fields)))
    database = tmp_path / "benchmark.db"
    shutil.copyfile(empty, database)
    engine = open_database(str(database))
    with contextlib.suppress(CrtError):
        ingest(engine, [each for each in lines if each is not None])
    engine.dispose()


@given(data=st.data())
@FEW
def test_a_journal_of_any_bytes_is_read(data: st.DataObject, tmp_path: Path) -> None:
    whole = "".join(record.encode(each) + "\n" for each in LINES).encode()
    folder = tmp_path / "session"
    folder.mkdir(exist_ok=True)
    (folder / "main.jsonl").write_bytes(mutated(whole, data.draw))
    journal.read(folder)
    journal.settle(folder, "s1", reason="died")
