"""Nothing is compared with what was profiled: no verdict, level, probe or suspect depends on it."""

import dataclasses
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import histories

from coiled_runtime_cli.core.record import Run, SessionEnded, SessionStarted
from coiled_runtime_cli.db import queries
from coiled_runtime_cli.db.engine import open_database
from coiled_runtime_cli.db.ingest import ingest


def twin(lines, number):
    """The same session again, profiled and ten times as slow."""
    identity = next(each.id for each in lines if isinstance(each, SessionStarted)) + "-profiled"
    found = []
    for place, line in enumerate(lines):
        if isinstance(line, (SessionStarted, SessionEnded)):
            found.append(dataclasses.replace(line, id=identity))
        elif isinstance(line, Run):
            uuid = f"00000000-0000-4000-8000-{number:06d}{place:06d}"
            slow = {"duration": line.duration * 10, "peak_memory": line.peak_memory * 10, "start": line.start + 1}
            found.append(dataclasses.replace(line, uuid=uuid, session=identity, profiled=True, **slow))
        else:
            found.append(line)
    return found


@pytest.fixture
def histories_of_both(inside):
    """``plain.db``: 40 nights of ``main``, ten of ``branch``; ``both.db``: the same, and each session again, profiled."""
    databases = {name: open_database(str(inside.folder / f"{name}.db")) for name in ("plain", "both")}
    for number in range(40):
        late = 1.3 if number >= 30 else 1.0
        sessions = [histories.session("main", number, {"a": late, "b": 1.0}, version="1")]
        if number < 10:
            sessions.append(histories.session("branch", number, {"a": 1.5, "b": 1.0}, version="2"))
        for place, lines in enumerate(sessions):
            ingest(databases["plain"], lines)
            ingest(databases["both"], lines)
            ingest(databases["both"], twin(lines, 2 * number + place))
    for each in databases.values():
        each.dispose()
    return inside


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "main", "branch"],
        ["detect"],
        ["detect", "--score"],
        ["noise"],
    ],
    ids=" ".join,
)
def test_no_verdict_depends_on_profiled_runs(histories_of_both, arguments):
    told = []
    for name in ("plain", "both"):
        done = histories_of_both.run(*arguments, "--db", f"{name}.db", "--format", "json")
        assert done.stdout, done.stderr
        found = json.loads(done.stdout)
        for measured_now in ("host", "remarks"):
            found.pop(measured_now, None)
        told.append((done.returncode, found))
    assert told[0] == told[1]
    assert "test_a" in json.dumps(told) or "--score" in arguments, "there is a verdict to depend on"


def test_no_level_of_the_report_depends_on_profiled_runs(histories_of_both):
    from coiled_runtime_cli.db.history import read_history
    from coiled_runtime_cli.report.build import digest_units
    from coiled_runtime_cli.report.groups import group

    levels = []
    for name in ("plain", "both"):
        engine = open_database(str(histories_of_both.folder / f"{name}.db"))
        history = read_history([engine])
        engine.dispose()
        digests = digest_units(history, group(history), lambda *_: None)
        series = [each for unit in digests for each in unit.series]
        assert any(each.profiled for each in series) == (name == "both")
        metrics = [metric for each in series for _, metric in sorted(each.metrics.items())]
        levels.append(
            [
                (
                    each.n,
                    [(level.n, level.median, level.low, level.high) for level in each.levels],
                    [(change.good_uuid, change.bad_uuid, change.ratio) for change in each.changes],
                )
                for each in metrics
            ]
        )
    assert levels[0] == levels[1]


def test_a_profiled_run_decides_no_probe_and_no_suspect(histories_of_both):
    engine = open_database(str(histories_of_both.folder / "both.db"))
    single = histories.session("alone", 1, {"a": 1.0}, version="1")
    ingest(engine, single)
    ingest(engine, twin(single, 999))
    assert queries.measured_in_session(engine, "alone-1-3.11", "duration") is not None
    assert queries.measured_in_session(engine, "alone-1-3.11-profiled", "duration") is None
    engine.dispose()
